"""A finish reason proves that a streamed answer is complete: nothing that follows it, or fails to, is a break."""

from typing import Any

import pytest
from hotspare import Pool
from hotspare.messages import ChatChunk
from hotspare.policy import Timeouts
from hotspare.testing import ScriptedTarget, VirtualClock, break_after, hang, scripted_pool

from tests.support.calls import EACH_FACE, Ask, run_calls
from tests.support.field_calls import (
    STREAMED,
    WIRES,
    Face,
    Wire,
    anthropic_event,
    call,
    finish,
    start,
    text,
    two_targets,
)
from tests.support.raw_server import SSE_HEAD, Step, chunk, event

ERROR = {"error": {"message": "overloaded", "code": 529, "status": "UNAVAILABLE", "type": "overloaded_error"}}
ENDINGS: dict[str, list[Step]] = {
    "silence": ["hang"],
    "a reset": [0.5, "reset"],
    "a close without the last chunk": ["close"],
    "an error event": [chunk(event({"type": "error", **ERROR}, "error")), "hang"],
    "an error as data": [chunk(event(ERROR)), b"0\r\n\r\n"],
    "half an event": [chunk('data: {"choices": [{"del'), "close"],
    "garbage": [chunk(event("<html>502</html>")), chunk(event('{"cho')), b"0\r\n\r\n"],
    "broken HTTP": [0.05, b"zz\r\n", "close"],
    "keep-alives without end": [chunk(": keep-alive\n\n"), 0.05] * 100,
}


def whole_text(wire: Wire) -> list[Step]:
    """A whole answer up to its finish reason."""
    return [SSE_HEAD, *map(chunk, [*start(wire), text(wire, "the whole answer"), finish(wire)])]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_after_the_finish_reason_is_a_break(ending: str, wire: Wire) -> None:
    """The answer ends, no second model adds to it, and the target is not blamed; in sync code and in async code."""
    with two_targets(wire, [*whole_text(wire), *ENDINGS[ending]]) as two:
        for face in STREAMED:
            result = call(two.pool, face)
            assert (result.text, result.reply.finish_reason, result.kinds) == ("the whole answer", "stop", ["first ok"])
        assert two.spare.requests == []
        assert two.pool.health()["first"].failures == 0


@pytest.mark.parametrize("face", STREAMED)
def test_one_event_may_hold_text_and_finish_reason(face: Face) -> None:
    """Gemini's last event does; older models write STOP into every event, and what follows is content all the same."""
    both = {
        "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 2},
    }
    with two_targets("gemini", [SSE_HEAD, chunk(event(both)), 0.05, chunk(event(both)), "hang"]) as two:
        result = call(two.pool, face)
    assert (result.text, result.kinds) == ("aa", ["first ok"])


@pytest.mark.parametrize("face", STREAMED)
def test_usage_after_the_finish_reason_is_waited_for(face: Face) -> None:
    """It comes a moment later, and is in the last chunk, although the stream has no regular end."""
    late = event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
    with two_targets("openai", [*whole_text("openai"), 0.05, chunk(late), "hang"]) as two:
        assert call(two.pool, face).reply.usage.input_tokens == 5


def test_without_a_finish_reason_silence_is_a_break() -> None:
    """The same stream without it is continued elsewhere."""
    steps = [SSE_HEAD, *map(chunk, [*start("anthropic"), text("anthropic", "half "), anthropic_event("message_stop")])]
    with two_targets("anthropic", [*steps, b"0\r\n\r\n"]) as two:
        assert call(two.pool, "stream").text == "half spare answer"


FINISHING = ChatChunk(finishing="stop", model="m", id="i")
SCRIPTS: dict[str, Any] = {
    "silence": hang(2, ["one ", FINISHING, "two"]),
    "a break": break_after(2, ["one ", FINISHING, "two"]),
    "with the last words": hang(1, [ChatChunk(text="one ", finishing="stop")]),
    "keep-alives": hang(9, ["one ", FINISHING, *[ChatChunk()] * 7], gap=0.5),
}


@EACH_FACE
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("streaming", [True, False])
def test_of_any_backend(script: str, streaming: bool, face: Any) -> None:
    """A backend that has given a finish reason and then hangs or breaks has answered: 2 s later at most the answer ends."""
    clock = VirtualClock(0)
    targets = [ScriptedTarget("a", SCRIPTS[script], clock=clock), ScriptedTarget("b", "other")]
    pool: Pool = scripted_pool(*targets, clock=clock, completion="stream", timeouts=Timeouts(stall=1.0))
    (seen,) = run_calls(face, pool, clock, [Ask(streaming)])
    assert (seen.text, seen.error, seen.attempts) == ("one ", "", ["a first ok"])
    assert seen.ended <= 0.5 + 2.0
