"""One call's book-keeping: its deadline, its attempts, and who it has asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from hotspare._health.breaker import CircuitBreaker, Permit
from hotspare._health.percentiles import Percentiles
from hotspare.messages import ChatRequest
from hotspare.outcome import AttemptReason, AttemptRecord, Outcome
from hotspare.policy import Policy
from hotspare.target import Domain, Target

if TYPE_CHECKING:
    from hotspare.backend import Backend


@dataclass(slots=True, eq=False)
class TargetState:
    """A target in a pool: who makes its calls, how it fares, what it shares."""

    target: Target
    backend: Backend
    breaker: CircuitBreaker
    domains: tuple[Domain, ...]
    position: int
    first_token: Percentiles = field(default_factory=Percentiles)
    completion: Percentiles = field(default_factory=Percentiles)
    invalid: int = 0
    denied: bool = False
    prefill: bool = True
    streams: bool = True
    gaps: Percentiles = field(default_factory=Percentiles)
    rates: Percentiles = field(default_factory=Percentiles)

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name


@dataclass(slots=True, eq=False)
class Attempt:
    """One try of a call on one target.

    `timeout` bounds the first content of a stream or a whole answer, `stall` the silences inside a stream (seconds).
    `completion`: a whole answer is asked for, not a stream.
    `continues`: it asks for the rest of an answer whose stream broke.
    `max_retry_after_wait`: seconds after which the call goes on beside it (`on_slow = race`); None: it is waited for.
    `overdue`: what it is settled as when it lost after that.
    `result` is the backend's answer, put there by the driver: a reply, or an opened stream with its first chunk.
    """

    number: int
    target_state: TargetState
    permit: Permit
    request: ChatRequest
    reason: AttemptReason
    timeout: float
    stall: float
    unary: bool
    continues: bool = False
    patience: float | None = None
    overdue: Outcome | None = None
    result: Any = None


@dataclass(slots=True, eq=False)
class Call:
    """What the user asked once. `mode`: the caller's own word on how a whole answer comes (`Policy.whole`).

    `running` holds its attempts that are under way, `lost` the targets whose attempts lost against another one.
    `watched`: its first token is told the moment it comes. `panics`: with nobody admissible it may make one attempt all the
    same. `turn`: when it may go on after a recovery of everything.
    """

    id: str
    request: ChatRequest
    tiers: tuple[tuple[TargetState, ...], ...]
    streaming: bool
    started: float
    deadline: float
    max_attempts: int
    records: list[AttemptRecord] = field(default_factory=list[AttemptRecord])
    asked: dict[TargetState, Outcome] = field(default_factory=dict[TargetState, Outcome])
    failed_at: dict[TargetState, float] = field(default_factory=dict[TargetState, float])
    last: tuple[TargetState, Outcome, float] | None = None
    blamed: set[Domain] = field(default_factory=set[Domain])
    visits: dict[Domain, int] = field(default_factory=dict[Domain, int])
    unfit: dict[TargetState, str] = field(default_factory=dict[TargetState, str])
    go_back: TargetState | None = None
    returned: bool = False
    waited: bool = False
    turn: float = -inf
    idle: float = 0.0
    shown: str | None = None
    mode: Literal["wait", "stream"] | None = None
    watched: bool = True
    panics: bool = True
    running: list[Attempt] = field(default_factory=list[Attempt])
    lost: list[Target] = field(default_factory=list[Target])
    hedged: bool = False
    started_attempts: int = 0
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.seconds = self.deadline - self.started

    @property
    def attempts_left(self) -> int:
        """How many more attempts it may make."""
        return self.max_attempts - self.started_attempts

    def left(self, now: float) -> float:
        """Seconds until its deadline."""
        return self.deadline - now

    def runs_at(self, member: TargetState) -> bool:
        """Whether one of its attempts is under way there."""
        return any(attempt.target_state is member for attempt in self.running)

    def note(self, member: TargetState, outcome: Outcome, seconds: float, now: float) -> None:
        """Keep what an attempt of this call showed, and which domains it blames."""
        self.asked[member] = outcome
        self.last = (member, outcome, seconds)
        if outcome.ok:
            return
        self.failed_at[member] = now
        if outcome.fault_scope in ("region", "account"):
            self.blamed.update(domain for domain in member.domains if domain.level == outcome.fault_scope)

    def broke(self, attempt: Attempt, outcome: Outcome, shown: str, now: float) -> None:
        """Its stream broke after `shown`. The winner counts as failed. What follows asks for the rest, and has its time
        anew; of a whole answer nobody has seen anything, so that it is asked for anew, in the time that is left."""
        member = attempt.target_state
        self.asked[member], self.failed_at[member] = outcome, now
        self.last = (member, outcome, inf)  # not quick: another target first
        self.returned = self.waited = False
        if self.streaming:
            self.shown, self.deadline = shown, max(self.deadline, now + self.seconds)
            return
        self.records = [
            replace(r, kind=outcome.kind, message=outcome.message) if r.number == attempt.number else r
            for r in self.records
        ]

    def members(self) -> list[TargetState]:
        """Every member of its route, by tier."""
        return [member for tier in self.tiers for member in tier]


def wants_unary(call: Call, member: TargetState, policy: Policy) -> bool:
    """Whether this member is asked for a whole answer: by the caller's word, the target's, or the policy's. A call that
    streams does so everywhere; a target that refused to stream is waited for."""
    if call.streaming:
        return False
    mode = call.mode or member.target.completion or policy.completion
    return mode == "wait" or not member.streams


def attempt_timeout(call: Call, member: TargetState, policy: Policy, now: float, *, whole: bool, others: bool) -> float:
    """Seconds that an attempt gets: to its first token (streams) or to a whole answer.

    While `others` are left to be asked, it follows the target's own record and never takes over half of what remains;
    the last one gets the rest of the deadline.
    """
    left = call.left(now)
    if not others:
        return left
    knobs = policy.timeouts
    latency = member.completion if whole else member.first_token
    p95 = latency.quantile(0.95) if len(latency) >= knobs.min_samples else None
    reasons = member.target.reasoning or call.request.reasoning_effort not in (None, "none", "minimal")
    if whole:
        bound = knobs.completion if p95 is None else max(knobs.factor * p95, knobs.completion_min)
    elif p95 is None:
        bound = knobs.first_token_reasoning if reasons else knobs.first_token
    else:
        bound = min(max(knobs.factor * p95, knobs.first_token_min), knobs.first_token_max)
    return min(bound, knobs.max_deadline_fraction * left)


def stall_bound(member: TargetState, policy: Policy) -> float:
    """Seconds of silence after which a running stream counts as stalled: by the target's own gaps, once they are known."""
    knobs = policy.timeouts
    p95 = member.gaps.quantile(0.95) if len(member.gaps) >= knobs.min_samples else None
    return knobs.stall if p95 is None else min(max(knobs.stall_factor * p95, knobs.stall_min), knobs.stall)


def min_throughput(member: TargetState, policy: Policy) -> float:
    """Bytes a second below which a stream counts as dripping: by the target's own rate, once that is known."""
    knobs = policy.timeouts
    p50 = member.rates.quantile(0.5) if len(member.rates) >= knobs.min_samples else None
    return max(knobs.min_throughput, knobs.min_throughput_ratio * (p50 or 0.0))


def min_useful_time(call: Call, member: TargetState, policy: Policy) -> float:
    """Seconds below which an attempt is not worth starting: 1 s, or what the target usually takes."""
    p50 = (member.completion if wants_unary(call, member, policy) else member.first_token).quantile(0.5)
    return max(policy.timeouts.start_min, p50 or 0.0)
