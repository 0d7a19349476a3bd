"""Sixteen threads on one pool: shared state changes under the lock only, and nothing is lost or counted twice."""

import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from hotspare import Breaker, CallError, Kind, Outcome, Pool
from hotspare._health.breaker import State
from hotspare.events import AttemptEnded, CallEnded, Event, StateChanged, StreamBroke
from hotspare.testing import ScriptedTarget, VirtualClock, answer, break_after, fail, scripted_pool

THREADS = 16
CALLS = 120
"""Calls of each thread."""
FAILURES = [
    Outcome(Kind.SERVER, "down", 500),
    Outcome(Kind.TIMEOUT, "no first token"),
    Outcome(Kind.TRANSPORT, "refused", before_connect=True),
    Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=0.5),
    Outcome(Kind.INVALID, "bad", 400),
]
TEXT = "One two three four five."


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    """Let the interpreter switch threads at nearly every opportunity."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def check_transitions(pool: Pool, events: list[Event]) -> int:
    """Listeners are sent every transition, in order: each begins where the one before it ended, and each breaker is in the
    state of its last one. Returns how many there were."""
    states: dict[str, State] = {}
    transitions = [event for event in events if isinstance(event, StateChanged)]
    for event in transitions:
        assert event.before is states.get(event.subject, State.CLOSED), f"lost, doubled or out of order: {event}"
        assert event.after is not event.before
        states[event.subject] = event.after
    tracker = pool._scheduler._shared.tracker
    breakers = {state.name: state.breaker for state in tracker.states} | {str(d): b for d, b in tracker.domains.items()}
    assert {name: breaker.state for name, breaker in breakers.items() if name in states} == states
    assert all(breaker.state is State.CLOSED for name, breaker in breakers.items() if name not in states)
    return len(transitions)


def misbehaving(name: str, **fields: Any) -> ScriptedTarget:
    """A target that answers most calls, and fails or breaks the others, sometimes for a while."""
    rng = random.Random(name)
    outage = [0]

    def script(request: object) -> Any:
        outage[0] = outage[0] - 1 if outage[0] > 0 else 12 * (rng.random() < 0.02)
        if outage[0] or rng.random() < 0.1:
            return fail(rng.choice(FAILURES))
        return break_after(rng.randrange(1, 5), TEXT) if rng.random() < 0.05 else answer(TEXT)

    return ScriptedTarget(name, script, **fields)


def test_threads_share_one_pool() -> None:
    """Streams, whole answers, `health()` and `explain()` concurrently, while targets fail, recover and break streams."""
    readings = count()
    events: list[Event] = []
    targets = [misbehaving(name, id=f"p{place % 2}/m", region=name) for place, name in enumerate("abcd")]
    pool = Pool(
        [one.target for one in targets],
        clock=lambda: next(readings) / 10_000,  # nothing waits: each look at the clock lets a little time pass
        listeners=[events.append],
        strategy="weighted",
        when_all_down="fail",
        retry_same_target="never",
        breaker=Breaker(
            consecutive_failures=3, failure_span=0.01, minimum_throughput=6, break_duration=0.02, slow_start=0.1
        ),
    )
    answers: list[bool] = []

    def call_often() -> None:
        for number in range(CALLS):
            try:
                if number % 2:
                    answers.append(pool.chat("q", completion="stream" if number % 4 == 1 else "wait").text == TEXT)
                else:
                    text = "".join(chunk.text for chunk in pool.stream("q"))
                    answers.append(text.startswith("One "))
            except CallError as error:
                assert not isinstance(error.__context__, RuntimeError)
            if number % 4 == 0:
                assert len(pool.health().targets) == len(pool.explain().choices) == len(targets)

    in_threads(call_often)

    health = pool.health()
    assert (health.in_flight, health.waiting) == (0, 0)
    assert all(answers) and len(answers) > 0.7 * THREADS * CALLS
    ended = [event for event in events if isinstance(event, CallEnded)]
    assert len({event.call for event in ended}) == len(ended) == THREADS * CALLS
    assert sum(len(event.attempts) for event in ended) == sum(isinstance(event, AttemptEnded) for event in events)
    assert sum(target.calls for target in targets) == sum(len(event.attempts) for event in ended)
    assert any(isinstance(event, StreamBroke) for event in events)
    assert check_transitions(pool, events) > 2 * THREADS, "the breakers hardly moved"
    check_windows(pool)


def check_windows(pool: Pool) -> None:
    """Each window of samples is bounded, and consistent with itself."""
    for state in pool._states:
        assert not state.breaker.in_flight
        for window in (state.first_token, state.completion, state.gaps, state.throughput):
            assert len(window) <= 64
            assert sorted(window._recent) == window._sorted


def in_threads(work: Callable[[], None]) -> None:
    """Do this in all threads concurrently. Raises the first error."""
    start = Barrier(THREADS)

    def begin() -> None:
        start.wait()
        work()

    with ThreadPoolExecutor(THREADS) as threads:
        for running in [threads.submit(begin) for _ in range(THREADS)]:
            running.result()


def test_windows_of_samples_stay_bounded() -> None:
    """Streams only, from one target, so that all threads add to the same windows."""
    readings = count()
    pool = Pool([ScriptedTarget("a", answer(["a", "b", "c"])).target], clock=lambda: next(readings) / 10_000)

    def stream_often() -> None:
        for _ in range(3 * CALLS):
            assert "".join(chunk.text for chunk in pool.stream("q")) == "abc"

    in_threads(stream_often)
    assert len(pool._states[0].gaps) == 64
    check_windows(pool)


def test_waiting_threads_all_go_on() -> None:
    """An outage of every target: the calls of sixteen threads wait for it to end, and all are answered."""
    clock = VirtualClock(0)
    targets = [
        ScriptedTarget(
            name,
            lambda request: fail(FAILURES[0], delay=0.1) if clock() < 8 else answer(TEXT, delay=0.1),
            id=f"provider-{name}/m",
        )
        for name in "ab"
    ]
    events: list[Event] = []
    pool = scripted_pool(*targets, clock=clock, listeners=[events.append], deadline=60)
    replies = clock.run_in_threads(*[lambda: pool.chat("q")] * THREADS)
    assert {reply.text for reply in replies} == {TEXT}
    assert clock() < 30
    assert (pool.health().in_flight, pool.health().waiting) == (0, 0)
    assert check_transitions(pool, events)
