"""The state of one target in a pool. Changed under the scheduler's lock only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from hotspare._health.accounts import signer_of
from hotspare._health.breaker import BROKEN, CircuitBreaker, Permit, State
from hotspare._health.pace import Pace
from hotspare._health.percentiles import Percentiles
from hotspare._routing.limits import TargetLimits
from hotspare.brownout import Brownout
from hotspare.errors import AnswerRejected
from hotspare.outcome import Kind, Outcome
from hotspare.secret import Redactor
from hotspare.target import Domain, Target

if TYPE_CHECKING:
    from hotspare.backend import Backend


AnswerKind = tuple[bool, bool]
"""The kind of a timed answer: whether it is whole (not streamed), and whether the request asks for reasoning. Times are compared within
a kind only."""


_OK, _CLOSED = Kind.OK, State.CLOSED
OWN_KEY = " (own key)"
"""Added to the name of a target that is called with a caller's own key: one name for all keys, since names are labels of metrics."""


@dataclass(slots=True, eq=False)
class Suspicion:
    """Targets that failed in the same way on one request, with the permits of these attempts."""

    call_id: str
    failures: tuple[tuple[TargetState, Permit], ...]
    cleared: bool = False


@dataclass(slots=True, eq=False)
class TargetState:
    """A target in a pool, and what was learnt from its attempts.

    `position`: its place in the pool. `first_token`, `completion`: seconds to a stream's first token and to a whole answer.
    `paces`: how fast it answers, by kind of answer. `has_slowed`: whether it has ever been far slower than usual.
    `gaps`: the longest silence of each of its streams, seconds. `throughput`: bytes a second of its streams.
    `invalid_streaks`: INVALID outcomes in a row, by the features of the request. `accepted`: when it last answered a request
    with these features; recorded once one was INVALID. `refused`: sets of features that it does not support, and until when that
    is remembered. `rejection`: AUTH or NOT_FOUND, if its last answer was about the key or the model: waiting does not help.
    `not_founds`: NOT_FOUND outcomes since its last success. `suspicions`: failures that the request may have caused.
    `signer`: identifies the signer of the reasoning in its answers. `prefill`, `streaming`: False once it has rejected a prefill, or a
    stream. `prefers_streaming`: reading a stream loses nothing against a whole answer. `changes_requests`: it has its own system
    message, or may drop fields. `redactor`: removes the pool's keys from errors. `limits`: None while none is configured or learnt.
    `breakers`: its own, and those of its domains. `last_success`, `last_failure`: when its latest attempts ended; `last_error`: the
    error of the latest failure. `fails_fast`: that failure took less than `Policy.fast_failure`. `checks`: number of background checks.
    """

    target: Target
    backend: Backend
    breaker: CircuitBreaker
    domains: tuple[Domain, ...]
    position: int
    first_token: Percentiles = field(default_factory=Percentiles)
    completion: Percentiles = field(default_factory=Percentiles)
    paces: dict[AnswerKind, Pace] = field(default_factory=dict[AnswerKind, Pace])
    has_slowed: bool = False
    gaps: Percentiles = field(default_factory=Percentiles)
    throughput: Percentiles = field(default_factory=Percentiles)
    invalid_streaks: dict[frozenset[str], int] = field(default_factory=dict[frozenset[str], int])
    refused: dict[frozenset[str], float] = field(default_factory=dict[frozenset[str], float])
    accepted: dict[frozenset[str], float] = field(default_factory=dict[frozenset[str], float])
    rejection: Kind | None = None
    not_founds: int = 0
    redactor: Redactor = field(default_factory=Redactor)
    limits: TargetLimits | None = None
    breakers: tuple[CircuitBreaker, ...] = ()
    last_success: float = -inf
    last_failure: float = -inf
    last_error: str = ""
    fails_fast: bool = False
    checks: int = 0
    suspicions: list[Suspicion] = field(default_factory=list[Suspicion])
    name: str = field(init=False)
    signer: str = field(init=False)
    prefill: bool = field(init=False)
    streaming: bool = field(init=False)
    prefers_streaming: bool = field(init=False)
    changes_requests: bool = field(init=False)

    def __post_init__(self) -> None:
        # `getattr`: a backend that does not inherit from the protocol may omit the attributes that have defaults.
        self.name, self.signer = self.target.name, signer_of(self.target)
        self.prefers_streaming = getattr(self.backend, "prefers_streaming", False)
        self.changes_requests = bool(self.target.system or self.target.drop or self.target.droppable)
        self._read_capabilities()

    def _read_capabilities(self) -> None:
        known = getattr(self.backend, "prefill", False)
        self.prefill = known if self.target.prefill is None else self.target.prefill
        self.streaming = getattr(self.backend, "streaming", True)

    def classify(self, error: Exception) -> Outcome:
        """The outcome for an error of the backend. The pool's keys are removed from the error, its causes and the outcome."""
        if isinstance(error, AnswerRejected):
            return Outcome(Kind.REJECTED, str(error))
        self.redactor.error(error)
        return self.redacted(self.backend.classify(error))

    def redacted(self, outcome: Outcome) -> Outcome:
        """The outcome without the pool's keys."""
        texts = outcome.message, outcome.code, outcome.param
        message, code, param = (text and self.redactor.text(text) for text in texts)
        if (message, code, param) == texts:
            return outcome
        return replace(outcome, message=message or "", code=code, param=param)

    def record_end(self, outcome: Outcome, now: float) -> None:
        """An attempt has ended, or a stream broke: when and why, for operators."""
        if outcome.kind is _OK:
            self.last_success = now
        elif outcome.kind is not Kind.CANCELLED:
            self.last_failure = now
            status = f" {outcome.status}" if outcome.status else ""
            self.last_error = f"{outcome.kind}{status}: {outcome.message[:200]}"

    def domain_breakers(self) -> Iterator[tuple[Domain, CircuitBreaker]]:
        """Its domains, with their breakers."""
        return zip(self.domains, self.breakers[1:], strict=True)

    @property
    def stated_until(self) -> float:
        """Until when the provider itself has stated that it will not answer: a rate limit, a quota, maintenance. The break of a
        circuit breaker, in contrast, is an estimate."""
        return max([max(breaker.rate_limited_until, breaker.rejected_until) for breaker in self.breakers])

    def unavailable_reason(self, now: float) -> str:
        """Why it admits no attempt."""
        for domain, breaker in self.domain_breakers():
            if breaker.available_at(now) > now:
                return f"{domain.level} {domain} is {breaker.state} ({breaker.reason or 'failing'})"
        breaker = self.breaker
        if breaker.rate_limited_until > now:
            return "rate limited" if breaker.rate_limits else "the provider stated a time to wait (Retry-After)"
        if breaker.state not in BROKEN:
            return "slow start: it admits no more concurrent attempts yet"
        return f"circuit breaker {breaker.state} ({breaker.reason or 'failing'})"

    def record_pace(self, kind: AnswerKind, seconds: float, now: float, config: Brownout | None) -> Pace | None:
        """An answer took `seconds`. Returns the record of its kind if the target has become slow, or is no longer slow."""
        pace = self.paces.get(kind)
        if pace is None:
            pace = self.paces[kind] = Pace(config)
        if not pace.record(seconds, now):
            return None
        self.has_slowed = True
        return pace

    def record_pace_at_least(self, kind: AnswerKind, seconds: float, now: float) -> None:
        """An attempt ended after `seconds` without an answer."""
        if kind in self.paces:
            self.paces[kind].record_at_least(seconds, now)

    @property
    def is_broken(self) -> bool:
        """Whether its breaker, or that of a domain, is open or half-open."""
        for breaker in self.breakers:  # noqa: SIM110 - each attempt asks, and a loop takes half the time
            if breaker.state is not _CLOSED and breaker.state in BROKEN:
                return True
        return False

    @property
    def key_is_rejected(self) -> bool:
        """Whether its key was rejected, by this target or by another one with the same account."""
        shared = any(one.state is State.OPEN and one.cause == Kind.AUTH for one in self.breakers[1:])
        return shared or self.rejection is Kind.AUTH

    @property
    def in_flight(self) -> int:
        """Attempts in flight, streams until their end."""
        return self.breaker.active + self.breaker.streams

    def reset(self) -> None:
        """Forget everything learnt from its attempts. Attempts in flight continue and are counted; an operator's command and
        configured limits are kept."""
        self.breaker.reset()
        for samples in (self.first_token, self.completion, self.gaps, self.throughput):
            samples.clear()
        for known in (self.invalid_streaks, self.refused, self.accepted, self.paces):
            known.clear()
        self.rejection, self.not_founds, self.last_error = None, 0, ""
        self.has_slowed = self.fails_fast = False
        self._read_capabilities()
        self.last_success = self.last_failure = -inf
        self.suspicions.clear()
        if self.limits is not None:
            self.limits.learnt.clear()

    def refuses(self, features: frozenset[str], now: float) -> bool:
        """Whether it is known not to support requests with these features."""
        return any(until > now and refused <= features for refused, until in self.refused.items())

    def record_accepted(self, features: frozenset[str], now: float) -> None:
        """It has answered a request with these features. Nothing is concluded for requests with other features."""
        self.accepted[features] = now
        for known in (self.invalid_streaks, self.refused):
            for one in [one for one in known if one <= features]:
                del known[one]
