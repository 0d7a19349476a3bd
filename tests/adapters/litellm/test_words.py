"""hotspare's words and LiteLLM's, there and back; and what a deployment says of itself. No call is made."""

from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import ChatChunk, ChatReply, Price, StreamSummary, ToolCall, ToolCallDelta, Usage
from hotspare.errors import EmptyAnswer
from litellm_hotspare.answered import Speaker, response_of
from litellm_hotspare.asked import request_of
from litellm_hotspare.deployment import has_others, target_of
from litellm_hotspare.heard import chunk_of, reply_of

REPLY = ChatReply(
    text="Hello",
    tool_calls=(ToolCall("call_1", "get_weather", '{"city": "Seoul"}', "gemini-signed"),),
    reasoning="Let me think",
    thinking=({"type": "thinking", "thinking": "Let me think", "signature": "anthropic-signed"},),
    refusal="I will not",
    finish_reason="tool_calls",
    usage=Usage(10, 20, cached_tokens=3, cache_write_tokens=2, reasoning_tokens=5),
    model="m",
    id="x-1",
)
DELTA = ChatChunk(
    text="Hello",
    tool_calls=(ToolCallDelta(1, "call_1", "get_weather", "{}", "gemini-signed"), ToolCallDelta(1, arguments="}")),
    reasoning="Let me think",
    thinking=({"type": "thinking", "thinking": "Let me think", "signature": "anthropic-signed"},),
    refusal="I will not",
)


def test_a_whole_answer_there_and_back() -> None:
    """Nothing that an answer holds is lost on its way through LiteLLM's shape."""
    back = reply_of(response_of(REPLY, litellm.ModelResponse()))
    for name in ("text", "tool_calls", "reasoning", "refusal", "finish_reason", "usage", "model", "id"):
        assert getattr(back, name) == getattr(REPLY, name), name
    assert back.thinking[0]["signature"] == "anthropic-signed"


def test_a_piece_there_and_back() -> None:
    """Nor is it in pieces; the role stands in the first one only."""
    speaker = Speaker("m")
    (said,) = speaker.say(DELTA)
    back = chunk_of(said)
    for name in ("text", "tool_calls", "reasoning", "refusal"):
        assert getattr(back, name) == getattr(DELTA, name), name
    assert back.thinking[0]["signature"] == "anthropic-signed"
    assert said.choices[0].delta.role == "assistant"
    assert speaker.say(DELTA)[0].choices[0].delta.role is None


def test_the_last_piece() -> None:
    """Text that a seam held back comes before the end; the end carries usage, cost and the trail."""
    last = ChatChunk(
        text="!",
        finish_reason="stop",
        usage=Usage(1, 2),
        summary=StreamSummary("b", cost=0.5, targets=("a", "b"), splice_points=(7,)),
    )
    text, end = Speaker("m").say(last)
    assert text.choices[0].delta.content == "!"
    assert (end["finish_reason"], end["usage"]["cost"]) == ("stop", 0.5)
    assert end["provider_specific_fields"]["hotspare"]["seams"] == [7]
    assert Speaker("m").say(ChatChunk(finish_reason="stop"))[0]["provider_specific_fields"] is None


def test_hollow_answers() -> None:
    """One without a choice is an empty answer; a chunk without one is no progress; no usage is none."""
    with pytest.raises(EmptyAnswer):
        reply_of(litellm.ModelResponse(choices=[]))
    assert not chunk_of(litellm.types.utils.ModelResponseStream(choices=[])).is_content
    assert reply_of(litellm.ModelResponse()).usage == Usage()


def test_history_goes_back_as_it_came() -> None:
    """LiteLLM's own message objects, None fields and all; Gemini's signature returns to where Google has it."""
    message = response_of(REPLY, litellm.ModelResponse()).choices[0].message
    call: dict[str, Any] = {
        "model": "default",
        "messages": [message],
        "optional_params": {"extra_body": {"store": True}},
    }
    request = request_of(call)
    (sent,) = request.messages
    assert sent["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "gemini-signed"}}
    assert sent["thinking_blocks"][0]["signature"] == "anthropic-signed"
    assert None not in sent.values()
    assert request.extra == {"openai": {"store": True}}


def test_what_a_deployment_says_of_itself() -> None:
    """Provider, region, account, weight, window and price."""
    params = {
        "model": "bedrock/anthropic.claude-x",
        "aws_region_name": "us-east-1",
        "aws_access_key_id": "AK",
        "rpm": 60,
    }
    info = {"max_input_tokens": 1000, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    target = target_of({"litellm_params": params, "model_info": info}, "one")
    assert (target.id, target.name) == ("litellm/bedrock/anthropic.claude-x", "one")
    assert (target.region, target.account, target.weight) == ("us-east-1", "AK", 60)
    assert (target.context_window, target.price) == (1000, Price(1, 2))
    bare = target_of({"litellm_params": {"model": "nobody-knows-this"}}, "two")
    assert (bare.id, bare.weight, bare.price) == ("litellm/nobody-knows-this", 1.0, None)


class Routerish:
    """What `has_others` asks of a Router."""

    fallbacks: list[Any] = []  # noqa: RUF012

    def get_model_list(self, model_name: str) -> list[dict[str, Any]]:
        """Two orders."""
        return [{"litellm_params": {"order": order}} for order in (1, 2)]


def test_who_else_there_is() -> None:
    """A later `order`; a fallback of the Router's or of the call's, unless the call wants none."""
    router = Routerish()
    first, last = ([{"litellm_params": {"order": order}}] for order in (1, 2))
    assert has_others(router, "m", first, {})
    assert not has_others(router, "m", last, {})
    assert has_others(router, "m", last, {"fallbacks": [{"m": ["other"]}]})
    assert has_others(router, "m", last, {"fallbacks": ["other"]})
    assert not has_others(router, "m", last, {"fallbacks": [{"n": ["other"]}]})
    assert not has_others(router, "m", last, {"fallbacks": ["other"], "disable_fallbacks": True})


def test_public_names() -> None:
    """Loaded when they are first used; a wrong one is named."""
    assert set(dir(litellm_hotspare)) == set(litellm_hotspare.__all__)
    assert all(getattr(litellm_hotspare, name) is not None for name in litellm_hotspare.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = litellm_hotspare.nothing
