"""The Gemini wire against real recorded traffic of the Gemini API and Vertex AI, read a second time here."""

import json
import random
from typing import Any

import pytest
from hotspare import errors
from hotspare.messages import ChatRequest, Usage
from hotspare.providers.gemini import GeminiWire
from hotspare.target import Target

from tests.conformance.wire_replay import Recorded, attempt, events, needs_recordings, recorded, replay, summary

WIRE = GeminiWire()
OTHER_DIALECT = [item for item in recorded("gemini", "vertex") if "/openai/" in item.url]
ALL = [item for item in recorded("gemini", "vertex") if item not in OTHER_DIALECT]
PLAIN = [item for item in ALL if item.status == 200 and not item.stream]
STREAMS = [item for item in ALL if item.status == 200 and item.stream]
REFUSED = {"gemini/plain-refused-1.yaml", "vertex/plain-text-1.yaml"}
"""Answers that a filter blocked before the first word."""
MALFORMED = "UNEXPECTED_TOOL_CALL"
"""A recorded answer ended so, with nothing in it: the model called what it was not offered."""
BEYOND_OUR_SHAPE: dict[str, str] = {}
"""Recorded histories that ride in `extra["gemini"]["contents"]`."""

pytestmark = needs_recordings


def ids(items: list[Recorded]) -> list[str]:
    return [item.name for item in items]


def usage(raw: dict[str, Any]) -> Usage:
    thought = raw.get("thoughtsTokenCount", 0)
    return Usage(
        raw.get("promptTokenCount", 0) + raw.get("toolUsePromptTokenCount", 0),
        raw.get("candidatesTokenCount", 0) + thought,
        raw.get("cachedContentTokenCount", 0),
        0,
        thought,
    )


def independent(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """What one body or a stream's bodies say."""
    parts = [p for b in bodies for p in b["candidates"][0].get("content", {}).get("parts", [])]
    calls = [p["functionCall"] for p in parts if "functionCall" in p]
    reason = next(b["candidates"][0]["finishReason"] for b in bodies if "finishReason" in b["candidates"][0])
    counted: dict[str, Any] = {}
    for body in bodies:
        counted |= body.get("usageMetadata", {})
    return {
        "text": "".join(p.get("text", "") for p in parts if not p.get("thought")),
        "reasoning": "".join(p.get("text", "") for p in parts if p.get("thought")),
        "calls": [(c["name"], c.get("args", {})) for c in calls],
        "finish": "tool_calls" if calls else {"STOP": "stop", "MAX_TOKENS": "length"}[reason],
        "usage": usage(counted),
        "signatures": [p["thoughtSignature"] for p in parts if "functionCall" in p and "thoughtSignature" in p],
    }


@pytest.mark.parametrize("item", [i for i in PLAIN if i.name not in REFUSED and MALFORMED not in i.text])
def test_a_whole_answer_is_read_right(item: Recorded) -> None:
    """Text, calls, usage, finish reason, reasoning and signatures are those of the raw JSON."""
    body = json.loads(item.text)
    reply, told = WIRE.read(body, ChatRequest(messages=[])), independent([body])
    assert (reply.text, reply.reasoning, reply.finish_reason) == (told["text"], told["reasoning"], told["finish"])
    assert [(c.name, json.loads(c.arguments)) for c in reply.tool_calls] == told["calls"]
    assert [c.signature for c in reply.tool_calls if c.signature] == told["signatures"]
    assert len({c.id for c in reply.tool_calls}) == len(reply.tool_calls)
    assert reply.usage == told["usage"]
    assert reply.usage.total_tokens == body["usageMetadata"]["totalTokenCount"]


def test_a_malformed_answer_is_no_answer() -> None:
    """A call to a tool that was never offered ends the attempt as MalformedAnswer."""
    broken = [item for item in PLAIN if MALFORMED in item.text]
    assert broken
    for item in broken:
        with pytest.raises(errors.MalformedAnswer, match=MALFORMED):
            WIRE.read(json.loads(item.text), ChatRequest(messages=[]))


def test_a_blocked_answer_is_refused_in_the_providers_words() -> None:
    """A blocked prompt and a blocked answer are InBandErrors that hold the JSON."""
    for item in [i for i in PLAIN if i.name in REFUSED]:
        with pytest.raises(errors.InBandError) as caught:
            WIRE.read(json.loads(item.text), ChatRequest(messages=[]))
        assert json.loads(caught.value.body) == json.loads(item.text)


def stream_bodies(item: Recorded) -> list[dict[str, Any]]:
    return [json.loads(line[5:]) for line in item.text.splitlines() if line.startswith("data:")]


def comparable(result: dict[str, Any] | str) -> dict[str, Any] | str:
    if isinstance(result, str):
        return result
    return {**result, "calls": [(name, json.loads(arguments)) for _, name, arguments in result["calls"]]}


def told_by(item: Recorded) -> dict[str, Any]:
    told = independent(stream_bodies(item))
    del told["signatures"]
    return told


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_a_stream_is_read_right(item: Recorded) -> None:
    """A stream gives what its JSON lines say."""
    assert comparable(summary(replay(WIRE, events(item.text)))) == told_by(item)


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_a_cut_stream_is_never_served_as_whole(item: Recorded) -> None:
    """Cut at every event and at 300 random places inside the bytes, a stream is whole or a classified break."""
    whole, all_events = told_by(item), events(item.text)
    for cut in range(len(all_events)):
        if "finishReason" not in "".join(data for _, data in all_events[:cut]):
            expected = "EmptyAnswer" if cut == 0 else "IncompleteAnswer"
            assert attempt(WIRE, all_events[:cut]) == expected
    raw, places = item.text.encode(), random.Random(item.name)
    for _ in range(300):
        cut = places.randrange(len(raw))
        result = comparable(attempt(WIRE, events(raw[:cut].decode("utf-8", "ignore"))))
        assert result in ("EmptyAnswer", "IncompleteAnswer") or result == whole


@pytest.mark.parametrize("item", STREAMS, ids=ids(STREAMS))
def test_an_extra_malformed_event_does_no_harm_unless_the_stream_breaks(item: Recorded) -> None:
    """Garbage between events is passed over when the stream proves complete, else it is the break."""
    stream = events(item.text)
    for place in range(len(stream)):
        spoilt = [*stream[:place], ("", '{"candidates": [{"con'), *stream[place:]]
        assert comparable(attempt(WIRE, spoilt)) == told_by(item)
        assert attempt(WIRE, spoilt[: place + 1]) == "MalformedAnswer"


OPAQUE = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}


def canonical(value: Any, name: str = "") -> Any:
    """A request with Google's synonyms made one: snake and camel case, its two schema dialects, absent and empty."""
    if name in OPAQUE:
        return schema(value) if "chema" in name or name == "parameters" else value
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if name == "data" and isinstance(value, str):
        return value.replace("-", "+").replace("_", "/").rstrip("=")
    if not isinstance(value, dict):
        return value
    renamed: dict[str, Any] = {}
    for key, inner in value.items():
        first, *rest = key.split("_")
        new = first + "".join(word.capitalize() for word in rest)
        renamed[new] = canonical([inner] if new == "tools" and isinstance(inner, dict) else inner, new)
    for old, new in (("responseSchema", "responseJsonSchema"), ("parameters", "parametersJsonSchema")):
        if old in renamed:
            renamed[new] = renamed.pop(old)
    if "contents" in renamed:
        renamed["contents"] = merged(renamed["contents"])
    return {k: v for k, v in renamed.items() if not (k == "generationConfig" and v == {})}


def merged(contents: list[Any]) -> list[Any]:
    """Neighbours of one role made one: Gemini reads both alike."""
    result: list[Any] = []
    for content in contents:
        if result and result[-1]["role"] == content["role"]:
            result[-1] = {**content, "parts": result[-1]["parts"] + content["parts"]}
        else:
            result.append(content)
    return result


def schema(value: Any) -> Any:
    if isinstance(value, list):
        return [schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {{"any_of": "anyOf"}.get(k, k): v for k, v in value.items() if k != "property_ordering"}
    return {k: v.lower() if k == "type" and isinstance(v, str) else schema(v) for k, v in kept.items()}


@pytest.mark.parametrize("item", ALL, ids=ids(ALL))
def test_a_recorded_request_survives_the_way_in_and_out(item: Recorded) -> None:
    """Read into a ChatRequest and written again, a request is the same JSON, and goes to the same address."""
    request = WIRE.parse_request(item.request)
    base = item.url.partition("/publishers/")[0] if "/publishers/" in item.url else item.url.partition("/models/")[0]
    target = Target(f"gemini/{item.model}", base_url=base)
    assert canonical(WIRE.write(request, target, stream=item.stream)) == canonical(dict(item.request))
    assert WIRE.url(base, target, stream=item.stream) == item.url
    assert ("contents" in request.extra.get("gemini", {})) == (item.name in BEYOND_OUR_SHAPE)


def test_errors_are_not_answers() -> None:
    """A recorded error body inside a 200 is an InBandError with the provider's own words and JSON."""
    failures = [item for item in ALL if item.status != 200]
    assert failures
    for item in failures:
        body = json.loads(item.text)
        with pytest.raises(errors.InBandError) as caught:
            WIRE.read(body, ChatRequest(messages=[]))
        assert json.loads(caught.value.body) == body
        assert str(caught.value) == body["error"]["message"]


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    """All recordings are covered; the count is printed, with those that are OpenAI's dialect."""
    with capsys.disabled():
        print(
            f"\ngemini, vertex: {len(ALL)} exchanges, {len(PLAIN)} plain, {len(STREAMS)} streams; "
            f"{len(OTHER_DIALECT)} more speak OpenAI's dialect"
        )
    assert len(PLAIN) + len(STREAMS) + sum(item.status != 200 for item in ALL) == len(ALL)
