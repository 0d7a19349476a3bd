"""Answers that are broken although they look whole: no wire format serves them, whole or streamed."""

import json
from typing import Any

import pytest
from hotspare import Kind
from hotspare.messages import ChatReply
from hotspare.testing import ScriptedTarget, answer, scripted_pool

from tests.support.calls import EACH_FACE, Ask, run_calls
from tests.support.field_calls import (
    STREAMED,
    WHOLE,
    WIRES,
    Face,
    Wire,
    anthropic_event,
    block_delta,
    call,
    chunk_event,
    end,
    finish,
    start,
    text,
    two_targets,
    whole,
)
from tests.support.raw_server import response, sse

ALL: list[Face] = [*WHOLE, *STREAMED]


def ended(wire: Wire, face: Face, words: str, reason: str) -> Any:
    """An answer with this text and this finish reason."""
    if face in WHOLE:
        return response(200, whole(wire, words, reason))
    return sse(*start(wire), *([text(wire, words)] if words else []), finish(wire, reason), *end(wire))


# --- finish reasons ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["null", "None", "NULL", " undefined ", "FINISH_REASON_UNSPECIFIED"])
@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize("wire", WIRES)
def test_a_word_for_no_finish_reason_proves_nothing(wire: Wire, face: Face, reason: str) -> None:
    """A stream that is cut off with it is no whole answer."""
    with two_targets(wire, ended(wire, face, "half an ", reason)) as two:
        assert call(two.pool, face).text == "half an spare answer"


BROKEN = [
    "MALFORMED_FUNCTION_CALL", "malformed_function_call", "Malformed_Response", "unexpected_tool_call",
    "TOO_MANY_TOOL_CALLS", "function_call_filter: MALFORMED_FUNCTION_CALL", "function_call_filter: UNEXPECTED_TOOL_CALL",
    "error", "ERROR", "abort", "OTHER", "network_error", "insufficient_system_resource",
]  # fmt: skip


@pytest.mark.parametrize("reason", BROKEN)
@pytest.mark.parametrize("wire", WIRES)
def test_a_finish_reason_that_says_broken(wire: Wire, reason: str) -> None:
    """In any spelling and with leaked text: a failure of the target, and the answer comes from the next one."""
    for face in WHOLE:
        with two_targets(wire, ended(wire, face, "patch:true}}", reason)) as two:
            result = call(two.pool, face)
            assert (result.text, result.kinds) == ("spare answer", ["first server", "spare ok"])
    with two_targets(wire, ended(wire, "stream", "", reason)) as two:
        assert call(two.pool, "stream").kinds == ["first server", "spare ok"]
    with two_targets(wire, ended(wire, "stream", "so ", reason)) as two:
        assert call(two.pool, "astream").text == "so spare answer"


@pytest.mark.parametrize(
    ("reason", "words"),
    [("abort", "broke the answer off"), ("error", "with an error"), ("MALFORMED_FUNCTION_CALL", "malformed")],
)
def test_what_is_said_of_a_broken_answer(reason: str, words: str) -> None:
    """Which kind of break it was, and the provider's own reason, but none of the answer's text."""
    with two_targets("openai", ended("openai", "chat", "PRIVATE", reason)) as two:
        message = two.pool.chat("q").attempts[0].message
    assert words in message and f"(finish reason: {reason})" in message and "PRIVATE" not in message


@pytest.mark.parametrize("face", ALL)
def test_the_providers_own_reason_behind_a_relays(face: Face) -> None:
    """OpenRouter writes `stop`, and in `native_finish_reason` that the call was malformed."""
    native = {"native_finish_reason": "MALFORMED_FUNCTION_CALL"}
    body = whole("openai", "patch:true}}")
    body["choices"][0] |= native
    streamed = sse(chunk_event({"reasoning": "hm"}), chunk_event({}, "stop", **native), *end("openai"))
    with two_targets("openai", response(200, body) if face in WHOLE else streamed) as two:
        assert call(two.pool, face).text == "spare answer"


@pytest.mark.parametrize("wire", WIRES)
def test_regular_reasons_in_another_spelling(wire: Wire) -> None:
    """Relays change the case, and send the words of other formats: these are regular ends."""
    for reason, expected in (
        ("Stop", "stop"),
        ("END_TURN", "stop"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
    ):
        for face in ("chat", "stream"):
            with two_targets(wire, ended(wire, face, "fine", reason)) as two:
                result = call(two.pool, face)
                assert (result.text, result.reply.finish_reason) == ("fine", expected)


@pytest.mark.parametrize("reason", ["model_context_window_exceeded", "model_length"])
@pytest.mark.parametrize("face", ALL)
@pytest.mark.parametrize("wire", WIRES)
def test_a_full_context_window_without_a_word(wire: Wire, face: Face, reason: str) -> None:
    """The prompt is too long for this target, which is not its fault; with words it is the limit on tokens."""
    with two_targets(wire, ended(wire, face, "", reason)) as two:
        result = call(two.pool, face)
        assert (result.text, result.kinds) == ("spare answer", ["first context_length", "spare ok"])
    with two_targets(wire, ended(wire, face, "some", reason)) as two:
        result = call(two.pool, face)
        assert (result.text, result.reply.finish_reason) == ("some", "length")


# --- tool calls -------------------------------------------------------------------------------------------------------


def openai_call(face: Face, arguments: str, reason: str = "tool_calls", **fields: Any) -> Any:
    """An answer that is a tool call with these arguments."""
    made = {"id": "call_1", "type": "function", "function": {"name": "pay", "arguments": arguments}, **fields}
    if face in WHOLE:
        return response(200, whole("openai", "", reason, tool_calls=[made]))
    pieces = [{"index": 0, **made, "function": {"name": "pay", "arguments": ""}}]
    pieces += [{"index": 0, "function": {"arguments": piece}} for piece in arguments]
    return sse(
        *start("openai"),
        *(chunk_event({"tool_calls": [one]}) for one in pieces),
        finish("openai", reason),
        *end("openai"),
    )


def anthropic_call(arguments: str, reason: str = "tool_use") -> Any:
    """The same, streamed in Anthropic's format."""
    block = anthropic_event(
        "content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "pay"}
    )
    delta = block_delta(1, type="input_json_delta", partial_json=arguments)
    stop = anthropic_event("content_block_stop", index=1)
    return sse(*start("anthropic"), block, delta, stop, finish("anthropic", reason), *end("anthropic"))


NO_JSON = ['{"usd": 1', "{'usd': 1}", "usd=1", "[1]", '"{}"', '{"a": "\\ud83d"}']


@pytest.mark.parametrize("arguments", NO_JSON)
@pytest.mark.parametrize("face", ALL)
def test_arguments_that_are_no_json_object(face: Face, arguments: str) -> None:
    """A finished call never has them: a whole answer comes from elsewhere, a stream says that it is broken."""
    with two_targets("openai", openai_call(face, arguments)) as two:
        result = call(two.pool, face)
    if face in WHOLE:
        assert (result.text, result.reply.tool_calls, result.kinds[0]) == ("spare answer", (), "first server")
    else:
        assert result.error is not None and "arguments of the tool call pay" in str(result.error)


@pytest.mark.parametrize("arguments", NO_JSON)
@pytest.mark.parametrize("completion", ["stream", "wait"])
def test_the_same_in_a_stream_underneath(completion: str, arguments: str) -> None:
    """Nothing was handed out: the next target is called."""
    for wire, steps in (("openai", openai_call("stream", arguments)), ("anthropic", anthropic_call(arguments))):
        with two_targets(wire, steps, completion=completion) as two:  # type: ignore[arg-type]
            result = call(two.pool, "chat")
            assert (result.text, result.kinds[0]) == ("spare answer", "first server")


@pytest.mark.parametrize("face", ALL)
def test_arguments_cut_at_the_limit_are_no_finished_call(face: Face) -> None:
    """The finish reason says so, and another target would be cut there as well."""
    with two_targets("openai", openai_call(face, '{"usd": 1', "length")) as two:
        result = call(two.pool, face)
    assert (result.reply.finish_reason, result.kinds) == ("length", ["first ok"])
    with two_targets("anthropic", anthropic_call('{"usd": 1', "max_tokens")) as two:
        assert call(two.pool, "stream").reply.finish_reason == "length"


@pytest.mark.parametrize("face", ALL)
def test_arguments_that_are_none(face: Face) -> None:
    """Nothing, white space and null are a call without arguments; a custom tool's input is text."""
    for arguments in ("", " ", "null", "{}", '{"usd": 100}'):
        with two_targets("openai", openai_call(face, arguments)) as two:
            (made,) = call(two.pool, face).reply.tool_calls
            assert isinstance(json.loads(made.arguments or "null"), dict | None)  # type: ignore[arg-type]
    custom = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    steps = sse(*start("openai"), chunk_event({"tool_calls": [{"index": 0, **custom}]}), finish("openai", "tool_calls"))
    with two_targets(
        "openai", response(200, whole("openai", "", "tool_calls", tool_calls=[custom])) if face in WHOLE else steps
    ) as two:
        (made,) = call(two.pool, face).reply.tool_calls
        assert made.arguments == "SELECT 1"


NAMES = {
    "in pieces": ["get_", "weather", None],
    "whole, then repeated": ["get_weather", "get_weather", "get_weather"],
    "more of it each time": ["get", "get_weather", None],
    "letter by letter": [*"get_weather", None],
}


@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize("how", NAMES)
def test_a_tools_name_in_pieces(how: str, face: Face) -> None:
    """It is whole when it is handed out; a second call begins where the first one ends."""
    calls = [
        chunk_event(
            {
                "tool_calls": [
                    {
                        "index": index,
                        **({"id": f"c{index}"} if at == 0 else {}),
                        "function": {"name": name, "arguments": piece},
                    }
                ]
            }
        )
        for index in (0, 1)
        for at, (name, piece) in enumerate(zip(NAMES[how], [""] * (len(NAMES[how]) - 1) + ['{"a": 1}'], strict=True))
    ]
    nothing = chunk_event({"tool_calls": [{"index": 2, "id": "c2", "function": {"name": "now"}}]})
    with two_targets(
        "openai", sse(*start("openai"), *calls, nothing, finish("openai", "tool_calls"), *end("openai"))
    ) as two:
        made = call(two.pool, face).reply.tool_calls
    assert [(one.id, one.name, one.arguments) for one in made] == [
        ("c0", "get_weather", '{"a": 1}'), ("c1", "get_weather", '{"a": 1}'), ("c2", "now", "{}"),
    ]  # fmt: skip


@pytest.mark.parametrize("face", STREAMED)
def test_interleaved_blocks(face: Face) -> None:
    """Each piece belongs to the block of its index, in whatever order they come; without an index, to the last block."""

    def tool(index: int, name: str) -> str:
        return anthropic_event(
            "content_block_start", index=index, content_block={"type": "tool_use", "id": f"t{index}", "name": name}
        )

    events = [
        *start("anthropic"), tool(1, "f"), tool(2, "g"),
        block_delta(2, type="input_json_delta", partial_json='{"b":'), text("anthropic", "Let me "),
        block_delta(1, type="input_json_delta", partial_json='{"a":'), block_delta(2, type="input_json_delta", partial_json=" 2}"),
        block_delta(1, type="input_json_delta", partial_json=" 1}"), text("anthropic", "see."),
        anthropic_event("content_block_stop", index=2), anthropic_event("content_block_stop", index=0),
        anthropic_event("content_block_start", content_block={"type": "tool_use", "id": "t3", "name": "h"}),
        anthropic_event("content_block_delta", delta={"type": "input_json_delta", "partial_json": "{}"}),
        anthropic_event("content_block_stop"), anthropic_event("content_block_stop", index=1),
        finish("anthropic", "tool_use"), *end("anthropic"),
    ]  # fmt: skip
    with two_targets("anthropic", sse(*events)) as two:
        reply = call(two.pool, face).reply
    assert reply.text == "Let me see."
    assert [(one.name, json.loads(one.arguments)) for one in reply.tool_calls] == [
        ("f", {"a": 1}),
        ("g", {"b": 2}),
        ("h", {}),
    ]


# --- half a character -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", ALL)
@pytest.mark.parametrize("wire", WIRES)
def test_half_a_surrogate_pair(wire: Wire, face: Face) -> None:
    """A lone half neither crashes nor is served: at the end, in the middle, or with the second half first."""
    for words in ("half \ud83d", "\ude00", "a \ud83d b"):
        with two_targets(wire, ended(wire, face, words, "")) as two:
            found = call(two.pool, face)
            assert found.error is None
            assert found.text.encode().decode().endswith("spare answer")


@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize("wire", WIRES)
def test_a_pair_in_two_events(wire: Wire, face: Face) -> None:
    """Its halves are joined, also in the arguments of a call; at the limit on tokens the half that is left is dropped."""
    pieces = [text(wire, piece) for piece in ("a\ud83d", "\ude00b\ud83d", "\ude01")]
    with two_targets(wire, sse(*start(wire), *pieces, finish(wire), *end(wire))) as two:
        assert call(two.pool, face).text == "a😀b😁"
    with two_targets(wire, sse(*start(wire), pieces[0], finish(wire, "max_tokens"), *end(wire))) as two:
        result = call(two.pool, face)
        assert (result.text, result.reply.finish_reason) == ("a", "length")
    if wire == "openai":
        with two_targets(wire, openai_call(face, '{"a": "\ud83d\ude00"}')) as two:
            assert call(two.pool, face).reply.tool_calls[0].arguments == '{"a": "😀"}'


def test_halves_from_a_frameworks_model() -> None:
    """What another backend hands out does not crash the watch over its stream."""
    pool = scripted_pool(ScriptedTarget("a", answer(["x\ud83d", "\ude00"])))
    assert len("".join(chunk.text for chunk in pool.stream("hi"))) == 3


# --- refusals with words ----------------------------------------------------------------------------------------------


def refused(face: Face, kind: str) -> tuple[Wire, Any]:
    """A refusal that has words."""
    if kind == "refusal":
        refusal = {"refusal": "I can't."}
        streamed = sse(*start("openai"), chunk_event(refusal), finish("openai"), *end("openai"))
        return "openai", response(200, whole("openai", "", **refusal)) if face in WHOLE else streamed
    if kind == "part":
        part = [{"type": "refusal", "refusal": "I can't."}]
        streamed = sse(*start("openai"), chunk_event({"content": part}), finish("openai"), *end("openai"))
        return "openai", response(200, whole("openai", part)) if face in WHOLE else streamed  # type: ignore[arg-type]
    wires: dict[str, Wire] = {"content_filter": "openai", "refusal stop": "anthropic", "SAFETY": "gemini"}
    return wires[kind], ended(wires[kind], face, "I can't.", kind.split()[0])


@pytest.mark.parametrize("kind", ["refusal", "part", "content_filter", "refusal stop", "SAFETY"])
@pytest.mark.parametrize("face", WHOLE)
def test_a_refusal_with_words_fails_over_where_the_policy_says_so(face: Face, kind: str) -> None:
    """With CONTENT_FILTER in `failover_on` it is no answer, however it is obtained; without, it is served as it is."""
    for asked, completion in ((face, "wait"), ("stream", "stream"), ("stream", "wait")):
        wire, data = refused(asked, kind)  # type: ignore[arg-type]
        with two_targets(wire, data, failover_on={Kind.CONTENT_FILTER}, completion=completion) as two:
            result = call(two.pool, face)
            assert (result.text, result.kinds) == ("spare answer", ["first content_filter", "spare ok"])
            assert two.pool.health()["first"].failures == 0
    wire, data = refused(face, kind)
    with two_targets(wire, data) as two:
        reply = call(two.pool, face).reply
        assert (reply.text or reply.refusal) == "I can't."


@pytest.mark.parametrize("kind", ["refusal", "part"])
@pytest.mark.parametrize("face", STREAMED)
def test_a_streamed_refusal_fails_over(face: Face, kind: str) -> None:
    """Before its first word is handed out, reasoning aside; a text that was handed out is not taken back."""
    wire, data = refused(face, kind)
    policy = {"failover_on": {Kind.CONTENT_FILTER}}
    with two_targets(wire, data, **policy) as two:
        result = call(two.pool, face)
        assert (result.text, result.reply.refusal, result.kinds) == (
            "spare answer",
            None,
            ["first content_filter", "spare ok"],
        )
    with two_targets(wire, [data[0], *sse(chunk_event({"reasoning": "hm"}))[1:2], *data[1:]], **policy) as two:
        result = call(two.pool, face)
        assert (result.text, result.reply.refusal) == ("spare answer", None)
    with two_targets("openai", ended("openai", face, "Once upon", "content_filter"), **policy) as two:
        result = call(two.pool, face)
        assert (result.text, result.reply.finish_reason) == ("Once upon", "content_filter")


@EACH_FACE
@pytest.mark.parametrize("streaming", [True, False])
def test_a_refusal_of_any_backend(streaming: bool, face: Any) -> None:
    """A framework's model refuses in the same way."""
    refusing = ScriptedTarget("a", ChatReply(refusal="I can't."))
    pool = scripted_pool(refusing, "b", failover_on={Kind.CONTENT_FILTER})
    assert refusing.clock is not None
    (seen,) = run_calls(face, pool, refusing.clock, [Ask(streaming)])
    assert (seen.text, seen.attempts) == ("ok", ["a first content_filter", "b failover ok"])
    assert pool.health().in_flight == 0


# --- media ------------------------------------------------------------------------------------------------------------
