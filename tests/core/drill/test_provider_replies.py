"""Replies that a test prepares: calls and JSON, one after the other."""

import json
from typing import Any

import pytest
from hotspare import Pool, Target
from hotspare.drill.faults import FaultError
from hotspare.drill.provider import KEY, Provider

DIALECTS = pytest.mark.parametrize("dialect", ["openai", "responses", "anthropic", "gemini"])


def target_of(dialect: str, provider: Provider) -> Target:
    """Endpoint `a`, over this wire."""
    models = {"anthropic": "anthropic/claude-sonnet-4-5", "gemini": "gemini/gemini-2.5-flash"}
    api: Any = "responses" if dialect == "responses" else None
    return Target(models.get(dialect, "openai/gpt-4.1"), base_url=provider.base_url("a", dialect), api_key=KEY, api=api)


@DIALECTS
def test_prepared_replies_are_given(dialect: str, provider: Provider) -> None:
    """`replies`: prepared tool arguments and prepared JSON for prompts that contain a phrase."""
    replies = {"weather": {"call": {"get_weather": {"city": "서울"}}}, "joke": {"json": {"setup": "Why?"}}}
    provider.configure("a", replies=replies)
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    schema = {"type": "json_schema", "json_schema": {"name": "joke", "schema": {"type": "object", "properties": {}}}}
    with Pool(target_of(dialect, provider)) as pool:
        called = pool.chat("What is the weather?", tools=[tool]).tool_calls
        assert [(call.name, json.loads(call.arguments)) for call in called] == [("get_weather", {"city": "서울"})]
        assert not pool.chat("What is the time?", tools=[tool]).tool_calls
        assert json.loads(pool.chat("Tell a joke", response_format=schema).text) == {"setup": "Why?"}


@DIALECTS
def test_prepared_calls_are_made_one_after_the_other(dialect: str, provider: Provider) -> None:
    """A tool that is offered later is called then, also after the results of others; each once, then comes text."""
    provider.configure("a", replies={"trip": {"call": {"weather": {"city": "Oslo"}, "book": {"seats": 2}}}})
    tools = {
        name: {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
        for name in ("weather", "book")
    }
    history: list[dict[str, Any]] = [{"role": "user", "content": "Plan a trip"}]
    with Pool(target_of(dialect, provider)) as pool:
        for name, arguments in (("weather", {"city": "Oslo"}), ("book", {"seats": 2})):
            reply = pool.chat(history, tools=[tools[name]])
            assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [(name, arguments)]
            results = [
                {"role": "tool", "tool_call_id": call.id, "content": f"{name} done"} for call in reply.tool_calls
            ]
            history += [reply.message, *results]
        assert pool.chat(history, tools=[*tools.values()]).text.startswith("The tool says: weather done ; book done")


def test_a_prepared_reply_needs_a_call_or_json(provider: Provider) -> None:
    """The error names the phrase."""
    with pytest.raises(FaultError, match=r"replies\['weather'\]"):
        provider.configure("a", replies={"weather": {"text": "fine"}})
