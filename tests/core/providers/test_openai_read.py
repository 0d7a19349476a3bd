"""OpenAIWire: the answers it reads, whole and streamed, with the deviations of each provider, and the errors."""

import json
from typing import Any

import pytest
from hotspare._engine.folding import chunks_of, reply_of
from hotspare.errors import BackendError, EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatReply, ChatRequest, Usage
from hotspare.providers.openai.flavors import FLAVORS
from hotspare.providers.openai.wire import OpenAIWire

from tests.core.providers.readers import REQUEST, fails_as

OPENAI = OpenAIWire()
ANY = OpenAIWire(FLAVORS["openai-compatible"])
OPENROUTER = OpenAIWire(FLAVORS["openrouter"])
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def body(message: dict[str, Any], reason: str | None = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {"id": "r1", "object": "chat.completion", "model": "m", "choices": [choice], **fields}


def event(delta: object, reason: str | None = None, **fields: Any) -> tuple[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return "message", {"id": "r1", "model": "m", "choices": [choice], **fields}


END = event({}, "stop")
DONE = ("message", "[DONE]")


def read(message: dict[str, Any], reason: str | None = "stop", **fields: Any) -> ChatReply:
    return OPENAI.read(body(message, reason, **fields), REQUEST)


def streamed(*events: tuple[str, object], wire: OpenAIWire = OPENAI, request: ChatRequest = REQUEST) -> ChatReply:
    reader = wire.reader(request)
    chunks = [
        chunk
        for name, value in events
        if (chunk := reader.event(name, value if isinstance(value, str) else json.dumps(value))) is not None
    ]
    assert all(chunk.is_content for chunk in chunks)
    return reply_of([*chunks, reader.finish()])


def test_a_plain_answer() -> None:
    """Text, id, model, usage with cached and reasoning tokens, and the raw body."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    reply = read({"content": "Hi"}, usage=usage)
    assert (reply.text, reply.id, reply.model, reply.finish_reason) == ("Hi", "r1", "m", "stop")
    assert reply.usage == Usage(10, 5, cached_tokens=4, reasoning_tokens=3)
    assert reply.raw == body({"content": "Hi"}, usage=usage)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 7}, Usage(9, 2, 7)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "num_cached_tokens": 7}, Usage(9, 2, 7)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 7}, Usage(9, 2, 7)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 31}, Usage(9, 22)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cache_write_tokens": 8}}, Usage(9, 0, 0, 8)),
        ({"prompt_tokens": None, "completion_tokens": "2"}, Usage(0, 2)),
    ],
)
def test_usage_by_provider(usage: object, expected: Usage) -> None:
    """The fields of DeepSeek, Mistral, Together and OpenRouter for cached tokens; xAI counts reasoning in the total only."""
    assert read({"content": "Hi"}, usage=usage).usage == expected


@pytest.mark.parametrize(
    ("message", "reason", "finish"),
    [
        ({"content": "Hi"}, "eos", "stop"),
        ({"content": "Hi"}, "model_length", "length"),
        ({"content": "Hi"}, "content_filter", "content_filter"),
        ({"content": "Hi"}, "something new", "stop"),
        ({"tool_calls": [CALL]}, "stop", "tool_calls"),
        ({"tool_calls": [CALL]}, "length", "length"),
        ({"function_call": {"name": "f", "arguments": "{}"}}, "function_call", "tool_calls"),
    ],
)
def test_finish_reasons(message: dict[str, Any], reason: str | None, finish: str) -> None:
    """Other names of OpenAI's four reasons; a forced call, which OpenAI ends with `stop`, is `tool_calls`."""
    assert read(message, reason).finish_reason == finish


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (CALL, ("call_1", "f", '{"a": 1}')),
        ({**CALL, "function": {"name": "f", "arguments": {"a": 1}}}, ("call_1", "f", '{"a": 1}')),
        ({**CALL, "function": {"name": "f"}}, ("call_1", "f", "{}")),
        ({**CALL, "function": {"name": "f", "arguments": "null"}}, ("call_1", "f", "null")),
        ({"id": "c", "type": "custom", "custom": {"name": "f", "input": "text"}}, ("c", "f", "text")),
    ],
)
def test_tool_calls(call: dict[str, Any], expected: tuple[str, str, str]) -> None:
    """Arguments stay the model's own text; an object becomes text; none become {}."""
    (found,) = read({"tool_calls": [call]}, "tool_calls").tool_calls
    assert (found.id, found.name, found.arguments) == expected


def test_calls_without_ids_get_some() -> None:
    """The id is the same each time the answer is read, and different for each call."""
    nameless = {name: value for name, value in CALL.items() if name != "id"}
    first, second = read({"tool_calls": [nameless, nameless]}).tool_calls
    assert first.id != second.id
    assert (first, second) == read({"tool_calls": [nameless, nameless]}).tool_calls


def test_a_signature_of_gemini_is_kept_with_its_call() -> None:
    """Google's OpenAI endpoint signs calls; the reply's message has the signature."""
    extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    reply = read({"tool_calls": [{**CALL, **extra}]})
    assert reply.tool_calls[0].signature == "c2ln"
    assert reply.message["tool_calls"] == [{**CALL, **extra}]


@pytest.mark.parametrize(
    "message",
    [
        {"content": "4", "reasoning_content": "2+2"},
        {"content": "4", "reasoning": "2+2"},
        {"content": "4", "reasoning_details": [{"type": "reasoning.text", "text": "2+"}, {"summary": "2"}]},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]},
                {"type": "text", "text": "4"},
            ]
        },
        {"content": [{"type": "thinking", "thinking": "2+2"}, "4"]},
    ],
)
def test_reasoning_by_provider(message: dict[str, Any]) -> None:
    """The fields of DeepSeek, Groq, OpenRouter and Mistral for reasoning, whole and streamed."""
    reply, stream = read(message), streamed(event(message), END)
    assert (reply.text, reply.reasoning) == (stream.text, stream.reasoning) == ("4", "2+2")


def test_signed_reasoning_of_openrouter() -> None:
    """The pieces of a stream are joined and marked with their dialect; other providers' details are not kept."""
    pieces = [
        {"type": "reasoning.text", "index": 0, "text": "2+", "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "index": 0, "text": "2", "signature": None},
        {"type": "reasoning.text", "index": 0, "signature": "c2ln"},
        {"type": "reasoning.encrypted", "index": 1, "data": "eHg="},
    ]
    events = [event({"reasoning_details": [piece]}) for piece in pieces]
    reply = streamed(*events, event({"content": "4"}), END, wire=OPENROUTER)
    assert reply.reasoning == "2+2"
    assert reply.thinking == (
        {**pieces[0], "text": "2+2", "signature": "c2ln", "dialect": "openrouter"},
        {**pieces[3], "dialect": "openrouter"},
    )
    assert streamed(*events, event({"content": "4"}), END).thinking == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"error": {"message": "slow down", "code": 429}},
        {"error": "slow down"},
        {"object": "error", "message": "slow down", "code": "1300"},
        {"code": 500, "message": "slow down"},
        body({"content": "Hel"}, "error", error={"message": "slow down"}),
        {"choices": [{"error": {"message": "slow down"}, "message": {"content": "Hel"}}]},
    ],
)
def test_errors_inside_a_200(bad: dict[str, Any]) -> None:
    """Every shape of an error body is an InBandError with the provider's message, whatever else the body holds."""
    with pytest.raises(InBandError, match="slow down") as caught:
        OPENAI.read(bad, REQUEST)
    assert b"slow down" in caught.value.body


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (body({"content": "Hel"}, "error"), InBandError),
        (body({"content": "Hel"}, "insufficient_system_resource"), IncompleteAnswer),
        (body({"content": "Hel"}, "aborted"), IncompleteAnswer),
        (body({"content": ""}), EmptyAnswer),
        (body({"content": None}, None), EmptyAnswer),
        (body({"content": None, "reasoning": "hm"}), EmptyAnswer),
        (body({"content": None}, "tool_calls"), EmptyAnswer),
        (body({"content": None}, "content_filter"), InBandError),
        ({"choices": []}, EmptyAnswer),
        ({"choices": None}, MalformedAnswer),
        ({"answer": "Hi"}, MalformedAnswer),
        ({"choices": [{"finish_reason": "stop"}]}, MalformedAnswer),
        (body({"tool_calls": [{"id": "c", "function": {}}]}), MalformedAnswer),
    ],
)
def test_invalid_answers(bad: dict[str, Any], error: type[BackendError]) -> None:
    """Aborted, empty, blocked, or of another shape."""
    with pytest.raises(error):
        OPENAI.read(bad, REQUEST)


def test_valid_answers_without_text() -> None:
    """A refusal, the limit on tokens, or a stop text that came first."""
    assert read({"content": None, "refusal": "No."}).refusal == "No."
    assert read({"content": ""}, "length").finish_reason == "length"
    stopping = ChatRequest(messages=[], stop=["4"])
    assert OPENAI.read(body({"content": ""}), stopping).text == ""
    assert streamed(event({"role": "assistant"}), END, request=stopping).finish_reason == "stop"
    assert streamed(event({"refusal": "N"}), event({"refusal": "o."}), END).refusal == "No."


def test_a_stream() -> None:
    """Role chunks are no content; usage follows the finish reason; other choices are ignored."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    other = {"choices": [{"index": 1, "delta": {"content": "Ho"}}]}
    reply = streamed(
        event({"role": "assistant", "content": ""}), event({"content": "He"}), ("message", other), ("message", ""),
        event({"content": "y"}), END, ("message", usage), DONE,
    )  # fmt: skip
    assert (reply.text, reply.usage, reply.finish_reason) == ("Hey", Usage(3, 2), "stop")
    assert (reply.id, reply.model) == ("r1", "m")


@pytest.mark.parametrize("place", ["x_groq", "choice"])
def test_usage_of_streams_by_provider(place: str) -> None:
    """Groq's `x_groq.usage`, and Moonshot's usage inside the choice."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    choice = {"delta": {}, "finish_reason": "stop", "usage": usage if place == "choice" else None}
    last = {"choices": [choice], "x_groq": {"usage": usage} if place == "x_groq" else None}
    assert streamed(event({"content": "Hi"}), ("message", last)).usage == Usage(3, 2)


def piece(**fields: Any) -> tuple[str, object]:
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return event({"tool_calls": [{**fields, "function": function}]})


STREAMED_CALLS: dict[str, list[tuple[str, object]]] = {
    "openai": [
        piece(index=0, id="a", name="f", arguments=""),
        piece(index=0, arguments='{"x"'),
        piece(index=0, arguments=": 1}"),
        piece(index=1, id="b", name="g", arguments=""),
        piece(index=1, arguments="{}"),
    ],
    "interleaved": [
        piece(index=0, id="a", name="f", arguments='{"x"'),
        piece(index=1, id="b", name="g"),
        piece(index=0, arguments=": 1}"),
    ],
    "whole, all of index 0 (Google)": [
        piece(index=0, id="a", name="f", arguments='{"x": 1}'),
        piece(index=0, id="b", name="g", arguments="{}"),
    ],
    "no index": [
        piece(id="a", name="f", arguments='{"x"'),
        piece(arguments=": 1}"),
        piece(id="b", name="g", arguments="{}"),
    ],
    "no index, id repeated": [
        piece(id="a", name="f", arguments='{"x"'),
        piece(id="a", name="f", arguments=": 1}"),
        piece(id="b", name="g", arguments=None),
    ],
    "name repeated": [
        piece(index=0, id="a", name="f", arguments='{"x"'),
        piece(index=0, id="a", name="f", arguments=": 1}"),
        piece(index=1, id="b", name="g", arguments={}),
    ],
    "name late": [
        piece(index=0, id="a"),
        piece(index=0, name="f", arguments='{"x": 1}'),
        piece(index=1, id="b", name="g"),
    ],
    "both in one event": [
        event({"tool_calls": [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}},
            {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
        ]})
    ],
}  # fmt: skip


@pytest.mark.parametrize("events", STREAMED_CALLS.values(), ids=STREAMED_CALLS)
def test_streamed_calls_by_provider(events: list[tuple[str, object]]) -> None:
    """Two calls, streamed in the way of each provider, are the same two calls."""
    reply = streamed(*events, END)
    assert [(c.id, c.name, c.arguments) for c in reply.tool_calls] == [("a", "f", '{"x": 1}'), ("b", "g", "{}")]
    assert reply.finish_reason == "tool_calls"


def test_streamed_calls_without_ids() -> None:
    """Two whole calls without index and id get different ids; the legacy field `function_call` is one call."""
    first, second = streamed(piece(name="f", arguments="{}"), piece(name="f", arguments="{}"), END).tool_calls
    assert first.id != second.id
    legacy = [event({"function_call": {"name": "f", "arguments": ""}}), event({"function_call": {"arguments": "{}"}})]
    (call,) = streamed(*legacy, event({}, "function_call")).tool_calls
    assert (call.name, call.arguments) == ("f", "{}")


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([], EmptyAnswer),
        ([DONE], EmptyAnswer),
        ([event({"role": "assistant"})], IncompleteAnswer),
        ([event({"content": "Hel"})], IncompleteAnswer),
        ([event({"content": "Hel"}), DONE], IncompleteAnswer),
        ([event({"content": "Hel"}), event({}, "aborted")], IncompleteAnswer),
        ([event({"content": "Hel"}), event({}, "error")], InBandError),
        ([event({"role": "assistant"}), END], EmptyAnswer),
        ([event({}, "content_filter")], InBandError),
        ([("message", '{"id": "r1", "cho'), END], MalformedAnswer),
        ([event({"content": "He"}), ("message", '{"cho'), event({"content": "y"}), END], MalformedAnswer),
        ([("message", '{"choices": [7]}'), END], MalformedAnswer),
        ([event(7), END], MalformedAnswer),
        ([event({"content": "Hel"}), ("message", '{"id": "r1", "cho')], MalformedAnswer),
        ([event({"content": "Hel"}), ("message", "<html>"), DONE], MalformedAnswer),
        ([event("Hel")], MalformedAnswer),
        ([piece(index=0, id="a"), END], MalformedAnswer),
        ([piece(index=0, id="a", name="f", arguments='{"x'), ("message", "{"), END], MalformedAnswer),
    ],
)
def test_invalid_streams(events: list[tuple[str, object]], error: type[BackendError]) -> None:
    """Without proof of completion, or with an incomplete call, a stream ends in an error."""
    fails_as(OPENAI, events, error)


def test_done_completes_a_stream_without_finish_reason() -> None:
    """Of a compatible server without finish reasons (Snowflake); but not if a call is incomplete."""
    assert streamed(event({"content": "Hi"}), DONE, wire=ANY).finish_reason == "stop"
    assert streamed(piece(index=0, id="a", name="f", arguments="{}"), DONE, wire=ANY).finish_reason == "tool_calls"
    fails_as(ANY, [piece(index=0, id="a", name="f", arguments='{"x'), DONE], IncompleteAnswer)
    fails_as(ANY, [event({"role": "assistant"}), DONE], IncompleteAnswer)


def test_an_event_that_cannot_have_held_content_is_ignored() -> None:
    """Values that hold nothing and keep-alives by name at any time; after the finish reason anything."""
    harmless = [
        ("message", "null"),
        ("message", "[]"),
        ("message", "1"),
        ("ping", "pong"),
        ("message", {"type": "ping"}),
    ]
    garbage = [("message", '{"cho'), ("message", '{"choices": [7]}'), event(7)]
    assert streamed(event({"content": "He"}), *harmless, event({"content": "y"}), END, *garbage).text == "Hey"


@pytest.mark.parametrize(
    "error",
    [
        ("message", {"error": {"message": "overloaded"}}),
        ("error", {"error": {"message": "overloaded"}}),
        ("error", {"message": "overloaded"}),
        ("message", {"object": "error", "message": "overloaded"}),
        event({"content": ""}, "error", error={"message": "overloaded", "code": 502}),
    ],
)
def test_an_error_event_ends_the_stream(error: tuple[str, object]) -> None:
    """An error event before the finish reason raises, also if [DONE] follows; after it, it is ignored."""
    caught = fails_as(OPENAI, [event({"content": "Hel"}), error, DONE], InBandError)
    assert "overloaded" in str(caught)
    if error[1] != event({"content": ""}, "error", error={"message": "overloaded", "code": 502})[1]:
        assert streamed(event({"content": "Hey"}), END, error, DONE).text == "Hey"


def test_reply_to_chunks_and_back() -> None:
    """A reply split into chunks and joined again is the same reply."""
    reply = read(
        {"content": "Hi", "reasoning": "hm", "tool_calls": [CALL], "refusal": "no"}, usage={"prompt_tokens": 3}
    )
    again = reply_of(chunks_of(reply))
    assert again.message == reply.message
    assert (again.usage, again.finish_reason, again.id) == (reply.usage, reply.finish_reason, reply.id)
