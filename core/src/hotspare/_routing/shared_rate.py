"""A limit that all processes of a fleet share: taken from the store ahead of its use, in blocks, so that one round trip serves many calls.

What a process has taken and not used within `HOLD` is given back. Where the store is unavailable, or does not answer within `ANSWER`, this
process goes on with its share of the limit (`limit / processes`). Pure: a separate thread asks the store.
"""

from __future__ import annotations

from math import exp, inf
from typing import NamedTuple

from hotspare._routing.gauges import DAY, Daily, Rate, Unit

ANSWER = 0.05
"""Seconds for which a call waits for the store, at most."""
BLOCK = 0.5
"""Seconds of its use that a process takes at once: two round trips a second serve any number of calls."""
HOLD = 0.5
"""Seconds for which a process keeps what it does not use. All processes together hold at most so much of the limit."""
HORIZON = 0.5
"""Seconds ahead for which units are taken: calls that wait know their turn, and processes do not race for each unit."""
ASK_EVERY = 0.1
"""Seconds between two requests at least, where no call waits for one, or the store had less than was asked for."""
FULL_PACE = 1000
"""Processes that may ask so often. Of a larger fleet each asks less often, so that one store can serve it: all of them ask as often as these."""
LOOK_AGAIN = 10.0
"""Seconds after which a process asks again at the latest, of a limit that is used to the full: others may have given something back."""
DAY_BLOCK = 5.0
"""Seconds of its use that a process takes of a daily limit at once, and for which it keeps what it does not use."""
_RETRY = 1.0
"""Seconds after a request without an answer in which this process does not ask again."""


class Request(NamedTuple):
    """What the store is asked for: up to `want` units, at least `least`; `used` units were used without being taken before (below 0: are
    given back)."""

    want: float
    least: float
    used: float


class _Block(NamedTuple):
    """Units that were taken: the first may be used at `first`, each further one an interval later. `since`: when they were taken."""

    units: float
    first: float
    since: float


def slower(processes: int) -> float:
    """By which factor each process of so many asks the store less often."""
    return max(1.0, processes / FULL_PACE)


class SharedRate:
    """The same face as `Rate`, and that of the thread that asks the store: `request`, `granted`, `failed`. How much of it all processes
    have used is the store's to say: `capacity` is 0, unknown.

    `key`: what the limit counts for, for the store. `processes`: by how many the limit is divided where the store is unavailable.
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
        self._since = self._ask_at = self._free_at = self._refill_at = self._mute_until = -inf
        self._is_asked = False
        self._needed = self._least = self._want = 0.0
        self._pace, self._pace_at = 0.0, -inf
        self.away = True
        self.share(1)

    def share(self, processes: int) -> None:
        """Of how many processes this one is."""
        self._slower = slower(processes)
        limit = self.limit / max(1, processes)
        self._alone = Rate(self.unit, limit, self.period, max(1.0, self.burst / max(1, processes)))

    # --- as of a gauge -------------------------------------------------------------------------------------------

    def _is_alone(self, now: float) -> bool:
        return self.away or now < self._mute_until or now >= self._since + ANSWER > -inf

    def is_fetching(self, cost: float, now: float, ahead: float = 0.0) -> bool:
        """Whether the store is about to say when this cost is admitted: what was taken is not enough, now or later."""
        needed = ahead + min(cost, self.burst) - 1e-9
        return not self._is_alone(now) and now >= self._ask_at and sum(block.units for block in self._blocks) < needed

    def ready_at(self, cost: float, now: float, ahead: float = 0.0) -> float:
        """When `cost` is admitted, if `ahead` is taken before it; `now` or earlier: at once."""
        if self._is_alone(now):
            return self._alone.ready_at(cost, now, ahead)
        missing = ahead + min(cost, self.burst) - 1e-9
        for block in self._blocks:
            if missing <= block.units:
                return block.first + max(0.0, missing - 1) * self._interval
            missing -= block.units
        if now < self._ask_at:
            return max(self._ask_at, self._free_at)
        return (now if self._since == -inf else self._since) + ANSWER

    def hold(self, cost: float, now: float, ahead: float) -> bool:
        """A call is held back by this limit, behind others that need `ahead`. Returns whether the store is to be asked. From now on it
        has `ANSWER` seconds, also if the thread that asks is held up."""
        if self._since == -inf and self.is_fetching(cost, now, ahead):
            self._since = now
        self._needed = max(self._needed, ahead + cost)
        self._least = min(self._least, cost) if self._least else cost
        return not self.away and not self._is_asked

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
        """How much is admitted at once."""
        return self._alone.left(now) if self._is_alone(now) else self._have(now)

    def _have(self, now: float) -> float:
        return sum(self._free(block, now) for block in self._blocks)

    def _free(self, block: _Block, now: float) -> float:
        """How much of a block may be used."""
        return min(block.units, (now - block.first) / self._interval + 1) if now >= block.first else 0.0

    def _pace_in(self, now: float) -> float:
        """Units that were used in about the last second."""
        return self._pace * exp(min(0.0, self._pace_at - now)) if self._pace_at > -inf else 0.0

    @property
    def is_low(self) -> bool:
        """Whether less is left than what is used until the next block is here."""
        return (
            not self.away
            and not self._is_asked
            and sum(b.units for b in self._blocks) < self._pace * self._block * self._slower / 2
        )

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} {'a minute' if self.period == 60 else f'in {self.period:g} s'}, of all processes"

    # --- as of the thread that asks the store --------------------------------------------------------------------

    def request(self, now: float) -> Request | None:
        """What to ask the store for now; None: nothing."""
        self._give_back(now)
        if self.away or self._is_asked or now < self._mute_until:
            return None
        kept, block = (
            sum(block.units for block in self._blocks),
            min(self._pace_in(now) * self._block * self._slower, self.burst),
        )
        waits = self._needed > kept
        if now < (self._ask_at if waits else max(self._ask_at, self._refill_at)):
            return None
        want = max(block, self._needed) - kept if waits or kept < block / 2 else 0.0
        if want <= 0 and abs(self._owed) < 1e-9:
            return None
        request = Request(want, min(self._least, want) if waits else min(1.0, want), self._owed)
        self._needed = self._least = self._owed = 0.0
        self._is_asked, self._want = True, want
        if self._since == -inf:
            self._since = now
        return request

    def _give_back(self, now: float) -> None:
        """What was free for `HOLD` seconds (`DAY_BLOCK`) and not used goes back."""
        kept: list[_Block] = []
        then = now - self._hold * self._slower
        for block in self._blocks:
            over = self._free(block, then) if then >= block.since else 0.0
            self._owed -= over
            if block.units - over > 1e-9:
                kept.append(block._replace(units=block.units - over, first=block.first + over * self._interval))
        self._blocks = kept

    def granted(self, units: float, wait: float, now: float) -> None:
        """The store has answered: see `store.Grant`."""
        self._is_asked, self._since = False, -inf
        if units > 0:
            self._blocks.append(_Block(units, now + wait, now))
        pause = ASK_EVERY * self._slower
        self._refill_at = now + pause
        if units >= self._want - 1e-3:  # the wire rounds
            self._ask_at = self._free_at = now
        else:  # it is used to the full
            self._free_at = now + max(wait, pause)
            self._ask_at = min(self._free_at, now + LOOK_AGAIN * self._slower)

    def failed(self, request: Request, now: float) -> None:
        """The store did not answer."""
        self._is_asked, self._since = False, -inf
        self._owed += request.used
        self._mute_until = now + _RETRY

    def lost(self) -> None:
        """The store is away: what was taken is its own matter, and what is owed is forgotten."""
        self.away = True
        self._blocks.clear()
        self._owed = 0.0
        self._is_asked, self._since, self._ask_at = False, -inf, -inf

    def after_fork(self) -> None:
        """In a child process: what is owed is the parent's."""
        self.lost()
        self._owed = 0.0


class SharedDaily(SharedRate):
    """A limit of any 24 hours, of all processes. What this process has used counts here too: while the store is unavailable it may use its share of
    the limit less that, and what it used meanwhile is reported later."""

    is_daily = True
    _block = _hold = DAY_BLOCK

    def __init__(self, daily: Daily, key: str) -> None:
        self._own = daily
        super().__init__(Rate(daily.unit, daily.limit, DAY, daily.limit), key, daily.limit)
        self._interval = 0.0

    def share(self, processes: int) -> None:
        """Of how many processes this one is."""
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
        """The store is away: what was used is reported when it is back, and what was taken and not used is given back then."""
        owed = self._owed - sum(block.units for block in self._blocks)
        super().lost()
        self._owed = owed

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} a day, of all processes"
