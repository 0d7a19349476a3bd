"""What happened, typed, for listeners (`Pool.subscribe`). No event holds a key or the text of a prompt or an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hotspare._health.breaker import State
from hotspare.outcome import AttemptRecord, Kind

log = logging.getLogger("hotspare")


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """One attempt is over. `call` is the call's id."""

    call: str
    attempt: AttemptRecord


@dataclass(frozen=True, slots=True)
class FailedOver:
    """A call left `source` for `target` because of `kind`."""

    call: str
    source: str
    target: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call is over: `target` answered it last, or nobody did (None). `seconds` count to the end of its answer; how long
    the first token took stands in its attempts."""

    call: str
    target: str | None
    attempts: tuple[AttemptRecord, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A target's or a domain's breaker moved. `rest`: seconds until it may be asked again (0: at once)."""

    subject: str
    before: State
    after: State
    reason: str
    open_for: float


@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """A human has to act: a key was refused, a quota or credit is used up, a model is gone."""

    target: str
    kind: Kind
    message: str


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """The retry budget refused a return visit. Told once, until the budget has recovered."""

    call: str


@dataclass(frozen=True, slots=True)
class StreamBroke:
    """A stream ended badly after its first content had been handed out."""

    call: str
    target: str
    kind: Kind
    message: str


Event = AttemptEnded | FailedOver | CallEnded | StateChanged | NeedsAttention | BudgetExhausted | StreamBroke
Listener = Callable[[Event], object]


def emit(events: Iterable[Event], listeners: Iterable[Listener]) -> None:
    """Hand events to every listener, and what a human should see to the `hotspare` logger.

    A listener that raises is logged and does not harm the call.
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
        log.log(level, "%s: %s -> %s %s", event.subject, event.before, event.after, event.reason)
    elif isinstance(event, NeedsAttention):
        log.error("%s needs attention: %s: %s", event.target, event.kind, event.message)
    elif isinstance(event, BudgetExhausted):
        log.warning("the retry budget is exhausted: calls go on to targets they may visit free")
