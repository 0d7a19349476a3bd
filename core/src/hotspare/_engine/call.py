"""One call and its attempts: what the user asked once, and each try of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from typing import Literal

from hotspare._cost.tokens import rough_prompt_tokens
from hotspare._health.breaker import Permit
from hotspare._health.target_state import TargetState
from hotspare._routing.acceptance import Accept
from hotspare._routing.candidates import Tiers
from hotspare._routing.capabilities import features_of, required_fields, unsupported_fields
from hotspare._routing.explain import Exclusion
from hotspare._routing.limits import Need, Reserved, Ticket
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Usage
from hotspare.outcome import AttemptReason, AttemptRecord, Kind, Outcome, Scope
from hotspare.policy import Policy
from hotspare.target import Domain, Target


@dataclass(slots=True, eq=False)
class OpenStream:
    """A stream that has begun: its first content (or its end, if it is empty), and the driver's iterator over the rest."""

    first: ChatChunk
    chunks: object


@dataclass(slots=True, eq=False)
class Attempt:
    """One try of a call on one target.

    `timeout`: seconds to a stream's first content, or to a whole answer. `stall`: longest silence inside the stream.
    `unary`: a whole answer is requested, not a stream. `is_continuation`: the request asks for the rest of a broken answer.
    `race_after`: seconds after which the call starts another attempt beside this one (`on_slow = race`).

    `outcome`, `ended`, `seconds`: how it ended for this call; set before it ends if it is overdue.
    `superseded`: the target may be tried again as if this attempt had not been made. `extra`: an early probe or an attempt after
    a wait, which does not count against the call's `max_attempts` unless the target answers. `chosen_by`, `passed`: as in `AttemptRecord`.
    `lost`: it was cancelled, or it was overdue and never answered. `record`: set once it is settled.
    `result`: the answer or the open stream, set by the driver. `reserved`: what it has taken from its target's limits, until
    that is settled. `is_streaming`: its stream has begun and has not ended.
    """

    number: int
    state: TargetState
    permit: Permit
    request: ChatRequest
    reason: AttemptReason
    timeout: float
    stall: float
    unary: bool
    is_continuation: bool = False
    race_after: float | None = None
    outcome: Outcome | None = None
    ended: float = inf
    seconds: float = 0.0
    superseded: bool = False
    extra: bool = False
    chosen_by: str = ""
    passed: tuple[tuple[str, str], ...] = ()
    lost: bool = False
    record: AttemptRecord | None = None
    result: ChatReply | OpenStream | None = None
    reserved: Reserved | None = None
    is_streaming: bool = False

    @property
    def target(self) -> Target:
        """Its target."""
        return self.state.target

    def end(self, outcome: Outcome, now: float) -> None:
        """Note its outcome for this call."""
        self.outcome, self.ended, self.seconds = outcome, now, now - self.permit.started


@dataclass(slots=True, eq=False)
class Call:
    """What the user asked once, and the attempts made for it.

    `deadline`: to the first content of a stream, or to a whole answer; `total_deadline`: to the end of a stream; both on
    the pool's clock. `completion`: how the caller wants a whole answer to be obtained. `tracks_ttft`: the time of its first
    token is measured. `allow_last_resort`: it may make one attempt when no target is available.
    `policy`: its route's. `own_tiers`: how many of its tiers serve the model that it names: they come before all others
    (0: it names a route). `excluded`: targets that support the request but must not be used for it, with the reason.
    `session`: the conversation it belongs to. `accept`: accepts or rejects its answer. `saved_tokens`: estimate of the tokens
    removed from its prompt before it was sent. `is_check`: a background check of the pool, to see whether a target works again.
    `is_reported_late`: none of its events has been created yet (`call_report`). `pays_itself`: it uses the caller's own API
    key, so that no budget of the pool counts it.

    `reasons`: its request asks for reasoning. `last`: the attempt that ended last. `retry_target`: the target of its one retry,
    after a pause. `emitted`: the text delivered before a break. `ticket`: its place in the queue of a target's limits.

    `parts`: the attempts that were paid for so far, with their usage, the answer last. `route`, `labels`, `context`: for
    listeners. `usage`, `cost`, `duplicate_tokens`: of its answer, set once the answer is complete.
    """

    id: str
    request: ChatRequest
    tiers: Tiers
    streaming: bool
    started: float
    deadline: float
    max_attempts: int
    policy: Policy
    own_tiers: int = 0
    saved_tokens: int = 0
    session: str | None = None
    accept: Accept | None = None
    total_deadline: float | None = None
    completion: Literal["auto", "wait", "stream"] | None = None
    tracks_ttft: bool = True
    allow_last_resort: bool = True
    excluded: Mapping[TargetState, Exclusion] = field(default_factory=dict[TargetState, Exclusion])
    attempts: list[Attempt] = field(init=False)
    last: Attempt | None = None
    retry_target: TargetState | None = None
    retry_used: bool = False
    was_queued: bool = False
    idle_seconds: float = 0.0
    emitted: str | None = None
    hedged: bool = False
    is_check: bool = False
    is_reported_late: bool = False
    pays_itself: bool = False
    route: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    context: Context | None = None
    parts: list[tuple[Attempt, Usage]] = field(init=False)
    usage: Usage | None = None
    cost: float | None = None
    duplicate_tokens: int = 0
    ticket: Ticket | None = None
    time_budget: float = field(init=False)
    reasons: bool = field(init=False)
    _features: frozenset[str] | None = None
    _unsupported: dict[TargetState, tuple[str, ...]] = field(init=False)
    _need: Need | None = None

    def __post_init__(self) -> None:
        # Set here: type checkers require a generic alias as default_factory, and calling that takes ten times as long.
        self.attempts, self.parts, self._unsupported = [], [], {}
        self.time_budget = self.deadline - self.started
        self.reasons = self.request.reasoning_effort not in (None, "none", "minimal")
        if self.streaming and self.total_deadline is not None:
            self.deadline = min(self.deadline, self.total_deadline)

    @property
    def features(self) -> frozenset[str]:
        """What its request uses beyond plain text; computed when an outcome needs it."""
        if self._features is None:
            self._features = features_of(self.request, streaming=self.streaming)
        return self._features

    @property
    def need(self) -> Need:
        """What it takes from limits; computed only if a target has limits."""
        if self._need is None:
            self._need = Need(rough_prompt_tokens(self.request), self.request.max_tokens)
        return self._need

    @property
    def attempts_left(self) -> int:
        """How many more attempts it may make."""
        return self.max_attempts - len(self.attempts)

    @property
    def running(self) -> list[Attempt]:
        """The attempts in flight."""
        return [attempt for attempt in self.attempts if attempt.record is None]

    @property
    def to_retry(self) -> Attempt | None:
        """The attempt that ended last, if the call's one retry may use its target: it is not used yet, nothing runs, and the target is
        still among those of the call. A selector's caller may offer others at each attempt."""
        if self.last is None or self.retry_used or self.retry_target is not None or self.running:
            return None
        return self.last if self.last.state in self.states() else None

    @property
    def records(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended, for users."""
        return tuple([attempt.record for attempt in self.attempts if attempt.record is not None])

    @property
    def results(self) -> dict[TargetState, Attempt]:
        """The latest ended attempt on each target, cancelled attempts excepted."""
        return {
            attempt.state: attempt
            for attempt in self.attempts
            if attempt.outcome is not None and attempt.outcome.kind is not Kind.CANCELLED and not attempt.superseded
        }

    @property
    def avoided_domains(self) -> frozenset[Domain]:
        """The regions and accounts that caused a failure of this call."""
        if self.last is None:
            return frozenset()
        return frozenset(
            domain
            for attempt in self.attempts
            if attempt.outcome is not None and attempt.outcome.fault_scope in (Scope.REGION, Scope.ACCOUNT)
            for domain in attempt.state.domains
            if domain.level == str(attempt.outcome.fault_scope)
        )

    def attempts_in(self, domain: Domain) -> int:
        """How many attempts it has made in one failure domain."""
        return sum(domain in attempt.state.domains for attempt in self.attempts)

    def extend_deadline(self, until: float) -> None:
        """Move the deadline of the next content; never beyond the total deadline."""
        self.deadline = max(self.deadline, until)
        if self.total_deadline is not None:
            self.deadline = min(self.deadline, self.total_deadline)

    def time_left(self, now: float) -> float:
        """Seconds until its deadline."""
        return self.deadline - now

    def is_running_at(self, state: TargetState) -> bool:
        """Whether one of its attempts is in flight at this target."""
        return any(attempt.state is state for attempt in self.running)

    def states(self) -> Iterator[TargetState]:
        """Every target of its route, by tier."""
        return chain.from_iterable(self.tiers)

    def unsupported(self, state: TargetState) -> tuple[str, ...]:
        """The fields of its request that this target does not support and must not drop; computed once per target."""
        found = self._unsupported.get(state)
        if found is None:
            fields = unsupported_fields(self.request, state.target, state.backend)
            found = self._unsupported[state] = required_fields(fields, state.target) if fields else ()
        return found

    def may_use(self, state: TargetState) -> bool:
        """Whether this target supports the request and is not excluded."""
        return not self.unsupported(state) and state not in self.excluded

    @property
    def unsendable(self) -> dict[TargetState, tuple[str, ...]]:
        """The targets found so far that do not support its request, with the unsupported fields."""
        return {state: names for state, names in self._unsupported.items() if names}

    def supporting(self, states: Iterable[TargetState]) -> Iterator[TargetState]:
        """The targets among `states` that support the request and are not excluded."""
        return (state for state in states if self.may_use(state))
