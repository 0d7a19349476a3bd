"""How an attempt ended: one classification that health, failover and reports use (docs: "Outcomes")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple


class Kind(StrEnum):
    """How an attempt ended. The page "Outcomes" of the documentation has a table of each kind's consequences."""

    OK = "ok"
    SERVER = "server"  # 5xx, an error event, a malformed or empty answer, no proof of completion
    TRANSPORT = "transport"  # DNS, connect, TLS, reset, broken HTTP
    TIMEOUT = "timeout"  # no first token, a stall, too low a throughput
    RATE_LIMITED = "rate_limited"  # 429: a limit that refills soon
    QUOTA = "quota"  # a daily quota, credit, billing: refills late or never
    AUTH = "auth"  # 401 and 403 about the key
    NOT_FOUND = "not_found"  # no such model or deployment
    CONTEXT_LENGTH = "context_length"  # the prompt is longer than the context window
    CONTENT_FILTER = "content_filter"  # a content filter, a safety block, a refusal
    REJECTED = "rejected"  # an answer that the caller's `accept` did not take
    INVALID = "invalid"  # the request is wrong
    CANCELLED = "cancelled"  # the caller stopped waiting, or another attempt of the call won


class HealthEffect(StrEnum):
    """What an outcome means for the target's health. A neutral one only releases the permit."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


class Scope(StrEnum):
    """What is at fault for an outcome, and therefore what else the call avoids."""

    TARGET = "target"
    REGION = "region"
    ACCOUNT = "account"
    REQUEST = "request"
    NONE = "none"


class AttemptReason(StrEnum):
    """Why an attempt was made on its target."""

    FIRST = "first"  # the first attempt of the call
    FAILOVER = "failover"  # another target failed before
    RETRY = "retry"  # the same target failed before
    PROBE = "probe"  # the one attempt that a half-open breaker admits
    EARLY_PROBE = "early_probe"  # calls were waiting, and one of them tried whether a target has recovered
    AFTER_WAIT = "after_wait"  # the call had waited for a recovery
    LAST_RESORT = "last_resort"  # no target was available
    HEDGE = "hedge"  # started while another attempt was running


_OK = Kind.OK
"""A module constant, because Python 3.11 takes 0.1 µs to look a member up in its class, and a call compares with OK a dozen times."""
_FAILURES = frozenset({Kind.SERVER, Kind.TRANSPORT, Kind.TIMEOUT})
_SCOPES = {
    Kind.SERVER: Scope.REGION,
    Kind.TRANSPORT: Scope.REGION,
    Kind.TIMEOUT: Scope.TARGET,
    Kind.RATE_LIMITED: Scope.TARGET,
    Kind.QUOTA: Scope.ACCOUNT,
    Kind.AUTH: Scope.ACCOUNT,
    Kind.NOT_FOUND: Scope.TARGET,
    Kind.REJECTED: Scope.TARGET,
    Kind.CONTEXT_LENGTH: Scope.REQUEST,
    Kind.CONTENT_FILTER: Scope.REQUEST,
    Kind.INVALID: Scope.REQUEST,
}


class RateLimit(NamedTuple):
    """One of a provider's limits, as stated in its answer. `reset`: seconds until it is full again. None: not stated."""

    unit: Literal["requests", "tokens", "input_tokens", "output_tokens"]
    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    `message`: the provider's own message, at most 500 characters. `status`, `code`: its HTTP status and error code.
    `retry_after`: seconds, counted from the response (None: the provider named no time).
    `scope`: what is at fault, if that differs from the kind's usual scope.
    `before_connect`: a TRANSPORT failure without a connection (DNS, refused, TLS).
    `should_retry`: the provider's own `x-should-retry`, which takes precedence over the status. `param`: the field of the
    request that the provider named. `limits`: the provider's limits as stated in the response.
    """

    kind: Kind
    message: str = ""
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    scope: Scope | None = None
    before_connect: bool = False
    should_retry: bool | None = None
    param: str | None = None
    limits: tuple[RateLimit, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the target answered."""
        return self.kind is _OK

    @property
    def health_effect(self) -> HealthEffect:
        """Success, failure or neutral, for the breaker."""
        if self.kind is Kind.OK:
            return HealthEffect.SUCCESS
        return HealthEffect.FAILURE if self.kind in _FAILURES else HealthEffect.NEUTRAL

    @property
    def fault_scope(self) -> Scope:
        """`scope`, or the usual scope of the kind."""
        return self.scope or _SCOPES.get(self.kind, Scope.NONE)


OK = Outcome(Kind.OK)
CANCELLED = Outcome(Kind.CANCELLED)


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt, as replies, errors, events and the ledger show it.

    `seconds`: how long it took. `ttft`: seconds to its first token (streams). `retry_after`: seconds. `scope`: what was
    at fault, if that differs from the kind's usual scope. `chosen_by`: the strategy that chose the target, or `session`.
    `passed`: targets that come before it in order, each with the reason why it was not used.
    """

    number: int
    target: str
    kind: Kind
    seconds: float
    reason: AttemptReason = AttemptReason.FIRST
    status: int | None = None
    code: str | None = None
    message: str = ""
    ttft: float | None = None
    retry_after: float | None = None
    scope: Scope | None = None
    chosen_by: str = field(default="", compare=False)
    passed: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, logs and the metadata of frameworks; fields without a value are left out."""
        values: dict[str, Any] = {
            "number": self.number, "target": self.target, "kind": str(self.kind), "seconds": round(self.seconds, 4),
            "reason": str(self.reason), "status": self.status, "code": self.code, "message": self.message or None,
            "ttft": None if self.ttft is None else round(self.ttft, 4), "retry_after": self.retry_after,
            "scope": None if self.scope is None else str(self.scope),
            "chosen_by": self.chosen_by if self.chosen_by not in ("", "ordered") else None,
            "passed": dict(self.passed) or None,
        }  # fmt: skip
        return {name: value for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        status = f" {self.status}" if self.status else ""
        message = f": {self.message}" if self.message else ""
        return f"{self.target} [{self.reason}] {self.kind.upper()}{status} after {self.seconds:.2f} s{message}"


_MOST_LINES = 12
"""Most lines about a call's attempts: a call that waits through a long outage makes hundreds of attempts."""


def attempt_lines(attempts: Sequence[AttemptRecord]) -> list[str]:
    """A line for each attempt; if there are many, one line for all that ended in the same way at one target."""
    if len(attempts) <= _MOST_LINES:
        return [f"{one.number}. {one}" for one in attempts]
    alike: dict[tuple[object, ...], list[AttemptRecord]] = {}
    for one in attempts:
        alike.setdefault((one.target, one.kind, one.status, one.code, one.message), []).append(one)
    lines = [
        f"{first.number}. {first}" + (f" (and {len(rest)} more like it, to number {rest[-1].number})" if rest else "")
        for first, *rest in alike.values()
    ]
    more = sum(map(len, list(alike.values())[_MOST_LINES:]))
    return [*lines[:_MOST_LINES], *([f"… and {more} more: see `attempts`"] if more else [])]
