"""GeminiWire: the requests it writes, the fields it cannot carry, the ends of its answers."""

import json
from typing import Any

import pytest
from hotspare import errors
from hotspare.messages import ChatRequest
from hotspare.providers.gemini.wire import GeminiWire
from hotspare.target import Target
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.providers.readers import REQUEST, almost, fails_as, survives_body, survives_stream

WIRE = GeminiWire()
HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"


def gemini(name: str = "3-flash-preview", **fields: Any) -> Target:
    return Target(f"gemini/gemini-{name}", **fields)


def write(target: Target | None = None, **fields: Any) -> dict[str, Any]:
    return WIRE.write(ChatRequest(**{"messages": HI, **fields}), target or gemini(), stream=False)


def test_generation_config() -> None:
    """Sampling, limits and response format of a request, in Gemini's names."""
    body = write(
        temperature=0,
        top_p=0.5,
        top_k=4,
        max_tokens=9,
        stop=["x"],
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    )
    assert body["generationConfig"] == {
        "temperature": 0,
        "topP": 0.5,
        "topK": 4,
        "maxOutputTokens": 9,
        "stopSequences": ["x"],
        "seed": 7,
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    assert write(response_format={"type": "json_object"})["generationConfig"] == {
        "responseMimeType": "application/json"
    }


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: Any, expected: dict[str, Any]) -> None:
    """Every tool choice as Gemini's mode."""
    assert write(tools=[TOOL], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": expected}


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("2.5-flash", "high", {"thinkingBudget": 4096, "includeThoughts": True}),
        ("2.5-flash", "none", {"thinkingBudget": 0}),
        ("3-flash-preview", "minimal", {"thinkingLevel": "minimal", "includeThoughts": True}),
        ("3-pro-preview", "minimal", {"thinkingLevel": "low", "includeThoughts": True}),
        ("3.1-pro-preview", "xhigh", {"thinkingLevel": "high", "includeThoughts": True}),
    ],
)
def test_reasoning_by_generation(model: str, effort: Any, expected: dict[str, Any]) -> None:
    """2.5 gets a budget, 3 and later a level they know."""
    assert write(gemini(model), reasoning_effort=effort)["generationConfig"] == {"thinkingConfig": expected}


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("3-flash-preview", {"user": "u"}, ("user",)),
        ("3-flash-preview", {"tools": [TOOL], "parallel_tool_calls": False}, ("parallel_tool_calls",)),
        ("3-flash-preview", {"stop": list("abcdef")}, ("stop",)),
        ("2.0-flash", {"reasoning_effort": "low"}, ("reasoning_effort",)),
        ("2.5-pro", {"reasoning_effort": "none"}, ("reasoning_effort",)),
        ("3-flash-preview", {"reasoning_effort": "none"}, ("reasoning_effort",)),
        ("2.5-flash", {"reasoning_effort": "none", "seed": 1, "top_k": 2}, ()),
    ],
)
def test_unsupported_fields(model: str, fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    """A field that the wire format cannot carry is reported, never silently dropped."""
    assert WIRE.unsupported(ChatRequest(**{"messages": HI, **fields}), gemini(model)) == expected


@pytest.mark.parametrize(
    ("url", "model", "base", "accepted"),
    [
        ("https://a.example/b.png", "3-flash-preview", None, True),
        ("https://a.example/b.png", "2.0-flash", None, False),
        ("https://a.example/b.png", "2.0-flash", VERTEX, True),
        ("https://a.example/b", "3-flash-preview", None, False),
        ("gs://bucket/b.png", "3-flash-preview", None, False),
        ("gs://bucket/b.png", "2.0-flash", VERTEX, True),
        ("data:image/png;base64,AAAA", "2.0-flash", None, True),
    ],
)
def test_image_urls(url: str, model: str, base: str | None, accepted: bool) -> None:
    """Data is accepted everywhere, gs:// by Vertex, https with a known media type by Vertex and from 2.5 on."""
    request = ChatRequest(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    target = gemini(model, base_url=base)
    assert WIRE.unsupported(request, target) == (() if accepted else ("messages",))
    if accepted:
        part = WIRE.write(request, target, stream=False)["contents"][0]["parts"][0]
        media = part.get("inlineData") or part["fileData"]
        assert media["mimeType"] == "image/png"


def test_a_call_and_its_signature_are_sent_back_unchanged() -> None:
    """A call of Gemini's, without an id, is written as it was read, followed by its result."""
    part = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}
    reply = WIRE.read({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}, REQUEST)
    assert reply.finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": reply.tool_calls[0].id, "content": "sunny"}
    contents = write(messages=[*HI, reply.message, result])["contents"]
    assert contents[1] == {"role": "model", "parts": [part]}
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "sunny"}}}]


def test_extra_overrides_the_body() -> None:
    """The target's extra, then the request's, win, field by field inside `generationConfig`."""
    target = gemini(extra={"generationConfig": {"temperature": 1, "topK": 1}})
    extra = {"gemini": {"generationConfig": {"topK": 2, "responseModalities": ["TEXT"]}}}
    body = write(target, temperature=0, extra=extra)
    assert body["generationConfig"] == {"temperature": 1, "topK": 2, "responseModalities": ["TEXT"]}


def test_url_and_headers() -> None:
    """The Gemini API with and without a version in its base URL, Vertex AI, keys and tokens."""
    google, target = "https://generativelanguage.googleapis.com", gemini("2.5-pro")
    assert WIRE.url(google, target, stream=False) == f"{google}/v1beta/models/gemini-2.5-pro:generateContent"
    assert WIRE.url(f"{google}/v1/", target, stream=True).endswith(
        "/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    )
    assert WIRE.url(VERTEX, target, stream=False) == f"{VERTEX}/publishers/google/models/gemini-2.5-pro:generateContent"
    assert WIRE.headers("k") == {"x-goog-api-key": "k"}
    assert WIRE.headers("ya29.x") == {"authorization": "Bearer ya29.x"}
    assert WIRE.headers(None) == {}


def body(reason: str | None, *parts: dict[str, Any]) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts)}, "index": 0}
    return {"candidates": [{**candidate, "finishReason": reason} if reason else candidate]}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({}, errors.EmptyAnswer),
        ({"candidates": []}, errors.EmptyAnswer),
        (body(None, {"text": "half"}), errors.IncompleteAnswer),
        (body("STOP"), errors.EmptyAnswer),
        (body("STOP", {}), errors.EmptyAnswer),
        (body("STOP", {"thoughtSignature": "s"}), errors.EmptyAnswer),
        (body("SAFETY"), errors.InBandError),
        (body("MALFORMED_FUNCTION_CALL"), errors.MalformedAnswer),
        (body("OTHER", {"text": "half"}), errors.IncompleteAnswer),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, errors.InBandError),
        ({"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}}, errors.InBandError),
        ({"candidates": "no"}, errors.MalformedAnswer),
    ],
)
def test_answers_without_a_proper_end(answer: dict[str, Any], error: type[errors.BackendError]) -> None:
    """Each has its own error, the same in a body and in a stream."""
    with pytest.raises(error):
        WIRE.read(answer, REQUEST)
    fails_as(WIRE, [("", answer)], error)


def test_finish_reasons_after_content() -> None:
    """A blocked answer keeps its text; thinking that used all of max_tokens ends with `length`."""
    assert WIRE.read(body("SAFETY", {"text": "No"}), REQUEST).finish_reason == "content_filter"
    assert WIRE.read(body("MAX_TOKENS"), REQUEST).finish_reason == "length"


def test_calls_without_ids_get_different_ones() -> None:
    """Two equal calls without ids, in one event or in two, are two calls."""
    reader = WIRE.reader(REQUEST)
    call = {"functionCall": {"name": "f", "args": {}}}
    chunks = [reader.event("", json.dumps(body(None, call, call))), reader.event("", json.dumps(body("STOP", call)))]
    deltas = [delta for chunk in chunks if chunk for delta in chunk.tool_calls]
    assert [delta.index for delta in deltas] == [0, 1, 2]
    assert len({delta.id for delta in deltas}) == 3
    assert reader.finish().finish_reason == "tool_calls"


NAMES = [
    "candidates",
    "content",
    "parts",
    "text",
    "finishReason",
    "functionCall",
    "name",
    "args",
    "id",
    "usageMetadata",
]
NAMES += [
    "promptTokenCount",
    "thought",
    "thoughtSignature",
    "promptFeedback",
    "blockReason",
    "error",
    "index",
    "inlineData",
]
JSON = almost(NAMES, ["STOP", "SAFETY", "MAX_TOKENS", "f", "MALFORMED_FUNCTION_CALL"])
SHAPED = st.builds(
    lambda parts, reason: {"candidates": [{"content": {"parts": parts}, "finishReason": reason}]}, JSON, JSON
)


@given(JSON | SHAPED)
@settings(max_examples=300, deadline=None)
def test_any_body_gives_a_reply_or_a_backend_error(answer: object) -> None:
    """No JSON body raises another exception."""
    survives_body(WIRE, answer)


@given(st.lists(st.tuples(st.just(""), st.text(max_size=20) | JSON | SHAPED), max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_stream_gives_a_reply_or_a_backend_error(stream: list[tuple[str, object]]) -> None:
    """No stream of events raises another exception."""
    survives_stream(WIRE, stream)
