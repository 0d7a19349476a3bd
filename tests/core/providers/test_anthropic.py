"""AnthropicWire: the requests it writes, the fields it cannot carry, the ends of its answers."""

import json
from typing import Any

import pytest
from hotspare import errors
from hotspare.messages import ChatRequest
from hotspare.providers.anthropic.wire import AnthropicWire
from hotspare.target import Target
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.providers.readers import REQUEST, almost, fails_as, survives_body, survives_stream

WIRE = AnthropicWire()
HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {}}}}


def claude(name: str = "sonnet-4-5", **fields: Any) -> Target:
    return Target(f"anthropic/claude-{name}", **fields)


def write(target: Target | None = None, **fields: Any) -> dict[str, Any]:
    return WIRE.write(ChatRequest(**{"messages": HI, **fields}), target or claude(), stream=False)


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"type": "function", "function": {"name": "f"}},
            False,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tool_choice(choice: Any, parallel: bool | None, expected: Any) -> None:
    """Every tool choice in Anthropic's terms, with parallel use switched off inside it."""
    assert write(tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == expected


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("sonnet-4-5", "high", {"thinking": {"type": "enabled", "budget_tokens": 4096}}),
        ("opus-4-6", "xhigh", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        (
            "opus-4-8",
            "xhigh",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "xhigh"}},
        ),
        ("opus-5", "none", {"thinking": {"type": "disabled"}}),
        ("sonnet-4-5", "none", {}),
    ],
)
def test_reasoning_by_generation(model: str, effort: Any, expected: dict[str, Any]) -> None:
    """Older models get a budget, newer ones an effort they know; `max_tokens` is raised by the budget."""
    body = write(claude(model), reasoning_effort=effort)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == expected
    assert body["max_tokens"] == 4096 + expected.get("thinking", {}).get("budget_tokens", 0)


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        (
            "sonnet-4-5",
            {"seed": 1, "frequency_penalty": 0.5, "presence_penalty": 0.5},
            ("seed", "frequency_penalty", "presence_penalty"),
        ),
        ("sonnet-4-5", {"response_format": {"type": "json_object"}}, ("response_format",)),
        ("sonnet-4-5", {"response_format": SCHEMA, "temperature": 1, "top_p": 0.9, "top_k": 3, "stop": ["x"]}, ()),
        ("sonnet-4-20250514", {"response_format": SCHEMA}, ("response_format",)),
        ("sonnet-4-5", {"temperature": 1.5}, ("temperature",)),
        ("opus-4-8", {"temperature": 0.2, "top_k": 3}, ("temperature", "top_k")),
        ("sonnet-4-5", {"reasoning_effort": "low", "max_tokens": 100}, ("reasoning_effort",)),
        ("sonnet-4-5", {"reasoning_effort": "low", "tools": [TOOL], "tool_choice": "required"}, ("reasoning_effort",)),
        ("3-5-haiku-20241022", {"reasoning_effort": "low"}, ("reasoning_effort",)),
        ("opus-5-5", {"reasoning_effort": "none"}, ("reasoning_effort",)),
        ("sonnet-4-5", {"stop": [" "]}, ("stop",)),
        ("sonnet-4-5", {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, ("messages",)),
    ],
)
def test_unsupported_fields(model: str, fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    """A field that the wire format cannot carry is reported, never silently dropped."""
    assert WIRE.unsupported(ChatRequest(**{"messages": HI, **fields}), claude(model)) == expected


def test_what_the_model_cannot_do_is_not_the_wires_concern() -> None:
    """`Target.missing` is judged by the pool, for every backend alike."""
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}]
    request = ChatRequest(messages=image, tools=[TOOL], response_format=SCHEMA, reasoning_effort="high")
    target = claude(missing={"tools", "vision", "json_schema", "reasoning"})
    assert WIRE.unsupported(request, target) == ()


def test_prefill_up_to_claude_4_5() -> None:
    """Later models answer 400 "This model does not support assistant message prefill"."""
    assert WIRE.prefill(claude("sonnet-4-5"))
    assert not WIRE.prefill(claude("opus-4-6"))


def test_extra_overrides_the_body() -> None:
    """The target's extra, then the request's, win; an object with a type is replaced; other dialects' is not sent."""
    target = claude(extra={"service_tier": "auto", "metadata": {"a": 1}})
    body = write(
        target,
        reasoning_effort="high",
        extra={"anthropic": {"service_tier": "standard_only", "thinking": {"type": "adaptive"}}, "openai": {"n": 2}},
    )
    assert body["service_tier"] == "standard_only"
    assert body["thinking"] == {"type": "adaptive"}
    assert body["max_tokens"] == 4096
    assert "n" not in body


def test_structured_output_images_and_files() -> None:
    """`output_config.format` with closed objects; images as data and URL; PDFs; cache control."""
    parts = [
        {"type": "text", "text": "what", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
    ]
    body = write(messages=[{"role": "user", "content": parts}], response_format=SCHEMA)
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert body["messages"][0]["content"] == [
        parts[0],
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
            "title": "a.pdf",
        },
    ]


def test_system_messages_become_the_system_prompt() -> None:
    """System and developer texts go into `system`; if there are no others, they become the user turn."""
    system = [{"role": "system", "content": "a"}, *HI, {"role": "developer", "content": "b"}]
    assert write(messages=system)["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    alone = write(messages=[{"role": "system", "content": "a"}])
    assert "system" not in alone
    assert alone["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]


def test_no_thinking_budget_after_tool_calls_of_another_model() -> None:
    """Such a history has no signed thinking, which Anthropic requires with a budget: none is sent."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    loop: list[dict[str, Any]] = [
        *HI,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    assert "thinking" not in write(messages=loop, tools=[TOOL], reasoning_effort="high")
    signed = {"type": "thinking", "thinking": "x", "signature": "s", "dialect": "anthropic"}
    loop[1] = {**loop[1], "thinking_blocks": [signed]}
    assert write(messages=loop, tools=[TOOL], reasoning_effort="high")["thinking"]["budget_tokens"] == 4096


def test_url_and_headers() -> None:
    """Base URLs with and without a version; a header for keys and one for tokens; none without a key."""
    assert WIRE.url("https://api.anthropic.com", claude(), stream=True) == "https://api.anthropic.com/v1/messages"
    assert WIRE.url("https://relay.example/v1/", claude(), stream=False) == "https://relay.example/v1/messages"
    assert WIRE.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    assert WIRE.headers("sk-ant-oat1")["authorization"] == "Bearer sk-ant-oat1"
    assert set(WIRE.headers(None)) == {"anthropic-version"}


START = ("message_start", {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3}}})
STOP = ("message_stop", {"type": "message_stop"})


def ended(reason: str) -> tuple[str, object]:
    return "message_delta", {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 1}}


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        ([], errors.EmptyAnswer),
        ([("", "")], errors.EmptyAnswer),
        ([("ping", {"type": "ping"})], errors.IncompleteAnswer),
        ([START], errors.IncompleteAnswer),
        ([START, ended("null")], errors.IncompleteAnswer),
        ([START, ended("end_turn")], errors.EmptyAnswer),
        ([START, STOP], errors.IncompleteAnswer),
        ([START, ended("end_turn"), STOP], errors.EmptyAnswer),
        ([START, ended("refusal"), STOP], errors.InBandError),
        ([START, ("error", OVERLOADED)], errors.InBandError),
        ([START, ("", "<html>")], errors.MalformedAnswer),
    ],
)
def test_streams_without_a_proper_end(stream: list[tuple[str, object]], error: type[errors.BackendError]) -> None:
    """Each has its own error."""
    fails_as(WIRE, stream, error)


def test_an_error_event_keeps_its_body() -> None:
    """`.body` holds the provider's error object, for `classify`."""
    assert json.loads(fails_as(WIRE, [START, ("error", OVERLOADED)], errors.InBandError).body) == OVERLOADED


@pytest.mark.parametrize("reason", ["stop_sequence", "max_tokens", "pause_turn"])
def test_an_empty_answer_with_a_reason_is_complete(reason: str) -> None:
    """A stop text that came first, and thinking that used all of max_tokens, are no failures."""
    reply = WIRE.read({"content": [], "stop_reason": reason, "usage": {}}, REQUEST)
    assert reply.text == ""


def test_a_refusal_after_content_is_a_finish_reason() -> None:
    """The text so far is kept, with finish reason `content_filter`."""
    body = {"content": [{"type": "text", "text": "No"}], "stop_reason": "refusal"}
    assert WIRE.read(body, REQUEST).finish_reason == "content_filter"


NAMES = [
    "type",
    "content",
    "text",
    "stop_reason",
    "usage",
    "id",
    "name",
    "input",
    "error",
    "thinking",
    "delta",
    "index",
]
NAMES += ["message", "content_block", "partial_json", "input_tokens", "signature", "output_tokens_details"]
WORDS = [
    "text",
    "tool_use",
    "thinking",
    "end_turn",
    "tool_use",
    "message_start",
    "content_block_start",
    "redacted_thinking",
]
WORDS += [
    "content_block_delta",
    "text_delta",
    "input_json_delta",
    "message_delta",
    "message_stop",
    "content_block_stop",
]
JSON = almost(NAMES, WORDS)


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_any_body_gives_a_reply_or_a_backend_error(body: object) -> None:
    """No JSON body raises another exception."""
    survives_body(WIRE, body)


@given(st.lists(st.tuples(st.sampled_from(["", *WORDS, "error", "ping"]), st.text(max_size=20) | JSON), max_size=8))
@settings(max_examples=300, deadline=None)
def test_any_stream_gives_a_reply_or_a_backend_error(stream: list[tuple[str, object]]) -> None:
    """No stream of events raises another exception."""
    survives_stream(WIRE, stream)
