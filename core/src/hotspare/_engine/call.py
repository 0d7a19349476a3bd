"""One call's book-keeping: its deadline, its attempts, and who it has asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from hotspare._health.breaker import Health, Permit
from hotspare._health.percentiles import Latency
from hotspare.messages import ChatRequest
from hotspare.outcome import AttemptRecord, Outcome
from hotspare.policy import Policy
from hotspare.target import Domain, Target

if TYPE_CHECKING:
    from hotspare.backend import Backend


@dataclass(slots=True, eq=False)
class Member:
    """A target in a pool: who makes its calls, how it fares, what it shares."""

    target: Target
    backend: Backend
    health: Health
    domains: tuple[Domain, ...]
    position: int
    first_token: Latency = field(default_factory=Latency)
    whole: Latency = field(default_factory=Latency)
    invalid: int = 0
    denied: bool = False
    prefill: bool = True
    streams: bool = True
    gaps: Latency = field(default_factory=Latency)
    rates: Latency = field(default_factory=Latency)

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name


@dataclass(slots=True, eq=False)
class Attempt:
    """One try of a call on one target.

    `timeout` bounds the first content of a stream or a whole answer, `stall` the silences inside a stream (seconds).
    `whole`: a whole answer is asked for, not a stream.
    `continues`: it asks for the rest of an answer whose stream broke.
    `patience`: seconds after which the call goes on beside it (`on_slow = race`); None: it is waited for.
    `overdue`: what it is settled as when it lost after that.
    `result` is the backend's answer, put there by the driver: a reply, or an opened stream with its first chunk.
    """

    number: int
    member: Member
    permit: Permit
    request: ChatRequest
    why: str
    timeout: float
    stall: float
    whole: bool
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
    tiers: tuple[tuple[Member, ...], ...]
    streaming: bool
    started: float
    deadline: float
    max_attempts: int
    records: list[AttemptRecord] = field(default_factory=list[AttemptRecord])
    asked: dict[Member, Outcome] = field(default_factory=dict[Member, Outcome])
    failed_at: dict[Member, float] = field(default_factory=dict[Member, float])
    last: tuple[Member, Outcome, float] | None = None
    blamed: set[Domain] = field(default_factory=set[Domain])
    visits: dict[Domain, int] = field(default_factory=dict[Domain, int])
    unfit: dict[Member, str] = field(default_factory=dict[Member, str])
    go_back: Member | None = None
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

    def runs_at(self, member: Member) -> bool:
        """Whether one of its attempts is under way there."""
        return any(attempt.member is member for attempt in self.running)

    def note(self, member: Member, outcome: Outcome, seconds: float, now: float) -> None:
        """Keep what an attempt of this call showed, and which domains it blames."""
        self.asked[member] = outcome
        self.last = (member, outcome, seconds)
        if outcome.ok:
            return
        self.failed_at[member] = now
        if outcome.blame in ("region", "account"):
            self.blamed.update(domain for domain in member.domains if domain.level == outcome.blame)

    def broke(self, attempt: Attempt, outcome: Outcome, shown: str, now: float) -> None:
        """Its stream broke after `shown`. The winner counts as failed. What follows asks for the rest, and has its time
        anew; of a whole answer nobody has seen anything, so that it is asked for anew, in the time that is left."""
        member = attempt.member
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

    def members(self) -> list[Member]:
        """Every member of its route, by tier."""
        return [member for tier in self.tiers for member in tier]


def asks_whole(call: Call, member: Member, policy: Policy) -> bool:
    """Whether this member is asked for a whole answer: by the caller's word, the target's, or the policy's. A call that
    streams does so everywhere; a target that refused to stream is waited for."""
    if call.streaming:
        return False
    mode = call.mode or member.target.whole or policy.whole
    return mode == "wait" or not member.streams


def allowance(call: Call, member: Member, policy: Policy, now: float, *, whole: bool, others: bool) -> float:
    """Seconds that an attempt gets: to its first token (streams) or to a whole answer.

    While `others` are left to be asked, it follows the target's own record and never takes over half of what remains;
    the last one gets the rest of the deadline.
    """
    left = call.left(now)
    if not others:
        return left
    knobs = policy.timeouts
    latency = member.whole if whole else member.first_token
    p95 = latency.quantile(0.95) if len(latency) >= knobs.record else None
    reasons = member.target.reasons or call.request.reasoning_effort not in (None, "none", "minimal")
    if whole:
        bound = knobs.whole if p95 is None else max(knobs.factor * p95, knobs.whole_min)
    elif p95 is None:
        bound = knobs.first_token_reasoning if reasons else knobs.first_token
    else:
        bound = min(max(knobs.factor * p95, knobs.first_token_min), knobs.first_token_max)
    return min(bound, knobs.share * left)


def stall_bound(member: Member, policy: Policy) -> float:
    """Seconds of silence after which a running stream counts as stalled: by the target's own gaps, once they are known."""
    knobs = policy.timeouts
    p95 = member.gaps.quantile(0.95) if len(member.gaps) >= knobs.record else None
    return knobs.stall if p95 is None else min(max(knobs.stall_factor * p95, knobs.stall_min), knobs.stall)


def drip_bound(member: Member, policy: Policy) -> float:
    """Bytes a second below which a stream counts as dripping: by the target's own rate, once that is known."""
    knobs = policy.timeouts
    p50 = member.rates.quantile(0.5) if len(member.rates) >= knobs.record else None
    return max(knobs.drip_rate, knobs.drip_share * (p50 or 0.0))


def least(call: Call, member: Member, policy: Policy) -> float:
    """Seconds below which an attempt is not worth starting: 1 s, or what the target usually takes."""
    p50 = (member.whole if asks_whole(call, member, policy) else member.first_token).quantile(0.5)
    return max(policy.timeouts.start_min, p50 or 0.0)
