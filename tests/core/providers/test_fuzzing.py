"""Recorded answers of all three wires, spoilt at random in bytes, JSON, status and headers, on their whole way in.

Whatever a server sends, the caller gets an answer or one of hotspare's own errors, and every error is classified.
"""

import json
from itertools import pairwise
from typing import Any

import pytest
from hotspare._classify.rules import classify
from hotspare.errors import BackendError
from hotspare.messages import ChatReply
from hotspare.outcome import Kind, Outcome
from hotspare.providers.base import Wire
from hotspare._engine.folding import reply_of
from hotspare.providers.presets import PRESETS
from hotspare.providers.response import Incoming, read_whole
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.providers.fuzzing import REQUEST
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
"""Plain answers, streams and errors, as recorded."""
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
def spoilt_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """A body of which parts were cut out, doubled, or overwritten."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 60)))
        instead = draw(st.sampled_from(PIECES) | st.binary(max_size=12) | st.just(body[start:end] * 2))
        body = body[:start] + instead + body[end:]
    return body


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


@st.composite
def spoilt_json(draw: st.DrawFn, body: Any) -> Any:
    """JSON in which some values, at any depth, are others or gone."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(body)))
        if not path:
            return draw(VALUES)
        *way, last = path
        parent = body = json.loads(json.dumps(body))
        for key in way:
            parent = parent[key]
        if draw(st.booleans()):
            parent[last] = draw(VALUES)
        else:
            del parent[last]
    return body


def comes_in(wire: Wire, status: int, headers: dict[str, str], body: bytes, cuts: list[int]) -> ChatReply | Outcome:
    """An answer as it comes over the network in pieces; an error as what it is classified as."""
    ends = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    incoming = Incoming(wire, REQUEST, status, headers)
    try:
        chunks = [c for a, b in pairwise(ends) for c in incoming.feed(body[a:b])]
        return reply_of([*(chunk for chunk in chunks if chunk.is_content), *incoming.end()])
    except BackendError as error:
        return classify(error, now=0.0)


def holds(wire: Wire, result: ChatReply | Outcome) -> None:
    """What must be true of anything that came in. Gemini's parts of unknown kinds are something, though no text."""
    if isinstance(result, Outcome):
        assert result.kind is not Kind.OK
        assert result.retry_after is None or result.retry_after >= 0
        assert len(result.message) <= 500
    else:
        assert result.finish_reason in ("stop", "length", "tool_calls", "content_filter")
        said = result.text or result.tool_calls or result.refusal or result.finish_reason == "length"
        assert said or wire.dialect == "gemini"
        assert min(result.usage.input_tokens, result.usage.output_tokens) >= 0


@pytest.mark.parametrize("provider", WIRES)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_only_our_errors_escape_spoilt_bytes(provider: str, data: st.DataObject) -> None:
    """Bytes, split anywhere, under any status and headers: in a stream and as a whole."""
    wire = PRESETS[WIRES[provider]].wire()
    body = data.draw(spoilt_bytes(data.draw(st.sampled_from(BODIES[provider]))))
    status, headers = data.draw(STATUSES), data.draw(HEADERS)
    holds(wire, comes_in(wire, status, headers, body, data.draw(st.lists(st.integers(0, 5000), max_size=6))))
    try:
        holds(wire, read_whole(wire, REQUEST, status, headers, body))
    except BackendError as error:
        holds(wire, classify(error, now=0.0))


@pytest.mark.parametrize("provider", WIRES)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_only_our_errors_escape_spoilt_json(provider: str, data: st.DataObject) -> None:
    """JSON whose fields are of the wrong type, or missing: in a body, and in one event of a stream."""
    wire = PRESETS[WIRES[provider]].wire()
    body = data.draw(st.sampled_from(BODIES[provider])).decode()
    lines = body.splitlines(keepends=True)
    spoil = [index for index, line in enumerate(lines) if line.startswith(("data: {", "{"))]
    index = data.draw(st.sampled_from(spoil))
    prefix, brace, text = lines[index].partition("{")
    lines[index] = prefix + json.dumps(data.draw(spoilt_json(json.loads(brace + text)))) + "\n"
    holds(wire, comes_in(wire, 200, {}, "".join(lines).encode(), []))
