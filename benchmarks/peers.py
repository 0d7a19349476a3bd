"""Measures hotspare and other clients under the same load and the same faults, on loopback. Takes about two minutes.

    python -m benchmarks.peers             # print the table
    python -m benchmarks.peers --write     # and write the figures of the outage into the README and the pages that show them
    python -m benchmarks.peers --json
    python -m benchmarks.peers --short     # 6 s of outage, 1 s of surge: whether everything runs

Four targets in two regions at the embedded provider, 50 ms per answer, every text compared word for word. Two runs each:

* outage: 20 calls/s for 10 s while the first region answers 503. `p99` is the latency of the answered calls. `requests per call` is
  the number of requests per call that reach the provider after the first three seconds, within which clients can detect it.
* surge: 400 calls/s for 3 s without faults. `answered` counts answers within 5 s. `load`: the calls per second that the client started.

The load comes from a separate process, and a call's time is measured from its scheduled arrival, so that it includes the delay of a
client that blocks its event loop. A load that was not achieved is reported below the table.
Each client runs in a separate environment, set up in `benchmarks/clients.py`. No call streams, because not every client can fail
over in streams.
"""

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import warnings
from typing import Any

from hotspare import Policy
from hotspare.drill.labels import percent, ratio, seconds
from hotspare.drill.metrics import ON_TIME, CallRecord, quantile, share
from hotspare.drill.provider import Provider
from hotspare.drill.run import ScenarioRun
from hotspare.drill.scenarios import ENDPOINTS, REGIONS, US, Phase, Scenario

from benchmarks.clients import CLIENTS, Client, Setup, Upstream, opening
from benchmarks.environments import ROOT
from benchmarks.page import write_figures

DEADLINE = 10.0
DETECTED_AFTER = 3.0
_OUTAGE = ("a region is down: answered", "p99", "requests per call")
PAGES = [ROOT / name for name in ("README.md", "README.ko.md", "docs/index.md", "docs/ko/index.md", "docs/choosing.md")]
"""The pages that show the figures of the outage."""


def runs(*, short: bool) -> dict[str, tuple[Phase, ...]]:
    """The phases of the two runs. The last phase of each is measured."""
    outage, surge = (6, 1) if short else (10, 3)
    return {
        "outage": (Phase("normal", 2, 20), Phase("outage", outage, 20, "outage", ((US, "status", {"status": 503}),))),
        "surge": (Phase("surge", surge, 400, "surge"),),
    }


def setup(provider: Provider) -> Setup:
    """A target for each endpoint, of two providers in two regions each."""
    targets = [Upstream(name, one.id, one.region, provider.url(name), one.wire) for name, one in REGIONS.items()]
    return Setup(targets, DEADLINE)


async def _text(client: Client, prompt: str) -> str:
    return "".join([part async for part in client(prompt)])


async def measure(name: str, provider: Provider, *, short: bool) -> dict[str, Any]:
    """Run one client through the outage and the surge. Returns its row of the table, and its shortfalls."""
    row, shortfalls = {"client": name}, dict[str, list[str]]()
    for kind, phases in runs(short=short).items():
        provider.reset()  # the faults of the run before would fail the first call
        scenario = Scenario(
            about=kind, phases=phases, pools={"all": Policy(deadline=DEADLINE)}, columns=(), highlights=()
        )
        run = ScenarioRun(name, provider, scenario)
        async with opening(name).open(setup(provider)) as ask, asyncio.TaskGroup() as tasks:

            async def client(prompt: str, streaming: bool, record: CallRecord) -> str:
                return await _text(ask, prompt)

            await _text(ask, "the first call, which imports modules")
            detected = tasks.create_task(_detected(run, provider, len(phases))) if kind == "outage" else None
            await run.execute(client)
        row |= _cells(run, detected.result() if detected is not None else None, provider)
        shortfalls[kind] = [f"{name}: {shortfall}" for shortfall in run.result.shortfalls()]
    return {"row": row, "shortfalls": shortfalls}


def _cells(run: ScenarioRun, detected: tuple[float, int] | None, provider: Provider) -> dict[str, str]:
    calls = run.result.calls_in(run.scenario.phases[-1].role)
    p99 = seconds(quantile([call.seconds for call in calls if call.correct], 0.99))
    if detected is None:
        on_time = percent(share(call.correct and call.seconds <= ON_TIME for call in calls))
        return {
            "surge: answered": on_time,
            "surge p99": p99,
            "load": "{1:.0f} of {0:.0f}/s".format(*run.result.load(0)),
        }
    start, before = detected
    late = sum(call.started >= start for call in run.result.calls)
    requests = ratio((_requests(provider) - before) / late)
    return dict(zip(_OUTAGE, (percent(share(call.correct for call in calls)), p99, requests), strict=True))


async def _detected(run: ScenarioRun, provider: Provider, phases: int) -> tuple[float, int]:
    """Wait until the outage has lasted `DETECTED_AFTER` seconds; return the time, and the requests made until then."""
    while len(run.result.phase_starts) < phases:  # noqa: ASYNC110 (the record has no event)
        await asyncio.sleep(0.01)
    await asyncio.sleep(run.result.phase_starts[-1] + DETECTED_AFTER - run.now())
    return run.now(), _requests(provider)


def _requests(provider: Provider) -> int:
    return sum(provider.stats(endpoint).requests for endpoint in ENDPOINTS)


def _in_its_environment(name: str, *, short: bool) -> dict[str, Any]:
    print(name, file=sys.stderr)
    command, variables = opening(name).command("benchmarks.peers", "--client", name, *(("--short",) if short else ()))
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _print(rows: list[dict[str, str]], shortfalls: list[str]) -> None:
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")
    if shortfalls:
        print("\nThe planned load was not achieved:\n")
    for shortfall in shortfalls:
        print(f"* {shortfall}")


def main() -> None:
    """Run all clients and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", action="store_true", help=f"write into {', '.join(page.name for page in PAGES)}")
    parser.add_argument("--short", action="store_true", help="6 s of outage, 1 s of surge")
    parser.add_argument("--client", help="measure this client in this process, and print JSON")
    options = parser.parse_args()
    if options.write and options.short:
        parser.error("--short measures too little to --write it")
    if options.client:
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
        with Provider(ENDPOINTS) as provider:
            print("\n" + json.dumps(asyncio.run(measure(options.client, provider, short=options.short))))
        return
    found = [_in_its_environment(one.name, short=options.short) for one in CLIENTS]
    rows = [one["row"] for one in found]
    shortfalls = [line for one in found for lines in one["shortfalls"].values() for line in lines]
    if options.json:
        print(json.dumps({"rows": rows, "shortfalls": shortfalls}))
    else:
        _print(rows, shortfalls)
    if options.write:
        if any(one["shortfalls"]["outage"] for one in found):
            raise SystemExit("nothing was written: the load of the outage was not achieved")
        for page in PAGES:
            write_figures(page, [[row[name] for name in _OUTAGE] for row in rows])


if __name__ == "__main__":
    main()
