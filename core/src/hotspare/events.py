"""What happened in a pool, typed, for listeners (`Pool.subscribe`). docs/events.md has a table of every field.

No event holds a key or the text of a prompt or an answer. Times are in seconds; `call` is the id of a call, unique in its pool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from hotspare._health.breaker import State
from hotspare.messages import Usage
from hotspare.outcome import AttemptReason, AttemptRecord, Kind


class CallResult(StrEnum):
    """How a call ended for its caller."""

    ANSWERED = "answered"
    FAILED = "failed"  # no target answered
    INTERRUPTED = "interrupted"  # a stream broke after its first content, and was not continued
    ABANDONED = "abandoned"  # the caller stopped reading, or was cancelled


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call has begun. `model`: as given by the caller ("": none). `route`: the route, target or model whose tiers are used.
    `labels`: the labels of the call. `context`: the caller's context variables, for tracing."""

    call: str
    model: str
    route: str
    streaming: bool
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    context: Context | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt has begun. `reason` is `hedge` if another attempt of the call was running. `continues`: it requests the
    rest of a broken answer."""

    call: str
    number: int
    target: str
    reason: AttemptReason
    continues: bool = False


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt has ended; the attempt of a stream ends at its first content. `usage`: its tokens, for a whole answer."""

    call: str
    attempt: AttemptRecord
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class FailedOver:
    """A call went from target `source` to `target` because of `kind`."""

    call: str
    source: str
    target: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Paid:
    """What one attempt of a call has cost. `cost`: USD (None: not known). `wasted`: it did not complete the answer: its stream
    broke or was abandoned, or it lost against another attempt; its usage is then estimated."""

    attempt: int
    target: str
    usage: Usage
    cost: float | None
    wasted: bool


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call is over. `target`: the target that sent the end of the answer (None: no target answered). `seconds`: to the end of the
    answer. `ttft`: to its first content (streams). `usage`: of the answer (None: not known). `cost`: USD, broken attempts and
    lost hedges included (None: not known). `wasted_tokens`: estimated tokens paid for without being part of the answer.
    `waited`: seconds in which no attempt ran. `rescued`: it was answered although its first attempt failed or its stream broke.
    `error`: why it was not answered, in one line. `paid`: the cost of each attempt that was paid for. `wasted`: USD of those that
    did not complete the answer. `saved`: USD that the first target of the route would have cost more (None: not known).
    `saved_tokens`: estimated tokens removed from the prompt before it was sent."""

    call: str
    target: str | None
    attempts: tuple[AttemptRecord, ...]
    seconds: float
    result: CallResult = CallResult.ANSWERED
    model: str = ""
    route: str = ""
    streaming: bool = False
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    ttft: float | None = None
    usage: Usage | None = None
    cost: float | None = None
    wasted_tokens: int = 0
    waited: float = 0.0
    rescued: bool = False
    error: str = ""
    paid: tuple[Paid, ...] = ()
    wasted: float | None = 0.0
    saved: float | None = None
    saved_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CallQueued:
    """A call waits for a recovery, because no target is available. `until`: longest wait in seconds."""

    call: str
    until: float


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A circuit breaker has changed its state. `subject`: the name of its target or domain. `open_for`: seconds until it admits a probe
    (0: immediately). `level`: target, region, account or provider."""

    subject: str
    before: State
    after: State
    reason: str
    open_for: float
    level: str = "target"


@dataclass(frozen=True, slots=True)
class RateLimited:
    """A target answered 429. `seconds`: for how long it is avoided. `retry_after`: the provider's own seconds (None: none)."""

    target: str
    seconds: float
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class SpeedChanged:
    """A target has become far slower than usual and is avoided while a faster one is available (`Brownout`), if `slow` is true; else
    it has its usual speed again. `seconds`: its median now, `usual`: its usual median; both are times to the first token of a
    stream or, if `whole` is true, times for each 25 tokens of a whole answer."""

    target: str
    slow: bool
    seconds: float
    usual: float
    whole: bool


@dataclass(frozen=True, slots=True)
class TargetChecked:
    """A background check of a target has ended (`Target.check`). It is not a call, so no other event reports it. `cost`: USD
    (None: not known). `message`: why it failed."""

    target: str
    kind: Kind
    seconds: float
    cost: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """A human has to act: a key was rejected, a quota or credit is used up, a model does not exist."""

    target: str
    kind: Kind
    message: str


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """The retry budget refused a retry of this call. Not emitted again until the budget has recovered."""

    call: str


@dataclass(frozen=True, slots=True)
class BudgetReached:
    """The warning level of a budget (`Budget.warn_at`) is reached, or all of it is spent: each is reported once a period. `spent`,
    `limit`: USD. `action`: what happens once all is spent. `resets_in`: seconds until the next period."""

    budget: str
    spent: float
    limit: float
    action: str
    resets_in: float


@dataclass(frozen=True, slots=True)
class CacheServed:
    """A call was answered from the cache (`hit`), with the answer of an identical call (`shared`), or with an expired
    answer while no target answered (`stale`). No attempt was made. `target`: the origin of the answer. `saved`: its original
    cost in USD (None: not known)."""

    source: str
    route: str
    labels: Mapping[str, str]
    target: str
    saved: float | None


@dataclass(frozen=True, slots=True)
class RequestAtFault:
    """These targets failed in the same way on one call's request, while one of them answered other calls: the cause was the
    request, so the failures no longer count against the targets."""

    call: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StreamBroke:
    """A stream broke after its first content had been delivered."""

    call: str
    target: str
    kind: Kind
    message: str


@dataclass(frozen=True, slots=True)
class TargetDisabled:
    """An operator took a target out of use."""

    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class TargetEnabled:
    """An operator took a target back into use."""

    target: str


@dataclass(frozen=True, slots=True)
class ConfigReloaded:
    """A running pool switched to another configuration. `changes`: the differences, one line each."""

    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetReset:
    """An operator reset a target's record: its breaker is closed, learnt limits are forgotten."""

    target: str


@dataclass(frozen=True, slots=True)
class LimitReached:
    """A limit of a target delays calls: they go to other targets or wait in the queue. `reason` names the limit; `seconds`: until it
    admits another call."""

    target: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LimitReleased:
    """The limits of a target have delayed no call for some seconds."""

    target: str


@dataclass(frozen=True, slots=True)
class LimitLearnt:
    """A provider's response stated a limit that is new or has changed."""

    target: str
    limit: str


@dataclass(frozen=True, slots=True)
class EventsDropped:
    """A listener was too slow: `count` events before this one were dropped."""

    count: int


@dataclass(frozen=True, slots=True)
class LedgerFailed:
    """The ledger cannot be written: attempts and calls are kept in memory, and dropped beyond its limit. Emitted once until it
    can be written again."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerRecovered:
    """The ledger can be written again. `dropped`: records that were lost meanwhile."""

    path: str
    dropped: int


@dataclass(frozen=True, slots=True)
class AlertFired:
    """An alert's condition has held for its `hold` time. `value`: of its metric. `delivery`: `sent` to the channels, `grouped` into an
    incident that was reported already, or `silenced`."""

    rule: str
    severity: str
    value: float
    message: str
    delivery: str


@dataclass(frozen=True, slots=True)
class AlertResolved:
    """An alert's condition no longer holds. `seconds`: for how long it fired. `delivery`: as for `AlertFired`."""

    rule: str
    severity: str
    seconds: float
    delivery: str


@dataclass(frozen=True, slots=True)
class AlertUndelivered:
    """A channel did not accept a notification after several attempts. `reason`: the error, without keys."""

    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class UsageSampled:
    """How much of a limit or a budget is used, once a minute, from a `Monitor`. `kind`: `limit` or `budget`. `subject`: the target and its
    limit, or the budget. `share`: 0 to 1, the mean over the minute; a budget may be above 1."""

    kind: str
    subject: str
    share: float


@dataclass(frozen=True, slots=True)
class StoreLost:
    """The store of a fleet cannot be read or written: this process uses only its own observations. Emitted once until the
    store is back; also if only pub/sub fails (a refused channel): changes by other processes then arrive with the next refresh."""

    reason: str


@dataclass(frozen=True, slots=True)
class StoreBack:
    """The store of a fleet can be read and written again, pub/sub included, after `seconds`."""

    seconds: float


Event = (
    CallStarted | AttemptStarted | AttemptEnded | FailedOver | CallEnded | CallQueued | StateChanged | RateLimited
    | SpeedChanged | TargetChecked | NeedsAttention | BudgetExhausted | BudgetReached | CacheServed | RequestAtFault
    | StreamBroke | TargetDisabled | TargetEnabled | EventsDropped | LedgerFailed | LedgerRecovered | TargetReset
    | ConfigReloaded | LimitReached | LimitReleased | LimitLearnt | AlertFired | AlertResolved | AlertUndelivered | UsageSampled | StoreLost | StoreBack
)  # fmt: skip
Listener = Callable[[Event], object]


def as_dict(event: Event) -> dict[str, Any]:
    """An event as plain values for JSON: `event` is its type; fields without a value are left out."""
    values: dict[str, Any] = {"event": type(event).__name__}
    for one in fields(event):
        value = getattr(event, one.name)
        if one.name != "context" and value not in (None, "", {}):
            values[one.name] = _plain(value)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, AttemptRecord):
        return value.as_dict()
    if isinstance(value, Usage):
        return {one.name: getattr(value, one.name) for one in fields(value) if getattr(value, one.name)}
    if isinstance(value, Paid):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        items: tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType]
        return [_plain(item) for item in items]
    if isinstance(value, Mapping):
        return {str(key): str(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, StrEnum):
        return str(value)
    return round(value, 4) if isinstance(value, float) else value
