"""The traffic of a simulation: the start of each call, and how each target answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol

from hotspare._simulation.figures import Figures
from hotspare.outcome import Kind


class Arrival(NamedTuple):
    """One call. `at`: seconds since the first call. `model`: as in ChatRequest (None: the default route). `after_first_token`: seconds
    from the first token of a stream to its end."""

    at: float
    model: str | None = None
    streaming: bool = False
    input_tokens: int = 500
    output_tokens: int = 100
    after_first_token: float = 0.0
    labels: Mapping[str, str] = {}


class Answer(NamedTuple):
    """The result of one attempt at a target: an answer or a failure after `seconds` (of a stream: to its first token)."""

    seconds: float
    kind: Kind = Kind.OK
    status: int | None = None


class Upstreams(Protocol):
    """How the targets answer, by name."""

    def answer(self, target: str, at: float, rng: Random, *, streaming: bool) -> Answer:
        """The result of an attempt at this target that starts at `at` (seconds since the first call)."""
        ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """The calls of a simulation. `began`: start of the first call, in seconds since 1970. `recorded`: the figures of the real calls (None:
    there were none). `notes`: remarks that are printed with the result."""

    arrivals: Sequence[Arrival]
    upstreams: Upstreams
    began: float = 0.0
    recorded: Figures | None = None
    notes: tuple[str, ...] = ()
    known: frozenset[str] | None = field(default=None)
    """Targets whose behaviour was recorded; None: all."""
