"""What a target cannot be sent (`Target.missing`): judged by the pool, for every backend alike."""

from typing import Any

import pytest
from hotspare import RequestError
from hotspare.testing import ScriptedTarget, scripted_pool

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {}}}}
IMAGE = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
NEEDS: list[tuple[str, str, dict[str, Any]]] = [
    ("tools", "tools", {"tools": [TOOL]}),
    ("vision", "messages", {"messages": [{"role": "user", "content": IMAGE}]}),
    ("json_mode", "response_format", {"response_format": {"type": "json_object"}}),
    ("json_schema", "response_format", {"response_format": SCHEMA}),
    ("seed", "seed", {"seed": 7}),
    ("reasoning", "reasoning_effort", {"reasoning_effort": "low"}),
]


@pytest.mark.parametrize(("capability", "name", "request_"), NEEDS, ids=[capability for capability, _, _ in NEEDS])
def test_a_request_goes_to_a_target_that_supports_it(capability: str, name: str, request_: dict[str, Any]) -> None:
    """A target without the capability is skipped, or is sent the request without the field if it may drop it."""
    values = dict(request_)
    messages = values.pop("messages", "answer in json")
    poor, able = ScriptedTarget("poor", missing={capability}), ScriptedTarget("able")
    assert scripted_pool(poor, able).chat(messages, **values).target == "able"
    assert poor.calls == 0
    assert scripted_pool(poor, able).chat("q").target == "poor", "a request that does not need it"
    alone = ScriptedTarget("alone", missing={capability})
    with pytest.raises(RequestError, match=f"alone: {name}"):
        scripted_pool(alone).chat(messages, **values)
    lenient = ScriptedTarget("lenient", missing={capability}, droppable={name})
    assert scripted_pool(lenient).chat(messages, **values).target == "lenient"
    (sent,) = lenient.requests
    if name == "messages":
        assert sent.messages == [{"role": "user", "content": IMAGE[:1]}]
    else:
        assert not getattr(sent, name)


def test_a_harmless_value_needs_no_capability() -> None:
    """Plain text, no reasoning: what any model can do."""
    target = ScriptedTarget("a", missing={"vision", "json_mode", "json_schema", "reasoning", "tools", "seed"})
    pool = scripted_pool(target)
    pool.chat([{"role": "user", "content": [{"type": "text", "text": "hi"}]}], reasoning_effort="none", tools=[])
    pool.chat("q", response_format={"type": "text"})
    assert target.calls == 2
