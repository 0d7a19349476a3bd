"""A turn without a word: an answer where a tool's result stands before it and the wire format proves its end, else a failure."""

from typing import Any

import pytest
from hotspare import ChatReply, ChatRequest, Pool, Target

from tests.support.field_calls import (
    MODELS,
    PATHS,
    SHORT,
    SPARE,
    STREAMED,
    WHOLE,
    WIRES,
    Face,
    Result,
    Wire,
    call,
    chunk_event,
    end,
    finish,
    start,
    text,
    two_targets,
    well,
    whole,
)
from tests.support.raw_server import Handler, RawRequest, Step, event, raw_server, response, sse

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


def reported(wire: Wire, tokens: int | None) -> list[str]:
    """The end of a stream without text, and the number of output tokens that it reports."""
    if wire == "openai":
        used = [] if tokens is None else [{"prompt_tokens": 7, "completion_tokens": tokens}]
        return [finish(wire), *(event({"id": "c1", "choices": [], "usage": one}) for one in used), event("[DONE]")]
    if wire == "gemini":
        return [finish(wire, usage={} if tokens is None else {"promptTokenCount": 7, "candidatesTokenCount": tokens})]
    return [finish(wire, usage={} if tokens is None else {"output_tokens": tokens}), *end(wire)]


def ended(wire: Wire, tokens: int | None) -> list[Step]:
    """A stream without text that reports this number of output tokens."""
    return sse(*start(wire), *reported(wire, tokens))


def ends_with(tokens: int) -> Handler:
    """A provider that sends such a stream."""
    return lambda _: ended("openai", tokens)


def down(_: RawRequest) -> bytes:
    """A provider that is down."""
    return response(503, {"error": {"message": "down"}})


def continued(
    wire: Wire, face: Face, tokens: int | None, *, given: str = "It is ", third: Handler | None = well, **options: Any
) -> Result:
    """A stream that breaks in the middle, a second target that has nothing to add, and a third one; None: there is no third."""
    policy = {key: options.pop(key) for key in ("on_break", "max_attempts") if key in options}
    # Closed, not reset: a system discards what a client has not read yet when a reset arrives, and a busy one reads late.
    broken: list[Step] = [*sse(*start("openai"), text("openai", given))[:-1], "close"]
    lost = ended(wire, tokens)
    with raw_server(lambda _: broken) as one, raw_server(lambda _: lost) as two, raw_server(third or well) as three:
        targets = [
            Target("openai-compatible/m", name="first", base_url=one.url + "/v1", api_key="one"),
            Target(MODELS[wire], name="second", base_url=two.url + PATHS[wire], api_key="two"),
            Target("openai-compatible/m", name="third", base_url=three.url + "/v1", api_key="three"),
        ][: 3 if third else 2]
        with Pool(targets, deadline=20, timeouts=SHORT, retry_same_target="never", **policy) as pool:
            return call(pool, face, **options)


@pytest.mark.parametrize("options", [{}, {"stop": ["END"]}])
@pytest.mark.parametrize("tokens", [None, 0, 4, 60])
@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize("wire", WIRES)
def test_an_empty_continuation_is_no_end(wire: Wire, face: Face, tokens: int | None, options: dict[str, Any]) -> None:
    """A regular end without content, with no token generated or with more than an end takes: the next target is asked."""
    result = continued(wire, face, tokens, **options)
    assert (result.text, result.kinds[-1]) == (f"It is {SPARE}", "third ok")
    assert (
        options or result.kinds[1] == "second server"
    )  # with `stop`, an empty text may be the answer until its end is known


@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize("wire", WIRES)
def test_a_model_that_has_nothing_to_add(wire: Wire, face: Face, tokens: int) -> None:
    """It reports the tokens of its end, and the text looks finished: all of it had come."""
    result = continued(wire, face, tokens, given="It is done.")
    assert (result.text, result.kinds) == ("It is done.", ["first ok", "second ok"])


@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize("wire", WIRES)
def test_a_word_may_have_as_many_tokens_as_an_end(wire: Wire, face: Face, tokens: int) -> None:
    """The text stops in the middle of a sentence: the next target is asked too, and has the rest."""
    result = continued(wire, face, tokens)
    assert (result.text, result.kinds) == (f"It is {SPARE}", ["first ok", "second ok", "third ok"])


@pytest.mark.parametrize("face", STREAMED)
def test_two_targets_that_have_nothing_to_add(face: Face) -> None:
    """They confirm each other."""
    result = continued("anthropic", face, 1, third=ends_with(1))
    assert (result.text, result.kinds) == ("It is ", ["first ok", "second ok", "third ok"])


@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize(
    ("third", "kinds"),
    [
        (None, []),
        (down, ["third server"]),
        (ends_with(60), ["third server"]),
    ],
)
def test_nobody_confirms_an_end(face: Face, third: Handler | None, kinds: list[str]) -> None:
    """No target is left, or none answers: the end is the best that is known, and it is paid for once."""
    result = continued("openai", face, 2, third=third)
    assert (result.text, result.kinds) == ("It is ", ["first ok", "second ok", *kinds])
    assert result.summary is not None
    assert (result.summary.target, result.reply.finish_reason, result.reply.usage.output_tokens) == (
        "second",
        "stop",
        2,
    )


def test_the_last_attempt_needs_no_confirmation() -> None:
    """With max_attempts = 2."""
    assert continued("openai", "stream", 1, max_attempts=2).kinds == ["first ok", "second ok"]


@pytest.mark.parametrize("options", [{}, {"stop": ["END"]}])
def test_an_answer_from_the_beginning_is_not_empty(options: dict[str, Any]) -> None:
    """With on_break = restart the target was asked for all of it: nothing is not the whole answer, whatever tokens it reports."""
    result = continued("openai", "stream", 1, on_break="restart", **options)
    assert (result.text, result.error is not None, len(result.kinds)) == ("It is ", True, 3)


def test_accept_judges_an_end() -> None:
    """The caller's own rule for a whole answer takes the place of a second opinion."""
    asked: list[str] = []

    def accept(reply: ChatReply) -> bool:
        asked.append(reply.text)
        return bool(asked[1:])

    result = continued("openai", "stream", 1, accept=accept)
    assert (result.kinds, asked) == (["first ok", "second ok"], ["It is "])
    assert "was not accepted" in str(result.error)


def test_some_words_are_no_empty_turn() -> None:
    """A text after a tool result is served as ever."""
    with two_targets("gemini", sse(text("gemini", "fine"), finish("gemini"))) as two:
        assert call(two.pool, "stream", AFTER_TOOL).text == "fine"
