"""OpenAIWire: the requests it writes for each provider, the fields it cannot carry, and histories of other providers."""

import json
import re
from typing import Any

import pytest
from hotspare.messages import ChatRequest
from hotspare.providers.openai.flavors import FLAVORS
from hotspare.providers.openai.wire import OpenAIWire
from hotspare.target import Target
from hypothesis import given

from tests.core.providers.histories import HISTORIES
from tests.support.request_readers import read_request

HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def target(name: str, **fields: Any) -> Target:
    """The target of this id; a provider without a model gets the model `m`."""
    return Target(name if "/" in name else f"{name}/m", **fields)


def wire(name: str) -> OpenAIWire:
    return OpenAIWire(FLAVORS[name.partition("/")[0]])


def written(name: str, *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    request = ChatRequest(**{"messages": HI, **fields})
    return wire(name).write(request, target(name), stream=stream)


def unsupported(name: str, **fields: Any) -> tuple[str, ...]:
    return wire(name).unsupported(ChatRequest(**{"messages": HI, **fields}), target(name))


def test_all_fields_of_openai() -> None:
    """Every field of a request under OpenAI's name, and no other field."""
    fields: dict[str, Any] = {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": SCHEMA,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 10,
        "stop": ["END"],
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "user": "u",
    }
    assert unsupported("openai/gpt-4.1", **fields) == ()
    assert written("openai/gpt-4.1", **fields) == {"model": "gpt-4.1", "messages": HI, **fields}
    assert written("openai/gpt-4.1") == {"model": "gpt-4.1", "messages": HI}


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("openai/gpt-4.1", {"max_tokens": 5}, {"max_tokens": 5}),
        ("openai/o3", {"max_tokens": 5}, {"max_completion_tokens": 5}),
        ("openai/gpt-5-mini", {"max_tokens": 5}, {"max_completion_tokens": 5}),
        ("openai/gpt-5-chat-latest", {"max_tokens": 5}, {"max_tokens": 5}),
        ("azure/gpt-5.2", {"max_tokens": 5}, {"max_completion_tokens": 5}),
        ("openrouter/openai/gpt-5", {"max_tokens": 5}, {"max_tokens": 5}),
        ("mistral", {"seed": 7}, {"random_seed": 7}),
        ("mistral", {"tools": [TOOL], "tool_choice": "required"}, {"tools": [TOOL], "tool_choice": "any"}),
        ("openai/gpt-5", {"reasoning_effort": "minimal"}, {"reasoning_effort": "minimal"}),
        ("openai/gpt-5.1", {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ("openai/gpt-5.1", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
        ("openai/gpt-5.2", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "xhigh"}),
        ("openai/o3", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}),
        ("openai/gpt-4.1", {"reasoning_effort": "none"}, {}),
        ("mistral", {"reasoning_effort": "low"}, {"reasoning_effort": "high"}),
        ("openrouter", {"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ("deepseek", {"reasoning_effort": "low"}, {"thinking": {"type": "enabled"}}),
        ("deepseek", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ("groq", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ("vllm", {"top_k": 5}, {"top_k": 5}),
        ("openai/gpt-4.1", {"tool_choice": "none"}, {}),
    ],
)
def test_fields_by_provider(name: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """A field of the request, as each provider names it."""
    assert unsupported(name, **fields) == ()
    body = written(name, **fields)
    assert {field: body[field] for field in body if field not in ("model", "messages")} == expected


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("openai/gpt-4.1", {"top_k": 5}, {"top_k"}),
        ("openai/gpt-4.1", {"reasoning_effort": "low"}, {"reasoning_effort"}),
        ("openai/o3", {"reasoning_effort": "none"}, {"reasoning_effort"}),
        ("openai/o3", {"temperature": 0.5, "top_p": 0.5, "stop": ["x"]}, {"temperature", "top_p", "stop"}),
        ("openai/o3", {"temperature": 1, "frequency_penalty": 0, "presence_penalty": 1}, {"presence_penalty"}),
        ("openai/o3", {"tools": [TOOL], "parallel_tool_calls": True}, {"parallel_tool_calls"}),
        ("openai/gpt-5", {"temperature": 0.5}, {"temperature"}),
        ("openai/gpt-5.1", {"temperature": 0.5}, set()),
        ("openai/gpt-5.1", {"temperature": 0.5, "reasoning_effort": "low"}, {"temperature"}),
        ("openai/gpt-5-chat-latest", {"temperature": 0.5}, set()),
        ("deepseek", {"response_format": SCHEMA}, {"response_format"}),
        ("deepseek", {"response_format": {"type": "json_object"}, "seed": 7, "user": "u"}, {"seed", "user"}),
        ("deepseek", {"tools": [TOOL], "parallel_tool_calls": False}, {"parallel_tool_calls"}),
        ("deepseek", {"tools": [TOOL], "parallel_tool_calls": True}, set()),
        ("groq", {"frequency_penalty": 1, "presence_penalty": 0}, {"frequency_penalty"}),
        ("mistral", {"user": "u", "top_k": 3}, {"user", "top_k"}),
        ("ollama", {"tools": [TOOL], "tool_choice": "required"}, {"tool_choice"}),
        ("ollama", {"tools": [TOOL], "tool_choice": "auto"}, set()),
        ("groq", {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, {"tool_choice"}),
        ("openai/gpt-4.1", {"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, {"messages"}),
        ("openrouter", {"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, set()),
    ],
)
def test_unsupported_fields(name: str, fields: dict[str, Any], expected: set[str]) -> None:
    """A field that a provider cannot carry is reported, never silently dropped."""
    assert set(unsupported(name, **fields)) == expected


def test_what_the_model_cannot_do_is_not_the_wires_concern() -> None:
    """`Target.missing` is judged by the pool, for every backend alike."""
    limited = target("vllm", missing={"tools", "vision", "json_mode", "json_schema", "seed", "reasoning"})
    request = ChatRequest(
        messages=[{"role": "user", "content": [IMAGE]}],
        tools=[TOOL],
        response_format=SCHEMA,
        seed=1,
        reasoning_effort="low",
    )
    assert wire("vllm").unsupported(request, limited) == ()
    assert wire("vllm").prefill(limited) and not wire("openai").prefill(limited)


def test_usage_of_streams_is_requested() -> None:
    """With `stream_options`, except from Mistral, which always sends usage and rejects unknown fields."""
    assert written("openai/gpt-4.1", stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in written("mistral", stream=True)
    assert written("mistral", stream=True)["stream"] is True


def test_extra_overrides_the_body() -> None:
    """The target's `extra`, then the request's for this dialect, win; other dialects' is not sent."""
    request = ChatRequest(messages=HI, temperature=0.5, extra={"openai": {"n": 2}, "anthropic": {"x": 1}})
    body = wire("groq").write(request, target("groq", extra={"n": 1, "service_tier": "flex"}), stream=False)
    assert body == {"model": "m", "messages": HI, "temperature": 0.5, "n": 2, "service_tier": "flex"}


HISTORY: list[dict[str, Any]] = [
    {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": " kind."}]},
    {"role": "user", "content": "hi", "name": None, "unknown": 1},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{**CALL, "id": "toolu_" + "x" * 60, "extra_content": {"google": {"thought_signature": "s"}}}],
        "reasoning_content": "hm",
        "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s", "dialect": "anthropic"}],
    },
    {"role": "tool", "tool_call_id": "toolu_" + "x" * 60, "content": "42", "is_error": True},
    {"role": "assistant", "content": None, "refusal": "No."},
]


def messages(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = written(name, messages=HISTORY)["messages"]
    return found


def test_a_foreign_history_at_openai() -> None:
    """Ids of at most 40 characters, in call and result; no signatures, no reasoning, no fields of hotspare's own."""
    system, user, called, result, refusal = messages("openai/gpt-4.1")
    assert system["role"] == "developer"
    assert user == {"role": "user", "content": "hi"}
    (call,) = called["tool_calls"]
    assert len(call["id"]) <= 40
    assert set(call) == {"id", "type", "function"}
    assert result == {"role": "tool", "tool_call_id": call["id"], "content": "42"}
    assert called == {"role": "assistant", "content": None, "tool_calls": [call]}
    assert refusal == {"role": "assistant", "content": None, "refusal": "No."}
    assert messages("openai/gpt-4.1") == messages("openai/gpt-4.1")


def test_a_foreign_history_elsewhere() -> None:
    """No developer role; refusals as text; Mistral's ids of nine characters; DeepSeek's plain text and reasoning."""
    for name in ("mistral", "deepseek", "groq", "openai-compatible"):
        system, _, called, result, refusal = messages(name)
        assert system["role"] == "system"
        assert refusal == {"role": "assistant", "content": "No.", **({"prefix": True} if name == "mistral" else {})}
        assert called["tool_calls"][0]["id"] == result["tool_call_id"]
        assert ("reasoning_content" in called) == (name == "deepseek")
    assert re.fullmatch(r"[A-Za-z0-9]{9}", messages("mistral")[2]["tool_calls"][0]["id"])
    assert messages("deepseek")[0]["content"] == "Be kind."
    assert messages("deepseek")[2]["reasoning_content"] == "hm"
    assert messages("vllm")[2]["reasoning"] == "hm"


def test_openrouters_own_history_is_sent_back_unchanged() -> None:
    """Reasoning details that OpenRouter signed, and cache control, are sent to OpenRouter."""
    block = {"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}
    cached = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    history = [
        {"role": "user", "content": [cached]},
        {"role": "assistant", "content": "hi", "thinking_blocks": [{**block, "dialect": "openrouter"}]},
    ]
    user, assistant = written("openrouter", messages=history)["messages"]
    assert (user["content"], assistant["reasoning_details"]) == ([cached], [block])
    elsewhere = written("openai/gpt-4.1", messages=history)["messages"]
    assert "cache_control" not in json.dumps(elsewhere)
    assert "reasoning_details" not in elsewhere[1]


def test_googles_own_signatures_are_sent_back() -> None:
    """Google's OpenAI endpoint gets a thought signature back with its call."""
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "s"}}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": ""}
    history: list[dict[str, Any]] = [*HI, {"role": "assistant", "tool_calls": [signed]}, result]
    google = Target("openai-compatible/gemini-3", base_url="https://generativelanguage.googleapis.com/v1beta/openai")
    body = wire("openai-compatible").write(ChatRequest(messages=history), google, stream=False)
    assert body["messages"][1]["tool_calls"] == [signed]


@pytest.mark.parametrize("name", ["openai/gpt-4.1", "mistral", "deepseek", "openrouter", "openai-compatible"])
@given(HISTORIES)
def test_any_history_is_valid_at_every_provider(name: str, history: list[dict[str, Any]]) -> None:
    """Results follow their calls, ids are valid, arguments are objects, and all fields are known."""
    waiting: list[str] = []
    pattern = r"[A-Za-z0-9]{9}" if name == "mistral" else r"[!-~]{1,40}"
    known = {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning_content", "reasoning"}
    known |= {"prefix"} if name == "mistral" else set()
    for message in written(name, messages=history)["messages"]:
        assert set(message) <= known
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting
        calls = message.get("tool_calls", [])
        assert "content" in message or calls
        waiting = [call["id"] for call in calls]
        assert all(re.fullmatch(pattern, call_id) for call_id in waiting)
        assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in calls)
    assert not waiting


@pytest.mark.parametrize(
    ("name", "base_url", "expected"),
    [
        ("openai", "https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("openai", "http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/chat/completions"),
        ("openai", "http://h/v1/", "http://h/v1/chat/completions"),
        ("vllm", "http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("azure", "https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/chat/completions"),
        ("azure", "https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com/openai/v1/chat/completions"),
        (
            "azure",
            "https://r.openai.azure.com/?api-version=2024-10-21",
            "https://r.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-10-21",
        ),
        (
            "azure",
            "https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_urls(name: str, base_url: str, expected: str) -> None:
    """Base URLs with and without a path, and Azure's two APIs."""
    assert wire(name).url(base_url, target(name), stream=True) == expected


def test_authentication() -> None:
    """A bearer token; for Azure `api-key`, but an Entra token as a bearer token; nothing without a key."""
    assert wire("groq").headers("k") == {"authorization": "Bearer k"}
    assert wire("azure").headers("k") == {"api-key": "k"}
    assert wire("azure").headers("ey.jw.t") == {"authorization": "Bearer ey.jw.t"}
    assert wire("vllm").headers(None) == {}


def test_a_request_can_be_read_back() -> None:
    """`read_request` is the reverse of `write`; fields that ChatRequest does not have go into `extra`."""
    body = {
        "model": "m", "messages": HI, "max_completion_tokens": 5, "stop": "END", "stream": True, "logprobs": True,
        "tools": [TOOL], "tool_choice": "required", "reasoning_effort": "low", "random_seed": 3,
    }  # fmt: skip
    request = read_request(wire("mistral"), body)
    assert request == ChatRequest(
        messages=HI, model="m", max_tokens=5, stop=("END",), tools=[TOOL], tool_choice="required",
        reasoning_effort="low", seed=3, extra={"openai": {"logprobs": True}},
    )  # fmt: skip
    assert read_request(wire("mistral"), body, model="other").model == "other"


def test_files_by_url_are_not_supported() -> None:
    """Data and the id of an upload are; OpenAI's reference has `file_data`, `file_id` and `filename` only."""
    for file, expected in (({"file_id": "https://example.com/a.pdf"}, ("messages",)), ({"file_id": "file-123"}, ())):
        message = {"role": "user", "content": [{"type": "file", "file": file}]}
        assert unsupported("openai", messages=[message]) == expected
