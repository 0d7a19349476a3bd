"""The flow of one call: a generator that says what to do and is told what happened. No I/O, no sleeping.

::

    Command = Start(attempt) | Wait(seconds | None)
    Event   = Finished(attempt, outcome) | Woke()

A driver begins the attempt at `Start`, and at `Wait` sends back what comes first: the end of an attempt, the ticket's ring,
or the time. Nothing runs: it sleeps. Several run: the first answer wins, and the driver ends the others. Whatever still
runs when the flow ends is settled as abandoned, or as what it was overdue for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from hotspare._engine.call import Attempt, Call
from hotspare._engine.scheduler import GiveUp, Scheduler
from hotspare._engine.waiters import Waiter
from hotspare.errors import AllTargetsFailed
from hotspare.outcome import CANCELLED, Outcome


@dataclass(frozen=True, slots=True)
class Start:
    """Begin this attempt. The driver sends back None."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait `seconds`, until the ticket is rung, or until a running attempt has ended; None: without limit."""

    seconds: float | None
    ticket: Waiter | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The attempt ended, or its stream's first content came."""

    attempt: Attempt
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Woke:
    """The wait is over."""


Command = Start | Wait
Event = Finished | Woke
Flow = Generator[Command, Event | None, Attempt]
WOKE = Woke()


def flow(call: Call, gate: Scheduler, clock: Callable[[], float]) -> Flow:
    """One call, from its first attempt to the winner; or, after a broken stream, from there to who continues it.

    Raises AllTargetsFailed with every attempt inside.
    """
    if not call.started_attempts:
        gate.call_started(call.started)
    ticket: Waiter | None = None
    try:
        while True:
            step = gate.next_step(call, clock())
            if isinstance(step, Attempt):
                yield Start(step)
                continue
            if isinstance(step, GiveUp):
                raise failed(call, step)
            ticket, idle, before = step.ticket, not call.running, clock()
            event = yield Wait(step.seconds, ticket)
            if idle:
                call.idle += clock() - before
            if ticket is not None:
                gate.leave_queue(ticket)
                ticket = None
            if isinstance(event, Finished):
                gate.settle(call, event.attempt, event.outcome, clock())
                if event.outcome.ok:
                    return event.attempt
    finally:
        for attempt in tuple(call.running):
            gate.settle(call, attempt, attempt.overdue or CANCELLED, clock())
        if ticket is not None:
            gate.leave_queue(ticket)


def failed(call: Call, step: GiveUp) -> AllTargetsFailed:
    """What the caller is told when nobody answered."""
    asked = len(call.records)
    said = f"{asked} attempt{'s' * (asked != 1)} failed" if asked else "no target could be asked"
    message = f"{said}: {step.why}"
    return AllTargetsFailed(message, call.records, skipped=step.skipped, retry_after=step.retry_after)
