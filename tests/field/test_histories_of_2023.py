"""`function_call` and the role `function`, and tool calls without ids: histories that old code and odd servers leave."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hotspare import ChatRequest, Pool, RequestError, Target, portable_history
from hotspare.providers.presets import PRESETS
from hotspare.testing import ScriptedTarget

CALLED = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x": 1}'}}
ANSWERED = {"role": "function", "name": "f", "content": "r"}
OLD: list[Mapping[str, Any]] = [{"role": "user", "content": "x"}, CALLED, ANSWERED]


@pytest.mark.parametrize("provider", sorted(PRESETS))
def test_every_wire_sends_calls_and_results(provider: str) -> None:
    """No body has the old names, and each has the call and its result, joined by a valid id."""
    target = Target(f"{provider}/model", base_url="https://example.com", api_key="k")
    body = json.dumps(PRESETS[provider].wire().write(ChatRequest(messages=OLD), target, stream=False))
    assert '"function_call"' not in body
    assert '"role": "function"' not in body
    assert '"f"' in body
    assert "r" in body


def test_a_function_that_is_called_twice() -> None:
    """Each result follows its own call, under ids that differ."""
    history = portable_history([*OLD, CALLED, {**ANSWERED, "content": "s"}], "openai")
    ids = [message["tool_calls"][0]["id"] for message in history if message["role"] == "assistant"]
    assert [message.get("tool_call_id") for message in history if message["role"] == "tool"] == ids
    assert len(set(ids)) == 2


def test_a_result_of_another_function_is_not_sent() -> None:
    """A result without its call is invalid everywhere, and so is the call without one."""
    assert portable_history([OLD[0], CALLED, {**ANSWERED, "name": "g"}], "openai") == [OLD[0]]


@pytest.mark.parametrize("number", [1, 2])
def test_calls_with_an_empty_id(number: int) -> None:
    """Gemini's OpenAI endpoint gives the id "" to every call: the results belong to them in their order."""
    calls = [{"id": "", "type": "function", "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(number)]
    results = [{"role": "tool", "tool_call_id": "", "content": f"r{n}"} for n in range(number)]
    history = portable_history([OLD[0], {"role": "assistant", "tool_calls": calls}, *results], "anthropic")
    ids = [call["id"] for call in history[1]["tool_calls"]]
    assert all(ids)
    assert [(message["tool_call_id"], message["content"]) for message in history[2:]] == [
        (call_id, f"r{n}") for n, call_id in enumerate(ids)
    ]


def test_the_pool_accepts_them_and_no_other_role() -> None:
    """Both reach a target; a role that does not exist is still an error with its place."""
    empty = {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    with Pool([ScriptedTarget("a").target]) as pool:
        assert pool.chat(OLD).target == "a"
        calls = {"role": "assistant", "tool_calls": [empty]}
        assert pool.chat([OLD[0], calls, {"role": "tool", "tool_call_id": "", "content": "r"}]).target == "a"
        with pytest.raises(RequestError, match=r"messages\[0\].role: 'functions'"):
            pool.chat([{"role": "functions", "content": "x"}])
