"""Runs a scenario: makes real HTTP calls through hotspare's public API, and compares every answer with the expected text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext

from hotspare import AllTargetsFailed, CallError, Limits, Pool, Target
from hotspare.drill.answers import answer
from hotspare.drill.load import ScriptStep, run_load
from hotspare.drill.metrics import WRONG_TEXT, AttemptSample, CallRecord, Result
from hotspare.drill.provider import KEY, Provider
from hotspare.drill.scenarios import PLAIN_CLIENT, REGIONS, Scenario, Served, plain_client
from hotspare.events import AttemptEnded, Event, StreamBroke
from hotspare.messages import ChatChunk, StreamSummary
from hotspare.policy import Policy
from hotspare.telemetry.logging import without_log

_GRACE = 0.5
"""Seconds after the deadline before a call is given up."""
SAMPLE_INTERVAL = 0.25
"""Seconds between two samples of the targets' states."""

Client = Callable[[str, bool, CallRecord], Awaitable[str]]
"""Sends a prompt, streamed or not, and returns the text. Stores the first token and the attempts in the record."""
Progress = Callable[[Result], None]
"""Called several times a second with the result so far."""
Observe = Callable[[Pool], object]
"""Called with a pool before its first call, to attach a ledger or a monitor to it."""


def unobserved(pool: Pool) -> None:
    """Attach nothing."""


def script_of(scenario: Scenario) -> tuple[list[ScriptStep], list[tuple[int, int | None]]]:
    """The script of a scenario, and for each step its phase and, if it is a call, the call's number in the phase."""
    steps: list[ScriptStep] = []
    places: list[tuple[int, int | None]] = []
    start, pace = 0.0, {"seconds": scenario.latency, "gap": scenario.token_gap}
    for index, phase in enumerate(scenario.phases):
        faults = [(endpoints, {"kind": kind, **options}) for endpoints, kind, options in phase.faults]
        faults.insert(0, (tuple(scenario.endpoints), {"kind": "latency", **pace}))
        steps += [ScriptStep(start, ("clear", (), {})), *(ScriptStep(start, ("fault", *fault)) for fault in faults)]
        calls = range(round(phase.seconds * phase.rate))
        steps += [ScriptStep(start + number / phase.rate) for number in calls]
        places += [*[(index, None)] * (1 + len(faults)), *((index, number) for number in calls)]
        start += phase.seconds
    return [*steps, ScriptStep(start)], [*places, (len(scenario.phases), None)]


def targets_of(
    provider: Provider, limits: Mapping[str, Limits] | None = None, served: Mapping[str, Served] = REGIONS
) -> list[Target]:
    """A target for each endpoint. `limits`: by endpoint. Default: two providers in two regions each."""
    return [
        Target(
            one.id, name=endpoint, region=one.region, base_url=provider.base_url(endpoint, one.wire), api_key=KEY,
            api="responses" if one.wire == "responses" else None, limits=(limits or {}).get(endpoint, frozenset()),
        )
        for endpoint, one in served.items()
    ]  # fmt: skip


class ScenarioRun:
    """One run of a scenario. `result` grows meanwhile."""

    def __init__(self, name: str, provider: Provider, scenario: Scenario) -> None:
        self.result = Result(name, scenario)
        self.scenario = scenario
        self._provider = provider
        self._start = time.perf_counter()
        self._steps, self._places = script_of(scenario)
        self._running: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    async def execute(self, client: Client) -> None:
        """Run the phases in their order. Calls continue in later phases until their deadline."""
        self._provider.reset()
        for endpoint, options in self.scenario.settings.items():
            self._provider.configure(endpoint, **options)
        try:
            async with run_load(self._steps, self._provider) as (self._start, announced):
                async for index in announced:
                    self._on_step(index, client)
            if self._running:
                await asyncio.wait(self._running, timeout=self.scenario.deadline + 5)
        finally:
            for task in self._running:
                task.cancel()

    def _on_step(self, index: int, client: Client) -> None:
        """Record the start of a phase, or start a call, without waiting for earlier ones."""
        at, (phase, number) = self._steps[index].at, self._places[index]
        if phase == len(self.result.phase_starts) < len(self.scenario.phases):
            self.result.phase_starts.append(at)
        if number is None:
            return
        record = CallRecord(phase, at)
        self.result.calls.append(record)
        prompt = f"Question {phase}.{number}: what keeps a service up? tokens={self.scenario.tokens}"
        task = asyncio.create_task(self._call(client, prompt, record, streaming=number % 2 == 1))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _call(self, client: Client, prompt: str, record: CallRecord, *, streaming: bool) -> None:
        record.late = self.now() - record.started
        limit = record.started + self.scenario.deadline + _GRACE
        try:
            async with asyncio.timeout(limit - self.now()):
                text = await client(prompt, streaming, record)
            if self.now() > limit:
                raise TimeoutError  # the client blocked the event loop, so that asyncio.timeout could not end the call
            record.correct = text == answer(prompt)
            record.error = "" if record.correct else WRONG_TEXT
        except Exception as error:  # any error means that the call was lost; the report shows it
            record.error = _describe(error)
            record.attempts = len(error.attempts) if isinstance(error, CallError) else 1
        record.seconds, record.done = self.now() - record.started, True
        if streaming:
            record.note_progress(record.seconds)


def _describe(error: Exception) -> str:
    """One line: the error, and the last attempt if all have failed."""
    message = str(error)
    if isinstance(error, AllTargetsFailed) and error.attempts:
        last = error.attempts[-1]
        message = f"{last.kind.upper()}{f' {last.status}' if last.status else ''} at {last.target}: {last.message}"
    return f"{type(error).__name__}: {message}".splitlines()[0][:200].removesuffix(": ")


def pool_client(pool: Pool, run: ScenarioRun) -> Client:
    """A client that calls the pool, and records its attempts."""

    def listener(event: Event) -> None:
        now, attempts = run.now(), run.result.attempts
        if isinstance(event, AttemptEnded):
            one = event.attempt
            attempts.append(AttemptSample(now - one.seconds, now, one.target, one.kind, one.reason))
        elif isinstance(event, StreamBroke):
            attempts.append(AttemptSample(now, now, event.target, event.kind, "stream broke"))

    async def call(prompt: str, streaming: bool, record: CallRecord) -> str:
        if not streaming:
            reply = await pool.achat(prompt)
            record.attempts = len(reply.attempts)
            return reply.text
        text, summary = await _read(pool.astream(prompt), run, record)
        if summary is not None:
            record.attempts, record.splice_points = len(summary.attempts), len(summary.splice_points)
        return text

    pool.subscribe(listener, inline=True)
    return call


async def _read(
    chunks: AsyncGenerator[ChatChunk], run: ScenarioRun, record: CallRecord
) -> tuple[str, StreamSummary | None]:
    parts: list[str] = []
    summary: StreamSummary | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk.is_content:
                record.note_progress(run.now() - record.started)
                record.ttft = record.last_progress if record.ttft is None else record.ttft
            parts.append(chunk.text)
            summary = chunk.summary
    return "".join(parts), summary


async def run_client(
    name: str,
    targets: Sequence[Target],
    policy: Policy,
    scenario: Scenario,
    provider: Provider,
    progress: Progress,
    observe: Observe = unobserved,
) -> Result:
    """Run the scenario through a pool, and sample the state of its targets meanwhile."""
    provider.reset()
    for target in targets:  # the imports of a first call must not be part of the measurement
        async with Pool(target) as warm_up:
            await warm_up.achat("hello")
    run = ScenarioRun(name, provider, scenario)

    async def sample_states(pool: Pool) -> None:
        while True:
            await asyncio.sleep(SAMPLE_INTERVAL)
            if not run.result.phase_starts:
                continue
            rows = pool.health().targets
            states = {row.target: "rate-limited" if row.rate_limited_for else str(row.state) for row in rows}
            run.result.states.append((run.now(), states))
            progress(run.result)

    async with Pool(targets, policy=policy) as pool:
        observe(pool)
        sampling = asyncio.create_task(sample_states(pool))
        try:
            await run.execute(pool_client(pool, run))
        finally:
            sampling.cancel()
    return run.result


def run_scenario(
    scenario: Scenario,
    *,
    baseline: bool = False,
    watch: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(lambda result: None),
    observe: Observe = unobserved,
) -> list[Result]:
    """Run the scenario with each of its pools, one after the other; with `baseline` also with a client without failover.

    `watch` returns a context manager for each client, which yields the function that shows its progress. `observe` is called with the
    pools, not with the client without failover.
    """
    results: list[Result] = []
    # Intended failures would log thousands of lines.
    with without_log(), Provider(tuple(scenario.endpoints)) as provider:
        targets = targets_of(provider, served=scenario.endpoints)
        clients = [
            (name, targets_of(provider, scenario.limits.get(name), scenario.served(name)), policy)
            for name, policy in scenario.pools.items()
        ]
        if baseline:
            clients.append((PLAIN_CLIENT, targets[:1], plain_client(scenario.deadline)))
        for name, its_targets, policy in clients:
            attach = observe if name in scenario.pools else unobserved
            with watch() as progress:
                results.append(asyncio.run(run_client(name, its_targets, policy, scenario, provider, progress, attach)))
    return results
