"""Gauges, each of one limit: units over time (GCRA), units in 24 hours, what the provider's headers state, and concurrency.

A gauge says when it admits a cost. The start of an attempt takes the expected cost from it; the attempt's end corrects that to the
actual cost. Pure: times are seconds on the pool's clock.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Literal

Unit = Literal["requests", "tokens", "input_tokens", "output_tokens"]

DAY = 86400.0
_HOUR = 3600.0
FIRST_DURATION = 1.0
"""Assumed seconds of an attempt, until attempts have ended."""
_DURATION_WEIGHT = 0.1
"""Weight of the latest attempt in the moving average of durations."""
_HEADROOM = 0.02
"""Share of a learnt limit, plus one request, that is left unused: answers, and so their headers, may arrive out of order."""


class Rate:
    """`limit` units in `period` seconds, at most `burst` of them at once.

    The generic cell rate algorithm (ITU-T I.371): a token bucket without a timer, which keeps one number, the theoretical arrival time
    of the next unit. A cost above `burst` is admitted when the bucket is full.
    """

    def __init__(self, unit: Unit, limit: float, period: float, burst: float) -> None:
        self.unit: Unit = unit
        self.limit = limit
        self.period = period
        self._interval = period / limit
        self.capacity = burst
        self._arrival = -inf  # the theoretical arrival time

    def ready_at(self, cost: float, now: float, ahead: float = 0.0) -> float:
        """When `cost` is admitted, if `ahead` is taken before it; `now` or earlier: immediately."""
        needed = ahead + min(cost, self.capacity) - self.capacity
        return max(self._arrival, now) + needed * self._interval

    def take(self, cost: float, now: float) -> None:
        """Use it, admitted or not."""
        self._arrival = max(self._arrival, now) + cost * self._interval

    def correct(self, difference: float, now: float) -> None:
        """An attempt used so much more than was taken for it; less, where it is negative."""
        self._arrival = max(self._arrival, now) + difference * self._interval

    def left(self, now: float) -> float:
        """Units that are admitted now; below 0 if more was used than admitted."""
        return self.capacity - (max(self._arrival, now) - now) / self._interval

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} {'a minute' if self.period == 60 else f'in {self.period:g} s'}"


class Daily:
    """At most `limit` units in any 24 hours, because the hour at which the provider's day begins is unknown. Counted per hour."""

    def __init__(self, unit: Unit, limit: float) -> None:
        self.unit: Unit = unit
        self.limit = self.capacity = limit
        self._used = 0.0
        self._hours: deque[list[float]] = deque()  # per hour: its start, and the units used

    def ready_at(self, cost: float, now: float, ahead: float = 0.0) -> float:
        """When `cost` is admitted, if `ahead` is taken before it; `now` or earlier: immediately."""
        excess = self._used + ahead + min(cost, self.limit) - self.limit
        at = now
        for began, used in self._hours:
            forgotten_at = began + _HOUR + DAY
            if forgotten_at > now:
                if excess <= 0:
                    break
                at = forgotten_at
            excess -= used
        return at if excess <= 0 else now + DAY

    def take(self, cost: float, now: float) -> None:
        """Use it, admitted or not."""
        while self._hours and self._hours[0][0] + _HOUR + DAY <= now:
            self._used -= self._hours.popleft()[1]
        if not self._hours or now >= self._hours[-1][0] + _HOUR:
            self._hours.append([now, 0.0])
        self._hours[-1][1] += cost
        self._used += cost

    def correct(self, difference: float, now: float) -> None:
        """An attempt used so much more than was taken for it; less, where it is negative."""
        self.take(difference, now)

    def left(self, now: float) -> float:
        """Units that are admitted now."""
        return self.limit - sum(used for began, used in self._hours if began + _HOUR + DAY > now)

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} a day"


class Slots:
    """At most `limit` concurrent attempts."""

    unit: Unit = "requests"

    def __init__(self, limit: int) -> None:
        self.limit = self.capacity = limit
        self.active = 0
        self._duration = FIRST_DURATION  # a moving average

    def ready_at(self, cost: float, now: float, ahead: float = 0.0) -> float:
        """`now` if a slot is free, else an estimate from the usual duration of attempts: only the end of an attempt frees a slot."""
        excess = self.active + ahead + 1 - self.limit
        return now + max(0.0, excess * self._duration / self.limit)

    def take(self, cost: float, now: float) -> None:
        """An attempt starts."""
        self.active += 1

    def release(self, seconds: float) -> None:
        """An attempt has ended after `seconds`. After a fork, the parent's attempts are not counted."""
        self.active = max(0, self.active - 1)
        self._duration += _DURATION_WEIGHT * (seconds - self._duration)

    def left(self, now: float) -> float:
        """How many more attempts may be in flight."""
        return self.limit - self.active

    def __str__(self) -> str:
        return f"{self.limit} concurrent attempts"


class Learnt:
    """A limit learnt from the headers of answers: its size, the remaining units, and the time of its reset.

    Between two answers it is assumed to refill evenly. After an answer with nothing remaining it admits nothing until the reset,
    because some providers refill only at the end of a window. Its capacity is the largest remaining value seen, since a provider's
    burst may be smaller than its limit per minute.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit: Unit = unit
        self.limit = 0.0
        self.closed_until = -inf
        self.capacity = 0.0
        self._rate = 0.0  # units refilled in a second
        self._level = 0.0  # units remaining at the time `_at`
        self._at = -inf
        self._taken = 0.0
        self._newest = -inf  # `_taken` at the start of the attempt whose answer was applied last

    @property
    def taken(self) -> float:
        """All units ever taken. Each attempt stores this total, since the remaining units in its answer do not include what was taken
        after it started."""
        return self._taken

    def observe(
        self,
        limit: float,
        remaining: float,
        reset: float,
        *,
        cost: float,
        taken: float,
        started: float,
        now: float,
        until_reset: bool = True,
    ) -> None:
        """Apply the headers of an answer, which state the limit at the time the provider received the request.

        `reset`: seconds from now. `cost`: of the attempt. `taken`, `started`: the total taken, and the time, when the attempt started.
        `until_reset`: if nothing remains, admit nothing before the reset.
        """
        if taken < self._newest or limit <= 0:  # a later attempt was answered first
            return
        self._newest, self.limit = taken, limit
        used = limit - remaining
        self._rate = limit / 60
        if used > 0 and reset > 0:
            self._rate = min(self._rate, used / reset)
        self.capacity = min(limit, max(self.capacity, remaining + cost))
        since = max(0.0, now - started) * self._rate
        self._level, self._at = min(self.capacity, remaining + since - (self._taken - taken)), now
        if until_reset and remaining <= 0 < reset:
            self.closed_until = now + reset

    def _level_at(self, now: float) -> float:
        """The estimate of the remaining units; the full capacity after a reset that was waited for."""
        if self.closed_until > self._at and now >= self.closed_until:
            return self.capacity
        return min(self.capacity, self._level + (now - self._at) * self._rate)

    def ready_at(self, cost: float, now: float, ahead: float = 0.0) -> float:
        """When `cost` is admitted, if `ahead` is taken before it; `now` or earlier: immediately."""
        if not self.limit or self.closed_until > now:
            return self.closed_until
        level = self._level_at(now)
        headroom = _HEADROOM * self.capacity + (1.0 if self.unit == "requests" else 0.0)
        needed = ahead + min(cost + headroom, self.capacity)
        return now if level >= needed - 1e-9 else now + (needed - level) / self._rate

    def take(self, cost: float, now: float) -> None:
        """Use it, admitted or not."""
        self._level, self._at = self._level_at(now) - cost, max(now, self._at)
        self._taken += cost

    def left(self, now: float) -> float:
        """Estimate of the remaining units."""
        return 0.0 if self.closed_until > now else max(0.0, self._level_at(now))

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit}, stated by the provider"
