"""Runs a scenario with the sync or the async face of a pool, and lists the problems."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager

from hotspare import CallError, HotspareError, Pool, Target
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider
from hotspare.messages import ChatChunk, ChatReply
from hotspare.outcome import Kind

from benchmarks.failover.scenarios import MODELS, Answer, Scenario

FACES = ("sync", "async")
_FLAP, _FLAP_GAP = 4.0, 0.1  # seconds: a flapping primary's period, and the time between two calls of it
Ask = Callable[[str, bool], Answer]
"""Makes one call: the prompt, and whether to stream."""


def endpoints(run: str) -> dict[str, str]:
    """The endpoints of the two targets of one run. Concurrent runs share no endpoint."""
    return {name: f"{run}-{name}" for name in MODELS}


def run_scenario(scenario: Scenario, face: str, provider: Provider, run: str) -> list[str]:
    """Run a scenario. Returns the problems, none if it is passed."""
    ends = endpoints(run)
    provider.clear(ends.values())
    provider.configure(ends.values())
    targets = [
        Target(id, name=name, region=name, base_url=provider.base_url(ends[name], id.partition("/")[0]), api_key=KEY)
        for name, id in MODELS.items()
    ]
    with _sync(Pool(targets)) if face == "sync" else _async(Pool(targets)) as ask:
        return _Runner(scenario, provider, ends, ask).problems()


class _Runner:
    """Runs one scenario with calls through `ask`."""

    def __init__(self, scenario: Scenario, provider: Provider, ends: dict[str, str], ask: Ask) -> None:
        self._scenario, self._provider, self._ends, self._ask = scenario, provider, ends, ask
        self._found: list[str] = []

    def problems(self) -> list[str]:
        """Run the scenario, and return the problems."""
        scenario = self._scenario
        for number in range(scenario.warm):
            self._call(f"before {number} tokens=40", within=5)
        for name, settings in scenario.settings.items():
            self._provider.configure(self._ends[name], **settings)  # pyright: ignore[reportArgumentType]
        before = self._requests()
        answers = self._flapping() if scenario.flaps else self._faulty()
        bounds = {"primary": scenario.primary, "backup": scenario.backup}
        for name, count in self._requests().items():
            least, most = bounds[name]
            if not least <= count - before[name] <= most:
                self._found.append(f"{count - before[name]} requests to the {name}, not {least} to {most}")
        if wrong := scenario.check(answers):
            self._found.append(wrong)
        self._provider.clear(self._ends.values())
        self._provider.configure(self._ends.values())
        self._comes_back()
        return self._found

    def _faulty(self) -> list[Answer]:
        scenario = self._scenario
        if scenario.fault:
            self._provider.fault(self._ends["primary"], scenario.fault, **scenario.options)
        answers: list[Answer] = []
        for number in range(scenario.calls):
            answers.append(self._call(scenario.prompt.format(number), within=scenario.within))
            time.sleep(scenario.gap)
        return answers

    def _flapping(self) -> list[Answer]:
        scenario, answers, down = self._scenario, list[Answer](), False
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < scenario.flaps:
            if down != (down := passed % _FLAP < _FLAP / 2):
                self._provider.clear(self._ends["primary"])
                if down:
                    self._provider.fault(self._ends["primary"], scenario.fault, **scenario.options)
            answers.append(self._call(scenario.prompt.format(len(answers)), within=scenario.within))
            time.sleep(_FLAP_GAP)
        return answers

    def _comes_back(self) -> None:
        """Calls until the primary answers."""
        start = time.perf_counter()
        while self._call("after tokens=40", within=5).target != "primary":
            if time.perf_counter() - start > self._scenario.back:
                self._found.append(f"the primary is not back {self._scenario.back:g} s after the fault's end")
                return
            time.sleep(_FLAP_GAP)

    def _call(self, prompt: str, *, within: float) -> Answer:
        found = self._ask(prompt, self._scenario.stream)
        if found.error and not found.refused:
            self._found.append(f"a call failed after {found.seconds:.1f} s: {found.error}")
        elif found.text != answer(prompt) and not found.refused:
            self._found.append(f"a wrong text: {found.text!r} instead of {answer(prompt)!r}")
        if found.seconds > within:
            self._found.append(f"a call took {found.seconds:.1f} s, not {within:g}")
        return found

    def _requests(self) -> dict[str, int]:
        return {name: self._provider.stats(end).requests for name, end in self._ends.items()}


@contextmanager
def _sync(pool: Pool) -> Generator[Ask]:
    def ask(prompt: str, stream: bool) -> Answer:
        start = time.perf_counter()
        try:
            return _answer(list(pool.stream(prompt)) if stream else pool.chat(prompt), start)
        except HotspareError as error:
            return _failed(error, start)

    with pool:
        yield ask


@contextmanager
def _async(pool: Pool) -> Generator[Ask]:
    async def one(prompt: str, stream: bool) -> Answer:
        start = time.perf_counter()
        try:
            return _answer(await _read(pool.astream(prompt)) if stream else await pool.achat(prompt), start)
        except HotspareError as error:
            return _failed(error, start)

    with asyncio.Runner() as runner:
        yield lambda prompt, stream: runner.run(one(prompt, stream))
        runner.run(pool.aclose())


async def _read(chunks: AsyncGenerator[ChatChunk]) -> list[ChatChunk]:
    return [chunk async for chunk in chunks]


def _failed(error: HotspareError, start: float) -> Answer:
    blocked = isinstance(error, CallError) and error.attempts[-1].kind is Kind.CONTENT_FILTER
    return Answer("", time.perf_counter() - start, error=f"{type(error).__name__}: {error}"[:300], refused=blocked)


def _answer(found: ChatReply | list[ChatChunk], start: float) -> Answer:
    """From a whole answer, or from the chunks of a stream."""
    seconds = time.perf_counter() - start
    if isinstance(found, ChatReply):
        return Answer(
            found.text, seconds, found.target, found.model, found.usage.output_tokens, details=found.as_metadata()
        )
    last = found[-1]
    assert last.summary is not None and last.usage is not None
    text, summary = "".join(one.text for one in found), last.summary
    return Answer(text, seconds, summary.target, last.model, last.usage.output_tokens, details=summary.as_metadata())
