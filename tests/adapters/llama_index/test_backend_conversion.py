"""The arguments for LlamaIndex LLMs and the reading of their responses: pure functions, no SDK, no call."""

import base64
import json
from typing import Any

import pytest
from hotspare import ChatRequest
from hotspare.errors import EmptyAnswer, IncompleteAnswer
from hotspare.messages import IDLE
from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    ChatResponse,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms import MockLLM
from llama_index.llms.hotspare.backend_request import arguments_for, messages_for, unsupported
from llama_index.llms.hotspare.backend_response import StreamReader, finish_reason_of, reply_of, usage_of
from llama_index.llms.hotspare.model_families import ANTHROPIC, GEMINI, LITELLM, OPENAI, OTHER, ModelFamily, family_of
from llama_index.llms.openai import OpenAI

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": base64.b64encode(b"sig").decode()}}}


def converted(*messages: dict[str, Any], family: ModelFamily) -> list[ChatMessage]:
    """The messages for an LLM of this family."""
    return messages_for(ChatRequest(messages=messages), family)


def part(kind: str, **inner: Any) -> dict[str, Any]:
    """A user message with one content part."""
    return {"role": "user", "content": [{"type": kind, kind: inner}]}


def response(*blocks: Any, raw: Any = None, delta: str | None = None, **kwargs: Any) -> ChatResponse:
    """A response of an LLM."""
    message = ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=kwargs.pop("beside", {}))
    return ChatResponse(message=message, raw=raw, delta=delta, additional_kwargs=kwargs)


# --- requests ------------------------------------------------------------------------------------------------------


def test_media_parts_become_blocks() -> None:
    """Data becomes bytes, a link stays a link."""
    data = "data:{};base64," + base64.b64encode(b"\0bytes").decode()
    messages = converted(
        part("image_url", url=data.format("image/png"), detail="low"),
        part("image_url", url="https://example.com/a.png"),
        part("file", file_data=data.format("application/pdf"), filename="a.pdf"),
        part("file", file_data=data.format("video/mp4")),
        part("file", file_id="https://example.com/a.pdf"),
        part("input_audio", data=base64.b64encode(b"\0bytes").decode(), format="wav"),
        family=OPENAI,
    )
    image, link, document, video, linked, audio = (message.blocks[0] for message in messages)
    assert isinstance(image, ImageBlock)
    assert image.resolve_image().read() == b"\0bytes"
    assert (image.image_mimetype, image.detail) == ("image/png", "low")
    assert isinstance(link, ImageBlock)
    assert str(link.url) == "https://example.com/a.png"
    assert isinstance(document, DocumentBlock)
    assert (document.title, document.document_mimetype) == ("a.pdf", "application/pdf")
    assert isinstance(video, VideoBlock)
    assert isinstance(linked, DocumentBlock)
    assert linked.url == "https://example.com/a.pdf"
    assert isinstance(audio, AudioBlock)
    assert audio.format == "wav"


def test_gemini_gets_one_system_message_and_its_signatures_back() -> None:
    """System messages are joined, because later ones would be the user's; signatures are at the positions of their
    calls."""
    messages = converted(
        {"role": "system", "content": "One."},
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": "Let me.", "tool_calls": [SIGNED]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
        {"role": "developer", "content": "Two."},
        family=GEMINI,
    )
    assert (messages[0].role, messages[0].content) == (MessageRole.SYSTEM, "One.\n\nTwo.")
    assert messages[2].role == MessageRole.MODEL
    assert messages[2].additional_kwargs == {"thought_signatures": [None, b"sig"]}
    assert messages[3].additional_kwargs == {"tool_call_id": "call_1"}


def test_anthropic_gets_its_thinking_and_its_cache_points() -> None:
    """Other families get neither."""
    history = (
        {"role": "developer", "content": "Think."},
        {"role": "user", "content": [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": "yes",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig", "dialect": "anthropic"}],
        },
    )
    claude = converted(*history, family=ANTHROPIC)
    assert claude[0].role == MessageRole.SYSTEM
    assert [type(block) for block in claude[1].blocks] == [TextBlock, CachePoint]
    assert [type(block) for block in claude[2].blocks] == [ThinkingBlock, TextBlock]
    others = converted(*history, family=OPENAI)
    assert others[0].role == MessageRole.DEVELOPER
    assert [type(block) for message in others for block in message.blocks] == [TextBlock] * 3


def test_litellm_gets_calls_beside_the_text() -> None:
    """Its class raises on tool-call blocks, and sends every other key of `additional_kwargs`."""
    history = (
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": None, "tool_calls": [SIGNED]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    )
    message = converted(*history, family=LITELLM)[1]
    assert message.blocks == [TextBlock(text="")]
    assert message.additional_kwargs == {"tool_calls": [CALL]}


@pytest.mark.parametrize("written", ["no json", "[1]"])
def test_arguments_that_are_not_an_object_are_kept(written: str) -> None:
    """Providers require an object; the model's text is kept inside one."""
    call = {**CALL, "function": {"name": "add", "arguments": written}}
    history = (
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    )
    (block,) = converted(*history, family=ANTHROPIC)[1].blocks
    assert isinstance(block, ToolCallBlock)
    assert block.tool_kwargs == {"invalid_json": written}


def test_unsupported_fields() -> None:
    """Settings, tools, choices and parts without a counterpart are listed; zero and false count as set."""
    hello = [{"role": "user", "content": "hi"}]
    tools = [{"type": "function", "function": {"name": "add"}}]
    choice = {"type": "function", "function": {"name": "add"}}
    assert unsupported(ChatRequest(messages=hello, seed=0, temperature=0), ANTHROPIC, takes_tools=True) == ("seed",)
    assert unsupported(ChatRequest(messages=hello, tools=tools, tool_choice=choice), OTHER, takes_tools=False) == (
        "tools",
        "tool_choice",
    )
    assert unsupported(
        ChatRequest(messages=[part("input_audio", data="", format="wav")]), GEMINI, takes_tools=True
    ) == ("messages",)
    assert unsupported(ChatRequest(messages=hello, stop=["x"], seed=1, user="u"), OPENAI, takes_tools=True) == ()


def test_only_set_fields_are_sent() -> None:
    """Zero is sent; the LLM's own token limit is sent unless the request has one; Gemini's settings are in one dict."""
    hello = [{"role": "user", "content": "hi"}]
    _, kwargs = arguments_for(MockLLM(), OPENAI, ChatRequest(messages=hello, temperature=0, stop=("x",)), 99)
    assert kwargs == {"temperature": 0, "stop": ["x"], "max_tokens": 99}
    assert arguments_for(MockLLM(), OPENAI, ChatRequest(messages=hello, max_tokens=5), 99)[1] == {"max_tokens": 5}
    _, kwargs = arguments_for(MockLLM(), GEMINI, ChatRequest(messages=hello, max_tokens=5, top_k=3), None)
    assert kwargs == {"generation_config": {"max_output_tokens": 5, "top_k": 3}}


def test_families_are_known_by_class_or_parent() -> None:
    """A subclass of OpenAI's is OpenAI's; an unknown class gets only common arguments."""

    class Mine(OpenAI):
        """A user's subclass."""

    assert family_of(Mine(api_key="test-1")) is OPENAI
    assert family_of(MockLLM()) is OTHER


# --- responses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (response(raw={"choices": [{"finish_reason": "length"}]}), "length"),
        (response(raw={"choices": [], "stop_reason": "end_turn"}), "stop"),
        (response(beside={"stop_reason": "tool_use"}), "tool_calls"),
        (response(raw={"finish_reason": "SAFETY"}), "content_filter"),
        (response(raw={"finish_reason": "a new one"}), "stop"),
        (response(raw={"choices": [{"finish_reason": None}]}), None),
        (response(raw="text"), None),
    ],
)
def test_finish_reasons(found: ChatResponse, reason: str | None) -> None:
    """Found wherever an integration keeps them."""
    assert finish_reason_of(found) == reason


def test_usage() -> None:
    """In any provider's naming; Anthropic's cache and Gemini's reasoning are included; None and nothing count as
    zero."""
    openai = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
    openai["completion_tokens_details"] = {"reasoning_tokens": 2}
    anthropic = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2}
    gemini = {
        "prompt_token_count": 9,
        "candidates_token_count": 3,
        "thoughts_token_count": 2,
        "cached_content_token_count": 4,
    }
    read = [
        usage_of(response(raw={"usage": openai})),
        usage_of(response(raw={"usage": anthropic})),
        usage_of(response(raw={"usage_metadata": gemini})),
        usage_of(response(beside={"usage": {"input_tokens": 9, "output_tokens": 5}})),
        usage_of(response(prompt_tokens=9, completion_tokens=5)),
    ]
    assert {(usage.input_tokens, usage.output_tokens) for usage in read} == {(9, 5)}
    assert [usage.cached_tokens for usage in read] == [4, 4, 4, 0, 0]
    assert [usage.reasoning_tokens for usage in read] == [2, 0, 2, 0, 0]
    assert read[1].cache_write_tokens == 2
    assert usage_of(response(raw={"usage": {"prompt_tokens": None}})).total_tokens == 0


def test_a_refusal_is_an_answer() -> None:
    """OpenAI's refusal is only in the SDK's object; without any content the answer is empty, which is the provider's
    failure."""
    refused = response(raw={"choices": [{"finish_reason": "stop", "message": {"refusal": "No."}}]})
    assert reply_of(refused, "m").refusal == "No."
    with pytest.raises(EmptyAnswer):
        reply_of(response(raw={"choices": [{"finish_reason": "stop"}]}), "m")
    assert reply_of(response(raw={"choices": [{"finish_reason": "length"}]}), "m").finish_reason == "length"
    signed = response(
        ToolCallBlock(tool_call_id="c", tool_name="add", tool_kwargs={}),
        raw={"finish_reason": "STOP"},
        beside={"thought_signatures": [b"sig"]},
    )
    assert reply_of(signed, "m").tool_calls[0].signature == base64.b64encode(b"sig").decode()


def test_arguments_as_objects_are_sent_at_the_end() -> None:
    """An object that is replaced with every chunk is not appended text: its last form is sent."""
    reader = StreamReader(OTHER, "m")
    shown = [
        reader.read(response(ToolCallBlock(tool_call_id="c", tool_name="add", tool_kwargs=kwargs), delta=""))
        for kwargs in ({}, {"a": 1}, {"a": 12}, {"a": 12})
    ]
    assert [chunk.is_content for chunk in shown] == [True, True, True, False]
    assert "".join(delta.arguments for chunk in shown for delta in chunk.tool_calls) == ""
    whole, last = reader.end()
    assert json.loads(whole.tool_calls[0].arguments) == {"a": 12}
    assert (last.finish_reason, last.model) == ("tool_calls", "m")


def test_text_without_deltas_is_taken_from_the_content() -> None:
    """For integrations without deltas, or whose content starts again with each block."""
    reader = StreamReader(OTHER, "m")
    texts = [reader.read(response(TextBlock(text=text))).text for text in ("He", "Hello", "Hello")]
    assert texts == ["He", "llo", ""]
    assert reader.read(response(TextBlock(text="other"))) is IDLE
    assert reader.end()[-1].finish_reason == "stop"


def test_a_stream_without_a_finish_reason() -> None:
    """It is incomplete where the family reports finish reasons; a stream without content is an empty answer."""
    for family in (OPENAI, ANTHROPIC, GEMINI):
        reader = StreamReader(family, "m")
        reader.read(response(delta="He"))
        with pytest.raises(IncompleteAnswer):
            reader.end()
    with pytest.raises(EmptyAnswer):
        StreamReader(OTHER, "m").end()
    refused = StreamReader(OPENAI, "m")
    chunk = refused.read(response(raw={"choices": [{"finish_reason": "stop", "delta": {"refusal": "No."}}]}, delta=""))
    assert chunk.refusal == "No."
    assert refused.end()[-1].finish_reason == "stop"
