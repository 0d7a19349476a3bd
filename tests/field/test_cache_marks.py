"""Anthropic's `cache_control`, on messages, parts, tools and results: it reaches Anthropic and no wire that does not know it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hotspare import ChatRequest, Target
from hotspare.providers.presets import PRESETS

MARK = {"type": "ephemeral"}
MARKED = {"cache_control": MARK}
FUNCTION = {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {}}}
ANTHROPIC_ONLY = {"defer_loading": True, "input_examples": [{"city": "Seoul"}], "allowed_callers": ["direct"]}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
MESSAGES: list[Mapping[str, Any]] = [
    {"role": "system", "content": "sys", **MARKED},
    {"role": "user", "content": "hello", **MARKED},
    {"role": "assistant", "content": None, "tool_calls": [CALL], **MARKED},
    {"role": "tool", "tool_call_id": "toolu_1", "content": [{"type": "text", "text": "21", **MARKED}]},
    {"role": "assistant", "content": "It is 21.", **MARKED},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], **MARKED},
]
OTHERS = sorted(PRESETS.keys() - {"anthropic", "openrouter"})


def body_of(provider: str, request: ChatRequest) -> dict[str, Any]:
    """What a target of this provider would be sent."""
    target = Target(f"{provider}/model", base_url="https://example.com", api_key="k")
    return PRESETS[provider].wire().write(request, target, stream=False)


@pytest.mark.parametrize("provider", OTHERS)
@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": FUNCTION, **MARKED, **ANTHROPIC_ONLY},
        {"type": "function", "function": {**FUNCTION, **MARKED, **ANTHROPIC_ONLY}},
    ],
    ids=["beside the function", "in the function"],
)
def test_other_wires_get_none(provider: str, tool: dict[str, Any]) -> None:
    """No mark, and none of the other fields that a tool has for Anthropic, in the whole body."""
    body = json.dumps(body_of(provider, ChatRequest(messages=MESSAGES, tools=[tool])))
    assert not [name for name in ("cache_control", *ANTHROPIC_ONLY) if name in body]
    assert "get_weather" in body


def test_anthropic_gets_each() -> None:
    """A message's mark is on its last block, a result's on the result, a tool's beside its schema."""
    tool = {"type": "function", "function": {**FUNCTION, **MARKED}, "defer_loading": True}
    body = body_of("anthropic", ChatRequest(messages=MESSAGES, tools=[tool]))
    assert body["system"] == [{"type": "text", "text": "sys", **MARKED}]
    assert [block.get("cache_control") for turn in body["messages"] for block in turn["content"]] == [
        MARK, MARK, MARK, MARK, None, MARK,
    ]  # fmt: skip
    result = body["messages"][2]["content"][0]
    assert result["type"] == "tool_result"
    assert result["content"] == [{"type": "text", "text": "21"}]
    assert (body["tools"][0]["cache_control"], body["tools"][0]["defer_loading"]) == (MARK, True)


def test_a_parts_own_mark_wins() -> None:
    """A mark of the last part is kept as it is written, and a mark on a tool call reaches the call."""
    longer = {"type": "ephemeral", "ttl": "1h"}
    parts = [{"type": "text", "text": "a", "cache_control": longer}]
    messages: list[Mapping[str, Any]] = [
        {"role": "user", "content": parts, **MARKED},
        {"role": "assistant", "tool_calls": [{**CALL, **MARKED}]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "21"},
    ]
    turns = body_of("anthropic", ChatRequest(messages=messages))["messages"]
    assert [turn["content"][0].get("cache_control") for turn in turns] == [longer, MARK, None]


def test_openrouter_gets_those_of_messages_and_tools() -> None:
    """It passes marks of parts and of tools on to Claude; a message's mark becomes one of its last part."""
    request = ChatRequest(messages=MESSAGES[:2], tools=[{"type": "function", "function": FUNCTION, **MARKED}])
    body = body_of("openrouter", request)
    assert [message["content"] for message in body["messages"]] == [
        [{"type": "text", "text": "sys", **MARKED}],
        [{"type": "text", "text": "hello", **MARKED}],
    ]
    assert body["tools"] == [{"type": "function", "function": FUNCTION, **MARKED}]
