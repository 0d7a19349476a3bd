"""What happened in a pool, typed, for listeners (`Pool.subscribe`). No event holds a key or the text of a prompt or an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hotspare._health.breaker import State
from hotspare.outcome import AttemptRecord, Kind

log = logging.getLogger("hotspare")


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt has ended. `call`: the id of its call."""

    call: str
    attempt: AttemptRecord


@dataclass(frozen=True, slots=True)
class FailedOver:
    """A call went from target `source` to `target` because of `kind`."""

    call: str
    source: str
    target: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call is over. `target`: where the end of its answer came from (None: it was not answered). `seconds`: to the end of
    the answer; the time to the first token stands in its attempts."""

    call: str
    target: str | None
    attempts: tuple[AttemptRecord, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The circuit breaker of a target or a domain has moved. `subject`: its name. `open_for`: seconds until it admits a
    probe (0: at once)."""

    subject: str
    before: State
    after: State
    reason: str
    open_for: float


@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """A human has to act: a key was rejected, a quota or credit is used up, a model does not exist."""

    target: str
    kind: Kind
    message: str


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """The retry budget refused a retry of this call. Emitted once until the budget has recovered."""

    call: str


@dataclass(frozen=True, slots=True)
class RequestAtFault:
    """These targets failed alike on one call's request, and one of them answered others meanwhile: the failures were the
    request's, and no longer count against the targets."""

    call: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StreamBroke:
    """A stream broke after its first content had been handed out."""

    call: str
    target: str
    kind: Kind
    message: str


Event = (
    AttemptEnded
    | FailedOver
    | CallEnded
    | StateChanged
    | NeedsAttention
    | BudgetExhausted
    | RequestAtFault
    | StreamBroke
)
Listener = Callable[[Event], object]


def emit(events: Iterable[Event], listeners: Iterable[Listener]) -> None:
    """Hand events to every listener, and those for humans to the logger `hotspare`.

    A listener that raises is logged, and does not harm the call.
    """
    for event in events:
        _log(event)
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener raised on %s", type(event).__name__)


def _log(event: Event) -> None:
    if isinstance(event, StateChanged):
        level = logging.WARNING if event.after is State.OPEN else logging.INFO
        why = f": {event.reason}, retry after {event.open_for:.1f} s" if event.after is State.OPEN else ""
        log.log(level, "circuit breaker of %s: %s -> %s%s", event.subject, event.before, event.after, why)
    elif isinstance(event, NeedsAttention):
        log.error("target %s needs attention: %s: %s", event.target, event.kind, event.message)
    elif isinstance(event, RequestAtFault):
        log.warning("%s: the request is at fault: %s failed alike on it", event.call, ", ".join(event.targets))
    elif isinstance(event, BudgetExhausted):
        log.warning("retry budget exhausted: calls fail over, but are not retried")
