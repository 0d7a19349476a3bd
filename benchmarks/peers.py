"""Measures hotspare and other clients under the same load and the same faults, on loopback, in about two minutes.

    python benchmarks/peers.py             # print the table
    python benchmarks/peers.py --json

Four targets in two regions at the embedded provider, 50 ms per answer, every text compared word for word. Two runs each:

* outage: 20 calls/s for 10 s while the first region answers 503. `p99` is the latency of the answered calls. `upstream` is
  the number of requests per call that reach the provider from the fourth second on, when clients may have learnt of it.
* surge: 400 calls/s for 3 s without faults. `answered` counts answers within 5 s. `load`: the calls per second that the client took up.

A process of its own offers the load, and a call's time counts from the moment at which it was to arrive: a client that keeps
its event loop busy is as slow as its callers see it. A load that was not achieved is reported below the table.
Each client is set up as its documentation shows for failover. Retries inside a target are off for clients with fallbacks.
"""

import argparse
import asyncio
import json
import logging
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import litellm
import openai
from hotspare import Policy, Pool
from hotspare.drill.labels import percent, ratio, seconds
from hotspare.drill.metrics import ON_TIME, CallRecord, quantile, share
from hotspare.drill.provider import KEY, Provider
from hotspare.drill.run import Client, ScenarioRun, pool_client, targets_of
from hotspare.drill.scenarios import ENDPOINTS, US, Phase, Scenario
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from litellm.router import Router

DEADLINE = 10.0
DETECTED_AFTER = 3.0
RUNS = {
    "outage": (Phase("normal", 2, 20), Phase("outage", 10, 20, "outage", ((US, "status", {"status": 503}),))),
    "surge": (Phase("surge", 3, 400, "surge"),),
}
MODELS = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-20250514"}


def whole_answers(ask: Callable[[str], Awaitable[str]]) -> Client:
    """A client that always returns whole answers: not every client can fail over in streams."""

    async def client(prompt: str, streaming: bool, record: CallRecord) -> str:
        return await ask(prompt)

    return client


@asynccontextmanager
async def hotspare(provider: Provider, run: ScenarioRun) -> AsyncGenerator[Client]:
    """A pool with its defaults."""
    async with Pool(targets_of(provider), deadline=DEADLINE) as pool:
        client = pool_client(pool, run)
        yield lambda prompt, streaming, record: client(prompt, False, record)


@asynccontextmanager
async def sdk(provider: Provider, run: ScenarioRun) -> AsyncGenerator[Client]:
    """The official SDK with one target and its default of two retries."""
    async with openai.AsyncOpenAI(base_url=provider.base_url(ENDPOINTS[0]), api_key=KEY, timeout=DEADLINE) as client:

        async def ask(prompt: str) -> str:
            found = await client.chat.completions.create(
                model=MODELS["openai"], messages=[{"role": "user", "content": prompt}]
            )
            return found.choices[0].message.content or ""

        yield whole_answers(ask)


@asynccontextmanager
async def with_fallbacks(provider: Provider, run: ScenarioRun) -> AsyncGenerator[Client]:
    """LangChain's `with_fallbacks`."""
    common: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": DEADLINE / 2}
    models: list[BaseChatModel] = [
        ChatOpenAI(model=MODELS["openai"], base_url=provider.base_url(endpoint), **common)
        if endpoint.endswith("openai")
        else ChatAnthropic(model_name=MODELS["anthropic"], base_url=provider.url(endpoint), **common)
        for endpoint in ENDPOINTS
    ]
    chain = models[0].with_fallbacks(models[1:])

    async def ask(prompt: str) -> str:
        return str((await chain.ainvoke(prompt)).text)

    yield whole_answers(ask)


def router(*, groups: bool) -> Callable[[Provider, ScenarioRun], AbstractAsyncContextManager[Client]]:
    """LiteLLM's Router: each target as a group of its own with fallbacks, or all in one group with cooldowns and retries."""

    @asynccontextmanager
    async def open_router(provider: Provider, run: ScenarioRun) -> AsyncGenerator[Client]:
        wires = {endpoint: endpoint.split("-")[1] for endpoint in ENDPOINTS}
        deployments = [
            {
                "model_name": endpoint if groups else "chat",
                "litellm_params": {
                    "model": f"{wire}/{MODELS[wire]}", "api_base": provider.base_url(endpoint, wire), "api_key": KEY,
                    "timeout": DEADLINE / 2,
                },
            }
            for endpoint, wire in wires.items()
        ]  # fmt: skip
        first, *rest = ENDPOINTS
        fallbacks: list[Any] = [{first: rest}] if groups else []
        found: Any = Router(model_list=deployments, fallbacks=fallbacks, num_retries=0 if groups else 3)

        async def ask(prompt: str) -> str:
            model = first if groups else "chat"
            answer = await found.acompletion(model=model, messages=[{"role": "user", "content": prompt}])
            return str(answer.choices[0].message.content)

        yield whole_answers(ask)

    return open_router


CLIENTS = {
    "hotspare": hotspare, "LiteLLM Router, one group": router(groups=False), "LiteLLM Router, fallbacks": router(groups=True),
    "LangChain with_fallbacks": with_fallbacks,
    "openai SDK, one target": sdk,
}  # fmt: skip


SHORTFALLS: list[str] = []
"""The phases whose planned load was not achieved."""


async def measure(name: str, provider: Provider) -> dict[str, str]:
    """Run one client through the outage and the surge."""
    row = {"client": name}
    for kind, phases in RUNS.items():
        scenario = Scenario(
            about=kind, phases=phases, pools={"all": Policy(deadline=DEADLINE)}, columns=(), highlights=()
        )
        run = ScenarioRun(name, provider, scenario)
        async with CLIENTS[name](provider, run) as client, asyncio.TaskGroup() as tasks:
            await client("the first call, which imports modules", False, CallRecord(0, 0.0))
            detected = tasks.create_task(_detected(run, provider)) if kind == "outage" else None
            await run.play(client)
        calls = run.result.calls_in(phases[-1].role)
        latencies = [call.seconds for call in calls if call.correct]
        if detected is not None:
            start, before = detected.result()
            late = sum(call.started >= start for call in run.result.calls)
            row |= {
                "outage: answered": percent(share(call.correct for call in calls)),
                "p99": seconds(quantile(latencies, 0.99)),
            }
            row |= {"upstream": ratio((_requests(provider) - before) / late)}
        else:
            row |= {"surge: answered": percent(share(call.correct and call.seconds <= ON_TIME for call in calls))}
            row |= {"surge p99": seconds(quantile(latencies, 0.99))}
            row |= {"load": "{1:.0f} of {0:.0f}/s".format(*run.result.load(0))}
        SHORTFALLS.extend(f"{name}: {shortfall}" for shortfall in run.result.shortfalls())
    return row


async def _detected(run: ScenarioRun, provider: Provider) -> tuple[float, int]:
    """Wait until the outage has lasted `DETECTED_AFTER` seconds; return the time, and the requests made until then."""
    while len(run.result.phase_starts) < len(RUNS["outage"]):  # noqa: ASYNC110 (the record has no event)
        await asyncio.sleep(0.01)
    await asyncio.sleep(run.result.phase_starts[-1] + DETECTED_AFTER - run.now())
    return run.now(), _requests(provider)


def _requests(provider: Provider) -> int:
    return sum(provider.stats(endpoint).requests for endpoint in ENDPOINTS)


def main() -> None:
    """Run all clients and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    litellm.suppress_debug_info = True
    with Provider(ENDPOINTS) as provider:
        rows = [asyncio.run(measure(name, provider)) for name in CLIENTS]
    if as_json:
        print(json.dumps({"rows": rows, "shortfalls": SHORTFALLS}))
        return
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")
    if SHORTFALLS:
        print("\nThe planned load was not achieved:\n")
    for shortfall in SHORTFALLS:
        print(f"* {shortfall}")


if __name__ == "__main__":
    main()
