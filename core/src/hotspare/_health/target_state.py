"""What a pool knows of one of its targets. Changed under the scheduler's lock only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hotspare._health.breaker import CircuitBreaker
from hotspare._health.percentiles import Percentiles
from hotspare.target import Domain, Target

if TYPE_CHECKING:
    from hotspare.backend import Backend


@dataclass(slots=True, eq=False)
class TargetState:
    """A target in a pool, and what its attempts have shown.

    `position`: its place in the pool. `first_token`, `completion`: seconds to a stream's first token and to a whole answer.
    `gaps`: the longest silence of each of its streams, seconds. `throughput`: bytes a second of its streams.
    `invalid_streak`: INVALID outcomes in a row. `key_rejected`: its last answer was about the key.
    `prefill`, `streaming`: False once it has refused to continue an assistant message, or to stream.
    """

    target: Target
    backend: Backend
    breaker: CircuitBreaker
    domains: tuple[Domain, ...]
    position: int
    first_token: Percentiles = field(default_factory=Percentiles)
    completion: Percentiles = field(default_factory=Percentiles)
    gaps: Percentiles = field(default_factory=Percentiles)
    throughput: Percentiles = field(default_factory=Percentiles)
    invalid_streak: int = 0
    key_rejected: bool = False
    prefill: bool = field(init=False)
    streaming: bool = field(init=False)

    def __post_init__(self) -> None:
        self.prefill, self.streaming = self.backend.prefill, self.backend.streaming

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name
