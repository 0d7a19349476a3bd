"""The Anthropic wire against real recorded traffic, read a second time here, independently."""

import json
import random
from typing import Any

import pytest
from hotspare import errors
from hotspare.messages import ChatRequest, Usage
from hotspare.providers.anthropic import AnthropicWire
from hotspare.target import Target

from tests.conformance.wire_replay import Recorded, attempt, events, needs_recordings, recorded, replay, summary

WIRE = AnthropicWire()
ALL = recorded("anthropic")
PLAIN = [item for item in ALL if item.status == 200 and not item.stream]
STREAMS = [item for item in ALL if item.status == 200 and item.stream]
BEYOND_OUR_SHAPE = {
    "plain-text-2.yaml": "a system message with tool_addition blocks inside the history",
    "plain-text-3.yaml": "a system message inside the history",
    "plain-tool-call-3.yaml": "a system message inside the history",
    "plain-text-4.yaml": "blocks of the code execution tool and a container upload",
    "stream-tool-result-1.yaml": "blocks of the server's tool search",
    "plain-image+tool-result-1.yaml": "an image by the id of Anthropic's Files API",
    "plain-tool-call+tool-result-2.yaml": "tool references inside a tool result",
    "plain-tool-call+tool-result-3.yaml": "tool references inside a tool result",
    "plain-tool-call+tool-result-4.yaml": "tool references inside a tool result",
    "plain-tool-result-3.yaml": "tool references inside a tool result",
    "plain-tool-result-4.yaml": "tool references inside a tool result",
}
"""Recorded histories that ride in `extra["anthropic"]["messages"]`: OpenAI's shape has no words for them."""
FINISH = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "stop_sequence": "stop"}

pytestmark = needs_recordings


def ids(items: list[Recorded]) -> list[str]:
    return [item.name.partition("/")[2] for item in items]


def usage(raw: dict[str, Any]) -> Usage:
    cached, written = raw.get("cache_read_input_tokens") or 0, raw.get("cache_creation_input_tokens") or 0
    thought = (raw.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return Usage(raw["input_tokens"] + cached + written, raw["output_tokens"], cached, written, thought)


def blocks(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [block for block in body["content"] if block["type"] == kind]


@pytest.mark.parametrize("item", PLAIN, ids=ids(PLAIN))
def test_a_whole_answer_is_read_right(item: Recorded) -> None:
    """Text, calls, usage, finish reason and reasoning are those of the raw JSON."""
    body = json.loads(item.text)
    reply = WIRE.read(body, ChatRequest(messages=[]))
    assert reply.text == "".join(block["text"] for block in blocks(body, "text"))
    assert [(c.id, c.name, json.loads(c.arguments)) for c in reply.tool_calls] == [
        (block["id"], block["name"], block["input"]) for block in blocks(body, "tool_use")
    ]
    assert reply.reasoning == "".join(block["thinking"] for block in blocks(body, "thinking"))
    assert [b["signature"] for b in reply.thinking] == [b["signature"] for b in blocks(body, "thinking")]
    assert reply.usage == usage(body["usage"])
    assert reply.finish_reason == FINISH[body["stop_reason"]]
    assert (reply.model, reply.id) == (body["model"], body["id"])


def independent_stream(item: Recorded) -> dict[str, Any]:
    """The stream's content, gathered from its JSON lines only."""
    lines = [json.loads(line[5:]) for line in item.text.splitlines() if line.startswith("data:")]
    opened = {e["index"]: dict(e["content_block"]) for e in lines if e["type"] == "content_block_start"}
    for index, block in opened.items():
        deltas = [e["delta"] for e in lines if e["type"] == "content_block_delta" and e["index"] == index]
        for field in ("text", "thinking", "partial_json"):
            block[field] = (block.get(field) or "") + "".join(d[field] for d in deltas if field in d)
    of = {kind: [b for b in opened.values() if b["type"] == kind] for kind in ("text", "thinking", "tool_use")}
    counted = next(e["message"]["usage"] for e in lines if e["type"] == "message_start")
    last = next(e for e in lines if e["type"] == "message_delta")
    return {
        "text": "".join(b["text"] for b in of["text"]),
        "reasoning": "".join(b["thinking"] for b in of["thinking"]),
        "calls": [(b["id"], b["name"], b["partial_json"] or "{}") for b in of["tool_use"]],
        "finish": FINISH[last["delta"]["stop_reason"]],
        "usage": usage({**counted, **last["usage"]}),
    }


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_a_stream_is_read_right(item: Recorded) -> None:
    """A stream gives what its JSON lines say."""
    assert summary(replay(WIRE, events(item.text))) == independent_stream(item)


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_a_cut_stream_is_never_served_as_whole(item: Recorded) -> None:
    """Cut at every event and at 300 random places inside the bytes, a stream is whole or a classified break."""
    whole, all_events = independent_stream(item), events(item.text)
    for cut in range(len(all_events)):
        expected = "EmptyAnswer" if cut == 0 else "IncompleteAnswer"
        assert attempt(WIRE, all_events[:cut]) == expected
    raw, places = item.text.encode(), random.Random(item.name)
    for _ in range(300):
        cut = places.randrange(len(raw))
        result = attempt(WIRE, events(raw[:cut].decode("utf-8", "ignore")))
        assert result in ("EmptyAnswer", "IncompleteAnswer") or result == whole


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_an_extra_malformed_event_does_no_harm_unless_the_stream_breaks(item: Recorded) -> None:
    """Garbage between events is passed over when the stream proves complete, else it is the break."""
    stream = events(item.text)
    for place in range(1, len(stream), max(1, len(stream) // 12)):
        spoilt = [*stream[:place], ("content_block_delta", '{"type": "content_bl'), *stream[place:]]
        assert attempt(WIRE, spoilt) == independent_stream(item)
        assert attempt(WIRE, spoilt[: place + 1]) == "MalformedAnswer"


def canonical(body: dict[str, Any]) -> dict[str, Any]:
    """A request with its synonyms made one: text and its block, absent and false, absent and null."""

    def blocks_of(content: Any) -> Any:
        return [{"type": "text", "text": content}] if isinstance(content, str) else [block(b) for b in content]

    def block(b: dict[str, Any]) -> dict[str, Any]:
        result = {k: v for k, v in b.items() if not (k == "is_error" and v is False)}
        return {**result, "content": blocks_of(b["content"])} if b["type"] == "tool_result" else result

    result = {k: v for k, v in body.items() if v is not False}
    result["messages"] = [{**m, "content": blocks_of(m["content"])} for m in body["messages"]]
    if "system" in body:
        result["system"] = blocks_of(body["system"])
    return result


@pytest.mark.parametrize("item", ALL, ids=ids(ALL))
def test_a_recorded_request_survives_the_way_in_and_out(item: Recorded) -> None:
    """Read into a ChatRequest and written again, a request is the same JSON."""
    request = WIRE.parse_request(item.request)
    written = WIRE.write(request, Target(f"anthropic/{item.model}"), stream=item.stream)
    assert canonical(written) == canonical(dict(item.request))
    rides_along = "messages" in request.extra.get("anthropic", {})
    assert rides_along == (item.name.partition("/")[2] in BEYOND_OUR_SHAPE)


def test_errors_are_not_answers() -> None:
    """A recorded error body inside a 200 is an InBandError with the provider's own words and JSON."""
    failures = [item for item in ALL if item.status != 200]
    assert failures
    for item in failures:
        body = json.loads(item.text)
        with pytest.raises(errors.InBandError, match="model") as caught:
            WIRE.read(body, ChatRequest(messages=[]))
        assert json.loads(caught.value.body) == body


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    """All recordings are covered; the count is printed."""
    with capsys.disabled():
        print(
            f"\nanthropic: {len(ALL)} exchanges, {len(PLAIN)} plain, {len(STREAMS)} streams, "
            f"{len(BEYOND_OUR_SHAPE)} histories in extra"
        )
    assert len(PLAIN) + len(STREAMS) + sum(item.status != 200 for item in ALL) == len(ALL)
