"""The commands, over typer and rich."""

import dataclasses
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hotspare import __version__
from hotspare.drill.scenarios import SCENARIOS
from hotspare.errors import ConfigError, Problem, did_you_mean
from hotspare.messages import ChatRequest
from hotspare.outcome import OK, Outcome
from hotspare.pool import Pool
from hotspare.target import Target

app = typer.Typer(
    help="Keep an application's LLM calls answered while providers, regions, keys and quotas fail. Begin with: hotspare drill",
    epilog="Exit codes: 0 all is well, 1 a target did not answer or the drill lost a call, 2 wrong use or configuration.",
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
)  # fmt: skip
out = Console()
ConfigArgument = Annotated[
    Path | None, typer.Argument(help="TOML, YAML or JSON; default: $HOTSPARE_CONFIG, else ./hotspare.toml")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML, YAML or JSON; default: $HOTSPARE_CONFIG, else ./hotspare.toml")
]
DeadlineOption = Annotated[float, typer.Option(help="seconds that each answer may take", min=0.1)]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for a script")]


def _version(value: bool) -> None:
    if value:
        print(f"hotspare {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """The command without a subcommand."""


def _pool(config: Path | None) -> Pool:
    source = config or Path(os.environ.get("HOTSPARE_CONFIG", "hotspare.toml"))
    if not source.exists():
        raise ConfigError(
            f"config: {str(source)!r} does not exist: name a file, set HOTSPARE_CONFIG, or write ./hotspare.toml"
        )
    return Pool.from_config(source)


@app.command(
    help="Rehearse an outage with real calls to an embedded provider: no key, no network, under a minute.\n\n"
    "Every answer is checked word for word; the figures are printed, the story is drawn into the report. Scenarios:\n\n"
    + "\n\n".join(f"{name}: {scenario.about}" for name, scenario in SCENARIOS.items())
)
def drill(
    scenario: Annotated[str, typer.Option(help=f"what is rehearsed: {', '.join(SCENARIOS)}")] = "outage",
    scale: Annotated[float, typer.Option(help="length of each phase, as a multiple", min=0.1)] = 1.0,
    report: Annotated[
        str, typer.Option(help="where the page goes; a name in .svg gets the picture alone, '' none")
    ] = "drill-report.html",
    baseline: Annotated[bool, typer.Option("--baseline", help="the same storm through one plain client too")] = False,
    as_json: JsonOption = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="progress while it runs")] = True,
) -> None:
    """Play one of the scenarios. Raises ConfigError for one that there is not."""
    from hotspare.drill.run import run

    if scenario not in SCENARIOS:
        way_out = did_you_mean(scenario, tuple(SCENARIOS), f"there are {', '.join(SCENARIOS)}")
        raise ConfigError(Problem.at("scenario", scenario, f"is unknown; {way_out}"))
    raise typer.Exit(
        run(scenario=scenario, scale=scale, report=report or None, baseline=baseline, as_json=as_json, live=live)
    )


@app.command()
def chat(
    question: Annotated[str, typer.Argument(help="the question; - reads it from stdin")],
    config: ConfigOption = None,
    target: Annotated[
        list[str] | None, typer.Option(help="provider/model instead of a config; may be given again")
    ] = None,
    model: Annotated[str | None, typer.Option(help="a route, an alias or a target's name")] = None,
    stream: Annotated[bool, typer.Option(help="print the answer as it comes")] = True,
    deadline: Annotated[float | None, typer.Option(help="seconds that the answer may take")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask one question. The answer goes to stdout, the trail of attempts to stderr.

    Example: hotspare chat "What is a hot spare?" --target openai/gpt-4.1 --target anthropic/claude-sonnet-4-20250514
    """
    text = sys.stdin.read() if question == "-" else question
    pool = Pool([Target(one) for one in target]) if target else _pool(config)
    options: dict[str, Any] = {"model": model} if model else {}
    if deadline is not None:
        options["deadline"] = deadline
    with pool:
        if as_json or not stream:
            reply = pool.chat(text, **options)
            kept = ("text", "target", "model", "finish_reason", "usage", "cost", "attempts")
            shown = {key: value for key, value in dataclasses.asdict(reply).items() if key in kept}
            print(json.dumps(shown, ensure_ascii=False) if as_json else reply.text)
            trail = reply.attempts
        else:
            trail = ()
            for chunk in pool.stream(text, **options):
                sys.stdout.write(chunk.text)
                sys.stdout.flush()
                trail = chunk.summary.attempts if chunk.summary else trail
            print()
    for attempt in trail:
        print(f"{attempt.number}. {attempt}", file=sys.stderr)


def _probe(target: Target, deadline: float) -> tuple[Outcome, float]:
    import time

    from hotspare._http import Http
    from hotspare.providers.http_backend import backend_for

    http = Http()
    backend = backend_for(target, http)
    begun = time.perf_counter()
    try:
        backend.send(ChatRequest(messages=[{"role": "user", "content": "Say ok."}], max_tokens=16), timeout=deadline)
        outcome = OK
    except Exception as error:
        outcome = backend.classify(error)
    finally:
        http.close()
    return outcome, time.perf_counter() - begun


def _probe_all(pool: Pool, deadline: float) -> list[tuple[Target, Outcome, float]]:
    with ThreadPoolExecutor(min(16, len(pool.targets))) as threads, Console(stderr=True).status("asking each target"):

        def ask(target: Target) -> tuple[Outcome, float]:
            return _probe(target, deadline)

        answers = threads.map(ask, pool.targets)
        return [(target, *answer) for target, answer in zip(pool.targets, answers, strict=True)]


def _show(found: list[tuple[Target, Outcome, float]], as_json: bool) -> None:
    if as_json:
        rows = [
            {"target": t.name, "kind": o.kind, "seconds": round(s, 3), "status": o.status, "message": o.message}
            for t, o, s in found
        ]
        print(json.dumps(rows, ensure_ascii=False))
    else:
        table = Table("target", "region", "answer", "time", "the provider's words")
        for target, outcome, seconds in found:
            colour = "green" if outcome.ok else "red"
            table.add_row(
                target.name,
                target.region or "-",
                f"[{colour}]{outcome.kind}[/]",
                f"{seconds:.2f} s",
                outcome.message[:100],
            )
        out.print(table)
    raise typer.Exit(0 if all(outcome.ok for _, outcome, _ in found) else 1)


@app.command()
def check(
    config: ConfigArgument = None,
    probe: Annotated[bool, typer.Option(help="make one small call to each target")] = True,
    deadline: DeadlineOption = 20.0,
    as_json: JsonOption = False,
) -> None:
    """Validate a configuration, tell who would be asked in what order, and ask each target one small question.

    Every mistake is named with its place. With --no-probe nothing is sent.
    """
    with _pool(config) as pool:
        if not as_json:
            out.print(str(pool.explain()), markup=False, highlight=False)
        if probe:
            _show(_probe_all(pool, deadline), as_json)


@app.command()
def status(config: ConfigArgument = None, deadline: DeadlineOption = 20.0, as_json: JsonOption = False) -> None:
    """Tell which targets of a configuration answer now, by asking each of them one small question.

    Health lives in each process: what a running application sees is in its own `pool.health()`.
    """
    with _pool(config) as pool:
        _show(_probe_all(pool, deadline), as_json)
