"""How often open targets are probed: probes are a bounded share of a pool's calls. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, inf
from random import Random

from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState
from hotspare.policy import Breaker

_AVERAGED_SECONDS = 10.0
"""Time constant of the rate of calls: after a pause of this length a third (1/e) of it is left."""
_GROWTH, _FAST_GROWTH = 1.2, 1.35
"""Whatever the rate of calls, breaks may grow by this factor: by default to 6 s after silence, and to 1.35 s after fast failures,
so that a recovery is noticed within 1.5 s, the next call and the answer of a failing probe included."""


class ProbeRate:
    """The rate of a pool's calls, and the longest break that it allows."""

    __slots__ = ("_at", "_calls")

    def __init__(self) -> None:
        self._calls, self._at = 0.0, -inf

    def record_call(self, now: float) -> None:
        """A call has started."""
        if now > self._at:
            self._calls *= exp((self._at - now) / _AVERAGED_SECONDS)  # 0 at first
            self._at = now
        self._calls += 1

    def longest_break(self, config: Breaker, states: Iterable[TargetState], *, fast: bool) -> float:
        """Longest break in seconds for which the probes of all these targets stay within their share of the calls. `inf`: without
        calls."""
        probed = sum(state.breaker.state in (State.OPEN, State.HALF_OPEN) for state in states)
        shortest = _FAST_GROWTH * config.fast_break_duration if fast else _GROWTH * config.break_duration
        probes = config.max_probe_share * self._calls / _AVERAGED_SECONDS / max(1, probed)
        return max(shortest, 1 / probes) if probes > 0 else inf


def probe_soon(states: Iterable[TargetState], now: float, rng: Random) -> None:
    """One target answers again after all were down: probe the others immediately if their failures are fast, else within
    `fast_break_duration`. Targets that fail together often recover together, and a failing probe no longer costs its caller the
    answer. For the same reason, targets of one region or provider that fail fast are probed concurrently, until a probe fails; those of an
    account are not, since all its targets use the same key and quota. Times to wait that a provider stated are kept."""
    for state in states:
        wait = 0.0 if state.fails_fast else state.breaker.config.fast_break_duration * (0.5 + rng.random() / 2)
        for level, breaker in zip(("target", *(domain.level for domain in state.domains)), state.breakers, strict=True):
            if breaker.state is State.OPEN and breaker.rejected_until <= now:
                breaker.probe_from(now + wait)
                breaker.probes_members |= state.fails_fast and level in ("region", "provider")
