"""The embedded provider's manners: its script, its limits, its ways to continue, its counters, and HTTP itself."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hotspare import Kind, Pool, Target
from hotspare.drill import conversation as dialogue
from hotspare.drill.answers import answer, tokenize
from hotspare.drill.faults import FORMS, FaultError
from hotspare.drill.provider import KEY, Provider, after_tools, with_images

from tests.core.drill.asking import BODIES, KEYS, ask, outcome, text_of

WIRES = pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
PIXEL = "aGVsbG8="  # five bytes


# --- saying no -----------------------------------------------------------------------------------------------------


@WIRES
@pytest.mark.parametrize("form", FORMS)
def test_a_429_tells_its_time_in_every_form(wire: str, form: str, provider: Provider) -> None:
    """hotspare reads the same seconds out of each form."""
    provider.fault("a", "throttled", after=7, form=form)
    found = outcome(ask(provider, wire), wire)
    assert found.kind is Kind.RATE_LIMITED
    assert found.retry_after is None if form == "none" else 5 <= (found.retry_after or 0) <= 8, found


@WIRES
@pytest.mark.parametrize("form", ["day", "balance"])
def test_a_used_up_quota_is_no_throttle(wire: str, form: str, provider: Provider) -> None:
    """It does not come back in seconds, whatever the body claims."""
    provider.fault("a", "quota", form=form)
    found = outcome(ask(provider, wire), wire)
    assert found.kind is Kind.QUOTA
    assert found.retry_after is None or found.retry_after > 300


@WIRES
def test_a_limiter_tells_and_keeps_its_limit(wire: str, provider: Provider) -> None:
    """Two at once, then a 429 with the time in the form asked for."""
    provider.configure("a", rpm=6, burst=2)
    first, second, third = (ask(provider, wire) for _ in range(3))
    assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
    assert 0 < float(third.headers["retry-after"]) <= 10
    told = {"openai": "x-ratelimit-remaining-requests", "anthropic": "anthropic-ratelimit-requests-remaining"}
    assert wire == "gemini" or first.headers[told[wire]] == "1"
    assert provider.stats("a").outcomes["rejected:429"] == 1


@WIRES
def test_windows_and_streams_have_limits(wire: str, provider: Provider) -> None:
    """Too long a prompt, and an account that may not stream."""
    provider.configure("a", window=5, streams=False)
    stream = {"path": "/v1beta/models/m:streamGenerateContent?alt=sse"} if wire == "gemini" else {}
    assert outcome(ask(provider, wire, long_prompt(wire)), wire).kind is Kind.CONTEXT_LENGTH
    refused = ask(provider, wire, {} if wire == "gemini" else {"stream": True}, **stream)
    assert outcome(refused, wire).kind is Kind.INVALID
    assert "stream" in refused.text


def long_prompt(wire: str) -> dict[str, Any]:
    """More than a window of five tokens holds."""
    if wire == "gemini":
        return {"contents": [{"parts": [{"text": "a long prompt " * 9}]}]}
    return {"messages": [{"role": "user", "content": "a long prompt " * 9}]}


@pytest.mark.parametrize("status", [400, 402, 403, 408, 413, 422, 500, 502, 503, 504, 529])
@WIRES
def test_statuses_come_in_the_providers_own_bodies(wire: str, status: int, provider: Provider) -> None:
    """A JSON body of the wire's own shape; a 502 comes from the edge, as HTML. Never an answer, never a crash."""
    provider.fault("a", "status", status=status, after=2, headers={"x-more": "1"})
    refused = ask(provider, wire)
    assert refused.status_code == (402 if (wire, status) == ("gemini", 402) else status)
    assert (refused.headers["retry-after"], refused.headers["x-more"]) == ("2", "1")
    assert refused.text.startswith("<!DOCTYPE" if status == 502 else "{")
    expected = {400: {Kind.INVALID}, 402: {Kind.QUOTA}, 403: {Kind.AUTH}, 408: {Kind.TIMEOUT, Kind.SERVER}}
    found = outcome(refused, wire).kind
    assert found in expected.get(status, {Kind.INVALID} if status < 500 else {Kind.SERVER}), found


# --- the script ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("explode", {}, "'explode' is unknown; use one of refused"),
        ("status", {"code": 500}, "option 'code' is unknown"),
        ("status", {"status": 99}, "status=99 must be an HTTP status"),
        ("reset", {"probability": 2}, "a share between 0 and 1"),
        ("cut", {"at": -1}, "a number of tokens"),
        ("cut", {"how": "softly"}, "reset or close"),
        ("slow", {"seconds": -1}, "seconds, 0 or more"),
        ("throttled", {"form": "smoke"}, "one of retry-after"),
        ("quota", {"form": "month"}, "day or balance"),
        ("reset", {"wire": "grpc"}, "openai, anthropic or gemini"),
        ("refused", {"count": 1}, "whole endpoint"),
    ],
)
def test_a_fault_that_is_none_is_named(kind: str, options: dict[str, Any], words: str, provider: Provider) -> None:
    """The option, its value and what may stand there."""
    with pytest.raises(FaultError, match=words):
        provider.fault("a", kind, **options)


def test_unknown_endpoints_settings_and_wires_are_named(provider: Provider) -> None:
    """Each with what there is."""
    for wrong, words in (
        (lambda: provider.fault("z", "reset"), "endpoint 'z' is unknown; there are a, b"),
        (lambda: provider.url("z"), "endpoint 'z' is unknown"),
        (lambda: provider.base_url("a", "grpc"), "wire 'grpc' is unknown"),
        (lambda: provider.configure("a", speed=1), "setting 'speed' is unknown"),
        (lambda: provider.configure("a", rpm=0), "must be above 0"),
        (lambda: provider.configure("a", prefill="maybe"), "must be one of"),
        (lambda: provider._ask("dance", "a"), "'dance' is unknown"),
    ):
        with pytest.raises(FaultError, match=words):
            wrong()


def test_faults_meet_whom_they_name(provider: Provider) -> None:
    """By wire, model, streaming, place and number; the first one that meets a request counts."""
    provider.fault("a", "status", status=503, wire="anthropic")
    provider.fault("a", "status", status=500, model="mini", count=1)
    provider.fault("a", "status", status=502, streaming=True)
    provider.fault("a", "status", status=529, start=3, count=1)
    mini = {"model": "gpt-4.1-mini"}
    asked = [("openai", {}), ("anthropic", {}), ("openai", mini), ("openai", mini), ("openai", {"stream": True}), ("openai", {}),
             ("openai", {}), ("openai", {})]  # fmt: skip
    assert [ask(provider, *one).status_code for one in asked] == [200, 503, 500, 200, 502, 200, 529, 200]
    assert provider.stats("a").outcomes == {"ok": 4, "status": 4}


def test_chance_is_seeded(provider: Provider) -> None:
    """Half of the requests fail, the same half after every reset."""
    runs = []
    for _ in range(2):
        provider.reset()
        provider.fault("a", "status", status=500, probability=0.5)
        runs.append([ask(provider, "openai").status_code for _ in range(12)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


def test_a_sick_provider_is_sick_for_bad_requests_too(provider: Provider) -> None:
    """The fault comes before the judgement, unless it waits for a certain request."""
    provider.fault("a", "status", status=500)
    assert ask(provider, "openai", {"messages": []}).status_code == 500
    provider.clear("a")
    provider.fault("a", "status", status=500, count=1)
    assert ask(provider, "openai", {"messages": []}).status_code == 400


def test_what_the_answer_wears(provider: Provider) -> None:
    """Without usage, or under another content type."""
    provider.fault("a", "no_usage")
    provider.fault("a", "content_type", message="text/html")
    told = ask(provider, "openai")
    assert "usage" not in told.json()
    assert told.headers["content-type"] == "text/html"


@pytest.mark.parametrize("kind", ["malformed", "half_json", "error_event"])
@WIRES
def test_an_answer_in_pieces_is_no_answer(wire: str, kind: str, provider: Provider) -> None:
    """A whole 200 that is broken inside, or an error in its body."""
    provider.fault("a", kind, at=5)
    told = ask(provider, wire)
    assert told.status_code == 200
    if kind == "error_event":
        assert "error" in told.json()
    else:
        with pytest.raises(ValueError):
            told.json()


def test_gemini_streams_as_an_array_too(provider: Provider) -> None:
    """Without `alt=sse` the stream is one JSON array, and so are its errors."""
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    pieces = ask(provider, "gemini", path=path).json()
    assert "".join(p["text"] for piece in pieces for p in piece["candidates"][0]["content"]["parts"]) == answer("hello")
    provider.fault("a", "error_event", at=3, status=503)
    assert ask(provider, "gemini", path=path).json()[-1]["error"]["code"] == 503
    provider.clear()
    provider.fault("a", "empty_choices")
    assert ask(provider, "gemini", path=path).json()[0]["candidates"] == []


# --- answers -------------------------------------------------------------------------------------------------------


def test_pictures_and_results_are_told(provider: Provider) -> None:
    """The same words over each wire, so that adapters can be checked word for word."""
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    link = {"type": "image_url", "image_url": "https://example.org/a.png"}
    openai = {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, image, link]}]}
    assert text_of("openai", ask(provider, "openai", openai)) == with_images("see", (5, 0))
    source = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    claude = {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, source]}]}
    assert text_of("anthropic", ask(provider, "anthropic", claude)) == with_images("see", (5,))
    parts = [{"text": "see"}, {"inline_data": {"mime_type": "image/png", "data": PIXEL}}]
    gemini = {"contents": [{"parts": parts}]}
    assert text_of("gemini", ask(provider, "gemini", gemini)) == with_images("see", (5,))

    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    told = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "42"}]
    openai = {"messages": [*BODIES["openai"]["messages"], *told]}
    assert text_of("openai", ask(provider, "openai", openai)) == after_tools("hello", ("42",))
    told = [{"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "42"}}}]}]  # fmt: skip
    gemini = {"contents": [*BODIES["gemini"]["contents"], *told]}
    assert text_of("gemini", ask(provider, "gemini", gemini)) == after_tools("hello", ("42",))


@pytest.mark.parametrize("mode", ["continue", "strip", "overlap", "restart", "prose", "refuse"])
def test_a_prefill_is_continued_as_configured(mode: str, provider: Provider) -> None:
    """A beginning of the answer in a trailing assistant message, in each manner."""
    provider.configure("a", prefill=mode)
    full = answer("hello")
    given = "".join(tokenize(full)[:20])
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": given}]
    for wire in ("openai", "anthropic"):
        told = ask(provider, wire, {"messages": messages})
        if mode == "refuse":
            assert outcome(told, wire).kind is Kind.INVALID
            continue
        text, rest = text_of(wire, told), full[len(given) :]
        assert {
            "continue": text == rest, "strip": text == rest.lstrip(), "restart": text == full,
            "overlap": text.endswith(rest) and given.endswith(text[: -len(rest)]),
            "prose": text == dialogue.PROSE_BEFORE + rest.lstrip() + dialogue.PROSE_AFTER,
        }[mode]  # fmt: skip


def test_an_instruction_to_continue_is_known_by_its_place(provider: Provider) -> None:
    """After a beginning of the answer any user message continues it; after the whole of it a new question is one."""
    full = answer("hello")
    given = "".join(tokenize(full)[:20])
    for said, then in ((given, full[len(given) :]), (full, answer("go on"))):
        turns = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": said},
            {"role": "user", "content": "go on"},
        ]
        assert text_of("openai", ask(provider, "openai", {"messages": turns})) == then


def test_limits_and_stops_are_obeyed(provider: Provider) -> None:
    """`max_tokens` and stop sequences end the answer, and say so."""
    cut = ask(provider, "openai", {"max_tokens": 5}).json()["choices"][0]
    assert (cut["finish_reason"], cut["message"]["content"]) == ("length", "".join(tokenize(answer("hello"))[:5]))
    word = tokenize(answer("hello"))[6].strip()
    stopped = ask(provider, "anthropic", {"stop_sequences": [word]}).json()
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", word)
    refused = ask(provider, "gemini", {"contents": [{"parts": [{"text": "refuse me"}]}]}).json()
    assert refused["promptFeedback"]["blockReason"] == "SAFETY"


def test_tools_are_called_as_asked(provider: Provider) -> None:
    """Twice, in parallel or not, by choice or by the prompt, and with words before."""

    def names(prompt: str, **more: Any) -> list[str]:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("f", "g")]
        content = [{"role": "user", "content": prompt}]
        found = ask(provider, "anthropic", {"messages": content, "tools": tools, **more}).json()["content"]
        return [block.get("name", "text") for block in found]

    assert names("call f twice and call g") == ["f", "f", "g"]
    assert names("call f, but first say why") == ["text", "f"]
    assert names("call f and call g", tool_choice={"type": "auto", "disable_parallel_tool_use": True}) == ["f"]
    assert names("hello", tool_choice={"type": "any"}) == ["f"]
    assert names("hello", tool_choice={"type": "tool", "name": "g"}) == ["g"]
    assert names("call f", tool_choice={"type": "none"}) == ["text"]


def test_gemini_wants_its_signatures_back(provider: Provider) -> None:
    """A strict model refuses a history without the seal it gave, and takes Google's documented pass."""
    path = "/v1beta/models/gemini-strict:generateContent"
    tools = {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]}
    question = {"role": "user", "parts": [{"text": "call f"}]}
    part = ask(provider, "gemini", {"contents": [question], **tools}, path=path).json()["candidates"][0]["content"][
        "parts"
    ][0]
    done = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "1"}}}]}
    for seal, status in (("kept", 200), (None, 400), ("skip_thought_signature_validator", 200)):
        sent = {**part, "thoughtSignature": seal} if seal != "kept" else part
        sent = {k: v for k, v in sent.items() if v is not None}
        history = [question, {"role": "model", "parts": [sent]}, done]
        assert ask(provider, "gemini", {"contents": history, **tools}, path=path).status_code == status


def test_models_are_listed(provider: Provider) -> None:
    """Each wire's own shape."""
    for wire, path in (("openai", "/v1/models"), ("anthropic", "/v1/models"), ("gemini", "/v1beta/models")):
        found = httpx.get(provider.url("a") + path, headers=KEYS[wire]).json()
        assert len(found["models" if wire == "gemini" else "data"]) >= 5
    provider.fault("a", "status", status=500)
    assert httpx.get(provider.url("a") + "/v1/models", headers=KEYS["openai"]).status_code == 500


# --- counters, process, HTTP -----------------------------------------------------------------------------------------


def test_it_counts_and_remembers_without_keys(provider: Provider) -> None:
    """What was asked, when, and how it ended; never a key."""
    ask(provider, "openai", headers={**KEYS["openai"], "x-mine": "1"})
    ask(provider, "anthropic")
    ask(provider, "openai", path="/v1/nothing")
    stats = provider.stats("a", arrivals=True)
    assert (stats.requests, dict(stats.wires)) == (3, {"openai": 1, "anthropic": 1})
    assert stats.outcomes == {"ok": 2, "unknown_path": 1}
    assert list(stats.arrivals) == sorted(stats.arrivals)
    assert stats.listening and stats.in_flight == 0
    heard = provider.heard("a")
    assert heard[0]["headers"]["x-mine"] == "1" and "authorization" not in heard[0]["headers"]
    assert "x-api-key" not in heard[1]["headers"]


def test_a_refused_endpoint_comes_back_on_its_port(provider: Provider) -> None:
    """Closed, then open again, on the same number."""
    provider.fault("a", "refused")
    assert not provider.stats("a").listening
    with pytest.raises(httpx.ConnectError):
        ask(provider, "openai")
    provider.clear("a")
    assert ask(provider, "openai").status_code == 200


def test_a_provider_that_is_not_started_says_so() -> None:
    """And stopping it twice does no harm."""
    provider = Provider(["a"])
    with pytest.raises(RuntimeError, match="not running"):
        _ = provider.pid
    with pytest.raises(FaultError, match="not started"):
        provider.url("a")
    provider.start()
    assert provider.pid > 0
    provider.stop()
    provider.stop()


def test_a_provider_that_cannot_start_says_so() -> None:
    """With its exit code."""
    with pytest.raises(RuntimeError, match="did not start"):
        Provider(["a"], seed="x").start()  # type: ignore[arg-type]


def raw(provider: Provider, *sent: bytes) -> bytes:
    """Bytes over a plain socket; each after an answer to the one before."""
    address = urlsplit(provider.url("a"))
    assert address.hostname and address.port
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        got = b""
        for data in sent:
            connection.sendall(data)
            got += connection.recv(65536)
        return got


def test_http_in_all_its_manners(provider: Provider) -> None:
    """Chunked uploads, 100-continue, two requests in one packet, and what is no HTTP."""
    url = provider.url("a") + "/v1/chat/completions"
    body = b'{"model":"gpt-4.1","messages":[{"role":"user","content":"hello"}]}'
    told = httpx.post(url, content=iter([body[:20], body[20:]]), headers=KEYS["openai"])
    assert text_of("openai", told) == answer("hello")
    head = b"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer test-1\r\ncontent-length: %d\r\n" % len(body)
    assert raw(provider, head + b"expect: 100-continue\r\n\r\n", body).startswith(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"
    )
    last = head + b"connection: close\r\n\r\n" + body
    both = raw(provider, head + b"\r\n" + body + last, b"")
    assert both.startswith(b"HTTP/1.1 200")
    assert raw(provider, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(provider, b"POST / HTTP/1.1\r\ncontent-length: 999999999\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(provider, b"x" * 70_000).startswith(b"HTTP/1.1 400")


@WIRES
def test_what_is_written_down_is_called_and_said(wire: str, provider: Provider) -> None:
    """`replies`: calls with arguments of one's own, and JSON of one's own, for prompts with a phrase in them."""
    said = {"weather": {"call": {"get_weather": {"city": "서울"}}}, "joke": {"json": {"setup": "Why?"}}}
    provider.configure("a", replies=said)
    model = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}[wire]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    schema = {"type": "json_schema", "json_schema": {"name": "joke", "schema": {"type": "object", "properties": {}}}}
    with Pool([Target(f"{wire}/{model}", base_url=provider.base_url("a", wire), api_key=KEY)]) as pool:
        called = pool.chat("What is the weather?", tools=[tool]).tool_calls
        assert [(call.name, json.loads(call.arguments)) for call in called] == [("get_weather", {"city": "서울"})]
        assert not pool.chat("What is the time?", tools=[tool]).tool_calls
        assert json.loads(pool.chat("Tell a joke", response_format=schema).text) == {"setup": "Why?"}


@WIRES
def test_what_is_written_down_goes_on_step_by_step(wire: str, provider: Provider) -> None:
    """A tool that is offered only later is called then, whatever others have answered; each once, and then comes text."""
    provider.configure("a", replies={"trip": {"call": {"weather": {"city": "Oslo"}, "book": {"seats": 2}}}})
    model = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}[wire]
    tools = {
        name: {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
        for name in ("weather", "book")
    }
    history: list[dict[str, Any]] = [{"role": "user", "content": "Plan a trip"}]
    with Pool([Target(f"{wire}/{model}", base_url=provider.base_url("a", wire), api_key=KEY)]) as pool:
        for name, arguments in (("weather", {"city": "Oslo"}), ("book", {"seats": 2})):
            reply = pool.chat(history, tools=[tools[name]])
            assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [(name, arguments)]
            results = [
                {"role": "tool", "tool_call_id": call.id, "content": f"{name} done"} for call in reply.tool_calls
            ]
            history += [reply.message, *results]
        assert pool.chat(history, tools=[*tools.values()]).text.startswith("The tool says: weather done ; book done")


def test_a_reply_must_say_something(provider: Provider) -> None:
    """Neither a call nor JSON is a mistake, and named."""
    with pytest.raises(FaultError, match=r"replies\['weather'\]"):
        provider.configure("a", replies={"weather": {"text": "fine"}})
