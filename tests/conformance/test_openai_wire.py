"""The chat completions wire against recorded traffic of thirteen providers, read a second time here, independently."""

import json
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hotspare.errors import BackendError, InBandError, StatusError
from hotspare.messages import ChatReply, ChatRequest, Usage
from hotspare.providers.assemble import reply_of
from hotspare.providers.incoming import Incoming, read_whole
from hotspare.providers.openai import OpenAIWire
from hotspare.providers.openai_flavor import FLAVORS
from hotspare.target import Target

from tests.conformance.wire_replay import Recorded, needs_recordings, recorded

PROVIDERS = {
    **{name: name for name in ("openai", "azure", "deepseek", "groq", "mistral", "openrouter", "ollama")},
    "crusoe": "vllm",
    **dict.fromkeys(("cerebras", "heroku", "huggingface", "snowflake", "zai"), "openai-compatible"),
}
"""The flavor under which each recorded provider is spoken to. Crusoe runs vLLM."""
ALL = recorded(*PROVIDERS)
ANSWERS = [item for item in ALL if item.status == 200]
PLAIN = [item for item in ANSWERS if not item.stream]
BROKEN = "groq/stream-reasoning-1.yaml"
"""A stream that Groq itself ends with an error event."""
STREAMS = [item for item in ANSWERS if item.stream and item.name != BROKEN]
OWN_TOOLS = {
    "openrouter/plain-reasoning-1.yaml",
    "openrouter/stream-text-2.yaml",
}
"""Requests with a tool that only this provider has: it rides in `extra["openai"]["tools"]`."""
FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "": "stop", None: "stop"}

pytestmark = needs_recordings


def ids(items: list[Recorded]) -> list[str]:
    return [item.name for item in items]


def wire_of(item: Recorded) -> OpenAIWire:
    return OpenAIWire(FLAVORS[PROVIDERS[item.name.partition("/")[0]]])


def request_of(item: Recorded) -> ChatRequest:
    return wire_of(item).parse_request(item.request)


def usage(raw: dict[str, Any] | None) -> Usage:
    """Tokens, read from the fields that these recordings have."""
    if raw is None:
        return Usage()
    paid, made = raw.get("prompt_tokens_details") or {}, raw.get("completion_tokens_details") or {}
    cached = paid.get("cached_tokens") or raw.get("cached_tokens") or raw.get("num_cached_tokens") or 0
    assert raw["total_tokens"] == raw["prompt_tokens"] + raw["completion_tokens"]
    return Usage(
        raw["prompt_tokens"],
        raw["completion_tokens"],
        cached,
        paid.get("cache_write_tokens") or 0,
        made.get("reasoning_tokens") or 0,
    )


def content(raw: Any) -> tuple[str, str]:
    """Text and reasoning of a content that is a string or Mistral's list."""
    if not isinstance(raw, list):
        return raw or "", ""
    texts = [part["text"] for part in raw if part["type"] == "text"]
    thoughts = [inner["text"] for part in raw if part["type"] == "thinking" for inner in part["thinking"]]
    return "".join(texts), "".join(thoughts)


def reasoning(message: dict[str, Any]) -> str:
    details = [d.get("text") or d.get("summary") or "" for d in message.get("reasoning_details") or []]
    return message.get("reasoning_content") or message.get("reasoning") or "".join(details)


def finish(reason: str | None, *, calls: bool) -> str:
    return "tool_calls" if calls and reason in ("", None, "stop") else FINISH[reason]


def independent_plain(body: dict[str, Any]) -> dict[str, Any]:
    choice = body["choices"][0]
    message = choice["message"]
    text, inline = content(message.get("content"))
    calls = [
        (c["id"], c["function"]["name"], c["function"].get("arguments", "{}")) for c in message.get("tool_calls") or []
    ]
    return {
        "text": text,
        "reasoning": reasoning(message) or inline,
        "calls": calls,
        "finish": finish(choice["finish_reason"], calls=bool(calls)),
        "usage": usage(body["usage"]),
        "refusal": message.get("refusal") or None,
        "id": body["id"],
        "model": body["model"],
    }


def independent_stream(text: str) -> dict[str, Any]:
    """The stream's content, gathered from its JSON lines only."""
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    bodies = [json.loads(line) for line in lines if line != "[DONE]"]
    choices = [choice for body in bodies for choice in body["choices"]]
    deltas = [choice["delta"] for choice in choices]
    calls: dict[int, list[str]] = {}
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls") or []):
        call = calls.setdefault(piece["index"], ["", "", ""])
        call[0] = call[0] or piece.get("id") or ""
        call[1] = call[1] or piece["function"].get("name") or ""
        call[2] += piece["function"].get("arguments") or ""
    reason = next((c["finish_reason"] for c in reversed(choices) if c.get("finish_reason")), None)
    counted = [b.get("usage") or (b.get("x_groq") or {}).get("usage") for b in bodies]
    return {
        "text": "".join(delta.get("content") or "" for delta in deltas),
        "reasoning": "".join(reasoning(delta) for delta in deltas),
        "calls": [tuple(call) for call in calls.values()],
        "finish": finish(reason, calls=bool(calls)),
        "usage": usage(next((u for u in reversed(counted) if u), None)),
        "refusal": "".join(delta.get("refusal") or "" for delta in deltas) or None,
        "id": next(b["id"] for b in bodies),
        "model": bodies[-1]["model"],
    }


def summary(reply: ChatReply) -> dict[str, Any]:
    return {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "calls": [(call.id, call.name, call.arguments) for call in reply.tool_calls],
        "finish": reply.finish_reason,
        "usage": reply.usage,
        "refusal": reply.refusal,
        "id": reply.id,
        "model": reply.model,
    }


def stream(item: Recorded, *pieces: bytes) -> dict[str, Any]:
    """The answer that these bytes of a stream make; raises hotspare's own errors."""
    incoming = Incoming(wire_of(item), request_of(item), 200, {"content-type": "text/event-stream"})
    chunks = [chunk for piece in pieces for chunk in incoming.feed(piece)]
    return summary(reply_of([*(chunk for chunk in chunks if chunk.is_content), *incoming.end()]))


def broken(item: Recorded, *pieces: bytes) -> dict[str, Any] | None:
    """The answer, or None for a clean break; any exception but hotspare's own passes through."""
    try:
        return stream(item, *pieces)
    except BackendError:
        return None


@pytest.mark.parametrize("item", PLAIN, ids=ids(PLAIN))
def test_a_whole_answer_is_read_right(item: Recorded) -> None:
    """Text, calls, usage, finish reason, reasoning and refusal are those of the raw JSON."""
    reply = read_whole(wire_of(item), request_of(item), 200, {}, item.text.encode())
    assert summary(reply) == independent_plain(json.loads(item.text))


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_a_stream_is_read_right(item: Recorded) -> None:
    """A stream gives what its JSON lines say, whole, byte by byte and cut at random."""
    raw, expected = item.text.encode(), independent_stream(item.text)
    assert stream(item, raw) == expected
    assert stream(item, *(raw[i : i + 1] for i in range(len(raw)))) == expected
    places = random.Random(item.name)
    for _ in range(20):
        cuts = [0, *sorted(places.randrange(len(raw)) for _ in range(30)), len(raw)]
        assert stream(item, *(raw[a:b] for a, b in pairwise(cuts))) == expected


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_a_cut_stream_is_never_served_as_whole(item: Recorded) -> None:
    """Ended at every event and at 200 random bytes: the whole answer, or a clean break, never part of the text."""
    raw, whole = item.text.encode(), independent_stream(item.text)
    ends = [i + 2 for i in range(len(raw)) if raw[i : i + 2] == b"\n\n"]
    places = random.Random(item.name)
    breaks = 0
    for cut in [0, *ends, *(places.randrange(len(raw)) for _ in range(200))]:
        result = broken(item, raw[:cut])
        breaks += result is None
        if result is not None:  # the usage may come behind the proof, or be cut with it
            assert {**result, "usage": None} == {**whole, "usage": None}
            assert result["usage"] in (whole["usage"], Usage())
    assert breaks > len(ends) // 2


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_a_malformed_chunk_is_passed_over_only_in_a_whole_stream(item: Recorded) -> None:
    """Half a JSON between events does no harm when the stream proves complete; else it is the break."""
    blocks = item.text.encode().split(b"\n\n")
    whole = independent_stream(item.text)
    for place in range(1, len(blocks) - 1, max(1, len(blocks) // 10)):
        spoilt = b"\n\n".join([*blocks[:place], b'data: {"choices": [{"del', *blocks[place:]])
        assert stream(item, spoilt) == whole


def test_a_stream_that_ends_with_an_error_event_is_an_error() -> None:
    """Groq's error event after five words is raised behind those words, with its own JSON."""
    item = next(item for item in ALL if item.name == BROKEN)
    incoming = Incoming(wire_of(item), request_of(item), 200, {})
    text = ""
    with pytest.raises(InBandError, match="Tool choice is required") as caught:
        for chunk in incoming.feed(item.text.encode()):
            text += chunk.text
    assert text == "maybe"
    assert json.loads(caught.value.body)["error"]["code"] == "tool_use_failed"


def canonical(body: dict[str, Any]) -> dict[str, Any]:
    """A request with its synonyms made one: absent, null and empty; both names of the bound; a tool without type."""

    def call(raw: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in raw.items() if name != "index"}

    def message(raw: dict[str, Any]) -> dict[str, Any]:
        result = {name: value for name, value in raw.items() if value not in (None, "", [], False)}
        if "tool_calls" in result:
            result["tool_calls"] = [call(c) for c in raw["tool_calls"]]
        return result

    result = {name: value for name, value in body.items() if value not in (None, [], False)}
    result.pop("stream_options", None)
    if "max_completion_tokens" in result:
        result["max_tokens"] = result.pop("max_completion_tokens")
    if "tools" in result:
        result["tools"] = [{"type": "function", **tool} for tool in result["tools"]]
    result["messages"] = [message(raw) for raw in body["messages"]]
    return renamed(result)


def renamed(body: dict[str, Any]) -> dict[str, Any]:
    """Call ids by their order: one recorded id is longer than OpenAI allows, and is shortened."""
    found = [c["id"] for m in body["messages"] for c in m.get("tool_calls", [])]
    text = json.dumps(body["messages"])
    for number, call_id in enumerate(dict.fromkeys(found)):
        text = text.replace(json.dumps(call_id), json.dumps(f"id-{number}"))
    return {**body, "messages": json.loads(text)}


@pytest.mark.parametrize("item", ALL, ids=ids(ALL))
def test_a_recorded_request_survives_the_way_in_and_out(item: Recorded) -> None:
    """Read into a ChatRequest and written again, a request is the same JSON, and its target can carry all of it."""
    wire, request = wire_of(item), request_of(item)
    target = Target(f"{item.name.partition('/')[0]}/{item.model}")
    assert wire.unsupported(request, target) == ()
    written = wire.write(request, target, stream=item.stream)
    assert canonical(written) == canonical(dict(item.request))
    assert ("tools" in request.extra.get("openai", {})) == (item.name in OWN_TOOLS)
    if item.stream and wire.flavor.usage_option:
        assert written["stream_options"] == {"include_usage": True}


def test_error_statuses_are_no_answers() -> None:
    """Every recorded error status is a StatusError with status, headers and the provider's body, plain or streamed."""
    failures = [item for item in ALL if item.status != 200]
    assert failures
    for item in failures:
        incoming = Incoming(wire_of(item), request_of(item), item.status, {"x-request-id": "1"})
        raw = item.text.encode()
        with pytest.raises(StatusError) as caught:
            list(incoming.feed(raw))
            list(incoming.end())
        assert (caught.value.status, caught.value.body) == (item.status, raw)
        assert caught.value.headers == {"x-request-id": "1"}
        with pytest.raises(InBandError):  # the same body inside a 200, as some relays send it
            read_whole(wire_of(item), request_of(item), 200, {}, raw)


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    """All recordings are covered; the count per provider is printed."""
    counts = {
        kind: Counter(item.name.partition("/")[0] for item in items)
        for kind, items in {
            "plain": PLAIN,
            "stream": [*STREAMS, *(item for item in ALL if item.name == BROKEN)],
            "error": [item for item in ALL if item.status != 200],
        }.items()
    }
    with capsys.disabled():
        for name in PROVIDERS:
            print(f"\n{name}: " + ", ".join(f"{count[name]} {kind}" for kind, count in counts.items()), end="")
        print()
    assert sum(sum(count.values()) for count in counts.values()) == len(ALL)
    assert {item.name.partition("/")[0] for item in ALL} == set(PROVIDERS)
