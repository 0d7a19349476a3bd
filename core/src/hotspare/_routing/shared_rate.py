"""A limit that all processes of a fleet share. Units are taken from the store in blocks, ahead of their use: one round trip serves many
calls.

Units that a process does not use within `HOLD_SECONDS` are returned. While the store is unavailable, or if it does not answer within
`ANSWER_TIMEOUT`, the process uses its own share of the limit (`limit / processes`). Pure: a separate thread queries the store.
"""

from __future__ import annotations

from math import exp, inf
from typing import NamedTuple

from hotspare._routing.gauges import DAY, Daily, Rate, Unit

ANSWER_TIMEOUT = 0.05
"""Longest time in seconds for which a call waits for the store."""
BLOCK_SECONDS = 0.5
"""Size of a block, in seconds of the process's current use: about two round trips a second serve any number of calls."""
HOLD_SECONDS = 0.5
"""Seconds for which a process keeps unused units. All processes together hold at most the units of this time."""
GRANT_HORIZON = 0.5
"""Units are granted up to this many seconds before they may be used: waiting calls then know their time of admission, and processes do
not race for each unit."""
MIN_REQUEST_INTERVAL = 0.1
"""Shortest time in seconds between two requests if no call waits, or if the store granted less than requested."""
FULL_RATE_PROCESSES = 1000
"""Up to this many processes use these intervals. In a larger fleet each process sends fewer requests, so that the load of the store
stays the same."""
EXHAUSTED_INTERVAL = 10.0
"""Seconds after which a process requests units of an exhausted limit again: other processes may have returned some."""
DAY_BLOCK_SECONDS = 5.0
"""`BLOCK_SECONDS` and `HOLD_SECONDS` of a daily limit."""
_FAILURE_PAUSE = 1.0
"""Seconds without a new request after an unanswered one."""


class Request(NamedTuple):
    """A request to the store: for up to `want` units, but at least `least`. `used`: units used without a grant (below 0: returned)."""

    want: float
    least: float
    used: float


class _Block(NamedTuple):
    """Granted units: the first may be used at `first`, each further one an interval later. `since`: when they were granted."""

    units: float
    first: float
    since: float


def interval_factor(processes: int) -> float:
    """By how much each process of a fleet of this size lengthens the intervals."""
    return max(1.0, processes / FULL_RATE_PROCESSES)


class SharedRate:
    """The interface of `Rate`, plus the interface for the thread that queries the store: `request`, `granted`, `failed`. `capacity` is 0
    (unknown), since only the store knows how much all processes have used.

    `key`: the limit's name in the store. `is_store_down`: the store is unavailable.
    """

    capacity = 0.0
    is_daily = False
    _block, _hold = BLOCK_SECONDS, HOLD_SECONDS
    _local: Rate | Daily

    def __init__(self, rate: Rate, key: str, burst: float) -> None:
        self.unit: Unit = rate.unit
        self.limit, self.period, self.burst, self.key = rate.limit, rate.period, burst, key
        self._interval = rate.period / rate.limit
        self._blocks: list[_Block] = []
        self._unreported = 0.0  # units used without a grant; below 0: units to return
        self._waiting_since = -inf  # since when a call or a request waits for the store
        self._is_pending = False  # a request was sent
        self._want = 0.0  # of that request
        self._needed = self._least = 0.0  # by the calls that wait: all together, and the smallest cost
        self._next_request_at = self._next_refill_at = self._paused_until = -inf
        self._free_at = -inf  # when the store expects to grant units of an exhausted limit
        self._use_rate, self._used_at = 0.0, -inf  # units used in about the last second, as of the time `_used_at`
        self.is_store_down = True
        self.share(1)

    def share(self, processes: int) -> None:
        """Set the number of processes that share the limit."""
        self._interval_factor = interval_factor(processes)
        limit = self.limit / max(1, processes)
        self._local = Rate(self.unit, limit, self.period, max(1.0, self.burst / max(1, processes)))

    # --- the interface of a gauge --------------------------------------------------------------------------------

    def _is_local(self, now: float) -> bool:
        """Whether this process uses its own share of the limit: the store is unavailable, failed lately, or is late."""
        return self.is_store_down or now < self._paused_until or now >= self._waiting_since + ANSWER_TIMEOUT > -inf

    def is_fetching(self, cost: float, now: float, ahead: float = 0.0) -> bool:
        """Whether an answer of the store is pending that decides when this cost is admitted, since the granted units are not enough."""
        needed = ahead + min(cost, self.burst) - 1e-9
        return not self._is_local(now) and now >= self._next_request_at and self._held() < needed

    def ready_at(self, cost: float, now: float, ahead: float = 0.0) -> float:
        """When `cost` is admitted, if `ahead` is taken before it; `now` or earlier: immediately."""
        if self._is_local(now):
            return self._local.ready_at(cost, now, ahead)
        missing = ahead + min(cost, self.burst) - 1e-9
        for block in self._blocks:
            if missing <= block.units:
                return block.first + max(0.0, missing - 1) * self._interval
            missing -= block.units
        if now < self._next_request_at:
            return max(self._next_request_at, self._free_at)
        return (now if self._waiting_since == -inf else self._waiting_since) + ANSWER_TIMEOUT

    def hold(self, cost: float, now: float, ahead: float) -> bool:
        """This limit blocks a call, after others that need `ahead`. Returns whether the store has to be queried.

        `ANSWER_TIMEOUT` starts now, even if the thread that queries the store is delayed."""
        if self._waiting_since == -inf and self.is_fetching(cost, now, ahead):
            self._waiting_since = now
        self._needed = max(self._needed, ahead + cost)
        self._least = min(self._least, cost) if self._least else cost
        return not self.is_store_down and not self._is_pending

    def take(self, cost: float, now: float) -> None:
        """Use it, admitted or not."""
        self._use_rate = self._use_rate_at(now) + cost
        self._used_at = now
        if self._is_local(now):
            self._local.take(cost, now)
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
        self._unreported += left

    def correct(self, difference: float, now: float) -> None:
        """An attempt used so much more than was taken for it; less, where it is negative."""
        if self._is_local(now):
            self._local.correct(difference, now)
        else:
            self._unreported += difference

    def left(self, now: float) -> float:
        """Units that are admitted now."""
        return self._local.left(now) if self._is_local(now) else sum(self._free(block, now) for block in self._blocks)

    def _held(self) -> float:
        """Granted units that were not used yet."""
        return sum(block.units for block in self._blocks)

    def _free(self, block: _Block, now: float) -> float:
        """Units of a block that may be used now."""
        return min(block.units, (now - block.first) / self._interval + 1) if now >= block.first else 0.0

    def _use_rate_at(self, now: float) -> float:
        """Units used in about the last second."""
        return self._use_rate * exp(min(0.0, self._used_at - now)) if self._used_at > -inf else 0.0

    @property
    def is_low(self) -> bool:
        """Whether the remaining units will be used up before the next block arrives."""
        low = self._use_rate * self._block * self._interval_factor / 2
        return not self.is_store_down and not self._is_pending and self._held() < low

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} {'a minute' if self.period == 60 else f'in {self.period:g} s'}, across all processes"

    # --- the interface of the thread that queries the store ------------------------------------------------------

    def request(self, now: float) -> Request | None:
        """The request to send to the store now; None: none."""
        self._return_unused(now)
        if self.is_store_down or self._is_pending or now < self._paused_until:
            return None
        held, block = self._held(), min(self._use_rate_at(now) * self._block * self._interval_factor, self.burst)
        waits = self._needed > held
        if now < (self._next_request_at if waits else max(self._next_request_at, self._next_refill_at)):
            return None
        want = max(block, self._needed) - held if waits or held < block / 2 else 0.0
        if want <= 0 and abs(self._unreported) < 1e-9:
            return None
        request = Request(want, min(self._least, want) if waits else min(1.0, want), self._unreported)
        self._needed = self._least = self._unreported = 0.0
        self._is_pending, self._want = True, want
        if self._waiting_since == -inf:
            self._waiting_since = now
        return request

    def _return_unused(self, now: float) -> None:
        """Return units that were free for `HOLD_SECONDS` seconds (daily limits: `DAY_BLOCK_SECONDS`) and not used."""
        kept: list[_Block] = []
        then = now - self._hold * self._interval_factor
        for block in self._blocks:
            unused = self._free(block, then) if then >= block.since else 0.0
            self._unreported -= unused
            if block.units - unused > 1e-9:
                kept.append(block._replace(units=block.units - unused, first=block.first + unused * self._interval))
        self._blocks = kept

    def granted(self, units: float, wait: float, now: float) -> None:
        """The store has granted units: see `store.Grant`."""
        self._is_pending, self._waiting_since = False, -inf
        if units > 0:
            self._blocks.append(_Block(units, now + wait, now))
        pause = MIN_REQUEST_INTERVAL * self._interval_factor
        self._next_refill_at = now + pause
        if units >= self._want - 1e-3:  # the store's numbers are rounded
            self._next_request_at = self._free_at = now
        else:  # the limit is exhausted
            self._free_at = now + max(wait, pause)
            self._next_request_at = min(self._free_at, now + EXHAUSTED_INTERVAL * self._interval_factor)

    def failed(self, request: Request, now: float) -> None:
        """The store did not answer."""
        self._is_pending, self._waiting_since = False, -inf
        self._unreported += request.used
        self._paused_until = now + _FAILURE_PAUSE

    def lost(self) -> None:
        """The store is unavailable: forget the granted units, and the use that was to be reported."""
        self.is_store_down = True
        self._blocks.clear()
        self._unreported = 0.0
        self._is_pending, self._waiting_since, self._next_request_at = False, -inf, -inf

    def after_fork(self) -> None:
        """In a child process after a fork: granted units, and use that has yet to be reported, are the parent's."""
        self.lost()
        self._unreported = 0.0  # `SharedDaily.lost` keeps it


class SharedDaily(SharedRate):
    """A limit per 24 hours, across all processes.

    This process counts its own use too: while the store is unavailable, it may use its share of the limit minus that use, and what it
    uses then is reported later.
    """

    is_daily = True
    _block = _hold = DAY_BLOCK_SECONDS

    def __init__(self, daily: Daily, key: str) -> None:
        self._daily = daily
        super().__init__(Rate(daily.unit, daily.limit, DAY, daily.limit), key, daily.limit)
        self._interval = 0.0  # granted units may all be used at once

    def share(self, processes: int) -> None:
        """Set the number of processes that share the limit."""
        self._interval_factor = interval_factor(processes)
        self._daily.limit = self._daily.capacity = self.limit / max(1, processes)
        self._local = self._daily

    def take(self, cost: float, now: float) -> None:
        """Use it, admitted or not."""
        is_local = self._is_local(now)
        super().take(cost, now)
        if is_local:
            self._unreported += cost
        else:
            self._daily.take(cost, now)

    def correct(self, difference: float, now: float) -> None:
        """An attempt used so much more than was taken for it; less, where it is negative."""
        is_local = self._is_local(now)
        super().correct(difference, now)
        if is_local:
            self._unreported += difference
        else:
            self._daily.take(difference, now)

    def _free(self, block: _Block, now: float) -> float:
        return block.units if now >= block.first else 0.0

    def lost(self) -> None:
        """The store is unavailable: when it is available again, use is reported, and unused units are returned."""
        unreported = self._unreported - self._held()
        super().lost()
        self._unreported = unreported

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} a day, across all processes"
