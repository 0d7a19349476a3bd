"""Budgets: counted per hour, day and month, by route, account and label; kept over a restart."""

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from hotspare import Budget, BudgetExceeded, ConfigError, Kind, Outcome, Pool, Price, SkipReason, Usage
from hotspare._drivers import spend_file
from hotspare._shared import worker
from hotspare.events import BudgetReached, CallEnded, Event
from hotspare.testing import ScriptedTarget, VirtualClock, answer, break_after, fail, scripted_pool

from tests.support.eventually import eventually

DOLLAR = Usage(500_000, 250_000)
"""What costs 1 USD at `PRICE`."""
PRICE = Price(1.0, 2.0)
HOUR = 3600.0


def dear(name: str = "dear", **fields: Any) -> ScriptedTarget:
    """A target of which every answer costs 1 USD."""
    return ScriptedTarget(name, answer("ok", usage=DOLLAR), **{"price": PRICE, **fields})


def refused(pool: Pool, **options: Any) -> BudgetExceeded:
    """The error of a call that its budget refuses."""
    with pytest.raises(BudgetExceeded) as caught:
        pool.chat("q", **options)
    return caught.value


@pytest.mark.parametrize(("per", "seconds"), [("hour", HOUR), ("day", 24 * HOUR), ("month", 30 * 24 * HOUR)])
def test_a_period_has_its_amount(per: Any, seconds: float) -> None:
    """Once it is spent, calls are refused with the time of the reset; the next period of the calendar has all of it again."""
    clock, target = VirtualClock(), dear()
    pool = scripted_pool(target, clock=clock, budgets=[Budget(usd=2, per=per)])
    clock.advance(24 * HOUR - clock() + 100)  # 100 s into the second of January 1970
    assert [pool.chat("q").cost, pool.chat("q").cost] == [pytest.approx(1.0)] * 2
    error = refused(pool)
    assert target.calls == 2
    assert error.budget == per
    assert error.retry_after == pytest.approx(seconds - 100)
    reset = datetime.fromtimestamp(clock() + error.retry_after, UTC)
    assert f"the budget {per!r} is spent: 2 of 2 USD; it resets at {reset:%Y-%m-%d %H:%M} UTC, in " in str(error)
    assert "raise its `usd`" in str(error)
    clock.advance(error.retry_after)
    assert pool.chat("q").text == "ok"
    assert pool.spent() == {per: pytest.approx(1.0)}


def test_labels_and_routes_have_budgets_of_their_own() -> None:
    """`{"tenant": "*"}` counts each tenant apart; a route's budget leaves other routes alone; calls without the label are free."""
    budgets = [Budget(usd=1, per="day", labels={"tenant": "*"}), Budget(usd=1, per="hour", route="batch")]
    pool = scripted_pool(dear(), budgets=budgets, routes={"batch": ["dear"]})
    pool.chat("q", labels={"tenant": "a"})
    assert refused(pool, labels={"tenant": "a"}).budget == "day tenant=* tenant=a"
    pool.chat("q", labels={"tenant": "b"})
    pool.chat("q", model="batch")
    assert refused(pool, model="batch").budget == "hour route=batch"
    assert pool.chat("q").text == "ok"


def test_an_accounts_budget_leaves_the_others() -> None:
    """Targets of another account continue to answer; `explain` says why the first is skipped."""
    pool = scripted_pool(
        dear("a", account="team"), dear("b", account="spare"), budgets=[Budget(usd=1, per="day", account="team")]
    )
    assert [pool.chat("q").target for _ in range(3)] == ["a", "b", "b"]
    (skipped,) = [choice for choice in pool.explain().choices if choice.skipped]
    assert (skipped.target, skipped.skipped) == ("a", SkipReason.OVER_BUDGET)


def test_cheaper_targets_go_on() -> None:
    """`cheaper` leaves the targets up to its price; without one the call is refused."""
    budget = Budget(usd=1, per="day", action="cheaper", max_price=0.5)
    cheap = ScriptedTarget("cheap", answer("ok", usage=DOLLAR), price=Price(0.1, 0.2))
    pool = scripted_pool(dear(), cheap, budgets=[budget])
    assert [pool.chat("q").target for _ in range(3)] == ["dear", "cheap", "cheap"]
    pool = scripted_pool(dear(), budgets=[budget])
    pool.chat("q")
    assert refused(pool).budget == "day"


def test_warnings() -> None:
    """`warn` refuses nothing. Every budget reports `warn_at` and its end once a period."""
    seen: list[Event] = []
    pool = scripted_pool(
        dear(), budgets=[Budget(usd=2, per="day", action="warn", warn_at=0.5)], listeners=[seen.append]
    )
    for _ in range(4):
        pool.chat("q")
    found = [event for event in seen if isinstance(event, BudgetReached)]
    assert [(event.spent, event.limit, event.action) for event in found] == [(1.0, 2.0, "warn"), (2.0, 2.0, "warn")]


def test_what_was_paid_for_in_vain_counts() -> None:
    """A broken stream, and one that its caller left, are paid for; events say what was wasted, attempt by attempt."""
    seen: list[Event] = []
    broken = ScriptedTarget("broken", break_after(2, "one two three four"), price=PRICE)
    pool = scripted_pool(broken, dear(), budgets=[Budget(usd=9, per="day")], listeners=[seen.append])
    assert "ok" in "".join(chunk.text for chunk in pool.stream("q" * 400))
    (ended,) = [event for event in seen if isinstance(event, CallEnded)]
    assert [(one.target, one.wasted) for one in ended.paid] == [("broken", True), ("dear", False)]
    assert ended.cost is not None and ended.wasted is not None
    assert ended.wasted == pytest.approx((100 * 1.0 + 2 * 2.0) / 1e6)
    assert pool.spent() == {"day": pytest.approx(ended.cost)}
    chunks = pool.stream("q" * 400)
    next(chunks)
    chunks.close()
    assert pool.spent()["day"] > ended.cost


def test_threads_and_loops_pass_it_by_what_is_under_way_only() -> None:
    """Two hundred callers, half in threads and half under asyncio: never more is spent than the amount and what was in flight."""
    import time

    def slow(_: Any) -> Any:
        time.sleep(0.002)
        return answer("ok", usage=DOLLAR)

    target = ScriptedTarget("t", slow, price=PRICE)
    pool = Pool([target.target], budgets=[Budget(usd=20, per="month")])
    at_once = 10
    refusals: list[int] = []

    def caller(calls: int) -> None:
        for _ in range(calls):
            try:
                pool.chat("q")
            except BudgetExceeded:
                refusals.append(1)

    threads = [threading.Thread(target=caller, args=(10,)) for _ in range(at_once)]

    async def loop() -> None:
        limiter = anyio.Semaphore(at_once)

        async def one() -> None:
            async with limiter:
                try:
                    await pool.achat("q")
                except BudgetExceeded:
                    refusals.append(1)

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(one)

    for thread in threads:
        thread.start()
    anyio.run(loop)
    for thread in threads:
        thread.join()
    assert 20 <= target.calls <= 20 + 2 * at_once
    assert target.calls + len(refusals) == 200
    assert pool.spent() == {"month": pytest.approx(target.calls)}


def test_a_file_keeps_what_was_spent(tmp_path: Path) -> None:
    """A new pool, as after a restart, knows what was spent; a second one, as in another process, learns it with its own calls."""
    path = str(tmp_path / "spent.db")
    options: dict[str, Any] = {"budgets": [Budget(usd=3, per="day")], "spend_file": path}
    first, second = scripted_pool(dear(), **options), scripted_pool(dear(), **options)
    first.chat("q")
    first.chat("q")
    second.chat("q")
    assert second.spent() == {"day": pytest.approx(3.0)}
    refused(second)
    refused(scripted_pool(dear(), **options))


def test_a_file_that_cannot_be_written_fails_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and the budget counts in memory."""
    pool = scripted_pool(dear(), budgets=[Budget(usd=2, per="day")], spend_file=str(tmp_path))
    pool.chat("q")
    pool.chat("q")
    refused(pool)
    assert caplog.text.count("budgets count in memory only") == 1


def test_what_a_busy_file_did_not_take_is_added_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that ends while another process holds the file's lock for too long is not lost for the others."""
    monkeypatch.setattr(spend_file, "WAIT", 0.3)
    monkeypatch.setattr(worker, "AWAY", 0.0)
    path = str(tmp_path / "spent.db")
    options: dict[str, Any] = {"budgets": [Budget(usd=9_999, per="day")], "spend_file": path}
    pool = scripted_pool(dear(), **options)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        pool.chat("q")
        other.execute("ROLLBACK")
    monkeypatch.undo()

    def is_added() -> bool:
        pool.chat("q")  # on a busy machine this one's write may still be refused, too
        with scripted_pool(dear(), **options) as other_pool:
            return other_pool.spent() == pool.spent()

    eventually(is_added, pool.spent)


def test_mistakes_are_named() -> None:
    """A budget that cannot be kept is an error: without prices, for an unknown route or account, with wrong numbers."""
    with pytest.raises(ConfigError, match="has no known price"):
        scripted_pool(ScriptedTarget("a"), budgets=[Budget(usd=1, per="day")])
    with pytest.raises(ConfigError, match=r"budget.account: 'x' is not the account of a target of this pool"):
        scripted_pool(dear(), budgets=[Budget(usd=1, per="day", account="x")])
    with pytest.raises(ConfigError, match=r"budget.route: 'x' is not a route"):
        scripted_pool(dear(), budgets=[Budget(usd=1, per="day", route="x")])
    for wrong in ({"usd": 0, "per": "day"}, {"usd": 1, "per": "week"}, {"usd": 1, "per": "day", "action": "cheaper"}):
        with pytest.raises(ConfigError, match="budget"):
            Budget(**wrong)  # type: ignore[arg-type]


def test_budgets_in_a_file() -> None:
    """`[[budgets]]` tables of a configuration."""
    pool = Pool.from_config(
        {
            "targets": [{"id": "openai/gpt-4.1", "api_key": "k", "price": [1, 2]}],
            "budgets": [
                {"usd": 5, "per": "day", "labels": {"tenant": "*"}},
                {"usd": 50, "per": "month", "action": "warn"},
            ],
        }
    )
    assert {(one.usd, one.per) for one in pool.policy.budgets} == {(5.0, "day"), (50.0, "month")}


def test_a_failed_call_costs_nothing() -> None:
    """A failure before any content is not counted."""
    pool = scripted_pool(
        ScriptedTarget("a", fail(Outcome(Kind.SERVER, "down", 500)), price=PRICE),
        dear(),
        budgets=[Budget(usd=2, per="day")],
    )
    pool.chat("q")
    assert pool.spent() == {"day": pytest.approx(1.0)}
