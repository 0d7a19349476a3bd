"""The queue of calls that wait for a recovery: which call leads, and which ones are woken."""

from math import inf

from hotspare._engine.waiters import Waiter, WaitQueue
from hotspare._health.admission import AFTER_PROBE

from tests.support.engine import OK, Engine, call_of


def waiting(queue: WaitQueue, *starts: float, latest: float = 100.0) -> list[Waiter]:
    return [queue.enter(call_of(started=start), latest) for start in starts]


def test_the_first_one_leads() -> None:
    """The first call in the queue is its leader, and stays it while others come."""
    queue = WaitQueue()
    assert (len(queue), queue.leader) == (0, None)
    first, second = waiting(queue, 0.0, 1.0)
    assert (len(queue), queue.leader, queue.to_wake) == (2, first, [])
    assert (first.latest, first.woken, first.wake, second.woken) == (100.0, False, None, False)


def test_a_leader_that_leaves_is_replaced() -> None:
    """Only the oldest of the others is woken to look again; when others leave, nothing happens; the last one wakes none."""
    queue = WaitQueue()
    first, second, third, fourth = waiting(queue, 0.0, 2.0, 1.0, 3.0)
    queue.leave(second)
    assert (queue.leader, queue.to_wake, len(queue)) == (first, [], 3)
    queue.leave(first)
    assert (queue.leader, queue.to_wake, len(queue)) == (None, [third], 1)
    queue.leave(third)
    assert (queue.leader, queue.to_wake, len(queue)) == (None, [third, fourth], 0)
    queue.leave(fourth)
    assert (queue.leader, queue.to_wake, len(queue)) == (None, [third, fourth], 0)


def test_so_many_are_woken() -> None:
    """The oldest calls first; those that stay need a leader, so one more is woken if the leader leaves."""
    queue = WaitQueue()
    leader, old, young = waiting(queue, 1.0, 0.0, 2.0)
    queue.wake(1)
    assert (queue.to_wake, queue.leader, len(queue)) == ([old], leader, 2)
    queue.leave(old)
    queue.wake(1)
    assert (queue.to_wake, queue.leader, len(queue)) == ([old, leader], None, 1)
    queue.leave(leader)
    assert (queue.to_wake, len(queue)) == ([old, leader, young], 0)


def test_a_woken_call_may_become_the_leader() -> None:
    """So only the last of several woken calls that leave wakes another one: each call that is woken in vain costs a decision."""
    queue = WaitQueue()
    first, second, third, fourth = waiting(queue, 0.0, 1.0, 2.0, 3.0)
    queue.wake(3)
    queue.leave(first)
    queue.leave(second)
    assert (queue.to_wake, queue.leader) == ([first, second, third], None)
    queue.leave(third)
    assert queue.to_wake == [first, second, third, fourth]
    queue.clear()
    fifth, sixth = waiting(queue, 4.0, 5.0)
    queue.leave(fifth)
    assert queue.to_wake[-1] is sixth, "calls of before a fork never leave"


def test_places_are_not_given_away_twice() -> None:
    """A target with two free places, and then with four because two more attempts have ended: four calls are woken, not six. Calls woken
    for another target, or for none, do not count."""
    queue = WaitQueue()
    waiters = waiting(queue, *map(float, range(9)))
    queue.wake(2, at="a")
    queue.wake(4, at="a")
    assert queue.to_wake == waiters[:4]
    queue.wake(4, at="a")
    queue.wake(1)
    queue.wake(1, at="b")
    assert queue.to_wake == waiters[:6]
    queue.leave(waiters[0])
    queue.wake(4, at="a")
    assert queue.to_wake == waiters[:7]
    queue = WaitQueue()
    early = waiting(queue, 0.0, 1.0)
    queue.wake(2, at="a")
    late = waiting(queue, 2.0, 3.0, 4.0)
    queue.wake(4, at="a")
    assert queue.to_wake == [*early, *late[:2]], "also if all calls were woken the first time"


def test_successes_in_a_slow_start_wake_as_many_as_it_admits() -> None:
    """Together, not each of them; and no call for a target whose break is over: nothing has recovered just now."""
    engine = Engine()
    engine.open("b")
    engine.recover("a", now=5.0)
    call = engine.call()
    first, second = (engine.start(call, "a", 5.0) for _ in range(2))
    for _ in range(40):
        engine.shared.queue.enter(engine.call(), 50.0)
    engine.settle(call, first, OK, 5.0)
    assert len(engine.shared.queue.to_wake) == AFTER_PROBE
    engine.settle(call, second, OK, 5.0)
    assert len(engine.shared.queue.to_wake) == AFTER_PROBE + 2, "the window has grown by one, and a place is free"


def test_all_are_woken() -> None:
    """Where a target admits more than there are; none where it admits none."""
    queue = WaitQueue()
    queue.wake(5)
    assert queue.to_wake == []
    waiters = waiting(queue, 0.0, 1.0)
    queue.wake(0)
    assert (queue.to_wake, len(queue)) == ([], 2)
    queue.wake(inf)
    assert (queue.to_wake, queue.leader, len(queue)) == (waiters, None, 0)


def test_waking() -> None:
    """A waiter is marked before its driver is called, and needs no driver."""
    waiter = Waiter(call_of(), 5.0)
    waiter.wake_up()
    assert waiter.woken
    seen: list[bool] = []
    other = Waiter(call_of(), 5.0)
    other.wake = lambda: seen.append(other.woken)
    other.wake_up()
    assert seen == [True]


def test_clear() -> None:
    """A cleared queue has no calls and no leader, and keeps the calls that are to be woken."""
    queue = WaitQueue()
    _, old = waiting(queue, 1.0, 0.0)
    queue.wake(1)
    queue.clear()
    assert (len(queue), queue.leader, queue.to_wake) == (0, None, [old])
