"""What a call has cost, which part was wasted, what it saved, and which targets a used-up budget forbids."""

from typing import Any

import pytest
from hotspare import Budget, ChatReply, Price, Usage, events
from hotspare._cost.budgets import Budgets
from hotspare._engine import spending
from hotspare._engine.call import Call
from hotspare._engine.scheduler import Scheduler
from hotspare._health.target_state import TargetState
from hotspare._routing.explain import Exclusion, SkipReason
from hotspare.errors import BudgetExceeded
from hotspare.messages import ChatRequest
from hotspare.policy import Policy

from tests.support.engine import OK, Engine, FixedRandom, call_of, state_of

PROMPT = ChatRequest(messages=[{"role": "user", "content": "x" * 400}])
"""About 100 tokens."""
ONE_A_TOKEN = Price(1e6, 1e6)


def priced(name: str, usd: float | None = 1e6, **fields: Any) -> TargetState:
    """A target with this price for a million tokens of any kind."""
    return state_of(name, price=None if usd is None else Price(usd, usd), **fields)


def call_with_parts(*states: TargetState, answered: bool = True) -> Call:
    """Each target has used 10 and 5 tokens; the last one has answered."""
    engine = Engine(states)
    call = engine.call(request=PROMPT)
    for state in states:
        call.parts.append((engine.start(call, state.name), Usage(10, 5)))
    call.usage = Usage(10, 5) if answered else None
    return call


def test_the_bill_of_a_call() -> None:
    """Each part with its cost; all but the answer are wasted, the prompts of attempts that were cancelled too."""
    a, b = priced("a"), priced("b", 2e6)
    call = call_with_parts(a, b)
    engine = Engine([a, b])
    lost = engine.start(call, "a")
    lost.lost = True
    assert spending.bill(call) == (
        events.Paid(1, "a", Usage(10, 5), 15.0, True),
        events.Paid(2, "b", Usage(10, 5), 30.0, False),
        events.Paid(3, "a", Usage(100, 0), 100.0, True),
    )
    assert spending.call_cost(call) == 145.0
    call.usage = None
    assert [one.wasted for one in spending.bill(call)] == [True, True, True]
    assert spending.bill(call_of(a)) == () and spending.call_cost(call_of(a)) == 0.0
    call = call_of(a)
    call.usage = Usage(1, 1)
    assert spending.bill(call) == ()


def test_a_price_that_is_not_known() -> None:
    """Neither the cost of its part nor that of the call is known."""
    call = call_with_parts(priced("a", None), priced("b"))
    assert [one.cost for one in spending.bill(call)] == [None, 15.0]
    assert spending.call_cost(call) is None


@pytest.mark.parametrize(
    ("first", "second", "saved"), [(3e6, 1e6, 30.0), (1e6, 3e6, 0.0), (None, 1e6, None), (1e6, None, None)]
)
def test_what_a_call_saved(first: float | None, second: float | None, saved: float | None) -> None:
    """By how much the answer was cheaper than at the first target of the route; never negative."""
    call = call_with_parts(priced("a", first), priced("b", second))
    assert spending.saved(call) == saved
    call.usage = None
    assert spending.saved(call) is None, "not answered"
    call.usage, call.parts = Usage(10, 5), []
    assert spending.saved(call) is None


def spent(*budgets: Budget, usd: float = 10.0, account: str = "x") -> Budgets:
    """Budgets of which so much was spent on an account, 29 days after the beginning of 1970, half an hour after midnight."""
    found = Budgets(budgets, lambda: 29 * 86400 + 1800.0)
    found.add("default", {}, [(state_of("any", account=account).target, usd)])
    return found


def test_a_budget_that_refuses() -> None:
    """Raised if no target is left, with the one that begins again last, what was spent and the way out."""
    budgets = spent(Budget(usd=10, per="hour"), Budget(usd=10, per="month"))
    with pytest.raises(BudgetExceeded) as caught:
        spending.allow(call_of(priced("a"), priced("b")), budgets)
    assert str(caught.value) == (
        "no target may be used: the budget 'month' is spent: 10 of 10 USD; it resets at 1970-02-01 00:00 UTC, in 1 d 23 h; "
        "raise its `usd`, or allow cheaper targets (action = 'cheaper')"
    )
    assert caught.value.budget == "month" and caught.value.retry_after == 86400 * 2 - 1800


@pytest.mark.parametrize(
    ("budget", "usd"),
    [(Budget(usd=10, per="day", action="warn"), 10.0), (Budget(usd=10, per="day"), 9.0)],
    ids=["warns", "is not spent"],
)
def test_a_budget_that_forbids_nothing(budget: Budget, usd: float) -> None:
    """No target is excluded."""
    call = call_of(priced("a"))
    spending.allow(call, spent(budget, usd=usd))
    assert call.excluded == {}


def test_a_budget_that_allows_cheaper_targets() -> None:
    """Targets up to its price are left, with the reason for all others; an unknown price is too much."""
    budget = Budget(usd=10, per="day", action="cheaper", max_price=2.0)
    a, b, c = priced("a", 3.0), priced("b", 2.0), priced("c", 2.1)
    call = call_of(a, b, c)
    other = Exclusion(SkipReason.OVER_BUDGET, "before")
    call.excluded = {c: other}
    spending.allow(call, spent(budget))
    reason = "the budget 'day' is spent: 10 of 10 USD; it resets at 1970-01-31 00:00 UTC, in 23 h 31 min"
    assert list(call.excluded) == [c, a]
    assert call.excluded[a] == Exclusion(SkipReason.OVER_BUDGET, reason)
    with pytest.raises(
        BudgetExceeded, match=r"raise its `usd`, or its `max_price` of 2: no target of the call is cheaper$"
    ):
        spending.allow(call_of(a), spent(budget))


def test_a_budget_of_one_account() -> None:
    """Only the targets of that account are excluded."""
    mine, other = priced("a", account="x"), priced("b", account="y")
    call = call_of(mine, other)
    spending.allow(call, spent(Budget(usd=10, per="day", account="x")))
    assert list(call.excluded) == [mine]


def scheduler(budgets: Budgets, *states: TargetState) -> Scheduler:
    return Scheduler(states, Policy(), FixedRandom(), budgets)


def test_the_scheduler_counts_what_calls_cost() -> None:
    """At the end of each call, with an event when all is spent; not of a call that pays itself, and nothing without a known price."""
    a = priced("a")
    budgets = Budgets([Budget(usd=10, per="day", warn_at=1.0)], lambda: 1800.0)
    shared = scheduler(budgets, a)
    for fields, spending_now in (({"pays_itself": True}, 0.0), ({}, 15.0)):
        call = call_with_parts(a)
        for name, value in fields.items():
            setattr(call, name, value)
        shared.call_started(0.0, call)
        shared.record_call_end(call, 1.0)
        assert shared.spent().get("day", 0.0) == spending_now
    reached = events.BudgetReached("day", 15.0, 10.0, "refuse", 84600.0)
    assert [one for one in shared.take_pending()[0] if isinstance(one, events.BudgetReached)] == [reached]
    refused = call_of(a)
    with pytest.raises(BudgetExceeded):
        shared.call_started(2.0, refused)
    shared.call_started(2.0, call_of(a, pays_itself=True))
    shared.observe(False)
    shared.record_call_end(call_with_parts(priced("a", None)), 3.0)
    shared.record_call_end(call_with_parts(a), 3.0)
    assert shared.spent() == {"day": 30.0}, "also without listeners"
    shared.call_started(2.0)


def test_a_call_that_is_reported_late_is_counted_at_its_end() -> None:
    """Only its events are created later, by the thread of the listeners."""
    a = priced("a")
    shared = scheduler(Budgets([Budget(usd=100, per="day")], lambda: 1800.0), a)
    shared.observe(True, late=True)
    call = call_with_parts(a)
    shared.call_started(0.0, call)
    shared.record_call_end(call, 1.0)
    assert list(shared.answered) == [(call, 1.0)] and shared.spent() == {"day": 15.0}


def test_a_plan_shows_what_a_budget_forbids() -> None:
    """`explain` raises nothing, whether a target is left or not."""
    a = priced("a")
    shared = scheduler(spent(Budget(usd=10, per="day")), a)
    (row,) = shared.explain(call_of(a), "default", 0.0).choices
    assert (row.admissible, row.skipped) == (False, SkipReason.OVER_BUDGET) and row.reason.startswith(
        "the budget 'day' is spent"
    )
    (row,) = shared.explain(call_of(a, pays_itself=True), "default", 0.0).choices
    assert row.admissible


def test_the_cost_of_a_call_that_failed() -> None:
    """Its parts were paid for although it has no answer; the cost of an answer is left as it is."""
    a = priced("a")
    shared = scheduler(Budgets([], lambda: 0.0), a)
    call = call_with_parts(a, answered=False)
    shared.record_call_end(call, 1.0, ValueError())
    assert call.cost == 15.0
    call = call_with_parts(a)
    call.cost = 7.0
    shared.record_call_end(call, 1.0)
    assert call.cost == 7.0


def test_a_whole_answer_is_no_part_by_itself() -> None:
    """`parts` are recorded where the answer is read; an attempt that has ended adds none."""
    engine = Engine([priced("a")])
    call = engine.call()
    attempt = engine.start(call)
    attempt.result, attempt.unary = ChatReply(text="x", usage=Usage(1, 1)), True
    engine.settle(call, attempt, OK, 1.0)
    assert call.parts == [] and spending.bill(call) == ()


@pytest.mark.parametrize(
    ("budget", "price", "is_barred"),
    [
        (Budget(usd=10, per="day"), 0.0, True),
        (Budget(usd=10, per="day", action="cheaper", max_price=0.0), 0.0, False),
        (Budget(usd=10, per="day", action="cheaper", max_price=0.0), 0.5, True),
    ],
)
def test_targets_without_a_price(budget: Budget, price: float, is_barred: bool) -> None:
    """A budget that refuses forbids free targets too; one that allows cheaper ones may allow only these."""
    call = call_of(priced("a", price), priced("b", 0.0, account="other"))
    call.excluded = {}
    reached = spent(budget)
    if budget.action == "refuse":
        with pytest.raises(BudgetExceeded):
            spending.allow(call, reached)
    else:
        spending.allow(call, reached)
    assert (next(iter(call.states())) in call.excluded) is is_barred


@pytest.mark.parametrize(
    "budget", [Budget(usd=10, per="day", route="batch"), Budget(usd=10, per="day", labels={"team": "a"})]
)
def test_budgets_of_a_route_or_a_label(budget: Budget) -> None:
    """They count only such calls, and restrict only such calls."""
    a = priced("a")
    budgets = Budgets([budget], lambda: 1800.0)
    for fields in ({}, {"route": "batch", "labels": {"team": "a"}}):
        call = call_with_parts(a)
        for name, value in fields.items():
            setattr(call, name, value)
        found = spending.count(call, budgets)
        assert [type(one) for one in found] == [events.BudgetReached] * bool(fields)
    spending.allow(call_of(a), budgets)
    with pytest.raises(BudgetExceeded):
        spending.allow(call_of(a, route="batch", labels={"team": "a"}), budgets)
