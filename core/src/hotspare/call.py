"""One call's book-keeping: its deadline, its attempts, and who it has asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from hotspare.health import Health, Permit
from hotspare.latency import Latency
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

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name


@dataclass(slots=True, eq=False)
class Attempt:
    """One try of a call on one target.

    `timeout` bounds the first content of a stream or a whole answer, `stall` the silences inside a stream (seconds).
    `folded`: a whole answer is wanted, a stream is only the way to it.
    `result` is the backend's answer, put there by the driver: a reply, or an opened stream with its first chunk.
    """

    number: int
    member: Member
    permit: Permit
    request: ChatRequest
    why: str
    timeout: float
    stall: float
    folded: bool = False
    result: Any = None


@dataclass(slots=True, eq=False)
class Call:
    """What the user asked once. `watched`: its first token is told the moment it comes. `panics`: with nobody admissible it
    may make one attempt all the same."""

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
    idle: float = 0.0
    shown: str | None = None
    folded: bool = False
    watched: bool = True
    panics: bool = True
    started_attempts: int = 0

    @property
    def attempts_left(self) -> int:
        """How many more attempts it may make."""
        return self.max_attempts - self.started_attempts

    def left(self, now: float) -> float:
        """Seconds until its deadline."""
        return self.deadline - now

    def note(self, member: Member, outcome: Outcome, record: AttemptRecord, now: float) -> None:
        """Keep what an attempt of this call showed, and which domains it blames."""
        self.records.append(record)
        self.asked[member] = outcome
        self.last = (member, outcome, record.seconds)
        if outcome.ok:
            return
        self.failed_at[member] = now
        if outcome.blame in ("region", "account"):
            self.blamed.update(domain for domain in member.domains if domain.level == outcome.blame)

    def broke(self, member: Member, outcome: Outcome, shown: str, now: float, deadline: float) -> None:
        """Its stream broke after `shown`: what follows asks for the rest. The winner counts as failed."""
        self.asked[member], self.failed_at[member] = outcome, now
        self.last = (member, outcome, inf)  # not quick: another target first
        self.shown, self.returned, self.waited = shown, False, False
        self.deadline = max(self.deadline, deadline)

    def members(self) -> list[Member]:
        """Every member of its route, by tier."""
        return [member for tier in self.tiers for member in tier]


def allowance(call: Call, member: Member, policy: Policy, now: float, *, others: bool) -> float:
    """Seconds that an attempt gets: to its first token (streams) or to a whole answer.

    While `others` are left to be asked, it follows the target's own record and never takes over half of what remains;
    the last one gets the rest of the deadline.
    """
    left = call.left(now)
    if not others:
        return left
    knobs = policy.timeouts
    latency = member.first_token if call.streaming else member.whole
    p95 = latency.quantile(0.95) if len(latency) >= knobs.record else None
    reasons = member.target.reasons or call.request.reasoning_effort not in (None, "none", "minimal")
    if not call.streaming:
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


def least(member: Member, policy: Policy, *, streaming: bool) -> float:
    """Seconds below which an attempt is not worth starting: 1 s, or what the target usually takes."""
    p50 = (member.first_token if streaming else member.whole).quantile(0.5)
    return max(policy.timeouts.start_min, p50 or 0.0)
