"""What native members are given and what is read of them, where no SDK is needed to see it: pure functions."""

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
from llama_index.llms.hotspare.native.asking import arguments_for, chat_messages, unsupported
from llama_index.llms.hotspare.native.families import ANTHROPIC, GEMINI, LITELLM, OPENAI, OTHER, Family, family_of
from llama_index.llms.hotspare.native.reading import Listener, finish_of, reply_of, usage_of
from llama_index.llms.openai import OpenAI

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": base64.b64encode(b"sig").decode()}}}


def asked(*messages: dict[str, Any], family: Family) -> list[ChatMessage]:
    """The messages that a member of this family is given."""
    return chat_messages(ChatRequest(messages=messages), family)


def part(kind: str, **inner: Any) -> dict[str, Any]:
    """A user's message with one part."""
    return {"role": "user", "content": [{"type": kind, kind: inner}]}


def said(*blocks: Any, raw: Any = None, delta: str | None = None, **kwargs: Any) -> ChatResponse:
    """A native response."""
    message = ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=kwargs.pop("beside", {}))
    return ChatResponse(message=message, raw=raw, delta=delta, additional_kwargs=kwargs)


# --- asking --------------------------------------------------------------------------------------------------------


def test_media_become_blocks_again() -> None:
    """Bytes where data came, links where links came."""
    data = "data:{};base64," + base64.b64encode(b"\0bytes").decode()
    messages = asked(
        part("image_url", url=data.format("image/png"), detail="low"),
        part("image_url", url="https://example.com/a.png"),
        part("file", file_data=data.format("application/pdf"), filename="a.pdf"),
        part("file", file_data=data.format("video/mp4")),
        part("file", file_id="https://example.com/a.pdf"),
        part("input_audio", data=base64.b64encode(b"\0bytes").decode(), format="wav"),
        family=OPENAI,
    )
    image, link, document, film, linked, audio = (message.blocks[0] for message in messages)
    assert isinstance(image, ImageBlock)
    assert image.resolve_image().read() == b"\0bytes"
    assert (image.image_mimetype, image.detail) == ("image/png", "low")
    assert isinstance(link, ImageBlock)
    assert str(link.url) == "https://example.com/a.png"
    assert isinstance(document, DocumentBlock)
    assert (document.title, document.document_mimetype) == ("a.pdf", "application/pdf")
    assert isinstance(film, VideoBlock)
    assert isinstance(linked, DocumentBlock)
    assert linked.url == "https://example.com/a.pdf"
    assert isinstance(audio, AudioBlock)
    assert audio.format == "wav"


def test_gemini_gets_one_system_message_and_its_signatures_back() -> None:
    """Others' system messages would be the user's there; signatures stand in the places of their calls."""
    messages = asked(
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
    """And nobody else does."""
    history = (
        {"role": "developer", "content": "Think."},
        {"role": "user", "content": [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": "yes",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig", "dialect": "anthropic"}],
        },
    )
    claude = asked(*history, family=ANTHROPIC)
    assert claude[0].role == MessageRole.SYSTEM
    assert [type(block) for block in claude[1].blocks] == [TextBlock, CachePoint]
    assert [type(block) for block in claude[2].blocks] == [ThinkingBlock, TextBlock]
    others = asked(*history, family=OPENAI)
    assert others[0].role == MessageRole.DEVELOPER
    assert [type(block) for message in others for block in message.blocks] == [TextBlock] * 3


def test_litellm_gets_calls_beside_the_text() -> None:
    """It raises on blocks of tool calls, and sends whatever else stands beside."""
    history = (
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": None, "tool_calls": [SIGNED]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    )
    message = asked(*history, family=LITELLM)[1]
    assert message.blocks == [TextBlock(text="")]
    assert message.additional_kwargs == {"tool_calls": [CALL]}


@pytest.mark.parametrize("written", ["no json", "[1]"])
def test_arguments_that_are_no_object_stay_visible(written: str) -> None:
    """A history must hold an object everywhere; what the model wrote is not lost."""
    call = {**CALL, "function": {"name": "add", "arguments": written}}
    history = (
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    )
    (block,) = asked(*history, family=ANTHROPIC)[1].blocks
    assert isinstance(block, ToolCallBlock)
    assert block.tool_kwargs == {"invalid_json": written}


def test_what_a_family_lacks() -> None:
    """Settings, tools, choices and parts without a counterpart are named; zero and false count as set."""
    hello = [{"role": "user", "content": "hi"}]
    tools = [{"type": "function", "function": {"name": "add"}}]
    choice = {"type": "function", "function": {"name": "add"}}
    assert unsupported(ChatRequest(messages=hello, seed=0, temperature=0), ANTHROPIC, False) == ("seed",)
    assert unsupported(ChatRequest(messages=hello, tools=tools, tool_choice=choice), OTHER, True) == (
        "tools",
        "tool_choice",
    )
    assert unsupported(ChatRequest(messages=[part("input_audio", data="", format="wav")]), GEMINI, False) == (
        "messages",
    )
    assert unsupported(ChatRequest(messages=hello, stop=["x"], seed=1, user="u"), OPENAI, False) == ()


def test_only_what_is_set_is_sent() -> None:
    """Zero is; the member's own bound of tokens is, unless the request has one; Gemini's settings stand in one dict."""
    hello = [{"role": "user", "content": "hi"}]
    _, kwargs = arguments_for(MockLLM(), OPENAI, ChatRequest(messages=hello, temperature=0, stop=("x",)), 99)
    assert kwargs == {"temperature": 0, "stop": ["x"], "max_tokens": 99}
    assert arguments_for(MockLLM(), OPENAI, ChatRequest(messages=hello, max_tokens=5), 99)[1] == {"max_tokens": 5}
    _, kwargs = arguments_for(MockLLM(), GEMINI, ChatRequest(messages=hello, max_tokens=5, top_k=3), None)
    assert kwargs == {"generation_config": {"max_output_tokens": 5, "top_k": 3}}


def test_families_are_known_by_class_or_parent() -> None:
    """A subclass of OpenAI's is OpenAI's; anything else is asked with care."""

    class Mine(OpenAI):
        """A user's subclass."""

    assert family_of(Mine(api_key="test-1")) is OPENAI
    assert family_of(MockLLM()) is OTHER


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (said(raw={"choices": [{"finish_reason": "length"}]}), "length"),
        (said(raw={"choices": [], "stop_reason": "end_turn"}), "stop"),
        (said(beside={"stop_reason": "tool_use"}), "tool_calls"),
        (said(raw={"finish_reason": "SAFETY"}), "content_filter"),
        (said(raw={"finish_reason": "a new one"}), "stop"),
        (said(raw={"choices": [{"finish_reason": None}]}), None),
        (said(raw="text"), None),
    ],
)
def test_finish_reasons(response: ChatResponse, reason: str | None) -> None:
    """Wherever an integration keeps them."""
    assert finish_of(response) == reason


def test_usage() -> None:
    """In whichever words; Anthropic's cache and Gemini's thoughts are part of the whole; None and nothing are zero."""
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
        usage_of(said(raw={"usage": openai})),
        usage_of(said(raw={"usage": anthropic})),
        usage_of(said(raw={"usage_metadata": gemini})),
        usage_of(said(beside={"usage": {"input_tokens": 9, "output_tokens": 5}})),
        usage_of(said(prompt_tokens=9, completion_tokens=5)),
    ]
    assert {(usage.input_tokens, usage.output_tokens) for usage in read} == {(9, 5)}
    assert [usage.cached_tokens for usage in read] == [4, 4, 4, 0, 0]
    assert [usage.reasoning_tokens for usage in read] == [2, 0, 2, 0, 0]
    assert read[1].cache_write_tokens == 2
    assert usage_of(said(raw={"usage": {"prompt_tokens": None}})).total_tokens == 0


def test_a_refusal_is_an_answer_and_nothing_is_none() -> None:
    """OpenAI's refusal stands only in its own object; an empty answer is the provider's failure."""
    refused = said(raw={"choices": [{"finish_reason": "stop", "message": {"refusal": "No."}}]})
    assert reply_of(refused, "m").refusal == "No."
    with pytest.raises(EmptyAnswer):
        reply_of(said(raw={"choices": [{"finish_reason": "stop"}]}), "m")
    assert reply_of(said(raw={"choices": [{"finish_reason": "length"}]}), "m").finish_reason == "length"
    signed = said(
        ToolCallBlock(tool_call_id="c", tool_name="add", tool_kwargs={}),
        raw={"finish_reason": "STOP"},
        beside={"thought_signatures": [b"sig"]},
    )
    assert reply_of(signed, "m").tool_calls[0].signature == base64.b64encode(b"sig").decode()


def test_objects_that_grow_wait_for_the_end() -> None:
    """An object written anew with every piece is not text that is appended to: its last form is what counts."""
    listener = Listener(OTHER, "m")
    shown = [
        listener.hear(said(ToolCallBlock(tool_call_id="c", tool_name="add", tool_kwargs=kwargs), delta=""))
        for kwargs in ({}, {"a": 1}, {"a": 12}, {"a": 12})
    ]
    assert [chunk.is_content for chunk in shown] == [True, True, True, False]
    assert "".join(delta.arguments for chunk in shown for delta in chunk.tool_calls) == ""
    whole, last = listener.end()
    assert json.loads(whole.tool_calls[0].arguments) == {"a": 12}
    assert (last.finish_reason, last.model) == ("tool_calls", "m")


def test_text_without_deltas_is_cut_from_the_content() -> None:
    """Integrations that give none, or begin anew with each block."""
    listener = Listener(OTHER, "m")
    texts = [listener.hear(said(TextBlock(text=text))).text for text in ("He", "Hello", "Hello")]
    assert texts == ["He", "llo", ""]
    assert listener.hear(said(TextBlock(text="other"))) is IDLE
    assert listener.end()[-1].finish_reason == "stop"


def test_a_stream_that_just_ends() -> None:
    """Demanded is the provider's own reason, of whoever shows it; nothing at all is an empty answer."""
    for family in (OPENAI, ANTHROPIC, GEMINI):
        listener = Listener(family, "m")
        listener.hear(said(delta="He"))
        with pytest.raises(IncompleteAnswer):
            listener.end()
    with pytest.raises(EmptyAnswer):
        Listener(OTHER, "m").end()
    refused = Listener(OPENAI, "m")
    chunk = refused.hear(said(raw={"choices": [{"finish_reason": "stop", "delta": {"refusal": "No."}}]}, delta=""))
    assert chunk.refusal == "No."
    assert refused.end()[-1].finish_reason == "stop"
