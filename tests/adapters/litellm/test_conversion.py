"""Conversion between hotspare's types and LiteLLM's, in both directions, and deployments as targets. No network is used."""

from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import ChatChunk, ChatReply, Pool, Price, StreamSummary, ToolCall, ToolCallDelta, Usage
from hotspare.errors import EmptyAnswer
from hotspare.testing import ScriptedTarget
from litellm.types.utils import Delta, ModelResponseStream, StreamingChoices
from litellm_hotspare.backend_response import chunk_of, reply_of, usage_of
from litellm_hotspare.chunks import joined
from litellm_hotspare.metadata import take_fields
from litellm_hotspare.patches import _stream_chunk_builder
from litellm_hotspare.request import request_of
from litellm_hotspare.response import ChunkConverter, response_of
from litellm_hotspare.strategy import has_alternatives
from litellm_hotspare.targets import target_of

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


def test_a_whole_answer_survives_the_round_trip() -> None:
    """Nothing that a reply holds is lost in LiteLLM's shape."""
    back = reply_of(response_of(REPLY, litellm.ModelResponse()))
    for name in ("text", "tool_calls", "reasoning", "refusal", "finish_reason", "usage", "model", "id"):
        assert getattr(back, name) == getattr(REPLY, name), name
    assert back.thinking[0]["signature"] == "anthropic-signed"


def test_a_chunk_survives_the_round_trip() -> None:
    """Nothing that a chunk holds is lost; the role is in the first one only."""
    converter = ChunkConverter("m")
    (converted,) = converter.convert(DELTA)
    back = chunk_of(converted)
    for name in ("text", "tool_calls", "reasoning", "refusal"):
        assert getattr(back, name) == getattr(DELTA, name), name
    assert back.thinking[0]["signature"] == "anthropic-signed"
    assert converted.choices[0].delta.role == "assistant"
    assert converter.convert(DELTA)[0].choices[0].delta.role is None


def test_a_chunk_of_text_is_like_one_of_litellms_own() -> None:
    """Its fields, text and JSON are those of a new chunk, and it shares nothing with the next one."""
    converter = ChunkConverter("m")
    first, second = (converter.convert(ChatChunk(text=text, model="n"))[0] for text in ("Hello", " world"))
    for found, delta in ((first, Delta(content="Hello", role="assistant")), (second, Delta(content=" world"))):
        choice = StreamingChoices(index=0, finish_reason=None, delta=delta)
        made = ModelResponseStream(id=found.id, created=found.created, model="n", choices=[choice])
        assert (str(found), f"{found}", repr(found)) == (str(made), f"{made}", repr(made))
        assert found.model_dump_json() == made.model_dump_json()
        assert found.model_dump_json(exclude_unset=True) == made.model_dump_json(exclude_unset=True)
        assert isinstance(found, ModelResponseStream)
    first.choices[0].delta.content = first.choices[0].finish_reason = first._hidden_params["changed"] = "changed"
    assert (second.choices[0].delta.content, second.choices[0].finish_reason) == (" world", None)
    assert second._hidden_params == {}


def test_text_is_joined_before_litellm_builds_an_answer() -> None:
    """Only successive chunks that differ in nothing but their text, and the chunks themselves stay as they are."""
    converter = ChunkConverter("m")
    pieces = [ChatChunk(text=text, model="m") for text in "abcdefghijkl"] + [
        ChatChunk(text=text, model="n") for text in "mn"
    ]
    chunks = [chunk for piece in pieces for chunk in converter.convert(piece)]
    chunks[3]._hidden_params = {"of": "a callback"}
    chunks[5].choices[0].delta.images = [{}]
    chunks[7].choices[0].finish_reason = "stop"
    chunks[9].usage = Usage()
    chunks[10].choices[0].delta.provider_specific_fields = {"refusal": "no"}
    chunks.append(litellm.ModelResponseStream(choices=[]))
    before = [chunk.model_dump_json() for chunk in chunks]
    texts = [[choice.delta.content for choice in chunk.choices] for chunk in joined(chunks)]
    assert texts == [["a"], ["bc"], *([one] for one in "defghijkl"), ["mn"], []]
    assert [chunk.model_dump_json() for chunk in chunks] == before
    assert joined(chunks)[1].choices[0].finish_reason is None


@pytest.mark.parametrize("verbose", [False, True])
def test_litellm_formats_a_chunk_only_for_its_debug_messages(
    verbose: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its sync streams format every chunk, and print the text only if `set_verbose` is on."""
    formatted: list[object] = []
    show = ModelResponseStream.__str__

    def count(chunk: ModelResponseStream) -> str:
        formatted.append(chunk)
        return show(chunk)

    with Pool([ScriptedTarget("a", "Hello").target]) as pool:
        litellm_hotspare.register(pool)
        monkeypatch.setattr(litellm, "set_verbose", verbose)
        stream: Any = litellm.completion("hotspare/default", [{"role": "user", "content": "hi"}], stream=True)
        with monkeypatch.context() as patched:
            patched.setattr(ModelResponseStream, "__str__", count)
            chunk = next(stream)
    assert len(formatted) == (2 if verbose else 0)
    assert ("content='Hello'" in capsys.readouterr().out) is verbose
    assert "content='Hello'" in f"{chunk}"


def test_a_built_stream_has_the_metadata() -> None:
    """LiteLLM's builder gets deltas without other fields, and the message those of the last delta, which the chunk keeps."""
    fields = {"hotspare": {"target": "a"}}
    deltas = [Delta(content="Hello"), Delta(content="", provider_specific_fields=fields), Delta(content=None)]
    chunks: Any = [ModelResponseStream(choices=[StreamingChoices(delta=delta)]) for delta in deltas]

    def inner(chunks: Any, messages: Any) -> Any:
        received.extend(chunks)
        assert messages == []
        return response_of(ChatReply(text="Hello", refusal="no"), litellm.ModelResponse())

    received: list[Any] = []
    build = _stream_chunk_builder(inner)
    message = build(chunks, messages=[]).choices[0].message
    assert message.provider_specific_fields == {"refusal": "no", **fields}
    assert [chunk.choices[0].delta.provider_specific_fields for chunk in received] == [None, None, None]
    assert [chunk.choices[0].delta.content for chunk in received] == ["Hello", "", None]
    assert chunks[1].choices[0].delta.provider_specific_fields == fields
    for others in (None, [], chunks[:1], [*chunks, *chunks[:1] * 2]):
        assert take_fields(others) == (others, {})


def test_the_last_chunk() -> None:
    """Its text comes before the end; the end has usage, cost and `StreamSummary.as_metadata()`."""
    last = ChatChunk(
        text="!",
        finish_reason="stop",
        usage=Usage(1, 2),
        summary=StreamSummary("b", cost=0.5, targets=("a", "b"), splice_points=(7,)),
    )
    text, end = ChunkConverter("m").convert(last)
    assert text.choices[0].delta.content == "!"
    assert (end["finish_reason"], end["usage"]["cost"]) == ("stop", 0.5)
    assert end["provider_specific_fields"]["hotspare"] == last.summary.as_metadata()  # type: ignore[union-attr]
    assert last.summary.as_metadata()["splice_points"] == [7]  # type: ignore[union-attr]
    assert ChunkConverter("m").convert(ChatChunk(finish_reason="stop"))[0]["provider_specific_fields"] is None


def test_answers_without_content() -> None:
    """A response without choices or content is an empty answer; a chunk without choices is no progress."""
    with pytest.raises(EmptyAnswer):
        reply_of(litellm.ModelResponse(choices=[]))
    assert not chunk_of(litellm.types.utils.ModelResponseStream(choices=[])).is_content
    with pytest.raises(EmptyAnswer):
        reply_of(litellm.ModelResponse())
    assert usage_of(None) == Usage()


def test_a_history_of_litellms_messages() -> None:
    """Fields that are None are removed; Gemini's signature moves back to Google's place for it."""
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


def test_a_deployment_as_a_target() -> None:
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
    bare = target_of({"litellm_params": {"model": "unknown-model"}}, "two")
    assert (bare.id, bare.weight, bare.price) == ("litellm/unknown-model", 1.0, None)


class FakeRouter:
    """The parts of a Router that `has_alternatives` uses."""

    fallbacks: list[Any] = []  # noqa: RUF012

    def get_model_list(self, model_name: str) -> list[dict[str, Any]]:
        """Deployments of two orders."""
        return [{"litellm_params": {"order": order}} for order in (1, 2)]


def test_alternatives() -> None:
    """A later `order`, or a fallback of the Router or the call, unless the call disables fallbacks."""
    router = FakeRouter()
    first, last = ([{"litellm_params": {"order": order}}] for order in (1, 2))
    assert has_alternatives(router, "m", first, {})
    assert not has_alternatives(router, "m", last, {})
    assert has_alternatives(router, "m", last, {"fallbacks": [{"m": ["other"]}]})
    assert has_alternatives(router, "m", last, {"fallbacks": ["other"]})
    assert not has_alternatives(router, "m", last, {"fallbacks": [{"n": ["other"]}]})
    assert not has_alternatives(router, "m", last, {"fallbacks": ["other"], "disable_fallbacks": True})


def test_public_names() -> None:
    """They are loaded on first use; an unknown one is named in the error."""
    assert set(dir(litellm_hotspare)) == set(litellm_hotspare.__all__)
    assert all(getattr(litellm_hotspare, name) is not None for name in litellm_hotspare.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = litellm_hotspare.nothing
