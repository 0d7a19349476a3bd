"""One count of a shared budget: the script in Redis and its twin in memory, and many processes that spend from it."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hotspare import Budget
from hotspare._cost.shares import Claim, SharedBudgets
from hotspare._shared import money
from hotspare._shared.memory import MemoryStore
from hotspare._shared.money import ClockDiffers
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import StoreError
from hotspare.target import Target

from tests.support.redis_server import RedisServer, newest, oldest, redis_server

TARGET = Target("openai/m", base_url="http://x", api_key="k")


@pytest.fixture(scope="module", params=[oldest, newest], ids=["oldest", "newest"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """The oldest and the newest server that hotspare runs on."""
    executable: Path = request.param()
    with redis_server(executable) as found:
        yield found


def _claim(**fields: float) -> Claim:
    given = {"seconds": 60.0, "now": time.time(), "mine": 0.0, "acked": 0.0, "known": 0.0, "limit": 10.0}
    return Claim("day", "2026-11-27", **{**given, "want": 1.0, "least": 0.01, **fields})  # type: ignore[arg-type]


def test_the_script_counts_as_its_twin_does(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred claims of five processes, with lost answers and a flush: both say the same, claim by claim."""
    with server.client() as client:
        client.flushall()
    store, count, rng = RedisStore(server.url), money.Count(), random.Random(1)
    mine, acked, known = dict.fromkeys("abcde", 0.0), dict.fromkeys("abcde", 0.0), dict.fromkeys("abcde", 0.0)
    monkeypatch.setattr(money, "SWEEP", -1.0)
    for turn in range(200):
        monkeypatch.setattr(money, "LEASE", -1.0 if turn in range(20, 40) else 30.0)  # cut off, and back
        if turn == 100:
            with server.client() as client:
                client.flushall()
            count = money.Count()
        one = rng.choice("abcde")
        mine[one] += rng.random() / 10
        claim = _claim(mine=mine[one], acked=acked[one], known=known[one], want=rng.choice([0, 0.5, 2]))
        got = store.spend(one, claim)
        expected = count.take(one, claim, time.time())
        assert got == pytest.approx(expected, abs=1e-6)
        if rng.random() < 0.8:  # else the answer is lost, and the same is reported again
            acked[one], known[one] = mine[one], got.spent
    assert count.spent == pytest.approx(
        sum(mine.values()), rel=0.05
    )  # what a flush loses is what came after the last answers
    store.close()


def test_the_count_expires_and_holds_a_name_for_people(server: RedisServer) -> None:
    """One key, a digest, with the period's end as its own; a clock that is a minute off is an answer of its own."""
    store = RedisStore(server.url, "team")
    with server.client() as client:
        client.flushall()
        store.spend("a", _claim())
        (key,) = client.keys("*")
        assert key.startswith("team:v1:budget:")
        assert 0 < client.ttl(key) <= 60
        assert client.hget(key, "name") == "day 2026-11-27"
        with pytest.raises(ClockDiffers) as differs:
            store.spend("a", _claim(now=time.time() - 60))
        assert differs.value.seconds == pytest.approx(60, abs=2)
        client.set(key, "not a hash")
        with pytest.raises(StoreError):
            store.spend("a", _claim())
    store.close()


class Process:
    """One process of a fleet in virtual time, whose calls are counted immediately."""

    def __init__(self, name: str, store: MemoryStore, now: list[float], usd: float, skew: float = 0.0) -> None:
        self.name, self.store, self.spent, self.refused, self.asked = name, store, 0.0, 0, 0
        self.budgets = SharedBudgets([Budget(usd=usd, per="month")], lambda: now[0] + skew)

    def call(self, cost: float, *, store: bool = True) -> None:
        """One call, if the budget allows it."""
        self.ask(self.budgets.claims_before("default", {})[1], store)
        if self.budgets.reached("default", {}):
            self.refused += 1
            return
        self.spent += cost
        self.budgets.add("default", {}, [(TARGET, cost)])
        self.ask(self.budgets.claims_after("default", {}), store)

    def ask(self, claims: list[Claim], store: bool = True) -> None:
        """Have the store answer."""
        for claim in claims:
            self.asked += 1
            if store:
                self.budgets.granted(claim, self.store.spend(self.name, claim))
            else:
                self.budgets.failed(claim.key)


def _fleet(count: int, usd: float) -> tuple[list[Process], list[float]]:
    now = [1_800_000_000.0]
    store = MemoryStore(lambda: now[0])
    return [Process(f"p{number}", store, now, usd) for number in range(count)], now


@pytest.mark.parametrize("rate", [1, 100])
def test_a_hard_budget_holds_over_a_fleet(rate: int) -> None:
    """Eight processes spend all of it, and no more than a call each on top; questions do not grow with the calls a second."""
    fleet, now = _fleet(8, 5.0)
    rng, seconds = random.Random(2), 0
    while sum(one.refused for one in fleet) < 16 * rate:
        seconds += 1
        for _ in range(rate):
            now[0] += 1 / rate
            for process in fleet:
                process.call(rng.uniform(0.5, 1.5) * 0.5 / 8 / rate)
        for process in fleet:
            process.ask(process.budgets.claims_now())
    spent = sum(one.spent for one in fleet)
    assert 5 * 0.99 <= spent <= 5 + 8 * 1.5 * 0.5 / 8 / rate
    assert sum(one.asked for one in fleet) / 8 < seconds + 50


def test_a_process_that_waits_leaves_the_rest_to_the_others() -> None:
    """What an idle process has reserved comes back; what a killed one has not reported counts as spent after its lease."""
    fleet, now = _fleet(2, 10.0)
    for process in fleet:
        for _ in range(5):
            now[0] += 0.1
            process.call(0.5)
    now[0] += 6
    fleet[0].ask(fleet[0].budgets.claims_now())
    for _ in range(20):
        now[0] += 5  # the other one says nothing any more
        fleet[0].call(0.5)
    assert 10 - 0.5 - 2.0 <= sum(one.spent for one in fleet) <= 10.5


def test_without_the_store_a_process_spends_an_equal_part() -> None:
    """Four processes that are alone spend what was left among them, and what each has spent is counted when the store is back."""
    fleet, now = _fleet(4, 10.0)
    for process in fleet:
        process.call(0.5)
    for process in fleet:
        process.ask(process.budgets.claims_now())
        now[0] += 2
        process.call(0.5)
    for _ in range(10):
        now[0] += 60
        for process in fleet:
            process.call(0.5, store=False)
    alone = sum(one.spent for one in fleet)
    assert 8.0 <= alone <= 10.0 + 4 * 0.5
    for process in fleet:
        process.ask(process.budgets.claims_now())
        process.call(0.5)
    assert sum(one.spent for one in fleet) <= alone + 4 * 0.5
    assert fleet[-1].budgets.spent() == {"month": pytest.approx(sum(one.spent for one in fleet), abs=0.5)}
    assert fleet[0].store._counts[("month", "2027-01")].spent == pytest.approx(sum(one.spent for one in fleet), abs=0.5)


def test_a_clock_that_is_off_names_the_period_of_the_store() -> None:
    """A process that is an hour late counts into the same month, day or hour as the others."""
    now = [1_800_000_000.0]
    budgets = SharedBudgets([Budget(usd=1, per="hour")], lambda: now[0] - 3600)
    claim = budgets.claims_before("default", {})[1][0]
    shifted = budgets.shifted(claim, 3600.0)
    right = SharedBudgets([Budget(usd=1, per="hour")], lambda: now[0]).claims_before("default", {})[1][0]
    assert claim.period != right.period
    assert (shifted.period, shifted.now) == (right.period, right.now)
