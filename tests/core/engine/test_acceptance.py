"""Answers that are judged: after a rejected one the next target is called, within the attempts and the deadline."""

from collections.abc import Sequence
from typing import Any

import pytest
from hotspare import AllTargetsFailed, ChatReply, ConfigError, Pool, RequestError, ToolCall
from hotspare.testing import ScriptedTarget, VirtualClock, answer, scripted_pool, tool_call

from tests.support.calls import EACH_FACE, Ask, run_calls

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "schema": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "required": ["city"]}}}


def long_enough(reply: ChatReply) -> bool | str:
    return len(reply.text) > 3 or "it is too short"


def kinds(reply: ChatReply) -> list[tuple[str, str]]:
    """The targets of its attempts, and how these ended."""
    return [(one.target, str(one.kind)) for one in reply.attempts]


@pytest.mark.parametrize("completion", ["wait", "stream"])
def test_the_next_target_is_called(completion: Any) -> None:
    """Whole answers, also those that are streamed underneath. This does not change the target's health, and the target is not retried."""
    pool = scripted_pool(
        ScriptedTarget("a", "no"), "b", ScriptedTarget("c", "long"), accept=long_enough, completion=completion
    )
    reply = pool.chat("q")
    assert (reply.text, kinds(reply)) == ("long", [("a", "rejected"), ("b", "rejected"), ("c", "ok")])
    assert reply.attempts[0].message == "it is too short"
    assert pool.health()["a"].failures == 0


def test_per_call_and_per_route() -> None:
    """A call's own judge takes the place of its route's, and that of the pool's."""
    pool = scripted_pool(
        ScriptedTarget("a", "no"), ScriptedTarget("b", "long"),
        routes={"strict": {"tiers": ["a", "b"], "accept": long_enough}},
    )  # fmt: skip
    assert pool.chat("q").target == "a"
    assert pool.chat("q", model="strict").target == "b"
    assert pool.chat("q", accept=lambda reply: "o" in reply.text and len(reply.text) == 4).target == "b"
    assert pool.chat("q", model="strict", accept=lambda reply: True).target == "a"


def test_none_is_taken() -> None:
    """The error has the reason for each rejection; attempts are bounded as usual."""
    pool = scripted_pool("a", "b", "c", accept=lambda reply: False, max_attempts=2)
    with pytest.raises(AllTargetsFailed, match="2 attempts failed: all 2 attempts are used") as caught:
        pool.chat("q")
    assert {one.message for one in caught.value.attempts} == {"it was not accepted"}


@EACH_FACE
def test_a_stream_is_judged_at_its_end(face: str) -> None:
    """Its text is handed out already: it fails clearly, before its last chunk."""
    clock = VirtualClock()
    pool = scripted_pool(ScriptedTarget("a", ["no"]), "b", accept=long_enough, clock=clock)
    (seen,) = run_calls(face, pool, clock, [Ask()])
    assert seen.error.startswith("StreamInterrupted")
    assert "the answer of a was not accepted: it is too short" in seen.error
    assert seen.text == "no"


RULES: Sequence[tuple[Any, dict[str, Any], str]] = [
    ("{}", {"response_format": SCHEMA}, "its text does not meet the schema: required"),
    ('{"city": 1}', {"response_format": SCHEMA}, "its text does not meet the schema at ['city']: type"),
    ("plain", {"response_format": SCHEMA}, "its text is not JSON"),
    ("plain", {"response_format": {"type": "json_object"}}, "its text is not JSON"),
    ('{"city": "Seoul"}', {"response_format": SCHEMA}, ""),
    ("plain", {}, ""),
    (answer("", tool_calls=[tool_call("weather")]), {"tools": [TOOL]}, "the arguments of weather lack city"),
    (answer("", tool_calls=[tool_call("weather", city="Seoul")]), {"tools": [TOOL]}, ""),
    (ChatReply(tool_calls=(ToolCall("1", "weather", "{"),), finish_reason="tool_calls"), {"tools": [TOOL]},
     "the arguments of weather are not JSON"),
    (ChatReply(tool_calls=(ToolCall("1", "weather", "[1]"),), finish_reason="tool_calls"), {"tools": [TOOL]},
     "the arguments of weather are not a JSON object"),
    (ChatReply(tool_calls=(ToolCall("1", "clock", "5"),), finish_reason="tool_calls"),
     {"tools": [{"type": "function", "function": {"name": "clock"}}]}, "the arguments of clock are not a JSON object"),
    (ChatReply(tool_calls=(ToolCall("1", "clock", ""),), finish_reason="tool_calls"),
     {"tools": [{"type": "function", "function": {"name": "clock"}}]}, ""),
    (ChatReply(refusal="I cannot"), {}, "the model refused"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "request_fields", "why"), RULES)
def test_built_in_rules(step: Any, request_fields: dict[str, Any], why: str) -> None:
    """A schema that was asked for and is not met, tool arguments that are empty or no JSON, a refusal."""
    target = ScriptedTarget("a", step if not isinstance(step, str) else answer(step))
    pool = scripted_pool(target, accept={"schema", "tool_arguments", "refusal"}, when_all_down="fail")
    try:
        found = pool.chat("q", **request_fields).attempts
    except AllTargetsFailed as error:
        found = error.attempts
    assert found[0].message == why


def test_what_is_no_judge() -> None:
    """Named, in the policy and in a call."""
    with pytest.raises(ConfigError, match="accept"):
        scripted_pool("a", accept={"shema"})  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"accept: .* must be a function, or any of schema, tool_arguments, refusal"):
        scripted_pool("a").chat("q", accept={"shema"})  # type: ignore[arg-type]
    targets = [{"id": "openai/gpt", "base_url": "http://localhost/v1", "api_key": "k"}]
    assert Pool.from_config({"targets": targets, "accept": ["schema"]}).policy.accept == {"schema"}
