"""A limit that all processes of a fleet share. Units are taken from the store in blocks, ahead of their use: one round trip serves many calls.

Units that a process does not use within `HOLD` are returned. While the store is unavailable, or if it does not answer within `ANSWER`, the
process uses its own share of the limit (`limit / processes`). Pure: a separate thread queries the store.
"""

from __future__ import annotations

from math import exp, inf
from typing import NamedTuple

from hotspare._routing.gauges import DAY, Daily, Rate, Unit

ANSWER = 0.05
"""Longest time in seconds for which a call waits for the store."""
BLOCK = 0.5
"""Size of a block, in seconds of the process's current use: two round trips a second serve any number of calls."""
HOLD = 0.5
"""Seconds for which a process keeps unused units. All processes together hold at most the units of this time."""
HORIZON = 0.5
"""Units are taken up to this many seconds ahead: waiting calls then have a time of admission, and processes do not race for each unit."""
ASK_EVERY = 0.1
"""Shortest time in seconds between two requests if no call waits, or if the store granted less than requested."""
FULL_PACE = 1000
"""Up to this many processes use these intervals. In a larger fleet each process sends fewer requests, so that the load of the store stays the
same."""
LOOK_AGAIN = 10.0
"""Seconds after which a process requests units of an exhausted limit again: other processes may have returned some."""
DAY_BLOCK = 5.0
"""Size of a block of a daily limit, in seconds of use, and the time for which unused units of it are kept."""
_RETRY = 1.0
"""Seconds without a new request after an unanswered one."""


class Request(NamedTuple):
    """A request to the store: for up to `want` units, at least `least`. `used`: units used without a grant (below 0: units returned)."""

    want: float
    least: float
    used: float


class _Block(NamedTuple):
    """Granted units: the first may be used at `first`, each further one an interval later. `since`: when they were granted."""

    units: float
    first: float
    since: float


def slower(processes: int) -> float:
    """The factor by which each of `processes` processes queries the store less often."""
    return max(1.0, processes / FULL_PACE)


class SharedRate:
    """The interface of `Rate`, plus the interface for the thread that queries the store: `request`, `granted`, `failed`. `capacity` is 0
    (unknown), since only the store knows how much all processes have used.

    `key`: the limit's name in the store. `processes`: the limit is divided by this number while the store is unavailable.
    """

    capacity = 0.0
    is_daily = False
    _block, _hold = BLOCK, HOLD
    _alone: Rate | Daily

    def __init__(self, rate: Rate, key: str, burst: float) -> None:
        self.unit: Unit = rate.unit
        self.limit, self.period, self.burst, self.key = rate.limit, rate.period, burst, key
        self._interval = rate.period / rate.limit
        self._blocks: list[_Block] = []
        self._owed = 0.0
        self._since = self._request_at = self._free_at = self._refill_at = self._mute_until = -inf
        self._is_pending = False
        self._needed = self._least = self._want = 0.0
        self._pace, self._pace_at = 0.0, -inf
        self.away = True
        self.share(1)

    def share(self, processes: int) -> None:
        """Set the number of processes that share the limit."""
        self._slower = slower(processes)
        limit = self.limit / max(1, processes)
        self._alone = Rate(self.unit, limit, self.period, max(1.0, self.burst / max(1, processes)))

    # --- the interface of a gauge --------------------------------------------------------------------------------

    def _is_alone(self, now: float) -> bool:
        return self.away or now < self._mute_until or now >= self._since + ANSWER > -inf

    def is_fetching(self, cost: float, now: float, ahead: float = 0.0) -> bool:
        """Whether an answer of the store is pending that decides when this cost is admitted, since the granted units are not enough."""
        needed = ahead + min(cost, self.burst) - 1e-9
        return (
            not self._is_alone(now) and now >= self._request_at and sum(block.units for block in self._blocks) < needed
        )

    def ready_at(self, cost: float, now: float, ahead: float = 0.0) -> float:
        """When `cost` is admitted, if `ahead` is taken before it; `now` or earlier: immediately."""
        if self._is_alone(now):
            return self._alone.ready_at(cost, now, ahead)
        missing = ahead + min(cost, self.burst) - 1e-9
        for block in self._blocks:
            if missing <= block.units:
                return block.first + max(0.0, missing - 1) * self._interval
            missing -= block.units
        if now < self._request_at:
            return max(self._request_at, self._free_at)
        return (now if self._since == -inf else self._since) + ANSWER

    def hold(self, cost: float, now: float, ahead: float) -> bool:
        """This limit blocks a call, behind others that need `ahead`. Returns whether the store has to be queried. Its `ANSWER` seconds
        start now, even if the thread that queries it is delayed."""
        if self._since == -inf and self.is_fetching(cost, now, ahead):
            self._since = now
        self._needed = max(self._needed, ahead + cost)
        self._least = min(self._least, cost) if self._least else cost
        return not self.away and not self._is_pending

    def take(self, cost: float, now: float) -> None:
        """Use it, admitted or not."""
        self._pace = self._pace_in(now) + cost
        self._pace_at = now
        if self._is_alone(now):
            self._alone.take(cost, now)
            return
        left = cost
        while self._blocks and left > 0:
            block = self._blocks[0]
            used = min(left, block.units)
            left -= used
            if block.units - used > 1e-9:
                self._blocks[0] = block._replace(units=block.units - used, first=block.first + used * self._interval)
                break
            del self._blocks[0]
        self._owed += left

    def correct(self, difference: float, now: float) -> None:
        """An attempt used so much more than was taken for it; less, where it is negative."""
        if self._is_alone(now):
            self._alone.correct(difference, now)
        else:
            self._owed += difference

    def left(self, now: float) -> float:
        """Units that are admitted now."""
        return self._alone.left(now) if self._is_alone(now) else self._have(now)

    def _have(self, now: float) -> float:
        return sum(self._free(block, now) for block in self._blocks)

    def _free(self, block: _Block, now: float) -> float:
        """Units of a block that may be used now."""
        return min(block.units, (now - block.first) / self._interval + 1) if now >= block.first else 0.0

    def _pace_in(self, now: float) -> float:
        """Units used in about the last second."""
        return self._pace * exp(min(0.0, self._pace_at - now)) if self._pace_at > -inf else 0.0

    @property
    def is_low(self) -> bool:
        """Whether the remaining units will be used up before the next block arrives."""
        return (
            not self.away
            and not self._is_pending
            and sum(b.units for b in self._blocks) < self._pace * self._block * self._slower / 2
        )

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} {'a minute' if self.period == 60 else f'in {self.period:g} s'}, across all processes"

    # --- the interface of the thread that queries the store ------------------------------------------------------

    def request(self, now: float) -> Request | None:
        """The request to send to the store now; None: none."""
        self._give_back(now)
        if self.away or self._is_pending or now < self._mute_until:
            return None
        kept, block = (
            sum(block.units for block in self._blocks),
            min(self._pace_in(now) * self._block * self._slower, self.burst),
        )
        waits = self._needed > kept
        if now < (self._request_at if waits else max(self._request_at, self._refill_at)):
            return None
        want = max(block, self._needed) - kept if waits or kept < block / 2 else 0.0
        if want <= 0 and abs(self._owed) < 1e-9:
            return None
        request = Request(want, min(self._least, want) if waits else min(1.0, want), self._owed)
        self._needed = self._least = self._owed = 0.0
        self._is_pending, self._want = True, want
        if self._since == -inf:
            self._since = now
        return request

    def _give_back(self, now: float) -> None:
        """Return units that were free for `HOLD` seconds (daily limits: `DAY_BLOCK`) and not used."""
        kept: list[_Block] = []
        then = now - self._hold * self._slower
        for block in self._blocks:
            over = self._free(block, then) if then >= block.since else 0.0
            self._owed -= over
            if block.units - over > 1e-9:
                kept.append(block._replace(units=block.units - over, first=block.first + over * self._interval))
        self._blocks = kept

    def granted(self, units: float, wait: float, now: float) -> None:
        """The store has granted units: see `store.Grant`."""
        self._is_pending, self._since = False, -inf
        if units > 0:
            self._blocks.append(_Block(units, now + wait, now))
        pause = ASK_EVERY * self._slower
        self._refill_at = now + pause
        if units >= self._want - 1e-3:  # the store's numbers are rounded
            self._request_at = self._free_at = now
        else:  # the limit is exhausted
            self._free_at = now + max(wait, pause)
            self._request_at = min(self._free_at, now + LOOK_AGAIN * self._slower)

    def failed(self, request: Request, now: float) -> None:
        """The store did not answer."""
        self._is_pending, self._since = False, -inf
        self._owed += request.used
        self._mute_until = now + _RETRY

    def lost(self) -> None:
        """The store is unavailable: forget the granted units and those to report."""
        self.away = True
        self._blocks.clear()
        self._owed = 0.0
        self._is_pending, self._since, self._request_at = False, -inf, -inf

    def after_fork(self) -> None:
        """In a child process after a fork: use that has yet to be reported is the parent's."""
        self.lost()
        self._owed = 0.0


class SharedDaily(SharedRate):
    """A limit per 24 hours, across all processes. The use of this process is counted here too: while the store is unavailable, it may use its
    share of the limit minus that use, and reports it later."""

    is_daily = True
    _block = _hold = DAY_BLOCK

    def __init__(self, daily: Daily, key: str) -> None:
        self._own = daily
        super().__init__(Rate(daily.unit, daily.limit, DAY, daily.limit), key, daily.limit)
        self._interval = 0.0

    def share(self, processes: int) -> None:
        """Set the number of processes that share the limit."""
        self._slower = slower(processes)
        self._own.limit = self._own.capacity = self.limit / max(1, processes)
        self._alone = self._own

    def take(self, cost: float, now: float) -> None:
        """Use it, admitted or not."""
        is_alone = self._is_alone(now)
        super().take(cost, now)
        if is_alone:
            self._owed += cost
        else:
            self._own.take(cost, now)

    def correct(self, difference: float, now: float) -> None:
        """An attempt used so much more than was taken for it; less, where it is negative."""
        is_alone = self._is_alone(now)
        super().correct(difference, now)
        if is_alone:
            self._owed += difference
        else:
            self._own.take(difference, now)

    def _free(self, block: _Block, now: float) -> float:
        return block.units if now >= block.first else 0.0

    def lost(self) -> None:
        """The store is unavailable: when it is available again, use is reported, and unused units are returned."""
        owed = self._owed - sum(block.units for block in self._blocks)
        super().lost()
        self._owed = owed

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} a day, across all processes"
