"""`portable_history`: any history becomes valid in every dialect, by a validator of each API's rules."""

import copy
import json
import re
from typing import Any

import pytest
from hotspare.messages import ChatRequest
from hotspare.providers.anthropic.wire import AnthropicWire
from hotspare.providers.gemini.wire import GeminiWire
from hotspare.providers.portable import portable_history
from hotspare.target import Target
from hypothesis import given, settings

from tests.core.providers.histories import HISTORIES
from tests.support.request_readers import read_request

CLAUDE = Target("anthropic/claude-sonnet-4-5")
GEMINI_2, GEMINI_3 = Target("gemini/gemini-2.5-flash"), Target("gemini/gemini-3-flash-preview")


def check_openai(messages: list[dict[str, Any]], id_pattern: str = r".{1,40}") -> None:
    """OpenAI: the results follow their calls, as text; no blocks that others signed."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            content = message["content"]
            assert isinstance(content, str) or all(part["type"] == "text" for part in content)
            assert "is_error" not in message
            continue
        assert not waiting, "a call without a result"
        waiting = [call["id"] for call in message.get("tool_calls", [])]
        assert len(set(waiting)) == len(waiting)
        assert all(re.fullmatch(id_pattern, call_id) for call_id in waiting)
        assert all(set(call) == {"id", "type", "function"} for call in message.get("tool_calls", []))
        assert all(block["dialect"] == "openai" for block in message.get("thinking_blocks", []))
        assert "cache_control" not in json.dumps(message["content"])
    assert not waiting


def check_anthropic(body: dict[str, Any]) -> None:
    """Anthropic: user first, roles alternate, results come first in the next user turn, ids are valid and unique."""
    messages = body["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"] * (
        len(messages) % 2
    )
    seen: set[str] = set()
    waiting: list[str] = []
    for message in messages:
        blocks = message["content"]
        assert blocks
        kinds = [block["type"] for block in blocks]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert sorted(results) == sorted(waiting)
        assert kinds[: len(results)] == ["tool_result"] * len(results)
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert not seen & set(waiting)
        assert len(set(waiting)) == len(waiting)
        seen |= set(waiting)
        for block in blocks:
            check_anthropic_block(block, message["role"])
    assert not waiting
    assert not seen or body["tools"]


def check_anthropic_block(block: dict[str, Any], role: str) -> None:
    of_role = {"assistant": {"text", "tool_use", "thinking", "redacted_thinking"}}
    assert block["type"] in of_role.get(role, {"text", "image", "document", "tool_result"})
    assert "dialect" not in block
    if block["type"] == "text":
        assert block["text"].strip()
    if block["type"] == "tool_use":
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", block["id"])
        assert isinstance(block["input"], dict)
    if block["type"] == "thinking":
        assert (block["thinking"], block["signature"]) == ("hm", "c2ln")
    if block["type"] == "tool_result" and not isinstance(block.get("content", ""), str):
        assert all(inner["type"] in ("text", "image", "document") for inner in block["content"])


def check_gemini(body: dict[str, Any], *, signed: bool) -> None:
    """Gemini: user first, roles alternate, as many responses as calls, with the same names; only its own signatures."""
    contents = body["contents"]
    expected = ["user", "model"] * (len(contents) // 2) + ["user"] * (len(contents) % 2)
    assert [content["role"] for content in contents] == expected
    waiting: list[tuple[str | None, str]] = []
    for content in contents:
        assert content["parts"]
        responses = [p["functionResponse"] for p in content["parts"] if "functionResponse" in p]
        assert [(r.get("id"), r["name"]) for r in responses] == waiting
        assert all(isinstance(r["response"], dict) for r in responses)
        calls = [part for part in content["parts"] if "functionCall" in part]
        waiting = [(part["functionCall"].get("id"), part["functionCall"]["name"]) for part in calls]
        assert all(isinstance(part["functionCall"]["args"], dict) for part in calls)
        assert not calls or not signed or any("thoughtSignature" in part for part in calls)
        signatures = {part["thoughtSignature"] for part in content["parts"] if "thoughtSignature" in part}
        assert signatures <= {"Z2Vt", "skip_thought_signature_validator"}
        for part in content["parts"]:
            assert len(set(part) - {"thought", "thoughtSignature"}) == 1
    assert not waiting


@given(HISTORIES)
@settings(max_examples=300, deadline=None)
def test_any_history_is_valid_in_every_dialect(history: list[dict[str, Any]]) -> None:
    """Mixed histories with invalid ids, orphans and foreign signatures become valid; the original is not changed."""
    before = copy.deepcopy(history)
    request = ChatRequest(messages=history)
    check_openai(portable_history(history, "openai"))
    check_openai(portable_history(history, "openai", id_rule="mistral"), r"[A-Za-z0-9]{9}")
    check_anthropic(AnthropicWire().write(request, CLAUDE, stream=False))
    check_gemini(GeminiWire().write(request, GEMINI_2, stream=False), signed=False)
    check_gemini(GeminiWire().write(request, GEMINI_3, stream=False), signed=True)
    assert history == before


@given(HISTORIES)
@settings(max_examples=150, deadline=None)
def test_a_history_of_one_dialect_is_valid_in_the_others(history: list[dict[str, Any]]) -> None:
    """A history written for one provider, read back and written for another is valid, for every pair."""
    anthropic, gemini = AnthropicWire(), GeminiWire()
    request = ChatRequest(messages=history)
    from_anthropic = read_request(anthropic, anthropic.write(request, CLAUDE, stream=False))
    from_gemini = read_request(gemini, gemini.write(request, GEMINI_3, stream=False))
    for other in (from_anthropic, from_gemini):
        plain = ChatRequest(messages=other.messages, tools=other.tools)
        check_openai(portable_history(plain.messages, "openai"))
        check_anthropic(anthropic.write(plain, CLAUDE, stream=False))
        check_gemini(gemini.write(plain, GEMINI_3, stream=False), signed=True)


@given(HISTORIES)
@settings(max_examples=100, deadline=None)
def test_the_result_is_stable(history: list[dict[str, Any]]) -> None:
    """The same history gives the same result, as prompt caches need, and a second pass changes nothing."""
    for dialect in ("openai", "anthropic", "gemini"):
        once = portable_history(history, dialect)
        assert once == portable_history(history, dialect)
        assert portable_history(once, dialect) == once


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_a_valid_id_is_kept(dialect: str) -> None:
    """An id that the provider accepts is not changed, so that the caller recognises it."""
    call = {"id": "call_abc", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_abc", "content": "1"},
    ]
    assert portable_history(history, dialect) == history


def test_a_repeated_id_is_made_unique() -> None:
    """Two turns with one id (empty, as Gemini's OpenAI endpoint gives it) get two ids, each the same in call and result."""
    turn: list[dict[str, Any]] = [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "", "content": "1"},
    ]
    result = portable_history([{"role": "user", "content": "hi"}, *turn, *turn], "anthropic")
    pairs = [(result[i]["tool_calls"][0]["id"], result[i + 1]["tool_call_id"]) for i in (1, 3)]
    assert pairs[0][0] == pairs[0][1] != pairs[1][0] == pairs[1][1]
    assert all(AnthropicWire.history.ids.matches(call_id) for pair in pairs for call_id in pair)
