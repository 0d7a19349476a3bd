"""Plays a scenario with real HTTP calls through the real library, and checks every answer word for word."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, replace
from pathlib import Path

from hotspare._http import Http
from hotspare.drill.answers import answer
from hotspare.drill.metrics import Asked, Result, Tried, by_phase, overall
from hotspare.drill.provider import KEY, Provider
from hotspare.drill.scenarios import ENDPOINTS, SCENARIOS, Phase, Scenario
from hotspare.events import AttemptEnded, Event, StreamBroke
from hotspare.messages import ChatChunk, ChatRequest, StreamSummary
from hotspare.outcome import OK
from hotspare.policy import Policy
from hotspare.pool import Pool
from hotspare.providers.http_backend import backend_for
from hotspare.target import Target

TICK = 0.25
PLAIN = "one provider, no failover"

Client = Callable[[str, bool, Asked], Awaitable[str]]
"""Asks a question, streaming or not, and returns the text; notes first token and attempts."""


def targets_of(provider: Provider) -> list[Target]:
    """Four targets: two providers in two regions."""
    models = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-20250514"}
    regions = {"us": "us-east", "eu": "eu-west"}
    return [
        Target(
            f"{wire}/{models[wire]}", name=endpoint, region=regions[region], base_url=provider.base_url(endpoint, wire),
            api_key=KEY,
        )
        for endpoint in ENDPOINTS
        for region, wire in [endpoint.split("-")]
    ]  # fmt: skip


class Storm:
    """One scenario, played once: `result` grows while it runs."""

    def __init__(self, name: str, provider: Provider, scenario: Scenario) -> None:
        self.result = Result(name, scenario)
        self.scenario = scenario
        self._provider = provider
        self._begun = time.perf_counter()
        self._running: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._begun

    async def play(self, client: Client) -> None:
        """Every phase after the other; calls run on into the next ones, as long as their deadline lasts."""
        self._provider.reset()
        try:
            for index, phase in enumerate(self.result.phases):
                self._provider.clear()
                self._provider.fault(ENDPOINTS, "latency", seconds=self.scenario.first, gap=self.scenario.gap)
                for endpoints, kind, options in phase.faults:
                    self._provider.fault(endpoints, kind, **options)
                self.result.starts.append(self.now())
                await self._offer(index, phase, client)
            if self._running:
                await asyncio.wait(self._running, timeout=self.scenario.deadline + 5)
        finally:
            for task in self._running:
                task.cancel()

    async def _offer(self, index: int, phase: Phase, client: Client) -> None:
        """Calls at the phase's rate, whether the earlier ones are answered or not."""
        begun = time.perf_counter()
        for number in range(round(phase.seconds * phase.rate)):
            await asyncio.sleep(max(0.0, begun + number / phase.rate - time.perf_counter()))
            asked = Asked(index, self.now())
            self.result.calls.append(asked)
            prompt = f"Question {index}.{number}: what keeps a service up? tokens={self.scenario.tokens}"
            task = asyncio.create_task(self._ask(client, prompt, asked, streaming=number % 2 == 1))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await asyncio.sleep(max(0.0, begun + phase.seconds - time.perf_counter()))

    async def _ask(self, client: Client, prompt: str, asked: Asked, *, streaming: bool) -> None:
        try:
            async with asyncio.timeout(self.scenario.deadline + 0.5):
                text = await client(prompt, streaming, asked)
            asked.right = text == answer(prompt)
            asked.error = "" if asked.right else "wrong text"
        except Exception as error:  # whatever it is, the drill shows it: the call was lost
            asked.error = f"{type(error).__name__}: {error}".splitlines()[0][:200].removesuffix(": ")
        asked.seconds, asked.ended = self.now() - asked.at, True
        if streaming:
            asked.hear(asked.seconds)


def through(pool: Pool, storm: Storm) -> Client:
    """Calls through the pool."""

    def listen(event: Event) -> None:
        now = storm.now()
        if isinstance(event, AttemptEnded):
            one = event.attempt
            storm.result.tried.append(Tried(now - one.seconds, now, one.target, one.kind, one.reason))
        elif isinstance(event, StreamBroke):
            storm.result.tried.append(Tried(now, now, event.target, event.kind, "broke"))

    async def ask(prompt: str, streaming: bool, asked: Asked) -> str:
        if not streaming:
            reply = await pool.achat(prompt)
            asked.attempts = len(reply.attempts)
            return reply.text
        text, receipt = await _read(pool.astream(prompt), storm, asked)
        if receipt is not None:
            asked.attempts, asked.seams = len(receipt.attempts), len(receipt.splice_points)
        return text

    pool.subscribe(listen)
    return ask


def plain(target: Target, http: Http, storm: Storm) -> Client:
    """Calls to one target over the same transport, without a pool: what a client without failover does."""
    backend = backend_for(target, http)
    deadline = storm.scenario.deadline

    async def ask(prompt: str, streaming: bool, asked: Asked) -> str:
        request = ChatRequest(messages=[{"role": "user", "content": prompt}])
        asked.attempts = 1
        outcome = OK
        try:
            if not streaming:
                return (await backend.asend(request, timeout=deadline)).text
            chunks = backend.astream(request, timeout=deadline, stall=deadline)
            return (await _read(chunks, storm, asked))[0]
        except Exception as error:
            outcome = backend.classify(error)
            raise
        finally:
            storm.result.tried.append(Tried(asked.at, storm.now(), target.name, outcome.kind, "first"))

    return ask


async def _read(chunks: AsyncGenerator[ChatChunk], storm: Storm, asked: Asked) -> tuple[str, StreamSummary | None]:
    parts: list[str] = []
    receipt: StreamSummary | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk.is_content:
                asked.hear(storm.now() - asked.at)
                asked.ttft = asked.heard if asked.ttft is None else asked.ttft
            parts.append(chunk.text)
            receipt = chunk.summary
    return "".join(parts), receipt


async def weather(
    name: str, policy: Policy | None, scenario: Scenario, provider: Provider, tell: Callable[[Result], None]
) -> Result:
    """Play it once, through a pool with this policy or (None) a plain client, and look at every target's state meanwhile."""
    targets = targets_of(provider)
    async with Pool(targets[:1]) as warm:  # what Python loads at the first call is not what is rehearsed
        await warm.achat("hello")
    storm = Storm(name, provider, scenario)

    async def look(pool: Pool | None) -> None:
        while True:
            await asyncio.sleep(TICK)
            rows = pool.health().targets if pool else ()
            states = {row.target: "throttled" if row.rate_limited_for else str(row.state) for row in rows}
            storm.result.states.append((storm.now(), states))
            tell(storm.result)

    async with AsyncExitStack() as stack:
        pool, client = None, None
        if policy is not None:
            pool = await stack.enter_async_context(Pool(targets, policy=policy))
            client = through(pool, storm)
        else:
            http = Http()
            stack.push_async_callback(http.aclose)
            client = plain(targets[0], http, storm)
        looking = asyncio.create_task(look(pool))
        stack.callback(looking.cancel)
        await storm.play(client)
    return storm.result


def run(
    *, scenario: str = "outage", scale: float = 1.0, report: str | None = None, baseline: bool = False,
    as_json: bool = False, live: bool = True,
) -> int:  # fmt: skip
    """Play a drill, print its tables, write its report (`.html`, or the picture alone as `.svg`).

    Returns the exit code: 0 if every answer of every pool was right and in time.
    """
    from hotspare.drill import html as page
    from hotspare.drill import svg as timeline
    from hotspare.drill import terminal as screen

    played = SCENARIOS[scenario]
    played = replace(played, phases=tuple(replace(p, seconds=max(1.0, p.seconds * scale)) for p in played.phases))
    clients: dict[str, Policy | None] = {**played.pools, **({PLAIN: None} if baseline else {})}
    log = logging.getLogger("hotspare")
    silent, log.disabled = log.disabled, True  # the tables say it better than a thousand log lines
    results: list[Result] = []
    try:
        with Provider(ENDPOINTS) as provider:
            for name, policy in clients.items():
                with screen.watch(live and not as_json) as tell:
                    results.append(asyncio.run(weather(name, policy, played, provider, tell)))
    finally:
        log.disabled = silent
    if as_json:
        print(json.dumps({result.name: _told(result) for result in results}))
    else:
        screen.tables(results)
    if report:
        picture = report.endswith(".svg")
        Path(report).write_text(timeline.picture(results) if picture else page.html(results), encoding="utf-8")
        if not as_json:
            screen.console().print(f"The whole story as a picture: [bold]{report}[/bold]")
    return 0 if all(result.good for result in results[: len(played.pools)]) else 1


def _told(result: Result) -> dict[str, object]:
    lost = [asdict(call) for call in result.calls if not call.right]
    return {"overall": overall(result), "phases": by_phase(result), "errors": lost}
