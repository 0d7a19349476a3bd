"""Plays a scenario with real HTTP calls through the real library, and checks every answer word for word."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.drill.scenarios import ENDPOINTS, SCENARIOS, Phase
from hotspare.errors import HotspareError
from hotspare.events import AttemptEnded, Event
from hotspare.messages import ChatRequest
from hotspare.outcome import Kind
from hotspare.pool import Pool
from hotspare.target import Target

DEADLINE = 10.0
EVIDENCE = 2.0
"""Seconds into an outage after which the breakers have their evidence (five strikes spanning one second)."""
TICK = 0.25


@dataclass(slots=True)
class Asked:
    """One call of the drill, and how it went. Times in seconds."""

    phase: int
    at: float
    seconds: float = 0.0
    ttft: float | None = None
    right: bool = False
    error: str = ""
    attempts: int = 0


@dataclass(slots=True)
class Tick:
    """What the timeline shows of a quarter of a second: each target's state, and its answers and failures."""

    at: float
    states: dict[str, str]
    answered: dict[str, int]
    failed: dict[str, int]


@dataclass(slots=True)
class Result:
    """Everything that a drill saw."""

    name: str
    phases: tuple[Phase, ...]
    starts: list[float] = field(default_factory=list[float])
    calls: list[Asked] = field(default_factory=list[Asked])
    ticks: list[Tick] = field(default_factory=list[Tick])
    attempts: list[tuple[float, str, Kind]] = field(default_factory=list[tuple[float, str, Kind]])

    @property
    def good(self) -> bool:
        """Whether every call was answered word for word within its deadline."""
        return all(call.right for call in self.calls)

    def noticed(self) -> float | None:
        """Seconds from the region's return to the first answer of its first target."""
        back = next((self.starts[i] for i, phase in enumerate(self.phases) if phase.name == "recovery"), None)
        if back is None:
            return None
        return next(
            (
                at - back
                for at, target, kind in self.attempts
                if at > back and target == ENDPOINTS[0] and kind is Kind.OK
            ),
            None,
        )


def targets_of(provider: Provider) -> list[Target]:
    """Four targets: two providers in two regions."""
    found: list[Target] = []
    for endpoint in ENDPOINTS:
        region, wire = endpoint.split("-")
        model = "gpt-4.1" if wire == "openai" else "claude-sonnet-4-20250514"
        where = {"us": "us-east", "eu": "eu-west"}[region]
        found.append(
            Target(
                f"{wire}/{model}",
                region=where,
                base_url=provider.base_url(endpoint, wire),
                api_key="test-drill",
                name=endpoint,
            )
        )
    return found


async def storm(
    provider: Provider, scenario: str, *, scale: float, baseline: bool, progress: Callable[[str, float], None]
) -> Result:
    """Play it once: through the pool, or (`baseline`) through the first target's plain client."""
    phases = tuple(Phase(p.name, max(1.0, p.seconds * scale), p.rate, p.faults, p.outage) for p in SCENARIOS[scenario])
    result = Result("one provider, no failover" if baseline else "hotspare", phases)
    provider.reset()
    pool = Pool(targets_of(provider), deadline=DEADLINE)
    start = time.perf_counter()

    def listen(event: Event) -> None:
        if isinstance(event, AttemptEnded):
            result.attempts.append((time.perf_counter() - start, event.attempt.target, event.attempt.kind))

    pool.subscribe(listen)
    running: set[asyncio.Task[None]] = set()
    ticker = asyncio.create_task(_tick(pool, result, start))
    try:
        for index, phase in enumerate(phases):
            _set(provider, phase)
            result.starts.append(time.perf_counter() - start)
            await _offer(pool, phase, index, result, start, running, baseline=baseline, progress=progress)
        if running:
            await asyncio.wait(running, timeout=DEADLINE + 5)
    finally:
        ticker.cancel()
        for task in running:
            task.cancel()
        await pool.aclose()
    return result


def _set(provider: Provider, phase: Phase) -> None:
    provider.clear()
    provider.fault(ENDPOINTS, "latency", seconds=0.05, gap=0.0)
    for endpoints, kind, options in phase.faults:
        provider.fault(endpoints, kind, **options)


async def _offer(
    pool: Pool, phase: Phase, index: int, result: Result, start: float, running: set[asyncio.Task[None]], *,
    baseline: bool, progress: Callable[[str, float], None],
) -> None:  # fmt: skip
    begun = time.perf_counter()
    for number in range(int(phase.seconds * phase.rate)):
        due = begun + number / phase.rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        prompt = f"Question {index}.{number}: what keeps a service up? tokens=20"
        asked = Asked(index, time.perf_counter() - start)
        result.calls.append(asked)
        task = asyncio.create_task(_ask(pool, prompt, asked, stream=number % 2 == 1, baseline=baseline))
        running.add(task)
        task.add_done_callback(running.discard)
        if number % 10 == 0:
            progress(phase.name, number / (phase.seconds * phase.rate))


async def _ask(pool: Pool, prompt: str, asked: Asked, *, stream: bool, baseline: bool) -> None:
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(DEADLINE + 0.5):
            if baseline:
                backend = pool._gate.members[0].backend  # pyright: ignore[reportPrivateUsage] - the plain client
                text = (
                    await backend.asend(ChatRequest(messages=[{"role": "user", "content": prompt}]), timeout=DEADLINE)
                ).text
                asked.attempts = 1
            elif stream:
                text = ""
                async for chunk in pool.astream(prompt):
                    if asked.ttft is None:
                        asked.ttft = time.perf_counter() - begun
                    text += chunk.text
                    if chunk.receipt:
                        asked.attempts = len(chunk.receipt.attempts)
            else:
                reply = await pool.achat(prompt)
                text, asked.attempts = reply.text, len(reply.attempts)
        asked.right = text == answer(prompt)
        asked.error = "" if asked.right else "wrong text"
    except (HotspareError, OSError, TimeoutError) as error:
        asked.error = str(error).splitlines()[0][:200] or type(error).__name__
    except Exception as error:
        asked.error = f"{type(error).__name__}: {error}"[:200]
    asked.seconds = time.perf_counter() - begun


async def _tick(pool: Pool, result: Result, start: float) -> None:
    seen = 0
    while True:
        await asyncio.sleep(TICK)
        new, seen = result.attempts[seen:], len(result.attempts)
        answered = {name: sum(t == name and k is Kind.OK for _, t, k in new) for name in ENDPOINTS}
        failed = {name: sum(t == name and k is not Kind.OK for _, t, k in new) for name in ENDPOINTS}
        states = {row.target: "throttled" if row.throttled_for else str(row.state) for row in pool.health().targets}
        result.ticks.append(Tick(time.perf_counter() - start, states, answered, failed))


def summary(result: Result) -> list[dict[str, str | int | float | None]]:
    """One row a phase."""
    rows: list[dict[str, str | int | float | None]] = []
    for index, phase in enumerate(result.phases):
        calls = [call for call in result.calls if call.phase == index]
        begun = result.starts[index]
        late = [call for call in calls if call.at - begun >= EVIDENCE] if phase.outage else calls
        times, firsts = sorted(c.seconds for c in calls), sorted(c.ttft for c in calls if c.ttft is not None)
        rows.append({
            "phase": phase.name, "calls": len(calls), "answered": sum(c.right for c in calls),
            "p50": quantile(times, 0.5), "p95": quantile(times, 0.95), "p99": quantile(times, 0.99),
            "ttft_p50": quantile(firsts, 0.5), "failovers": sum(max(0, c.attempts - 1) for c in calls),
            "attempts_per_call": sum(c.attempts for c in late) / len(late) if late else None,
            "wrong": sum(c.error == "wrong text" for c in calls),
        })  # fmt: skip
    return rows


def quantile(values: list[float], share: float) -> float | None:
    """Nearest rank of sorted values."""
    return values[min(int(share * len(values)), len(values) - 1)] if values else None


def run(*, scenario: str = "outage", scale: float = 1.0, report: str | None = None, baseline: bool = False,
        as_json: bool = False, live: bool = True) -> int:  # fmt: skip
    """Play a drill, print its table, write its report. Returns the exit code: 0 if every answer was right and in time."""
    import logging

    from hotspare.drill.report import console, html, progress_bar, tables

    log = logging.getLogger("hotspare")
    level, log.disabled = log.disabled, True  # the table says it better than a thousand log lines
    results: list[Result] = []
    try:
        with Provider(ENDPOINTS) as provider:
            for plain in (False, True) if baseline else (False,):
                with progress_bar(live and not as_json) as progress:
                    results.append(
                        asyncio.run(storm(provider, scenario, scale=scale, baseline=plain, progress=progress))
                    )
    finally:
        log.disabled = level
    ours = results[0]
    if as_json:
        print(
            json.dumps(
                {r.name: {"phases": summary(r), "errors": [asdict(c) for c in r.calls if not c.right]} for r in results}
            )
        )
    else:
        tables(results)
    if report:
        Path(report).write_text(html(results), encoding="utf-8")
        if not as_json:
            console().print(f"Timeline: [bold]{report}[/bold]")
    return 0 if ours.good else 1
