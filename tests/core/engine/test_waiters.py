"""The queue of calls that wait for a recovery: which call wakes at what time, and in which order the calls go on."""

from math import inf

from hotspare._engine.waiters import Waiter, WaitQueue

from tests.support.engine import call_of


def waiting(queue: WaitQueue, *starts: float, latest: float = 100.0) -> list[Waiter]:
    return [queue.enter(call_of(started=start), latest) for start in starts]


def test_the_first_one_leads() -> None:
    """The first call in the queue is its leader, and stays it while others come."""
    queue = WaitQueue(0.5, 3.0)
    assert (len(queue), queue.leader) == (0, None)
    first, second = waiting(queue, 0.0, 1.0)
    assert (len(queue), queue.leader, queue.to_wake) == (2, first, [])
    assert (first.latest, first.woken, first.wake, second.woken) == (100.0, False, None, False)


def test_a_leader_that_leaves_is_replaced() -> None:
    """The next one in the queue is woken to lead; when others leave, nothing happens; the last one wakes none."""
    queue = WaitQueue(0.5, 3.0)
    first, second, third = waiting(queue, 0.0, 1.0, 2.0)
    queue.leave(second)
    assert (queue.leader, queue.to_wake, len(queue)) == (first, [], 2)
    queue.leave(first)
    assert (queue.leader, queue.to_wake, len(queue)) == (None, [third], 1)
    queue.leave(third)
    assert (queue.to_wake, len(queue)) == ([third], 0)


def test_without_a_leader_each_leaving_wakes_the_next() -> None:
    """A call that leaves while there is no leader wakes the first of the others again; the next to enter leads."""
    queue = WaitQueue(0.5, 3.0)
    first, second, third = waiting(queue, 0.0, 1.0, 2.0)
    queue.leave(first)
    queue.leave(second)
    assert queue.to_wake == [second, third]
    (late,) = waiting(queue, 3.0)
    assert queue.leader is late
    queue.leave(first)
    assert queue.leader is late, "a waiter that has left already changes nothing"


def test_a_success_lets_all_go_on() -> None:
    """They go on at intervals, in the order in which their calls started, and the queue is empty."""
    queue = WaitQueue(0.5, 30.0)
    late, early, middle = waiting(queue, 2.0, 0.0, 1.0)
    queue.record_success(10.0)
    assert [one.call.resume_at for one in (early, middle, late)] == [10.0, 10.5, 11.0]
    assert queue.to_wake == [late, early, middle]
    assert (len(queue), queue.leader) == (0, None)


def test_successes_in_a_row_keep_the_interval() -> None:
    """The next success goes on where the last one ended, unless that is past."""
    queue = WaitQueue(0.5, 30.0)
    waiting(queue, 0.0, 1.0, 2.0)
    queue.record_success(10.0)
    again, more = waiting(queue, 3.0, 4.0)
    queue.record_success(10.1)
    assert [again.call.resume_at, more.call.resume_at] == [11.5, 12.0]
    (last,) = waiting(queue, 5.0)
    queue.record_success(50.0)
    assert last.call.resume_at == 50.0


def test_many_share_the_spread() -> None:
    """However many there are, all go on within the spread."""
    queue = WaitQueue(0.5, 1.0)
    waiters = waiting(queue, *map(float, range(4)))
    queue.record_success(10.0)
    assert [one.call.resume_at for one in waiters] == [10.0, 10.25, 10.5, 10.75]


def test_no_later_than_the_last_moment() -> None:
    """A call goes on in time to be answered before its deadline, and the others are not moved by that."""
    queue = WaitQueue(0.5, 30.0)
    waiting(queue, 0.0)
    (short,) = waiting(queue, 1.0, latest=10.2)
    (long,) = waiting(queue, 2.0)
    queue.record_success(10.0)
    assert [short.call.resume_at, long.call.resume_at] == [10.2, 11.0]


def test_a_failure_wakes_the_leader() -> None:
    """The leader looks again; without one, nothing is to be woken."""
    queue = WaitQueue(0.5, 3.0)
    queue.record_failure()
    assert queue.to_wake == []
    first, _ = waiting(queue, 0.0, 1.0)
    queue.record_failure()
    assert (queue.to_wake, queue.leader, len(queue)) == ([first], first, 2)


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
    queue = WaitQueue(0.5, 3.0)
    first, *_ = waiting(queue, 0.0, 1.0)
    queue.record_failure()
    queue.clear()
    assert (len(queue), queue.leader, queue.to_wake) == (0, None, [first])
    assert call_of().resume_at == -inf
