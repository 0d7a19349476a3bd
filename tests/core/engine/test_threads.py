"""Many threads on one pool: shared state is changed in one place only, and no transition is lost."""

import random
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hotspare import AllTargetsFailed, Kind, Outcome, Pool, StreamInterrupted
from hotspare.events import AttemptEnded, CallEnded, Event, StateChanged
from hotspare.testing import ScriptedTarget
from hotspare.testing.steps import StepLike, answer, break_after, fail

THREADS = 16
CALLS = 60
WINDOW = 64


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads are switched a thousand times as often as usual, so that a missing lock shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def steps(seed: int) -> list[StepLike]:
    """Answers, failures and broken streams in a random order, most of them answers."""
    rng = random.Random(seed)
    down = Outcome(Kind.SERVER, "down", 503)
    kinds: list[StepLike] = [
        answer("one two three four five six"),
        fail(503),
        break_after(2, "one two three four", down),
    ]
    return rng.choices(kinds, weights=(8, 3, 1), k=400)


@pytest.mark.usefixtures("frequent_switches")
def test_threads_share_a_pool_without_losing_anything() -> None:
    """Windows stay bounded, permits come back, each transition starts where the one before it ended, and every call and
    every attempt is reported once."""
    events: list[Event] = []
    targets = [
        ScriptedTarget(name, steps(place), id=f"p{place}/m", region=f"r{place % 2}")
        for place, name in enumerate("abcd")
    ]
    pool = Pool([one.target for one in targets], listeners=[events.append], when_all_down="fail", wait=lambda state: 0)
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(CALLS):
            try:
                match rng.randrange(4):
                    case 0:
                        pool.chat("q")
                    case 1:
                        pool.chat("q", completion="stream")
                    case 2:
                        for _ in pool.stream("q"):
                            pool.health()
                    case _:
                        next(pool.stream("q")), pool.explain()
            except (AllTargetsFailed, StreamInterrupted):
                pass  # an expected outcome of these scripts
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert (pool.health().in_flight, pool.health().waiting) == (0, 0)
    for state in pool._states:
        samples = (state.first_token, state.completion, state.gaps, state.throughput)
        assert all(len(one) <= WINDOW and len(one._sorted) == len(one) for one in samples)
    states: dict[str, str] = defaultdict(lambda: "closed")
    for event in events:
        if isinstance(event, StateChanged):
            assert states[event.subject] == event.before != event.after
            states[event.subject] = event.after
    assert sum(isinstance(event, CallEnded) for event in events) == THREADS * CALLS
    received = sum(len(target.requests) for target in targets)
    assert sum(isinstance(event, AttemptEnded) for event in events) == received
