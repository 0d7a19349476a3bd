"""The breaker of one target or one domain. It is told the time, does no I/O and takes no lock: `gate` holds that.

::

    CLOSED ──strikes | ratio | stall | denied──► OPEN ──rest over, one caller takes the lease──► HALF_OPEN
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
    panic: bool = False
    settled: bool = False


class Health:
    """A breaker: its state, and the evidence it is judged on."""

    def __init__(self, knobs: Breaker) -> None:
        self.knobs = knobs
        self.state = State.CLOSED
        self.epoch = 0
        self.trips = 0
        self.until = -inf
        self.since = -inf
        self.why = ""
        self.throttled_until = -inf
        self.throttles = 0
        self.disabled = ""
        self.last_used = -inf
        self.last_success_start = -inf
        self.waiting: dict[Permit, None] = {}
        self._lease = -inf
        self._holder: Permit | None = None
        self._window: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._strikes = 0
        self._first_strike = inf
        self._last_strike = -inf

    # --- who may come in ---------------------------------------------------------------------------------------

    def opens_at(self, now: float) -> float:
        """When the next caller may come in; `now` or earlier: at once. `inf`: never (disabled)."""
        if self.disabled:
            return inf
        if self.state is State.OPEN:
            return max(self.until, self.throttled_until)
        if self.state is State.HALF_OPEN:
            return max(self._lease, self.throttled_until)
        return self.throttled_until

    def enter(self, permit: Permit, now: float) -> None:
        """Take a place. Whoever comes in after a rest is the probe and holds the lease."""
        self.last_used = now
        if self.state in (State.OPEN, State.HALF_OPEN) and not permit.panic:
            self.state, self._holder, self._lease = State.HALF_OPEN, permit, now + self.knobs.lease
            permit.probe = True

    def leave(self, permit: Permit) -> None:
        """Give the place back with nothing learnt."""
        self.waiting.pop(permit, None)
        if self._holder is permit:
            self._holder, self._lease = None, -inf

    def share(self, now: float) -> float:
        """Share of its traffic that it gets: below 1 while it recovers, growing with time."""
        if self.state is not State.RECOVERING:
            return 1.0
        share = (now - self.since) / self.knobs.ramp if self.knobs.ramp else 1.0
        if share >= 1:
            self.state = State.CLOSED
            return 1.0
        return max(self.knobs.ramp_floor, share)

    # --- what is learnt ----------------------------------------------------------------------------------------

    def success(self, started: float, now: float) -> None:
        """A call that began at `started` was answered."""
        self.last_success_start = max(self.last_success_start, started)
        self.throttles = 0
        self._note(now, failed=False)
        if started > self._first_strike:
            self._clear_strikes()
        if self.state in (State.OPEN, State.HALF_OPEN):
            self.recover(now)

    def failure(self, started: float, now: float) -> bool:
        """A call that began at `started` failed. Returns whether that is evidence enough to trip."""
        self._note(now, failed=True)
        self._strikes += 1
        self._first_strike = min(self._first_strike, started)
        self._last_strike = max(self._last_strike, now)
        if self.state is not State.CLOSED:
            return True
        knobs = self.knobs
        if self._strikes >= knobs.strikes and self._last_strike - self._first_strike >= knobs.strikes_span:
            self.why = f"{self._strikes} failures in a row"
            return True
        if len(self._window) >= knobs.ratio_min and self._failures >= knobs.ratio * len(self._window):
            self.why = f"{self._failures} of the last {len(self._window)} calls failed"
            return True
        return False

    def stalled(self, now: float, bound: float) -> bool:
        """Whether several calls wait longer than `bound` seconds, and no later one was answered meanwhile."""
        stuck = 0
        for permit in self.waiting:
            if permit.started > now - bound:
                return False
            if permit.started > self.last_success_start:
                stuck += 1
                if stuck >= self.knobs.stall_calls:
                    self.why = f"{stuck} calls without an answer for over {bound:.0f} s"
                    return True
        return False

    def trip(self, now: float, rng: random.Random, *, at_least: float = 0.0) -> None:
        """Open, or stay open longer: a rest is never shortened. `at_least` is in seconds.

        Rest: equal jitter (half fixed, half random: AWS Architecture Blog, "Exponential Backoff And Jitter").
        """
        knobs = self.knobs
        if self.state is not State.OPEN:
            forgiven = int((now - self.since) / knobs.forgive) if self.since > -inf and knobs.forgive else 0
            self.trips = max(0, self.trips - forgiven) + 1
        ceiling = min(knobs.rest * 2 ** min(self.trips - 1, 30), knobs.rest_max)
        rest = max(ceiling * (0.5 + rng.random() / 2), min(at_least, knobs.retry_after_max))
        self.state = State.OPEN
        self.until = max(self.until, now + rest)
        self.epoch += 1
        self._holder, self._lease = None, -inf
        self._window.clear()
        self._failures = 0
        self._clear_strikes()

    def recover(self, now: float, *, ramp: bool = True) -> None:
        """It answered again: let traffic back, by a ramp or (a domain) at once."""
        self.state = State.RECOVERING if ramp else State.CLOSED
        self.since, self.why = now, ""
        self.until = -inf
        self._holder, self._lease = None, -inf

    def throttle(self, now: float, rng: random.Random, retry_after: float | None) -> None:
        """Stay away because a limit said so. Without a named time: 1 s, doubling to 30 s, jittered."""
        knobs = self.knobs
        if retry_after is None:
            ceiling = min(knobs.throttle_rest * 2.0 ** min(self.throttles, 30), knobs.throttle_rest_max)
            rest = ceiling * (0.5 + rng.random() / 2)
        else:
            rest = retry_after
        self.throttles += 1
        self.throttled_until = max(self.throttled_until, now + min(rest, knobs.retry_after_max))

    def good_record(self) -> bool:
        """Whether at least 80 % of the calls before the last failure were answered, or none was made."""
        return self._failures - 1 <= 0.2 * (len(self._window) - 1)

    @property
    def recent(self) -> tuple[int, int]:
        """Calls and failures in the recent window."""
        return len(self._window), self._failures

    def _note(self, now: float, *, failed: bool) -> None:
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
