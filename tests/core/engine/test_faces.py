"""Both faces do the same: one call through threads, asyncio and trio gives the same content, outcome and time."""

from typing import Any

import pytest
from hotspare import Timeouts
from hotspare.messages import IDLE
from hotspare.testing import ScriptedTarget, VirtualClock, answer, break_after, hang, scripted_pool
from hotspare.testing.steps import Step
from hypothesis import given, settings

from tests.support.calls import EACH_FACE, FACES, Ask, Seen, chat, run_calls, stream
from tests.support.drawn import POLICIES, worlds


def seen_by(face: str, scripts: list[list[Step]], asks: list[Ask], policy: dict[str, Any]) -> list[Seen]:
    """What the callers see of these calls to a pool of two targets: texts and when they came, errors, attempts, ends."""
    clock = VirtualClock(0)
    targets = [ScriptedTarget(name, script, region=name) for name, script in zip("ab", scripts, strict=True)]
    pool = scripted_pool(*targets, clock=clock, **policy)
    seen = run_calls(face, pool, clock, asks)
    assert pool.health().in_flight == 0
    return seen


@settings(max_examples=80)
@given(world=worlds(targets=2, calls=2), policy=POLICIES)
def test_every_face_sees_the_same(world: tuple[list[list[Step]], list[Ask]], policy: dict[str, Any]) -> None:
    """Content, type and text of an error, kind, reason and duration of each attempt, and the time of each chunk."""
    first, *others = (seen_by(face, *world, policy) for face in FACES)
    for other in others:
        assert other == first


@EACH_FACE
def test_a_total_deadline_ends_a_steady_stream(face: str) -> None:
    """A stream of three seconds, with a total deadline of 1.2 s, ends after 1.2 s."""
    clock = VirtualClock(0)
    steady = answer(["word "] * 30, gap=0.1)
    pool = scripted_pool(ScriptedTarget("a", steady), ScriptedTarget("b", steady), clock=clock, total_deadline=1.2)
    seen = stream(face, pool, clock)
    assert seen.ended == pytest.approx(1.2)
    assert seen.text == "word " * 12
    assert seen.error.startswith("StreamInterrupted: the stream of a broke after its first content: timeout: ")
    assert "total deadline of the stream exceeded" in seen.error


@EACH_FACE
def test_a_total_deadline_ends_a_silent_stream(face: str) -> None:
    """Also while nothing comes, or only keep-alives do, and also in a continuation."""
    for step in (hang(5, ["word "] * 5, gap=0.25), answer(["word "] * 5 + [IDLE] * 50, gap=0.25)):
        clock = VirtualClock(0)
        pool = scripted_pool(ScriptedTarget("a", step), clock=clock, total_deadline=1.75)
        seen = stream(face, pool, clock)
        assert (seen.ended, seen.text) == (1.75, "word " * 5)
        assert "total deadline of the stream exceeded" in seen.error
    clock = VirtualClock(0)
    first = ScriptedTarget("a", break_after(5, ["word "] * 10, gap=0.25))
    pool = scripted_pool(first, ScriptedTarget("b", answer(["text "] * 50, gap=0.25)), clock=clock, total_deadline=3)
    seen = stream(face, pool, clock)
    assert seen.ended == 3
    assert seen.text.startswith("word " * 5 + "text text")
    assert "total deadline of the stream exceeded" in seen.error


@EACH_FACE
def test_a_total_deadline_does_not_wait_for_a_slow_reader(face: str) -> None:
    """The caller works for a second on each chunk, then the target is silent: the stream ends at the total deadline."""
    clock = VirtualClock(0)
    pool = scripted_pool(ScriptedTarget("a", hang(2, ["word "] * 2, gap=0.25)), clock=clock, total_deadline=4)
    seen = run_calls(face, pool, clock, [Ask(work=1.0)])[0]
    assert (seen.ended, seen.text) == (4, "word word ")
    assert "total deadline of the stream exceeded" in seen.error


@EACH_FACE
@pytest.mark.parametrize("more", [{}, {"pieces": 0}, {"idle": True}])
def test_a_whole_answer_over_a_stream_keeps_its_deadline(face: str, more: dict[str, Any]) -> None:
    """Five tokens, then silence (or keep-alives), with a deadline of 2 s: the call ends after 2 s."""
    clock = VirtualClock(0)
    words = ["word "] * more.get("pieces", 5)
    step = answer([*words, *[IDLE] * 200], gap=0.125) if more.get("idle") else hang(len(words), words, gap=0.125)
    pool = scripted_pool(ScriptedTarget("a", step), clock=clock)
    seen = chat(face, pool, clock, completion="stream", deadline=2)
    assert seen.ended == 2
    assert seen.attempts == ["a first timeout"]
    assert seen.error.startswith("AllTargetsFailed: 1 attempt failed: deadline exceeded")


@EACH_FACE
def test_a_whole_answer_may_take_its_deadline_and_no_longer(face: str) -> None:
    """The text itself is bounded, too: a steady stream underneath, that would take longer, is not waited for."""
    clock = VirtualClock(0)
    pool = scripted_pool(ScriptedTarget("a", answer(["word "] * 100, gap=0.5)), clock=clock, deadline=8)
    seen = chat(face, pool, clock, completion="stream")
    assert (seen.ended, seen.attempts) == (8, ["a first timeout"])
    assert chat(face, pool, clock, completion="stream", deadline=60).text == "word " * 100


@EACH_FACE
def test_a_stall_ends_a_stream(face: str) -> None:
    """Silence for `Timeouts.stall` seconds after the last content; keep-alives do not count as content."""
    for step in (hang(2, ["one ", "two "], gap=1), answer(["one ", "two ", *[IDLE] * 100], gap=1)):
        clock = VirtualClock(0)
        pool = scripted_pool(ScriptedTarget("a", step), clock=clock, timeouts=Timeouts(stall=7), on_break="raise")
        seen = stream(face, pool, clock)
        assert (seen.ended, seen.text) == (1 + 7, "one two ")
        assert "the stream stalled for 7 s" in seen.error


@EACH_FACE
def test_the_time_that_the_caller_takes_is_no_stall(face: str) -> None:
    """A caller that is slow to read does not break a stream."""
    clock = VirtualClock(0)
    pool = scripted_pool(ScriptedTarget("a", answer(["one ", "two ", "three"], gap=1)), clock=clock)
    (seen,) = run_calls(face, pool, clock, [Ask(work=100)])
    assert (seen.text, seen.error, seen.attempts) == ("one two three", "", ["a first ok"])


@EACH_FACE
def test_a_deadline_bounds_the_way_to_the_first_content(face: str) -> None:
    """Attempts and pauses together; what comes after the first content is not bounded by it."""
    clock = VirtualClock(0)
    pool = scripted_pool(ScriptedTarget("a", hang()), ScriptedTarget("b", answer("late", delay=3)), clock=clock)
    assert stream(face, pool, clock, deadline=4).ended == 4
    clock = VirtualClock(0)
    pool = scripted_pool(ScriptedTarget("a", answer(["a", "b"], delay=1, gap=20)), clock=clock)
    seen = stream(face, pool, clock, deadline=4)
    assert (seen.text, seen.ended) == ("ab", 41)
