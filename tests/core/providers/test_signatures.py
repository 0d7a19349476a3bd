"""Signatures that a provider refuses: the request is sent again without them, once, within the same attempt."""

from typing import Any

import pytest
from hotspare import CallError, Kind, Pool, Target
from hotspare.drill.answers import after_tools
from hotspare.drill.provider import KEY, Provider

from tests.support.methods import EACH_METHOD, run, text_of

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REASONED = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "encrypted_content": "gAAAAAof-another-account",
    "dialect": "responses",
}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "of another account", "dialect": "anthropic"}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": "of another account"}}}
FAMILIES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "gpt": (
        {"id": "openai/gpt-5.6", "api": "responses"},
        "responses",
        {"tool_calls": [CALL], "thinking_blocks": [REASONED]},
    ),
    "claude": (
        {"id": "anthropic/claude-sonnet-4-5"},
        "anthropic",
        {"tool_calls": [CALL], "thinking_blocks": [THOUGHT]},
    ),
    "gemini": ({"id": "gemini/gemini-3-strict"}, "gemini", {"tool_calls": [SIGNED]}),
}


def history(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """A tool loop whose assistant turn another account signed."""
    result = {"role": "tool", "tool_call_id": "call_1", "content": "done"}
    return [{"role": "user", "content": "q"}, {"role": "assistant", "content": None, **fields}, result]


@EACH_METHOD
@pytest.mark.parametrize("family", FAMILIES)
def test_a_refused_signature_is_left_out(method: str, family: str, provider: Provider) -> None:
    """No failover and no strike: an answer, from the second request."""
    fields, wire, signed = FAMILIES[family]
    target = Target(**fields, name="a", base_url=provider.base_url("a", wire), api_key=KEY)

    async def once(pool: Pool, name: str) -> None:
        messages: Any = history(signed)
        assert (await text_of(pool, name, messages)).endswith(after_tools("q", ("done",)))
        assert pool.health()["a"].failures == 0

    run(method, Pool(target, max_attempts=1), once)
    assert provider.stats("a").outcomes == {"rejected:400": 1, "ok": 1}


def test_it_is_tried_once_and_only_where_it_helps(provider: Provider) -> None:
    """A second refusal counts, and a request without signatures is not repeated."""
    words = '{"error": {"message": "Invalid `signature` in `thinking` block", "type": "invalid_request_error"}}'
    provider.fault("a", "status", status=400, body=words)
    target = Target("anthropic/claude-sonnet-4-5", name="a", base_url=provider.base_url("a", "anthropic"), api_key=KEY)
    for fields, requests in ((FAMILIES["claude"][2], 2), ({"tool_calls": [CALL]}, 1)):
        before = provider.stats("a").requests
        with Pool(target, max_attempts=1, when_all_down="fail") as pool, pytest.raises(CallError) as caught:
            pool.chat(history(fields))
        assert [attempt.kind for attempt in caught.value.attempts] == [Kind.INVALID]
        assert provider.stats("a").requests - before == requests
