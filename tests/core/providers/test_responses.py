"""ResponsesWire: the requests it writes, the fields it cannot carry, and every way in which an answer begins and ends."""

import json
from typing import Any

import pytest
from hotspare import errors
from hotspare._classify.rules import classify
from hotspare._engine.folding import reply_of
from hotspare.messages import ChatReply, ChatRequest
from hotspare.outcome import Kind
from hotspare.providers.openai.flavors import FLAVORS
from hotspare.providers.response import ResponseParser, read_response
from hotspare.providers.responses.wire import ResponsesWire
from hotspare.target import Target
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.providers.histories import HISTORIES
from tests.core.providers.readers import REQUEST, almost, survives_body, survives_stream

WIRE = ResponsesWire()
GPT = Target("openai/gpt-5.6")
HI = [{"role": "user", "content": "hi"}]
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
REASONED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}


def write(target: Target = GPT, wire: ResponsesWire = WIRE, **fields: Any) -> dict[str, Any]:
    return wire.write(ChatRequest(**{"messages": HI, **fields}), target, stream=False)


def text(*pieces: str, kind: str = "output_text") -> dict[str, Any]:
    """A message of the answer."""
    field = "refusal" if kind == "refusal" else "text"
    return {"type": "message", "id": "msg_1", "content": [{"type": kind, field: piece} for piece in pieces]}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def delta(piece: str, index: int = 0, kind: str = "output_text") -> bytes:
    return event(f"response.{kind}.delta", output_index=index, delta=piece)


def end(*output: Any, kind: str = "completed", **fields: Any) -> bytes:
    response = {"id": "resp_1", "model": "m", "status": kind, "output": list(output), **fields}
    return event(f"response.{kind}", response=response)


def stream(*events: bytes, request: ChatRequest = REQUEST) -> ChatReply:
    """The answer that these events are."""
    parser = ResponseParser(WIRE, request, 200, {})
    chunks = [chunk for chunk in parser.feed(b"".join(events)) if chunk.is_content]
    return reply_of([*chunks, *parser.end()])


def whole(request: ChatRequest = REQUEST, **body: Any) -> ChatReply:
    return read_response(WIRE, request, 200, {}, json.dumps({"id": "resp_1", **body}).encode())


def test_a_history_of_everything() -> None:
    """Reasoning before its call, flat calls and results, images in a result, and nothing that another provider signed."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": ["a", image, {"type": "file", "file": {"file_id": "https://x.example/a.pdf"}}]},
        {
            "role": "assistant",
            "content": "text",
            "reasoning_content": "hm",
            "thinking_blocks": [
                {**REASONED, "status": None, "dialect": "responses"},
                {"type": "thinking", "signature": "c2ln", "dialect": "anthropic"},
            ],
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "t"}, image]},
    ]
    seen = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    document = {"type": "input_file", "file_url": "https://x.example/a.pdf"}
    assert write(messages=messages)["input"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, seen, document]},
        REASONED,
        {"role": "assistant", "content": "text"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "t"}, seen]},
    ]
    vllm = write(Target("vllm/m"), ResponsesWire(FLAVORS["vllm"]), messages=messages)["input"]
    assert vllm[-2]["output"] == "t" and vllm[-1] == {"role": "user", "content": [seen]}


def test_the_fields_of_a_request() -> None:
    """Flat tools, choices and formats; reasoning comes back encrypted, and nothing is stored."""
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}}
    several = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    }
    body = write(
        tools=[{"type": "function", "function": FUNCTION, "cache_control": {}}], tool_choice=several, response_format=form,
        max_tokens=99, reasoning_effort="low", parallel_tool_calls=False, extra={"responses": {"reasoning": {"summary": "auto"}}},
    )  # fmt: skip
    assert body == {
        "model": "gpt-5.6", "input": [{"role": "user", "content": "hi"}], "max_output_tokens": 99, "store": False,
        "tools": [{"type": "function", **FUNCTION, "strict": False}], "parallel_tool_calls": False,
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {}, "strict": True}},
        "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
    }  # fmt: skip
    forced = write(
        tools=[{"type": "function", "function": FUNCTION}], tool_choice={"type": "function", "function": {"name": "f"}}
    )
    assert forced["tool_choice"] == {"type": "function", "name": "f"}
    assert "include" not in write(Target("openai/gpt-4.1"))


@pytest.mark.parametrize(
    ("target", "fields", "expected"),
    [
        (GPT, {"stop": ["x"], "seed": 1, "top_k": 2, "presence_penalty": 1.0}, {"stop", "seed", "top_k", "presence_penalty"}),
        (GPT, {"max_tokens": 15}, {"max_tokens"}),
        (GPT, {"temperature": 0.5, "reasoning_effort": "low"}, {"temperature"}),
        (GPT, {"temperature": 0.5, "max_tokens": 16, "frequency_penalty": 0}, set()),
        (Target("openai/gpt-4.1"), {"temperature": 0.5, "top_p": 0.5}, set()),
        (GPT, {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, {"messages"}),
    ],
)  # fmt: skip
def test_what_cannot_be_sent(target: Target, fields: dict[str, Any], expected: set[str]) -> None:
    """The fields that do not exist there, or that its models reject."""
    assert set(WIRE.unsupported(ChatRequest(**{"messages": HI, **fields}), target)) == expected


@pytest.mark.parametrize(
    ("preset", "base", "url"),
    [
        ("openai", "https://api.openai.com", "https://api.openai.com/v1/responses"),
        ("openai", "https://relay.example/v1/", "https://relay.example/v1/responses"),
        ("openai", "https://relay.example/v1/responses", "https://relay.example/v1/responses"),
        ("openai", "https://relay.example/v1/chat/completions", "https://relay.example/v1/responses"),
        ("deepseek", "https://api.deepseek.com/v1", "https://api.deepseek.com/v1/responses"),
        ("azure", "https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/responses"),
        ("azure", "https://r.openai.azure.com/openai/v1", "https://r.openai.azure.com/openai/v1/responses"),
        (
            "azure",
            "https://r.openai.azure.com?api-version=1",
            "https://r.openai.azure.com/openai/responses?api-version=1",
        ),
        (
            "azure",
            "https://r.openai.azure.com/openai/deployments/d?api-version=1",
            "https://r.openai.azure.com/openai/responses?api-version=1",
        ),
    ],
)
def test_urls(preset: str, base: str, url: str) -> None:
    """Every form of a base URL that Chat Completions takes leads to Responses too."""
    assert ResponsesWire(FLAVORS[preset]).url(base, Target(f"{preset}/m"), stream=True) == url


START = event("response.output_item.added", output_index=0, item={**CALL, "arguments": ""})
STREAMS: dict[str, list[bytes]] = {
    "in pieces": [delta("Par"), delta("is"), end(text("Paris"))],
    "only in the item": [event("response.output_item.done", output_index=0, item=text("Par", "is")), end()],
    "only in the response": [event("response.created", response={}), end(text("Paris"))],
    "twice": [
        delta("Paris"),
        event("response.output_item.done", output_index=0, item=text("Paris")),
        end(text("Paris")),
    ],
    "renumbered at the end": [delta("Paris", 1), end(text("Paris"))],
    "without places": [
        event("response.output_text.delta", item_id="msg_1", delta="Par"),
        event("response.output_text.delta", item_id="msg_1", delta="is"),
        end(text("Paris")),
    ],
    "with unknown events": [
        event("response.web_search_call.searching", item_id="w"),
        delta("Paris"),
        end(text("Paris")),
    ],
}


@pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS)
def test_a_text_is_read_once(events: list[bytes]) -> None:
    """However a server spreads it over deltas, items and the last event."""
    reply = stream(*events)
    assert (reply.text, reply.finish_reason, reply.id) == ("Paris", "stop", "resp_1")


CALLS: dict[str, list[bytes]] = {
    "in pieces": [START, delta('{"a"', kind="function_call_arguments"), delta(": 1}", kind="function_call_arguments"), end(CALL)],
    "only in the item": [START, event("response.output_item.done", output_index=0, item=CALL), end(CALL)],
    "without a beginning": [event("response.output_item.done", output_index=0, item=CALL), end(CALL)],
    "only in the response": [end(CALL)],
}  # fmt: skip


@pytest.mark.parametrize("events", CALLS.values(), ids=CALLS)
def test_a_call_is_read_once(events: list[bytes]) -> None:
    """The same for the arguments of a call."""
    (call,) = stream(*events).tool_calls
    assert (call.id, call.name, json.loads(call.arguments)) == ("call_1", "f", {"a": 1})
    assert stream(*events).finish_reason == "tool_calls" == whole(status="completed", output=[CALL]).finish_reason


def test_reasoning() -> None:
    """A summary in parts, reasoning in full, and the sealed item that goes back; the same whole and streamed."""
    item = {**REASONED, "summary": [{"type": "summary_text", "text": one} for one in ("first", "second")]}
    reply = stream(
        event("response.reasoning_summary_part.added", output_index=0, summary_index=0),
        delta("first", kind="reasoning_summary_text"),
        event("response.reasoning_summary_part.added", output_index=0, summary_index=1),
        delta("second", kind="reasoning_summary_text"),
        event("response.output_item.done", output_index=0, item=item),
        delta("Paris", 1),
        end(item, text("Paris")),
    )
    for read in (reply, whole(status="completed", output=[item, text("Paris")])):
        assert (read.reasoning, read.text) == ("first\n\nsecond", "Paris")
        assert read.thinking == ({**item, "dialect": "responses"},)
    shown = {**REASONED, "content": [{"type": "reasoning_text", "text": "hm"}]}
    assert whole(status="completed", output=[shown, text("Paris")]).reasoning == "hm"


CUT = {**CALL, "arguments": '{"a'}
FAILED = {"code": "rate_limit_exceeded", "message": "Rate limit reached"}
ENDINGS: list[tuple[str, dict[str, Any], list[bytes], type[errors.BackendError] | str, Kind | None]] = [
    ("the token limit", {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [text("Pa")]},
     [delta("Pa"), end(text("Pa"), kind="incomplete", incomplete_details={"reason": "max_output_tokens"})], "length", None),
    ("the limit inside a call", {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [CUT]},
     [START, end(CUT, kind="incomplete", incomplete_details={"reason": "max_output_tokens"})], "length", None),
    ("a refusal", {"status": "completed", "output": [text("no", kind="refusal")]},
     [delta("no", kind="refusal"), end(text("no", kind="refusal"))], "stop", None),
    ("a filter", {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []},
     [end(kind="incomplete", incomplete_details={"reason": "content_filter"})], errors.InBandError, Kind.CONTENT_FILTER),
    ("a failure", {"status": "failed", "error": FAILED, "output": []},
     [delta("Pa"), end(kind="failed", error=FAILED)], errors.InBandError, Kind.RATE_LIMITED),
    ("an error event", {"error": {"code": "server_error", "message": "oh"}},
     [delta("Pa"), event("error", code="server_error", message="oh")], errors.InBandError, Kind.SERVER),
    ("cancelled", {"status": "cancelled", "output": [text("Pa")]},
     [delta("Pa"), end(kind="cancelled")], errors.IncompleteAnswer, Kind.SERVER),
    ("no end", {"status": "in_progress", "output": [text("Pa")]}, [delta("Pa")], errors.IncompleteAnswer, Kind.SERVER),
    ("an incomplete answer without a reason", {"status": "incomplete", "output": [text("Pa")]},
     [delta("Pa"), end(kind="incomplete")], errors.IncompleteAnswer, Kind.SERVER),
    ("nothing", {"status": "completed", "output": []}, [end()], errors.EmptyAnswer, Kind.SERVER),
    ("reasoning alone", {"status": "completed", "output": [REASONED]}, [end(REASONED)], errors.EmptyAnswer, Kind.SERVER),
    ("half a call", {"status": "completed", "output": [CUT]}, [START, end(CUT)], errors.MalformedAnswer, Kind.SERVER),
    ("a call without a name", {"status": "completed", "output": [{**CALL, "name": ""}]}, [end({**CALL, "name": ""})],
     errors.MalformedAnswer, Kind.SERVER),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "events", "expected", "kind"), [row[1:] for row in ENDINGS], ids=[row[0] for row in ENDINGS]
)
def test_how_an_answer_ends(
    body: dict[str, Any], events: list[bytes], expected: type[errors.BackendError] | str, kind: Kind | None
) -> None:
    """Whole and streamed alike: a finish reason, or the error that the ending means."""
    for read in (lambda: whole(**body), lambda: stream(*events)):
        if isinstance(expected, str):
            assert read().finish_reason == expected
        else:
            with pytest.raises(expected) as caught:
                read()
            assert classify(caught.value).kind is kind


def test_a_broken_stream_is_no_answer() -> None:
    """Arguments without a beginning, a delta that is no text, and an end that never comes."""
    for events, error in (
        ([delta("{}", kind="function_call_arguments"), end(CALL)], errors.MalformedAnswer),
        ([event("response.output_text.delta", output_index=0, delta=None), end()], errors.MalformedAnswer),
        ([b": nothing\n\n"], errors.EmptyAnswer),
        ([event("response.created", response={"id": "r"})], errors.IncompleteAnswer),
    ):
        with pytest.raises(error):
            stream(*events)


def test_what_servers_call_differently() -> None:
    """A custom tool's input is a text; an image is media; a server tool's work alone is an answer; usage may be missing."""
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1"}
    assert whole(status="completed", output=[custom]).tool_calls[0].arguments == "select 1"
    image = {"type": "image_generation_call", "result": "AA=="}
    assert whole(status="completed", output=[image]).media == (image,)
    assert whole(status="completed", output=[{"type": "mcp_approval_request"}]).text == ""
    assert not whole(output=[text("x")]).usage.known


NAMES = [
    "type",
    "output_index",
    "item",
    "item_id",
    "delta",
    "response",
    "output",
    "content",
    "status",
    "error",
    "call_id",
]
WORDS = [
    "message", "function_call", "reasoning", "output_text", "response.output_text.delta", "response.output_item.added",
    "response.output_item.done", "response.completed", "response.failed", "completed", "incomplete", "x",
]  # fmt: skip


@settings(max_examples=150)
@given(body=almost(NAMES, WORDS), events=st.lists(st.tuples(st.sampled_from(WORDS), almost(NAMES, WORDS)), max_size=5))
def test_any_json_is_an_answer_or_an_error(body: object, events: list[tuple[str, object]]) -> None:
    """Whatever a server sends, reading it gives a reply or a BackendError."""
    survives_body(WIRE, body)
    survives_stream(WIRE, events)


@settings(max_examples=150)
@given(HISTORIES)
def test_any_history_is_valid(messages: list[dict[str, Any]]) -> None:
    """Every result follows its call, ids are short, and reasoning comes before an item of the assistant."""
    items = write(messages=messages)["input"]
    assert items
    calls = [item["call_id"] for item in items if item.get("type") == "function_call"]
    results = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    assert calls == results and all(len(call) <= 64 for call in calls) and len(set(calls)) == len(calls)
    assert not any(item.get("type") == "reasoning" for item in items)  # none of these is Responses' own
