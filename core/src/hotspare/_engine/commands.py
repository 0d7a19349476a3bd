"""What a flow yields to its driver, and what the driver sends back.

==================  ============================================================================================
the flow yields     the driver does it, and sends
==================  ============================================================================================
`Start`             starts the attempt; sends None, or, if it is `alone`, `Finished` once it has ended
`Wait`              waits for the first of: an attempt's end, the waiter's wake-up, the time; sends `Finished` or WOKE
`Read`              reads the next chunk of the attempt's stream; sends the chunk, None at its end, LATE after a timeout,
                    or `Broke`
a `ChatChunk`       hands it to the caller; sends None
==================  ============================================================================================

A stream is closed by the driver as soon as the flow yields anything but `Read` or a chunk, or ends.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from hotspare._engine.call import Attempt
from hotspare._engine.waiters import Waiter
from hotspare.messages import ChatChunk, ChatReply
from hotspare.outcome import Outcome


@dataclass(slots=True)
class Start:
    """Start this attempt. `alone`: no other attempt is running, and none will be started before this one has ended."""

    attempt: Attempt
    alone: bool = False


@dataclass(slots=True)
class Wait:
    """Wait `seconds` (None: without limit), until the waiter is woken, or until a running attempt has ended."""

    seconds: float | None
    waiter: Waiter | None = None


@dataclass(slots=True)
class Read:
    """Read the next chunk of a stream within `within` seconds (None: without limit). One object serves a whole stream."""

    attempt: Attempt
    within: float | None = None


@dataclass(slots=True)
class Finished:
    """The attempt has ended, or the first content of its stream has arrived."""

    attempt: Attempt
    outcome: Outcome


@dataclass(slots=True)
class Broke:
    """Reading the stream raised an exception."""

    error: Exception


class Signal(Enum):
    """Events without content."""

    WOKE = "woke"
    LATE = "late"


WOKE: Final = Signal.WOKE
"""The wait is over."""
LATE: Final = Signal.LATE
"""A `Read` has timed out."""

Command = Start | Wait | Read | ChatChunk
Event = Finished | Broke | ChatChunk | Literal[Signal.WOKE, Signal.LATE] | None
Flow = Generator[Command, Event, ChatReply | None]
