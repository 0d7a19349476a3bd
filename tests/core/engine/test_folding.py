"""Chunks put together to an answer, and an answer as chunks."""

from hotspare._engine.folding import chunks_of, reply_of
from hotspare.messages import ChatChunk, ChatReply, ToolCall, ToolCallDelta, Usage

USAGE = Usage(3, 4)
THOUGHT = {"dialect": "x", "data": "y"}
PICTURE, SOUND = {"type": "image", "data": "p"}, {"type": "audio", "data": "s"}
WHOLE = ChatReply(
    text="hello", reasoning="hm", thinking=(THOUGHT,), media=(PICTURE, SOUND), refusal="no", finish_reason="tool_calls", usage=USAGE, model="m",
    id="i", tool_calls=(ToolCall("c1", "f", '{"a": 1}', "sig"), ToolCall("c2", "g", "{}")),
)  # fmt: skip


def test_all_parts() -> None:
    """Texts are joined in order, tool calls by their index, and the last chunk says how it ended."""
    chunks = [
        ChatChunk(text="hel", reasoning="h", refusal="n", media=(PICTURE,)),
        ChatChunk(
            text="lo", reasoning="m", refusal="o", thinking=(THOUGHT,), media=(SOUND,), model="other", id="other"
        ),
        ChatChunk(tool_calls=(ToolCallDelta(0, "c1", "f", '{"a"'), ToolCallDelta(1, "c2", "g", "{"))),
        ChatChunk(tool_calls=(ToolCallDelta(1, arguments="}"), ToolCallDelta(0, arguments=": 1}", signature="sig"))),
        ChatChunk(finish_reason="tool_calls", usage=USAGE, model="m", id="i"),
    ]
    assert reply_of(chunks) == WHOLE


def test_later_names_win() -> None:
    """A piece without an id, a name or a signature leaves the one that came; another one replaces it."""
    deltas = (
        ToolCallDelta(0, "old", "old", "", "old"), ToolCallDelta(0, "new", "new", "x", "new"), ToolCallDelta(0, "", "", "y", ""),
    )  # fmt: skip
    found = reply_of([ChatChunk(tool_calls=(delta,)) for delta in deltas])
    assert found.tool_calls == (ToolCall("new", "new", "xy", "new"),)


def test_a_call_without_a_name() -> None:
    """What never came is empty, not missing."""
    assert reply_of([ChatChunk(tool_calls=(ToolCallDelta(0),))]).tool_calls == (ToolCall("", "", "", None),)


def test_nothing() -> None:
    """Without chunks there is an empty answer that stopped; an empty refusal is none."""
    assert reply_of([]) == ChatReply(finish_reason="stop")
    assert reply_of([ChatChunk(text="x")]) == ChatReply(text="x", finish_reason="stop", usage=Usage())


def test_an_answer_as_chunks() -> None:
    """One chunk has the content and one the end, and together they are the answer again."""
    content, end = chunks_of(WHOLE)
    assert (content.finish_reason, content.usage, end.is_content) == (None, None, False)
    assert (end.finish_reason, end.usage, end.model, end.id) == ("tool_calls", USAGE, "m", "i")
    assert [delta.index for delta in content.tool_calls] == [0, 1]
    assert reply_of([content, end]) == WHOLE
    plain = chunks_of(ChatReply(text="x"))[0]
    assert (plain.refusal, plain.is_content) == ("", True)
