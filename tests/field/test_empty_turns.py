"""A turn without a word: an answer where a tool's result stands before it and the wire format proves its end, else a failure."""

from typing import Any

import pytest
from hotspare import ChatRequest

from tests.support.field_calls import (
    STREAMED,
    WHOLE,
    WIRES,
    Face,
    Wire,
    call,
    chunk_event,
    end,
    finish,
    start,
    text,
    two_targets,
    whole,
)
from tests.support.raw_server import Step, response, sse

CALL = {"id": "call_1", "type": "function", "function": {"name": "react", "arguments": "{}"}}
AFTER_TOOL: list[dict[str, Any]] = [
    {"role": "user", "content": "react to it"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "done"},
]
NO_ANSWER = [[{"role": "user", "content": "hi"}], [*AFTER_TOOL, {"role": "user", "content": "and now?"}]]


def empty(wire: Wire, face: Face, *, proven: bool = True) -> Any:
    """A turn without content."""
    if face in WHOLE:
        body = whole(wire, "")
        if not proven:
            body["stop_reason"] = None
            for one in [*body.get("choices", []), *body.get("candidates", [])]:
                one |= {"finish_reason": None, "finishReason": None}
        return response(200, body)
    return sse(*start(wire), *([finish(wire), *end(wire)] if proven else []))


@pytest.mark.parametrize("face", [*WHOLE, *STREAMED])
@pytest.mark.parametrize("wire", WIRES)
def test_after_a_tool_result_it_is_an_answer(wire: Wire, face: Face) -> None:
    """Empty text, a regular finish reason, and no mark against the target."""
    with two_targets(wire, empty(wire, face)) as two:
        result = call(two.pool, face, AFTER_TOOL)
        assert (result.text, result.reply.finish_reason, result.kinds) == ("", "stop", ["first ok"])
        assert two.pool.health()["first"].failures == 0


@pytest.mark.parametrize("face", [*WHOLE, *STREAMED])
@pytest.mark.parametrize("wire", WIRES)
def test_anywhere_else_it_is_a_failure(wire: Wire, face: Face) -> None:
    """After the user's words, also where a tool was called before them."""
    for messages in NO_ANSWER:
        with two_targets(wire, empty(wire, face)) as two:
            assert call(two.pool, face, messages).kinds == ["first server", "spare ok"]


@pytest.mark.parametrize("face", [*WHOLE, *STREAMED])
@pytest.mark.parametrize("wire", WIRES)
def test_without_proof_it_is_a_failure(wire: Wire, face: Face) -> None:
    """A null finish reason, and a stream that ends without one."""
    with two_targets(wire, empty(wire, face, proven=False)) as two:
        assert call(two.pool, face, AFTER_TOOL).kinds == ["first server", "spare ok"]


@pytest.mark.parametrize("face", STREAMED)
def test_reasoning_and_no_word_after_a_tool_result(face: Face) -> None:
    """The model has thought about the result and has nothing to add."""
    steps: list[Step] = sse(chunk_event({"reasoning": "all done"}), finish("openai"), *end("openai"))
    with two_targets("openai", steps) as two:
        result = call(two.pool, face, AFTER_TOOL)
    assert (result.reply.reasoning, result.text, result.kinds) == ("all done", "", ["first ok"])


@pytest.mark.parametrize("reason", ["something_new", "tool_calls"])
def test_a_reason_that_proves_no_end_of_a_turn(reason: str) -> None:
    """An unknown word, and tool calls that are not there."""
    with two_targets("openai", response(200, whole("openai", "", reason))) as two:
        assert call(two.pool, "chat", AFTER_TOOL).kinds == ["first server", "spare ok"]


@pytest.mark.parametrize(
    ("messages", "follows"),
    [
        (AFTER_TOOL, True),
        ([*AFTER_TOOL, {"role": "system", "content": "be brief"}], True),
        ([{"role": "user", "content": "x"}, {"role": "function", "name": "f", "content": "1"}], True),
        ([*AFTER_TOOL, {"role": "assistant", "content": "so"}], False),
        ([{"role": "system", "content": "x"}], False),
        (NO_ANSWER[1], False),
        ([], False),
    ],
)
def test_what_follows_a_tool_result(messages: list[dict[str, Any]], follows: bool) -> None:
    """The last message counts, messages of the system aside; the old role `function` is a tool's too."""
    assert ChatRequest(messages=messages).follows_tool_result is follows


def test_some_words_are_no_empty_turn() -> None:
    """A text after a tool result is served as ever."""
    with two_targets("gemini", sse(text("gemini", "fine"), finish("gemini"))) as two:
        assert call(two.pool, "stream", AFTER_TOOL).text == "fine"
