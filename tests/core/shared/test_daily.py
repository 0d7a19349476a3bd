"""Daily limits of a whole fleet: in all stores, and for four processes on one virtual time."""

import json
import time

from hotspare import Limits
from hotspare._routing.gauges import Daily
from hotspare._routing.shared_rate import EXHAUSTED_INTERVAL, SharedDaily
from hotspare._shared.file_store import FileStore
from hotspare._shared.memory import MemoryStore
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import Bucket, Store

from tests.support.shared_pools import SharedPools

HOUR = 3600.0
BUCKET = Bucket("day", limit=100.0, period=86400.0, burst=100.0, is_daily=True)


def put(store: Store, hours_ago: int, units: float) -> None:
    """So much was used so many hours ago."""
    if isinstance(store, MemoryStore):
        store._days.setdefault("day", {})[int(time.monotonic() // HOUR) - hours_ago] = units
        return
    if isinstance(store, FileStore):
        store.take(BUCKET, 0, 0, 0, 0)
        with store._changing() as (file, _):
            (kept,) = file.execute("SELECT hours FROM days").fetchone()
            hours = json.loads(kept) | {str(int(time.time() // HOUR) - hours_ago): units}
            file.execute("UPDATE days SET hours = ?", (json.dumps(hours),))
        return
    assert isinstance(store, RedisStore)
    store.client.hset(store.key("day:day"), str(int(time.time() // HOUR) - hours_ago), str(units))


def test_a_day_is_counted_by_the_hour(store: Store) -> None:
    """Units of any 24 hours are taken once. Those of an hour that ended a day ago are forgotten, and it is said when the next ones will be. What is given
    back can be taken again, and a cost above the limit is admitted once nothing is used."""
    put(store, 25, 90.0)
    put(store, 24, 30.0)
    assert store.take(BUCKET, 50, 1, 0, 0) == (50.0, 0.0)
    assert store.take(BUCKET, 50, 1, 0, 0).units == 20
    full = store.take(BUCKET, 5, 1, 0, 0)
    assert full.units == 0 and 0 < full.wait <= HOUR, "then what was used 24 hours ago is forgotten"
    assert store.take(BUCKET, 60, 60, 0, 0).wait > 24 * HOUR
    store.take(BUCKET, 0, 0, -7, 0)
    assert store.take(BUCKET, 50, 1, 0, 0).units == 7
    store.take(BUCKET, 0, 0, -100, 0)
    assert store.take(BUCKET, 500, 500, 30, 0).units == 0
    store.take(BUCKET, 0, 0, -60, 0)
    assert store.take(BUCKET, 500, 500, 0, 0).units == 500


def used(fleet: SharedPools, seconds: float) -> int:
    """Calls of all processes for so long, four times a second; how many of them the first target answered."""
    before, until = fleet.calls, fleet.now + seconds
    while fleet.now < until:
        for member in fleet.members:
            member.call()
        fleet.pass_time(0.25, 0.25)
    return fleet.calls - before


def test_four_processes_have_one_day() -> None:
    """Together they use it to the last request, those that a process has taken and not used too, and no more; none of them queries it all the time then; and 25 hours later they have another
    one. A call that comes too late is not held up: it goes to the other target."""
    fleet = SharedPools(4, fields={"limits": Limits(rpd=40)})
    assert used(fleet, 18) == 40
    asked = fleet.store.taken
    assert used(fleet, 11) == 0
    assert fleet.store.taken - asked <= 4 * 3
    fleet.pass_time(25 * HOUR, 600)
    assert used(fleet, 18) == 40


def test_a_day_without_the_store() -> None:
    """Each process may use its share less what it has used itself; what it uses is reported once the store is back."""
    fleet = SharedPools(4, fields={"limits": Limits(rpd=100)})
    member = fleet.members[0]
    for _ in range(10):
        member.call()
        fleet.pass_time(0.1)
    fleet.store.error = "away"
    fleet.pass_time(3)
    assert [member.call() for _ in range(20)] == ["first"] * 15 + ["second"] * 5
    fleet.store.error = ""
    fleet.pass_time(10)
    assert used(fleet, 18) == 100 - 25


def test_units_that_come_back_are_asked_for_and_a_child_owes_nothing() -> None:
    """Of a limit that is used to the full for hours, a process asks again after 10 s; between them it says how long it lasts. What was used while the
    store was away is reported by the process that used it, and not by its child."""
    daily = SharedDaily(Daily("tokens", 100.0), "key")
    daily.is_store_down = False
    daily.hold(5, 0.0, 0.0)
    assert daily.request(0.0) is not None
    daily.granted(0.0, 5 * HOUR, 0.0)
    assert daily.ready_at(5, 1.0) == 5 * HOUR and not daily.is_fetching(5, 1.0)
    daily.hold(5, 1.0, 0.0)
    assert daily.request(EXHAUSTED_INTERVAL - 0.1) is None and daily.request(EXHAUSTED_INTERVAL) is not None
    daily.granted(100.0, 0.0, EXHAUSTED_INTERVAL)
    daily.take(30.0, EXHAUSTED_INTERVAL)
    daily.correct(-10.0, EXHAUSTED_INTERVAL)
    daily.lost()
    daily.take(7.0, 11.0)
    daily.correct(1.0, 11.0)
    assert daily.left(11.0) == 100 - 28
    daily.is_store_down = False
    request = daily.request(12.0)
    assert request is not None and request.used == -70 - 10 + 8
    daily.lost()
    daily.take(5.0, 13.0)
    daily.after_fork()
    daily.is_store_down = False
    own = daily.request(14.0)
    assert own is not None and own.used == 0
    assert str(daily) == "100 tokens a day, across all processes"
