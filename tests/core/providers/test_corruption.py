"""Recorded responses of all three wire formats, corrupted at random in bytes, JSON, status and headers.

Any of them gives an answer or a BackendError, and every error is classified.
"""

import json
from itertools import pairwise
from typing import Any

import pytest
from hotspare._classify.rules import classify
from hotspare._engine.folding import reply_of
from hotspare.errors import BackendError
from hotspare.messages import ChatReply
from hotspare.outcome import Kind, Outcome
from hotspare.providers.base import Wire
from hotspare.providers.presets import PRESETS
from hotspare.providers.response import ResponseParser, read_response
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.providers.readers import REQUEST
from tests.support.cassettes import expected, recording

WIRES = {
    "openai": "openai",
    "openrouter": "openrouter",
    "litellm": "openai-compatible",
    "anthropic": "anthropic",
    "gemini": "gemini",
}
BODIES = {
    provider: [
        recording(name)["response"]["body"]["string"].encode()
        for name in sorted(expected())
        if name.startswith(f"{provider}/")
    ]
    for provider in WIRES
}
"""Whole answers, streams and errors, as recorded."""
PIECES = [
    b"\n\n",
    b"\r",
    b"data:",
    b"data: [DONE]\n\n",
    b"event: error\n",
    b": keep-alive\n\n",
    b"null",
    b"{",
    b"[]",
    b'"',
    b"\xff\xfe",
    b"\x00",
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(st.text(max_size=5), LEAVES, max_size=2)
HEADER_NAMES = ["retry-after", "retry-after-ms", "content-type", "x-should-retry", "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"]  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(HEADER_NAMES),
    st.sampled_from(
        ["0", "-1", "1e400", "nan", "9" * 400, "6m0s", "2025-13-45T00:00:00Z", "Mon, 99 Nov 2025 16:00:30 GMT"]
    )
    | st.text(max_size=10),
    max_size=4,
)
STATUSES = st.sampled_from([200, 200, 200, 201, 302, 400, 404, 429, 500, 529, 999])


@st.composite
def corrupted_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """A body of which parts are removed, doubled or overwritten."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 60)))
        replacement = draw(st.sampled_from(PIECES) | st.binary(max_size=12) | st.just(body[start:end] * 2))
        body = body[:start] + replacement + body[end:]
    return body


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in paths(item, (*path, key)))]


@st.composite
def corrupted_json(draw: st.DrawFn, body: Any) -> Any:
    """JSON in which some values, at any depth, are replaced or removed."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(body)))
        if not path:
            return draw(VALUES)
        *parents, last = path
        parent = body = json.loads(json.dumps(body))
        for key in parents:
            parent = parent[key]
        if draw(st.booleans()):
            parent[last] = draw(VALUES)
        else:
            del parent[last]
    return body


def receive(wire: Wire, status: int, headers: dict[str, str], body: bytes, cuts: list[int]) -> ChatReply | Outcome:
    """The answer in a response that arrives in pieces; for an error, its outcome."""
    ends = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    parser = ResponseParser(wire, REQUEST, status, headers)
    try:
        chunks = [c for a, b in pairwise(ends) for c in parser.feed(body[a:b])]
        return reply_of([*(chunk for chunk in chunks if chunk.is_content), *parser.end()])
    except BackendError as error:
        return classify(error, now=0.0)


def check(wire: Wire, result: ChatReply | Outcome) -> None:
    """What holds for any result. An answer of Gemini's may consist of parts of unknown types, and have no text."""
    if isinstance(result, Outcome):
        assert result.kind is not Kind.OK
        assert result.retry_after is None or result.retry_after >= 0
        assert len(result.message) <= 500
    else:
        assert result.finish_reason in ("stop", "length", "tool_calls", "content_filter")
        content = result.text or result.tool_calls or result.refusal or result.finish_reason == "length"
        assert content or wire.dialect == "gemini"
        assert min(result.usage.input_tokens, result.usage.output_tokens) >= 0


@pytest.mark.parametrize("provider", WIRES)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_corrupted_bytes(provider: str, data: st.DataObject) -> None:
    """Bytes split anywhere, with any status and headers, as a stream and as a whole: an answer or a BackendError."""
    wire = PRESETS[WIRES[provider]].wire()
    body = data.draw(corrupted_bytes(data.draw(st.sampled_from(BODIES[provider]))))
    status, headers = data.draw(STATUSES), data.draw(HEADERS)
    check(wire, receive(wire, status, headers, body, data.draw(st.lists(st.integers(0, 5000), max_size=6))))
    try:
        check(wire, read_response(wire, REQUEST, status, headers, body))
    except BackendError as error:
        check(wire, classify(error, now=0.0))


@pytest.mark.parametrize("provider", WIRES)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_corrupted_json(provider: str, data: st.DataObject) -> None:
    """JSON with fields of wrong types or without them, in a body and in an event: an answer or a BackendError."""
    wire = PRESETS[WIRES[provider]].wire()
    body = data.draw(st.sampled_from(BODIES[provider])).decode()
    lines = body.splitlines(keepends=True)
    with_json = [index for index, line in enumerate(lines) if line.startswith(("data: {", "{"))]
    index = data.draw(st.sampled_from(with_json))
    prefix, brace, text = lines[index].partition("{")
    lines[index] = prefix + json.dumps(data.draw(corrupted_json(json.loads(brace + text)))) + "\n"
    check(wire, receive(wire, 200, {}, "".join(lines).encode(), []))
