"""A store in memory: shared by several pools of one process, and used by tests and simulations of a fleet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import floor

from hotspare._cost.shares import Claim, Portion
from hotspare._health.facts import Fact, merged, supersedes
from hotspare._shared.money import Count
from hotspare._shared.store import MEMBER_SECONDS, Bucket, Grant, Lease, Listener, Picture

_Place = tuple[str, str]


class MemoryStore:
    """See `Store`. `clock`: the store's own clock, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._facts: dict[_Place, tuple[float, Fact]] = {}
        self._version = 0
        self._members: dict[str, float] = {}
        self._arrivals: dict[str, float] = {}
        self._days: dict[str, dict[int, float]] = {}
        self._counts: dict[_Place, Count] = {}
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()

    def sync(self, member: str, since: str = "") -> Picture:
        """As in `Store`."""
        with self._lock:
            now = self._clock()
            self._members[member] = now
            members = [name for name, at in self._members.items() if at > now - MEMBER_SECONDS]
            version = str(self._version)
            facts = None if since == version else tuple(self._holding(now))
            return Picture(version, len(members), facts)

    def _holding(self, now: float) -> list[Fact]:
        found = [aged(fact, now - at) for at, fact in self._facts.values()]
        return [fact for fact in found if fact.remaining > 0]

    def _current(self, place: _Place, now: float) -> Fact | None:
        at, fact = self._facts.get(place, (now, None))
        if fact is None or fact.remaining <= now - at:
            return None
        return aged(fact, now - at)

    def write(self, facts: Sequence[Fact]) -> None:
        """As in `Store`."""
        news: list[Fact] = []
        with self._lock:
            now = self._clock()
            for fact in facts:
                old = self._current((fact.subject, fact.slot), now)
                if old is None or supersedes(fact, old):
                    news.append(fact if old is None else merged(fact, old))
                    self._keep(news[-1], now)
        self._publish(news)

    def _keep(self, fact: Fact, now: float) -> None:
        self._facts[fact.subject, fact.slot] = now, fact
        self._version += 1

    def _publish(self, facts: Sequence[Fact]) -> None:
        for listener in tuple(self._listeners):
            for fact in facts:
                listener(fact)

    def lease(self, subject: str, holder: str, seconds: float, name: str = "") -> Lease:
        """As in `Store`."""
        with self._lock:
            now = self._clock()
            old = self._current((subject, "probe"), now)
            if old is not None and old.cause != holder:
                return Lease(old.cause, old.remaining)
            fact = Fact(subject, "probe", "lease", seconds, name=name, cause=holder)
            self._keep(fact, now)
        self._publish([fact])
        return Lease(holder, seconds)

    def release(self, subject: str, holder: str) -> None:
        """As in `Store`."""
        with self._lock:
            old = self._current((subject, "probe"), self._clock())
            if old is None or old.cause != holder:
                return
            del self._facts[subject, "probe"]
            self._version += 1
        self._publish([replace(old, remaining=0.0, age=0.0)])

    def take(self, bucket: Bucket, want: float, least: float, used: float, horizon: float) -> Grant:
        """As in `Store`."""
        with self._lock:
            now = self._clock()
            if bucket.is_daily:
                return take_daily(bucket.limit, self._days.setdefault(bucket.name, {}), now, want, least, used)
            arrival, grant = take_from(bucket, self._arrivals.get(bucket.name, now) - now, want, least, used, horizon)
            self._arrivals[bucket.name] = now + arrival
            return grant

    def spend(self, member: str, claim: Claim) -> Portion:
        """As in `Store`. Never raises ClockDiffers: there is only one clock."""
        with self._lock:
            return self._counts.setdefault((claim.key, claim.period), Count()).take(member, claim, self._clock())

    def listen(self, listener: Listener) -> Callable[[], None]:
        """As in `Store`; the listener is called in the thread that writes."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def leave(self, member: str) -> None:
        """As in `Store`."""
        with self._lock:
            self._members.pop(member, None)

    def close(self) -> None:
        """Does nothing: there are no connections."""

    def after_fork(self) -> None:
        """In a child process: continue with a separate copy of the store."""
        self._lock = threading.Lock()


def aged(fact: Fact, seconds: float) -> Fact:
    """The fact, `seconds` later."""
    return replace(fact, remaining=fact.remaining - seconds, age=fact.age + seconds)


def take_from(
    bucket: Bucket, arrival: float, want: float, least: float, used: float, horizon: float
) -> tuple[float, Grant]:
    """`Store.take` on `arrival`, the theoretical arrival time of the next unit in seconds from now. Returns the new arrival, and the grant."""
    interval, burst = bucket.interval, bucket.burst
    arrival = max(0.0, max(0.0, arrival) + used * interval)
    if want <= 0:
        return arrival, Grant(0.0, 0.0)
    needed = min(least, burst)  # a cost above the burst is admitted when the bucket is full
    first = max(0.0, arrival + (needed - burst) * interval)
    if first > horizon:
        return arrival, Grant(0.0, first - horizon)
    free = floor((horizon - arrival) / interval + burst + 1e-9)
    units = max(least, min(want, float(free)))
    return arrival + units * interval, Grant(units, arrival + (1 - burst) * interval)


def take_daily(limit: float, hours: dict[int, float], now: float, want: float, least: float, used: float) -> Grant:
    """`Store.take` of a daily limit. `hours`: units used per hour; changed in place. An hour is dropped 24 hours after its end."""
    this = floor(now / 3600)
    for hour in [hour for hour in hours if hour + 25 <= now / 3600]:
        del hours[hour]
    total, units, wait = sum(hours.values()), 0.0, 0.0
    excess = total + used + min(least, limit) - limit
    if want > 0 and excess <= 1e-6:
        units = max(least, min(want, float(floor(limit - total - used + 1e-6))))
    elif want > 0:
        wait = 86400.0
        for hour, count in sorted(hours.items()):
            excess -= count
            if excess <= 1e-6:
                wait = (hour + 25) * 3600 - now
                break
    hours[this] = hours.get(this, 0.0) + used + units
    return Grant(units, wait)
