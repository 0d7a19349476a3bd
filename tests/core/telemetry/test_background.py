"""Hotspare's own listeners are handed the same events as any other, whether these are made in the call or after its end."""

import logging
from typing import Any

import pytest
from hotspare import Kind
from hotspare._drivers.collector import Background
from hotspare.events import AttemptEnded, CallEnded, CallStarted, Event
from hotspare.outcome import Outcome
from hotspare.testing import ScriptedTarget, VirtualClock, break_after, fail, hang, scripted_pool

from tests.support.calls import Ask, run_calls

SECONDS = 60.0
REFUSED = fail(Outcome(Kind.TRANSPORT, "refused", before_connect=True))
FACES = [(face, streaming) for face in ("sync", "asyncio", "trio") for streaming in (False, True)]
CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "answered": (["ok"], ["ok"]),
    "rescued": ([REFUSED], ["ok"]),
    "hedged": ([hang()], ["ok"]),
    "broken": ([break_after(1, ["one ", "two"])], ["two"]),
    "failed": ([REFUSED], [REFUSED]),
}


def events_of(face: str, streaming: bool, case: str, *, late: bool) -> list[Event]:
    """The events of two calls to two targets that behave as the case says. `late`: to a background listener alone."""
    clock, found = VirtualClock(), list[Event]()
    a, b = (ScriptedTarget(name, steps, prefill=True) for name, steps in zip("ab", CASES[case], strict=True))
    pool = scripted_pool(a, b, clock=clock, retry_same_target="never", on_slow="race", when_all_down="fail")
    background = Background(lambda at, event: found.append(event))
    pool.subscribe(background if late else found.append)
    for _ in range(2):
        run_calls(face, pool, clock, [Ask(streaming=streaming)])
    assert background.flush(SECONDS)
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("face", "streaming"), FACES)
def test_the_events_are_the_same(face: str, streaming: bool, case: str) -> None:
    """Of each call all events, in order, through each face: one that is simply answered is reported after its end."""

    def by_call(events: list[Event]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for event in events:
            if call := getattr(event, "call", ""):
                found.setdefault(call, []).append(repr(event))
        return found

    assert by_call(events_of(face, streaming, case, late=True)) == by_call(events_of(face, streaming, case, late=False))


def test_events_that_are_made_late_have_the_times_at_which_they_happened() -> None:
    """To the nanosecond of the clock that the call was measured by."""
    clock = VirtualClock()
    pool = scripted_pool(ScriptedTarget("a", ["ok"]), clock=clock)
    seen: dict[type[Event], int] = {}
    background = Background(lambda at, event: seen.setdefault(type(event), at))
    pool.subscribe(background)
    run_calls("sync", pool, clock, [Ask()])
    assert background.flush(SECONDS)
    assert list(seen) == sorted(seen, key=seen.__getitem__) and len(seen) == 4


def test_a_listener_that_comes_during_a_call_is_handed_all_of_it() -> None:
    """Also where its beginning was not reported so far, since only background listeners were there."""
    pool, seen = scripted_pool("a"), list[Event]()
    pool.subscribe(Background(lambda at, event: None))
    stream = pool.stream("q")
    next(stream)
    pool.subscribe(seen.append)
    list(stream)
    assert [type(event) for event in seen if isinstance(event, CallStarted | AttemptEnded | CallEnded)] == [
        CallStarted, AttemptEnded, CallEnded,
    ]  # fmt: skip


def test_a_handler_that_raises_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and called again with the next event."""
    pool, seen = scripted_pool("a"), list[Event]()

    def broken(at: int, event: Event) -> None:
        raise ValueError("broken")

    first, second = Background(broken), Background(lambda at, event: seen.append(event))
    pool.subscribe(first)
    pool.subscribe(second)
    pool.chat("q")
    with caplog.at_level(logging.ERROR):
        assert second.flush(SECONDS)
    assert len(seen) == 4 and caplog.text.count("a telemetry handler raised on") == 4
