"""Signatures that a provider refuses: the request is sent again without them, once, within the same attempt."""

import json
from typing import Any, cast

import pytest
from hotspare import CallError, ChatRequest, Kind, Pool, Target
from hotspare.drill.answers import after_tools
from hotspare.drill.provider import KEY, Provider
from hotspare.errors import StatusError
from hotspare.providers.endpoint import Endpoints
from hotspare.providers.exchange import Exchange
from hotspare.providers.presets import PRESETS

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
    """No failover and no counted failure: an answer, from the second request."""
    fields, wire, signed = FAMILIES[family]
    target = Target(**fields, name="a", base_url=provider.base_url("a", wire), api_key=KEY)

    async def once(pool: Pool, name: str) -> None:
        messages: Any = history(signed)
        assert (await text_of(pool, name, messages)).endswith(after_tools("q", ("done",)))
        assert pool.health()["a"].failures == 0

    run(method, Pool(target, max_attempts=1), once)
    assert provider.stats("a").outcomes == {"rejected:400": 1, "ok": 1}


REFUSALS = {
    "Invalid `signature` in `thinking` block": (400, ""),
    "messages.3.content.9: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.": (
        400,
        "",
    ),
    "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`. When `thinking` is enabled, a final "
    "`assistant` message must start with a thinking block": (400, ""),
    "Corrupted thought signature.": (400, ""),
    "The encrypted content gAAA...DQ== could not be verified.": (400, ""),
    "Could not be verified.": (400, "invalid_encrypted_content"),
    "Encrypted content is not supported.": (400, ""),
    "Item 'rs_0c3876fcd4da19ef00692a14' of type 'reasoning' was provided without its required following item.": (
        400,
        "",
    ),
    "Item with id 'rs_096368a558aa35b00168dbc36533f8' not found. Items are not persisted when `store` is set to false.": (
        404,
        "",
    ),
}
"""Words of Anthropic, Gemini, OpenAI and vLLM, each with its status and, where that says it alone, its code."""


@pytest.mark.parametrize("words", REFUSALS)
def test_each_wording_of_a_refusal_is_known(words: str) -> None:
    """The request is sent again without the signatures, once; one without signatures is not."""
    status, code = REFUSALS[words]
    body = json.dumps({"error": {"message": words, "type": "invalid_request_error", "code": code or None}})
    refusal = StatusError("refused", status=status, body=body.encode())
    fields, _, signed = FAMILIES["gpt"]
    target = Target(**fields, api_key=KEY)
    for turn, adapts in ((signed, True), ({**signed, "thinking_blocks": []}, False)):
        request = ChatRequest(messages=cast("Any", history(turn)))
        exchange = Exchange(Endpoints(target, PRESETS["openai"]), target, request, None, stream=False)
        assert exchange.adapt(refusal, None) is adapts
        assert b"gAAAA" not in exchange.body
        assert not exchange.adapt(refusal, None)


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
