"""Builders for tests of the pure packages: targets with their state, calls, and what calls share. Times are given by hand."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from math import inf
from typing import Any

from hotspare import events
from hotspare._engine import attempts, decide
from hotspare._engine.attempts import SharedState
from hotspare._engine.budgets import ClientThrottle, HedgeTokens, RetryTokens
from hotspare._engine.call import Attempt, Call
from hotspare._engine.waiters import WaitQueue
from hotspare._health.breaker import CircuitBreaker
from hotspare._health.domains import domains_of
from hotspare._health.target_state import TargetState
from hotspare._health.tracker import HealthTracker
from hotspare._routing.candidates import Tier
from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.outcome import AttemptReason, Kind, Outcome
from hotspare.policy import Policy
from hotspare.target import Target

OK = Outcome(Kind.OK)
SERVER = Outcome(Kind.SERVER, "broken", status=500)
TIMEOUT = Outcome(Kind.TIMEOUT, "late")
CANCELLED = Outcome(Kind.CANCELLED)
QUESTION = ChatRequest(messages=[{"role": "user", "content": "hello"}])


class FixedRandom(random.Random):
    """A source of chance that always draws `value`: 0.5 makes an equal jitter three quarters of the longest time."""

    def __init__(self, value: float = 0.5) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


class Now:
    """A clock that is set by hand."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


class NoBackend:
    """The backend of a target that is never called. `cannot`: the fields that it cannot send."""

    def __init__(
        self, *cannot: str, prefill: bool = False, streaming: bool = True, prefers_streaming: bool = False
    ) -> None:
        self.cannot = cannot
        self.prefill = prefill
        self.streaming = streaming
        self.prefers_streaming = prefers_streaming

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        return tuple(name for name in self.cannot if hasattr(request, name))

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        raise AssertionError("a pure test calls no target")

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        raise AssertionError("a pure test calls no target")

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        raise AssertionError("a pure test calls no target")

    def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        raise AssertionError("a pure test calls no target")

    def classify(self, error: Exception) -> Outcome:
        """TIMEOUT for a timeout, TRANSPORT for an OSError, else SERVER."""
        kind = Kind.TIMEOUT if "Timeout" in type(error).__name__ else Kind.SERVER
        return Outcome(Kind.TRANSPORT if isinstance(error, OSError) else kind, str(error))


def state_of(
    name: str = "a",
    *,
    policy: Policy | None = None,
    backend: NoBackend | None = None,
    position: int = 0,
    **fields: Any,
) -> TargetState:
    """A target alone in its region and provider, unless `fields` of Target say otherwise, and its empty record."""
    target = Target(fields.pop("id", f"{name}/{name}"), name=name, **fields)  # a model of its own
    breaker = CircuitBreaker((policy or Policy()).breaker)
    return TargetState(target, backend or NoBackend(), breaker, domains_of(target), position)


def call_of(*states: TargetState, tiers: Sequence[Sequence[TargetState]] | None = None, **fields: Any) -> Call:
    """A call that started at 0 with 100 seconds and 6 attempts, over one tier of these targets."""
    values: dict[str, Any] = {
        "id": "call-1", "request": QUESTION, "tiers": tuple(map(Tier, tiers or (states,))), "streaming": True,
        "started": 0.0, "deadline": 100.0, "max_attempts": 6, "policy": Policy(),
    }  # fmt: skip
    unsupported = fields.pop("unsupported", {})
    call = Call(**(values | fields))
    call._unsupported |= unsupported
    return call


class Engine:
    """What the calls of one pool share, and the targets a, b, c… by name. `events` are those that are pending."""

    def __init__(
        self,
        names: str | Sequence[TargetState] = "ab",
        *,
        policy: Policy | None = None,
        rng: random.Random | None = None,
        targets: Mapping[str, Mapping[str, Any]] | None = None,
        **fields: Any,
    ) -> None:
        self.policy = policy or Policy(**fields)
        self.states = {
            state.name: state
            for state in (
                state_of(name, policy=self.policy, position=place, **(targets or {}).get(name, {}))
                if isinstance(name, str)
                else name
                for place, name in enumerate(names)
            )
        }
        rng = rng or FixedRandom()
        self.tracker = HealthTracker(list(self.states.values()), self.policy, rng)
        self.shared = SharedState(
            self.policy,
            rng,
            self.tracker,
            RetryTokens(self.policy.retry_budget),
            HedgeTokens(self.policy.hedge),
            ClientThrottle(self.policy.max_rejection),
            WaitQueue(),
        )
        self.shared.next_early_probe = inf  # early probes have tests of their own

    def __getitem__(self, name: str) -> TargetState:
        return self.states[name]

    @property
    def events(self) -> list[events.Event]:
        """The pending events; they are taken."""
        pending, self.tracker.pending_events = self.tracker.pending_events, []
        return pending

    def call(self, **fields: Any) -> Call:
        """A call over all targets in one tier, with the pool's own bound of attempts."""
        fields = {"max_attempts": self.policy.max_attempts, "policy": self.policy, **fields}
        return call_of(*self.states.values(), **fields)

    def step(self, call: Call, now: float) -> decide.Step:
        """What the call does next."""
        return decide.next_step(call, self.shared, now)

    def attempt(self, call: Call, now: float) -> Attempt:
        """The next step, which has to be an attempt."""
        step = self.step(call, now)
        assert isinstance(step, Attempt), step
        return step

    def start(
        self,
        call: Call,
        name: str = "a",
        now: float = 0.0,
        *,
        reason: AttemptReason = AttemptReason.FIRST,
        others: bool = True,
    ) -> Attempt:
        """An attempt at one target, whatever the rules say."""
        return attempts.start(call, self[name], self.shared, now, reason, others_in=0.0 if others else inf)

    def settle(self, call: Call, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """The end of an attempt."""
        attempts.settle(call, attempt, outcome, self.shared, now)

    def fail(self, call: Call, now: float, outcome: Outcome = SERVER) -> Attempt:
        """The next attempt, which fails at once."""
        attempt = self.attempt(call, now)
        self.settle(call, attempt, outcome, now)
        return attempt

    def recover(self, *names: str, now: float = 0.0) -> None:
        """Begin the slow start of these targets."""
        for name in names:
            self[name].breaker.recover(now)
            self.tracker.recovering[self[name]] = None

    def open(self, *names: str, now: float = 0.0, seconds: float = 0.0) -> None:
        """Open the breakers of these targets, for at least `seconds`."""
        for name in names:
            self[name].breaker.open(now, self.shared.rng, at_least=seconds)


def one_provider(count: int, **fields: Any) -> Engine:
    """Targets of one provider, each in a region and on an account of its own."""
    names = "abcdefg"[:count]
    return Engine(names, targets={name: {"id": "p/m", "region": name, "account": name} for name in names}, **fields)
