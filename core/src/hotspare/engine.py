"""The flow of one call: a generator that says what to do and is told what happened. No I/O, no sleeping.

::

    Command = Start(attempt) | Wait(seconds | None)
    Event   = Finished(outcome) | Woke()

A driver makes the attempt at `Wait(None)`, sleeps at `Wait(seconds)`, and sends back the event. Whatever still runs when
the flow is closed is settled as abandoned.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from hotspare.call import Attempt, Call
from hotspare.errors import AllTargetsFailed
from hotspare.gate import Gate, GiveUp, Pause, Ticket
from hotspare.outcome import ABANDONED, Outcome


@dataclass(frozen=True, slots=True)
class Start:
    """Begin this attempt."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait `seconds`, or until the ticket is rung; None: until the running attempt has ended."""

    seconds: float | None
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The attempt ended, or its stream's first content came."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Woke:
    """The wait is over."""


Command = Start | Wait
Event = Finished | Woke
Flow = Generator[Command, Event | None, Attempt]
WOKE = Woke()
UNTIL_DONE = Wait(None)


def flow(call: Call, gate: Gate, clock: Callable[[], float]) -> Flow:
    """One call, from its first attempt to the winner; or, after a broken stream, from there to who continues it.

    Raises AllTargetsFailed with every attempt inside.
    """
    if call.shown is None:
        gate.open(call.started)
    attempt: Attempt | None = None
    ticket: Ticket | None = None
    try:
        while True:
            step = gate.next(call, clock())
            if isinstance(step, GiveUp):
                raise failed(call, step)
            if isinstance(step, Pause):
                ticket, before = step.ticket, clock()
                yield Wait(step.seconds, ticket)
                call.idle += clock() - before
                if ticket is not None:
                    gate.unpark(ticket)
                    ticket = None
                continue
            attempt = step
            yield Start(attempt)
            event = yield UNTIL_DONE
            if not isinstance(event, Finished):
                raise AssertionError(f"an attempt ends with Finished, not {event!r}")
            winner, attempt = attempt, None
            gate.settle(call, winner, event.outcome, clock())
            if event.outcome.ok:
                return winner
    finally:
        if attempt is not None:
            gate.settle(call, attempt, ABANDONED, clock())
        if ticket is not None:
            gate.unpark(ticket)


def failed(call: Call, step: GiveUp) -> AllTargetsFailed:
    """What the caller is told when nobody answered."""
    asked = len(call.records)
    said = f"{asked} attempt{'s' * (asked != 1)} failed" if asked else "no target could be asked"
    message = f"{said}: {step.why}"
    return AllTargetsFailed(message, call.records, skipped=step.skipped, retry_after=step.retry_after)
