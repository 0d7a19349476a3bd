"""A provider with limits, in virtual time: four times the load that it admits, limits configured and limits only learnt."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hotspare import (
    AllTargetsFailed,
    ChatChunk,
    ChatReply,
    ChatRequest,
    LimitExceeded,
    Limits,
    Outcome,
    Pool,
    Target,
    Usage,
)
from hotspare._classify.rules import classify
from hotspare.errors import StatusError
from hotspare.outcome import RateLimit

from benchmarks.storms.twin import run_in_virtual_time

SECONDS = 60.0


@dataclass
class Provider:
    """A backend that admits `rpm` requests, `tpm` tokens and `at_once` attempts, as a token bucket of `burst` requests.

    `states`: whether its answers state its limits, with the seconds until they are full, as OpenAI's do.
    """

    loop: asyncio.AbstractEventLoop
    rng: random.Random
    rpm: float = 1e9
    tpm: float = 1e9
    burst: float | None = None
    at_once: int = 10**6
    states: bool = False
    window: float = 0.0
    served: list[float] = field(default_factory=list[float])
    rejected: int = 0
    tokens_served: int = 0
    running: int = 0
    prefill = False
    streaming = True

    def __post_init__(self) -> None:
        self.size = self.burst or self.rpm
        self.requests, self.tokens, self.at = self.size, self.tpm, 0.0

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        return ()

    def classify(self, error: Exception) -> Outcome:
        return classify(error)

    def _admit(self, tokens: int) -> None:
        now = self.loop.time()
        if self.window:  # all at once, at the end of a window
            if now // self.window > self.at // self.window:
                self.requests = self.size
        else:
            self.requests = min(self.size, self.requests + (now - self.at) * self.rpm / 60)
        self.tokens = min(self.tpm, self.tokens + (now - self.at) * self.tpm / 60)
        self.at = now
        if self.requests < 1 or self.tokens < tokens or self.running >= self.at_once:
            self.rejected += 1
            headers = {"retry-after-ms": str(max(1.0, (1 - self.requests) * 60e3 / self.rpm))} if self.states else {}
            raise StatusError("too many requests", status=429, headers=headers)
        self.requests -= 1
        self.tokens -= tokens
        self.tokens_served += tokens
        self.served.append(now)

    def _limits(self) -> tuple[RateLimit, ...]:
        if not self.states:
            return ()
        reset = self.window - self.at % self.window if self.window else (self.size - self.requests) * 60 / self.rpm
        return (RateLimit("requests", self.rpm, float(int(self.requests)), reset),)

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        await asyncio.sleep(self.rng.uniform(0.001, 0.02))
        self._admit(100)
        limits = self._limits()
        self.running += 1
        try:
            await asyncio.sleep(self.rng.uniform(0.05, 0.6))
        finally:
            self.running -= 1
        return ChatReply(text="ok", usage=Usage(10, 90), limits=limits)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        raise NotImplementedError

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        raise NotImplementedError

    def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        raise NotImplementedError


@dataclass
class Simulation:
    """What came of the calls, at which times, and what the provider saw."""

    provider: Provider
    backup: Provider
    ends: Counter[str]
    longest: float
    health: Any

    @property
    def share_rejected(self) -> float:
        return self.provider.rejected / (len(self.provider.served) + self.provider.rejected)

    def used(self, a: float = 20.0, b: float = SECONDS) -> float:
        """The share of the limit that was used from `a` to `b`, after the first burst."""
        return sum(a <= one < b for one in self.provider.served) / (self.provider.rpm / 60 * (b - a))


def simulate(
    rate: float, *, limits: Any = frozenset(), backup: bool = True, deadline: float = 5.0, **options: Any
) -> Simulation:
    """`rate` calls a second for a minute, a tenth of them cancelled by their callers after a while."""

    async def main(loop: asyncio.AbstractEventLoop) -> Simulation:
        rng = random.Random(3)
        providers = [Provider(loop, rng, **options), Provider(loop, rng)]
        targets = [
            Target(f"{name}/m{name}", name=name, backend=one, limits=limits if name == "a" else frozenset())
            for name, one in zip("ab", providers, strict=True)
        ]
        pool = Pool(targets[: 1 + backup], clock=loop.time, rng=rng, deadline=deadline)
        ends, longest = Counter[str](), [0.0]

        async def call(number: int) -> None:
            await asyncio.sleep(number / rate)
            began = loop.time()
            try:
                async with asyncio.timeout(rng.uniform(0.2, 4) if number % 10 == 0 else None):
                    ends[(await pool.achat("q", max_tokens=90)).target] += 1
            except TimeoutError:
                ends["left"] += 1
            except AllTargetsFailed as error:
                ends[type(error).__name__] += 1
                assert loop.time() - began < 0.1 or loop.time() - began > deadline - 2, error
                assert error.retry_after is not None
                assert not any(one.status == 429 for one in error.attempts), error
            longest[0] = max(longest[0], loop.time() - began)

        await asyncio.gather(*(call(number) for number in range(round(rate * SECONDS))))
        return Simulation(providers[0], providers[1], ends, longest[0], pool.health())

    return run_in_virtual_time(main)


def check(simulated: Simulation, *, rejected: float) -> None:
    """Nothing hangs or stays behind, no 429 reaches a caller, few are drawn, and the limit is used."""
    assert simulated.longest <= 5.0 + 1e-6
    assert (simulated.health.in_flight, simulated.health.waiting) == (0, 0)
    assert simulated.share_rejected <= rejected, simulated.share_rejected
    assert simulated.used() >= 0.95, simulated.used()


SHAPES = [{"rpm": 300.0, "burst": 60.0}, {"rpm": 300.0, "burst": 10.0}, {"rpm": 120.0, "burst": 5.0}]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backup", [True, False])
def test_configured_limits(shape: dict[str, float], backup: bool) -> None:
    """Four times the limit: under 1 % of the attempts draw a 429. With a backup every call is answered; without one those
    that cannot be in time fail at once, with the time to wait."""
    limits = Limits(rpm=shape["rpm"], burst=0.8 * shape["burst"] * 60 / shape["rpm"])
    simulated = simulate(shape["rpm"] / 15, limits=limits, backup=backup, **shape)
    check(simulated, rejected=0.01)
    if backup:
        assert set(simulated.ends) <= {"a", "b", "left"}
    else:
        assert simulated.ends["LimitExceeded"] > 0 and "AllTargetsFailed" not in simulated.ends


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backup", [True, False])
def test_learnt_limits(shape: dict[str, float], backup: bool) -> None:
    """The same with limits that only the answers state: under 5 %."""
    simulated = simulate(shape["rpm"] / 15, backup=backup, states=True, **shape)
    check(simulated, rejected=0.05)
    assert set(simulated.ends) <= {"a", "b", "left", "LimitExceeded"}


def test_a_window_that_refills_all_at_once() -> None:
    """A provider that counts by windows of 20 s: `remaining: 0` closes it until the end of the window, and there is no 429."""
    simulated = simulate(20.0, states=True, rpm=300.0, window=20.0)
    assert simulated.share_rejected <= 0.05
    assert set(simulated.ends) <= {"a", "b", "left"}


def test_tokens_and_slots() -> None:
    """Limits of tokens and of concurrent attempts are kept too, and used: what an answer does not use of its reservation is
    given back."""
    tokens = simulate(20.0, limits=Limits(tpm=30_000), tpm=30_000.0)
    assert tokens.share_rejected <= 0.01
    assert tokens.provider.tokens_served >= 0.95 * 30_000 * SECONDS / 60
    slots = simulate(20.0, limits=Limits(concurrency=4), at_once=4, backup=False)
    assert slots.provider.rejected == 0 and slots.longest <= 5.0
    assert len(slots.provider.served) >= 0.9 * SECONDS * 4 / 0.34  # an answer takes 0.325 s, and its way 0.01 s


def test_a_limit_without_numbers_is_found_by_trying() -> None:
    """429s without a time or a limit: half as many at once each time, so that most attempts are admitted."""
    simulated = simulate(40.0, at_once=6)
    assert simulated.share_rejected <= 0.15, simulated.share_rejected
    assert set(simulated.ends) <= {"a", "b", "left"}
    assert issubclass(LimitExceeded, AllTargetsFailed)
