"""How an attempt ended: one classification that health, failover and reports key on (docs: how a call flows)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What happened. The table of what follows from each kind is in the documentation, "Outcomes"."""

    OK = "ok"
    SERVER = "server"  # 5xx, error in a stream, malformed or empty answer, no proof of completion
    TRANSPORT = "transport"  # DNS, connect, TLS, reset
    TIMEOUT = "timeout"  # no first token, stall, drip
    THROTTLED = "throttled"  # 429: a limit of ours that refills soon
    EXHAUSTED = "exhausted"  # a daily quota, credit, billing: refills late or never
    DENIED = "denied"  # 401, 403, a revoked key
    GONE = "gone"  # the model does not exist here (any more)
    TOO_LONG = "too_long"  # the prompt is over the context window
    REFUSED = "refused"  # content filter, safety block
    INVALID = "invalid"  # the request is wrong
    ABANDONED = "abandoned"  # the caller left, or a hedge lost


class Ending(StrEnum):
    """What an outcome says about the target's health. A neutral ending only gives the place back."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


class Scope(StrEnum):
    """Whose fault it was: what else to stay away from."""

    TARGET = "target"
    REGION = "region"
    ACCOUNT = "account"
    REQUEST = "request"
    NONE = "none"


_FAILURES = frozenset({Kind.SERVER, Kind.TRANSPORT, Kind.TIMEOUT})
_SCOPES = {
    Kind.SERVER: Scope.REGION,
    Kind.TRANSPORT: Scope.REGION,
    Kind.TIMEOUT: Scope.TARGET,
    Kind.THROTTLED: Scope.TARGET,
    Kind.EXHAUSTED: Scope.ACCOUNT,
    Kind.DENIED: Scope.ACCOUNT,
    Kind.GONE: Scope.TARGET,
    Kind.TOO_LONG: Scope.REQUEST,
    Kind.REFUSED: Scope.REQUEST,
    Kind.INVALID: Scope.REQUEST,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    `retry_after` is in seconds from the moment the answer came (None: the provider named no time).
    `message` is the provider's own words, at most 500 characters. `scope` None means the kind's usual one.
    `unconnected` marks a TRANSPORT failure before a connection stood (DNS, refused, TLS).
    `should_retry` is the provider's own `x-should-retry`, which overrules a guess from the status.
    """

    kind: Kind
    message: str = ""
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    scope: Scope | None = None
    unconnected: bool = False
    should_retry: bool | None = None

    @property
    def ok(self) -> bool:
        """Whether the target answered."""
        return self.kind is Kind.OK

    @property
    def ending(self) -> Ending:
        """Success, failure or neutral, for the breaker."""
        if self.kind is Kind.OK:
            return Ending.SUCCESS
        return Ending.FAILURE if self.kind in _FAILURES else Ending.NEUTRAL

    @property
    def blame(self) -> Scope:
        """Whose fault it was: `scope` if the classifier knew better, else the kind's usual one."""
        return self.scope or _SCOPES.get(self.kind, Scope.NONE)


OK = Outcome(Kind.OK)
ABANDONED = Outcome(Kind.ABANDONED)


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try of a call on one target, as it is shown to users: in replies, errors, events and the ledger.

    `seconds` is the attempt's duration, `ttft` the time to its first token (streams), both in seconds.
    `why` says how the engine came to it: first, failover, return, probe, panic, waited or hedge.
    """

    number: int
    target: str
    kind: Kind
    seconds: float
    why: str = "first"
    status: int | None = None
    code: str | None = None
    message: str = ""
    ttft: float | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        status = f" {self.status}" if self.status else ""
        words = f": {self.message}" if self.message else ""
        return f"{self.target} [{self.why}] {self.kind.upper()}{status} after {self.seconds:.2f} s{words}"
