"""The embedded provider: its faults, rate limits, continuations, counters, and its HTTP."""

import http.client
import json
from dataclasses import fields
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import pytest
from hotspare import Kind
from hotspare.drill import conversation
from hotspare.drill.answers import answer, tokenize
from hotspare.drill.faults import RETRY_AFTER_FORMS, Fault, FaultError, FaultOptions
from hotspare.drill.provider import Provider, after_tools, with_images
from hotspare.drill.settings import Settings, SettingsOptions

from tests.core.drill.client import BODIES, KEYS, outcome, send, text_of
from tests.support.eventually import eventually

DIALECTS = pytest.mark.parametrize("dialect", ["openai", "responses", "anthropic", "gemini"])
PIXEL = "aGVsbG8="  # five bytes


# --- rejections ----------------------------------------------------------------------------------------------------


@DIALECTS
@pytest.mark.parametrize("form", RETRY_AFTER_FORMS)
def test_a_429_states_the_time_to_wait_in_every_form(dialect: str, form: str, provider: Provider) -> None:
    """hotspare reads the same number of seconds from each form."""
    provider.fault("a", "rate_limited", retry_after=7, retry_after_form=form)
    found = outcome(send(provider, dialect), dialect)
    assert found.kind is Kind.RATE_LIMITED
    assert found.retry_after is None if form == "none" else 5 <= (found.retry_after or 0) <= 8, found


@DIALECTS
@pytest.mark.parametrize("limit", ["day", "balance"])
def test_a_used_up_quota_is_not_a_rate_limit(
    dialect: str, limit: Literal["day", "balance"], provider: Provider
) -> None:
    """It is not available again within seconds, whatever time the body states."""
    provider.fault("a", "quota", limit=limit)
    found = outcome(send(provider, dialect), dialect)
    assert found.kind is Kind.QUOTA
    assert found.retry_after is None or found.retry_after > 300


@DIALECTS
def test_the_rate_limiter_states_and_enforces_its_limit(dialect: str, provider: Provider) -> None:
    """Two concurrent requests are admitted, the third gets a 429 with the time to wait."""
    provider.configure("a", rpm=6, burst=2)
    first, second, third = (send(provider, dialect) for _ in range(3))
    assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
    assert 0 < float(third.headers["retry-after"]) <= 10
    header = {"anthropic": "anthropic-ratelimit-requests-remaining"}.get(dialect, "x-ratelimit-remaining-requests")
    assert dialect == "gemini" or first.headers[header] == "1"
    assert provider.stats("a").outcomes["rejected:429"] == 1


def test_requests_beyond_its_room_get_a_503(provider: Provider) -> None:
    """While one request is under way and there is room for one, another is rejected; when it is over, the next is served."""
    provider.configure("a", concurrency=1)
    provider.fault("a", "blackhole", count=1)
    url = urlsplit(provider.url("a"))
    first = http.client.HTTPConnection(str(url.hostname), url.port)
    first.request("POST", "/v1/chat/completions", json.dumps(BODIES["openai"]), KEYS["openai"])
    eventually(lambda: provider.stats("a").in_flight == 1)
    assert outcome(send(provider, "openai"), "openai").kind is Kind.SERVER
    first.close()
    eventually(lambda: provider.stats("a").in_flight == 0)
    assert send(provider, "openai").status_code == 200


def test_an_invalid_request_uses_up_no_fault(provider: Provider) -> None:
    """A fault with a `count` waits for the next valid request, whatever other faults the endpoint has."""
    provider.fault("a", "status", status=503, count=1)
    provider.fault("a", "latency", seconds=0.001)
    invalid = send(provider, "openai", {"messages": None})
    assert (invalid.status_code, send(provider, "openai").status_code) == (400, 503)


@DIALECTS
def test_the_context_window_and_streaming_can_be_limited(dialect: str, provider: Provider) -> None:
    """A prompt that is too long, and an account that may not stream."""
    provider.configure("a", context_window=5, streaming=False)
    stream = {"path": "/v1beta/models/m:streamGenerateContent?alt=sse"} if dialect == "gemini" else {}
    assert outcome(send(provider, dialect, long_prompt(dialect)), dialect).kind is Kind.CONTEXT_LENGTH
    rejected = send(provider, dialect, {} if dialect == "gemini" else {"stream": True}, **stream)
    assert outcome(rejected, dialect).kind is Kind.INVALID
    assert "stream" in rejected.text


def long_prompt(dialect: str) -> dict[str, Any]:
    """A body whose prompt is longer than five tokens."""
    if dialect == "gemini":
        return {"contents": [{"parts": [{"text": "a long prompt " * 9}]}]}
    name = "input" if dialect == "responses" else "messages"
    return {name: [{"role": "user", "content": "a long prompt " * 9}]}


@pytest.mark.parametrize("status", [400, 402, 403, 408, 413, 422, 500, 502, 503, 504, 529])
@DIALECTS
def test_statuses_come_with_the_providers_own_bodies(dialect: str, status: int, provider: Provider) -> None:
    """A JSON body in the provider's shape; a 502 is an HTML page of a gateway."""
    provider.fault("a", "status", status=status, retry_after=2, headers={"x-more": "1"})
    failed = send(provider, dialect)
    assert failed.status_code == status
    assert (failed.headers["retry-after"], failed.headers["x-more"]) == ("2", "1")
    assert failed.text.startswith("<!DOCTYPE" if status == 502 else "{")
    expected = {400: {Kind.INVALID}, 402: {Kind.QUOTA}, 403: {Kind.AUTH}, 408: {Kind.TIMEOUT, Kind.SERVER}}
    found = outcome(failed, dialect).kind
    assert found in expected.get(status, {Kind.INVALID} if status < 500 else {Kind.SERVER}), found


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("explode", {}, "'explode' is unknown; use one of refused"),
        ("malformd", {}, "did you mean 'malformed'"),
        ("status", {"code": 500}, "code: 500 is not an option"),
        ("status", {"status": 99}, "fault status: status: 99 must be an HTTP status"),
        ("reset", {"probability": 2}, "must be between 0 and 1"),
        ("cut", {"at": -1}, "a number of tokens"),
        ("cut", {"how": "softly"}, "one of reset, close"),
        ("delay", {"seconds": -1}, "seconds, 0 or more"),
        ("rate_limited", {"retry_after_form": "smoke"}, "one of retry-after"),
        ("quota", {"limit": "month"}, "one of day, balance"),
        ("reset", {"dialect": "grpc"}, "one of openai, responses, anthropic, gemini"),
        ("refused", {"count": 1}, "count: 1 must be left out"),
    ],
)
def test_a_wrong_fault_is_an_error(kind: str, options: dict[str, Any], words: str, provider: Provider) -> None:
    """The error names the option, its value and what is valid."""
    with pytest.raises(FaultError, match=words):
        provider.fault("a", kind, **options)


def test_a_wrong_endpoint_setting_or_dialect_is_an_error(provider: Provider) -> None:
    """The error names the value and what is valid."""
    for wrong, words in (
        (lambda: provider.fault("z", "reset"), "endpoint 'z' is unknown; use one of a, b"),
        (lambda: provider.url("z"), "endpoint 'z' is unknown"),
        (lambda: provider.base_url("a", "grpc"), "dialect 'grpc' is unknown"),
        (lambda: provider.configure("a", speed=1), "setting speed: 1 is unknown"),
        (lambda: provider.configure("a", rpm=0), "must be above 0"),
        (lambda: provider.configure("a", concurrency=0), "must be 1 or more"),
        (lambda: provider.configure("a", prefill="maybe"), "must be one of"),
        (lambda: provider._send("dance", "a", {}), "'dance' is unknown"),
    ):
        with pytest.raises(FaultError, match=words):
            wrong()


def test_the_options_of_the_public_face_are_those_of_the_faults_and_settings() -> None:
    """The keywords of `fault` and `configure` are the fields of `Fault` and `Settings`."""
    assert {"kind", *FaultOptions.__annotations__} == {field.name for field in fields(Fault) if field.init}
    assert set(SettingsOptions.__annotations__) == {field.name for field in fields(Settings)}


def test_faults_apply_to_matching_requests(provider: Provider) -> None:
    """By dialect, model, streaming, position and count; the first fault that applies to a request wins."""
    provider.fault("a", "status", status=503, dialect="anthropic")
    provider.fault("a", "status", status=500, model="mini", count=1)
    provider.fault("a", "status", status=502, streaming=True)
    provider.fault("a", "status", status=529, skip=3, count=1)
    mini = {"model": "gpt-4.1-mini"}
    sent = [("openai", {}), ("anthropic", {}), ("openai", mini), ("openai", mini), ("openai", {"stream": True}), ("openai", {}),
             ("openai", {}), ("openai", {})]  # fmt: skip
    assert [send(provider, *one).status_code for one in sent] == [200, 503, 500, 200, 502, 200, 529, 200]
    assert provider.stats("a").outcomes == {"ok": 4, "status": 4}


def test_probability_is_seeded(provider: Provider) -> None:
    """Half of the requests fail, and the same ones after every reset."""
    runs = []
    for _ in range(2):
        provider.reset()
        provider.fault("a", "status", status=500, probability=0.5)
        runs.append([send(provider, "openai").status_code for _ in range(12)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


def test_a_fault_hits_invalid_requests_too(provider: Provider) -> None:
    """A fault takes precedence over the validation, unless it is limited to a number of requests."""
    provider.fault("a", "status", status=500)
    assert send(provider, "openai", {"messages": []}).status_code == 500
    provider.clear("a")
    provider.fault("a", "status", status=500, count=1)
    assert send(provider, "openai", {"messages": []}).status_code == 400


def test_an_answer_without_usage_or_with_another_content_type(provider: Provider) -> None:
    """`no_usage` and `content_type` change nothing else, and can be combined."""
    provider.fault("a", "no_usage")
    provider.fault("a", "content_type", message="text/html")
    answered = send(provider, "openai")
    assert "usage" not in answered.json()
    assert answered.headers["content-type"] == "text/html"
    assert text_of("openai", answered) == answer("hello")


@pytest.mark.parametrize("kind", ["malformed", "half_json", "error_event"])
@DIALECTS
def test_a_broken_body_with_status_200(dialect: str, kind: str, provider: Provider) -> None:
    """Not streamed: a body that is no JSON, or an error body."""
    provider.fault("a", kind, at=5)
    broken = send(provider, dialect)
    assert broken.status_code == 200
    if kind == "error_event":
        assert "error" in broken.json()
    else:
        with pytest.raises(ValueError):
            broken.json()


def test_gemini_streams_a_json_array_too(provider: Provider) -> None:
    """Without `alt=sse` the stream is one JSON array, errors included."""
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    pieces = send(provider, "gemini", path=path).json()
    assert "".join(p["text"] for piece in pieces for p in piece["candidates"][0]["content"]["parts"]) == answer("hello")
    provider.fault("a", "error_event", at=3, status=503)
    assert send(provider, "gemini", path=path).json()[-1]["error"]["code"] == 503
    provider.clear()
    provider.fault("a", "empty_choices")
    assert send(provider, "gemini", path=path).json()[0]["candidates"] == []


# --- answers -------------------------------------------------------------------------------------------------------


def test_images_and_tool_results_are_in_the_answer(provider: Provider) -> None:
    """In each dialect, so that adapters can be compared exactly."""
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    link = {"type": "image_url", "image_url": "https://example.org/a.png"}
    openai = {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, image, link]}]}
    assert text_of("openai", send(provider, "openai", openai)) == with_images("see", (5, 0))
    source = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    claude = {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, source]}]}
    assert text_of("anthropic", send(provider, "anthropic", claude)) == with_images("see", (5,))
    parts = [{"text": "see"}, {"inline_data": {"mime_type": "image/png", "data": PIXEL}}]
    gemini = {"contents": [{"parts": parts}]}
    assert text_of("gemini", send(provider, "gemini", gemini)) == with_images("see", (5,))

    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    results = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "42"}]
    openai = {"messages": [*BODIES["openai"]["messages"], *results]}
    assert text_of("openai", send(provider, "openai", openai)) == after_tools("hello", ("42",))
    contents = [{"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "42"}}}]}]  # fmt: skip
    gemini = {"contents": [*BODIES["gemini"]["contents"], *contents]}
    assert text_of("gemini", send(provider, "gemini", gemini)) == after_tools("hello", ("42",))


@pytest.mark.parametrize("mode", ["continue", "strip", "overlap", "restart", "prose", "refuse"])
def test_a_prefill_is_continued_as_configured(mode: str, provider: Provider) -> None:
    """A part of the answer in a trailing assistant message is continued in each mode."""
    provider.configure("a", prefill=mode)
    full = answer("hello")
    given = "".join(tokenize(full)[:20])
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": given}]
    for dialect in ("openai", "anthropic"):
        response = send(provider, dialect, {"messages": messages})
        if mode == "refuse":
            assert outcome(response, dialect).kind is Kind.INVALID
            continue
        text, rest = text_of(dialect, response), full[len(given) :]
        assert {
            "continue": text == rest, "strip": text == rest.lstrip(), "restart": text == full,
            "overlap": text.endswith(rest) and given.endswith(text[: -len(rest)]),
            "prose": text == conversation.PROSE_BEFORE + rest.lstrip() + conversation.PROSE_AFTER,
        }[mode]  # fmt: skip


def test_an_instruction_to_continue_is_recognised_by_its_position(provider: Provider) -> None:
    """After a part of the answer any user message requests the rest; after the whole answer it is a new prompt."""
    full = answer("hello")
    given = "".join(tokenize(full)[:20])
    for sent, then in ((given, full[len(given) :]), (full, answer("go on"))):
        turns = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": sent},
            {"role": "user", "content": "go on"},
        ]
        assert text_of("openai", send(provider, "openai", {"messages": turns})) == then


def test_token_limits_and_stop_sequences_are_obeyed(provider: Provider) -> None:
    """They end the answer with the finish reason of the dialect."""
    cut = send(provider, "openai", {"max_tokens": 5}).json()["choices"][0]
    assert (cut["finish_reason"], cut["message"]["content"]) == ("length", "".join(tokenize(answer("hello"))[:5]))
    word = tokenize(answer("hello"))[6].strip()
    stopped = send(provider, "anthropic", {"stop_sequences": [word]}).json()
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", word)
    refused = send(provider, "gemini", {"contents": [{"parts": [{"text": "refuse me"}]}]}).json()
    assert refused["promptFeedback"]["blockReason"] == "SAFETY"


def test_tools_are_called_as_the_request_says(provider: Provider) -> None:
    """Twice, in parallel or not, because of the prompt or the tool choice, and after text."""

    def names(prompt: str, **more: Any) -> list[str]:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("f", "g")]
        content = [{"role": "user", "content": prompt}]
        found = send(provider, "anthropic", {"messages": content, "tools": tools, **more}).json()["content"]
        return [block.get("name", "text") for block in found]

    assert names("call f twice and call g") == ["f", "f", "g"]
    assert names("call f, but first say why") == ["text", "f"]
    assert names("call f and call g", tool_choice={"type": "auto", "disable_parallel_tool_use": True}) == ["f"]
    assert names("hello", tool_choice={"type": "any"}) == ["f"]
    assert names("hello", tool_choice={"type": "tool", "name": "g"}) == ["g"]
    assert names("call f", tool_choice={"type": "none"}) == ["text"]


def test_gemini_requires_its_thought_signatures(provider: Provider) -> None:
    """A strict model rejects a history without the signature it gave, and accepts Google's documented placeholder."""
    path = "/v1beta/models/gemini-strict:generateContent"
    tools = {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]}
    question = {"role": "user", "parts": [{"text": "call f"}]}
    part = send(provider, "gemini", {"contents": [question], **tools}, path=path).json()["candidates"][0]["content"][
        "parts"
    ][0]
    done = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "1"}}}]}
    for signature, status in (("kept", 200), (None, 400), ("skip_thought_signature_validator", 200)):
        sent = {**part, "thoughtSignature": signature} if signature != "kept" else part
        sent = {k: v for k, v in sent.items() if v is not None}
        history = [question, {"role": "model", "parts": [sent]}, done]
        assert send(provider, "gemini", {"contents": history, **tools}, path=path).status_code == status


def test_models_are_listed(provider: Provider) -> None:
    """In each dialect's own shape."""
    for dialect, path in (("openai", "/v1/models"), ("anthropic", "/v1/models"), ("gemini", "/v1beta/models")):
        found = httpx.get(provider.url("a") + path, headers=KEYS[dialect]).json()
        assert len(found["models" if dialect == "gemini" else "data"]) >= 5
    provider.fault("a", "status", status=500)
    assert httpx.get(provider.url("a") + "/v1/models", headers=KEYS["openai"]).status_code == 500


# --- counters, process, HTTP -----------------------------------------------------------------------------------------


def test_requests_are_counted_and_recorded_without_keys(provider: Provider) -> None:
    """Path, headers and body of each request, and how it ended; never an API key."""
    send(provider, "openai", headers={**KEYS["openai"], "x-mine": "1"})
    send(provider, "anthropic")
    send(provider, "openai", path="/v1/nothing")
    stats = provider.stats("a")
    assert (stats.requests, dict(stats.dialects)) == (3, {"openai": 1, "anthropic": 1})
    assert stats.outcomes == {"ok": 2, "unknown_path": 1}
    assert stats.listening and stats.in_flight == 0
    first, second = provider.recorded_requests("a")
    assert first["path"] == "/v1/chat/completions" and first["body"] == BODIES["openai"]
    assert first["headers"]["x-mine"] == "1" and "authorization" not in first["headers"]
    assert "x-api-key" not in second["headers"]


def test_a_refused_endpoint_comes_back_on_its_port(provider: Provider) -> None:
    """Its port is closed, then open again under the same number."""
    provider.fault("a", "refused")
    assert not provider.stats("a").listening
    with pytest.raises(httpx.ConnectError):
        send(provider, "openai")
    provider.clear("a")
    assert send(provider, "openai").status_code == 200


def test_a_provider_that_is_not_started_is_an_error() -> None:
    """Stopping it twice is not."""
    provider = Provider(["a"])
    with pytest.raises(RuntimeError, match="not running"):
        _ = provider.pid
    with pytest.raises(FaultError, match="not started"):
        provider.url("a")
    provider.start()
    assert provider.pid > 0
    provider.stop()
    provider.stop()


def test_a_provider_that_cannot_start_is_an_error() -> None:
    """The error names the exit code."""
    with pytest.raises(RuntimeError, match="did not start"):
        Provider(["a"], seed="x").start()  # type: ignore[arg-type]
