"""The breaker of one target or one domain. It is told the time, does no I/O and takes no lock: `gate` holds that.

::

    CLOSED ──consecutive_failures | ratio | stall | denied──► OPEN ──rest over, one caller takes the lease──► HALF_OPEN
      ▲                                          ▲ ▲                                              │   │
      │                                          │ └──────────────── failure ─────────────────────┘   │
      │ ramp over                     failure    │                                                    │ success
      └──────────── RECOVERING ──────────────────┘◄───────────────────────────────────────────────────┘

*Throttled* (a 429 named a time) and *disabled* (the model is gone) stand beside the state: they are not sickness.
Results of calls begun before the trip are old news and change nothing: each trip starts a new epoch.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from hotspare.policy import Breaker


class State(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    RECOVERING = "recovering"


@dataclass(slots=True, eq=False)
class Permit:
    """The right to make one attempt. Settled exactly once.

    `epoch` is the breaker's when the permit was given; `probe` marks the one caller who holds the half-open lease,
    `panic` an attempt made although the target rests. `started` is on the pool's clock, in seconds.
    """

    started: float
    epoch: int
    probe: bool = False
    last_resort: bool = False
    settled: bool = False


class CircuitBreaker:
    """A breaker: its state, and the evidence it is judged on."""

    def __init__(self, config: Breaker) -> None:
        self.knobs = config
        self.state = State.CLOSED
        self.epoch = 0
        self.trips = 0
        self.open_until = -inf
        self.recovering_since = -inf
        self.reason = ""
        self.rate_limited_until = -inf
        self.rate_limits = 0
        self.disabled = ""
        self.last_used = -inf
        self.last_success_start = -inf
        self.in_flight: dict[Permit, None] = {}
        self._lease = -inf
        self._holder: Permit | None = None
        self._window: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._strikes = 0
        self._first_strike = inf
        self._last_strike = -inf

    # --- who may come in ---------------------------------------------------------------------------------------

    def available_at(self, now: float) -> float:
        """When the next caller may come in; `now` or earlier: at once. `inf`: never (disabled)."""
        if self.disabled:
            return inf
        if self.state is State.OPEN:
            return max(self.open_until, self.rate_limited_until)
        if self.state is State.HALF_OPEN:
            return max(self._lease, self.rate_limited_until)
        return self.rate_limited_until

    def acquire(self, permit: Permit, now: float) -> None:
        """Take a place. Whoever comes in after a rest is the probe and holds the lease."""
        self.last_used = now
        if self.state in (State.OPEN, State.HALF_OPEN) and not permit.last_resort:
            self.state, self._holder, self._lease = State.HALF_OPEN, permit, now + self.knobs.probe_lease
            permit.probe = True

    def release(self, permit: Permit) -> None:
        """Give the place back with nothing learnt."""
        self.in_flight.pop(permit, None)
        if self._holder is permit:
            self._holder, self._lease = None, -inf

    def traffic_share(self, now: float) -> float:
        """Share of its traffic that it gets: below 1 while it recovers, growing with time."""
        if self.state is not State.RECOVERING:
            return 1.0
        share = (now - self.recovering_since) / self.knobs.slow_start if self.knobs.slow_start else 1.0
        if share >= 1:
            self.state = State.CLOSED
            return 1.0
        return max(self.knobs.slow_start_min_share, share)

    # --- what is learnt ----------------------------------------------------------------------------------------

    def success(self, started: float, now: float) -> None:
        """A call that began at `started` was answered."""
        self.last_success_start = max(self.last_success_start, started)
        self.rate_limits = 0
        self._record(now, failed=False)
        if started > self._first_strike:
            self._clear_strikes()
        if self.state in (State.OPEN, State.HALF_OPEN):
            self.recover(now)

    def failure(self, started: float, now: float) -> bool:
        """A call that began at `started` failed. Returns whether that is evidence enough to trip."""
        self._record(now, failed=True)
        self._strikes += 1
        self._first_strike = min(self._first_strike, started)
        self._last_strike = max(self._last_strike, now)
        if self.state is not State.CLOSED:
            return True
        knobs = self.knobs
        if self._strikes >= knobs.consecutive_failures and self._last_strike - self._first_strike >= knobs.failure_span:
            self.reason = f"{self._strikes} failures in a row"
            return True
        if len(self._window) >= knobs.minimum_throughput and self._failures >= knobs.failure_ratio * len(self._window):
            self.reason = f"{self._failures} of the last {len(self._window)} calls failed"
            return True
        return False

    def stalled(self, now: float, bound: float) -> bool:
        """Whether several calls wait longer than `bound` seconds, and no later one was answered meanwhile."""
        stuck = 0
        for permit in self.in_flight:
            if permit.started > now - bound:
                return False
            if permit.started > self.last_success_start:
                stuck += 1
                if stuck >= self.knobs.stalled_calls:
                    self.reason = f"{stuck} calls without an answer for over {bound:.0f} s"
                    return True
        return False

    def open(self, now: float, rng: random.Random, *, at_least: float = 0.0) -> None:
        """Open, or stay open longer: a rest is never shortened. `at_least` is in seconds.

        Rest: equal jitter (half fixed, half random: AWS Architecture Blog, "Exponential Backoff And Jitter").
        """
        knobs = self.knobs
        if self.state is not State.OPEN:
            forgiven = (
                int((now - self.recovering_since) / knobs.backoff_reset)
                if self.recovering_since > -inf and knobs.backoff_reset
                else 0
            )
            self.trips = max(0, self.trips - forgiven) + 1
        ceiling = min(knobs.break_duration * 2 ** min(self.trips - 1, 30), knobs.max_break_duration)
        rest = max(ceiling * (0.5 + rng.random() / 2), min(at_least, knobs.max_retry_after))
        self.state = State.OPEN
        self.open_until = max(self.open_until, now + rest)
        self.epoch += 1
        self._holder, self._lease = None, -inf
        self._window.clear()
        self._failures = 0
        self._clear_strikes()

    def recover(self, now: float, *, ramp: bool = True) -> None:
        """It answered again: let traffic back, by a ramp or (a domain) at once."""
        self.state = State.RECOVERING if ramp else State.CLOSED
        self.recovering_since, self.reason = now, ""
        self.open_until = -inf
        self._holder, self._lease = None, -inf

    def rate_limit(self, now: float, rng: random.Random, retry_after: float | None) -> None:
        """Stay away because a limit said so. Without a named time: 1 s, doubling to 30 s, jittered."""
        knobs = self.knobs
        if retry_after is None:
            ceiling = min(knobs.rate_limit_backoff * 2.0 ** min(self.rate_limits, 30), knobs.max_rate_limit_backoff)
            rest = ceiling * (0.5 + rng.random() / 2)
        else:
            rest = retry_after
        self.rate_limits += 1
        self.rate_limited_until = max(self.rate_limited_until, now + min(rest, knobs.max_retry_after))

    def mostly_successful(self) -> bool:
        """Whether at least 80 % of the calls before the last failure were answered, or none was made."""
        return self._failures - 1 <= 0.2 * (len(self._window) - 1)

    @property
    def recent(self) -> tuple[int, int]:
        """Calls and failures in the recent window."""
        return len(self._window), self._failures

    def _record(self, now: float, *, failed: bool) -> None:
        window, knobs = self._window, self.knobs
        window.append((now, failed))
        self._failures += failed
        while window and (
            window[0][0] < now - knobs.window_max
            or (len(window) > knobs.window_calls and window[0][0] < now - knobs.window_seconds)
        ):
            self._failures -= window.popleft()[1]

    def _clear_strikes(self) -> None:
        self._strikes, self._first_strike, self._last_strike = 0, inf, -inf
