"""What is replayed: calls at their times, and how each target answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol

from hotspare._simulation.figures import Figures
from hotspare.outcome import Kind


class Arrival(NamedTuple):
    """One call. `at`: seconds since the first. `model`: as in ChatRequest (None: the default route). `rest`: seconds from the first
    token of a stream to its end."""

    at: float
    model: str | None = None
    streaming: bool = False
    input_tokens: int = 500
    output_tokens: int = 100
    rest: float = 0.0
    labels: Mapping[str, str] = {}


class Answer(NamedTuple):
    """The result of one attempt at a target: an answer or a failure after `seconds` (of a stream: to its first token)."""

    seconds: float
    kind: Kind = Kind.OK
    status: int | None = None


class Upstreams(Protocol):
    """How the targets answer, by name."""

    def answer(self, target: str, at: float, rng: Random, *, streaming: bool) -> Answer:
        """What this target does with an attempt that begins at `at` (seconds since the first call)."""
        ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is replayed. `began`: seconds since 1970 of the first call. `recorded`: what came of it (None: it was never real). `notes`:
    what the reader must know."""

    arrivals: Sequence[Arrival]
    upstreams: Upstreams
    began: float = 0.0
    recorded: Figures | None = None
    notes: tuple[str, ...] = ()
    known: frozenset[str] | None = field(default=None)
    """Targets whose behaviour was recorded; None: all."""
