"""Message blocks in OpenAI's shape: text, images, documents, audio, video, thinking, cache points; unreadable ones are
named."""

import base64
from pathlib import Path
from typing import Any

import pytest
from hotspare import Pool, RequestError, Target
from hotspare.drill.provider import KEY, Provider, answer, with_images
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    VideoBlock,
)
from llama_index.llms.hotspare import Hotspare
from llama_index.llms.hotspare.messages import openai_messages

from tests.support.llama_index import PNG

PDF = b"%PDF-1.4\n%%EOF\n"


def parts(*blocks: Any) -> Any:
    """These blocks in one user message, in OpenAI's shape."""
    return openai_messages([ChatMessage(role="user", blocks=list(blocks))])[0]["content"]


def test_text() -> None:
    """A single text is a string; several stay separate; none is an empty string, or no content for an assistant."""
    assert parts(TextBlock(text="hi")) == "hi"
    assert parts(TextBlock(text="a"), TextBlock(text=""), TextBlock(text="b")) == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert parts() == ""
    assert openai_messages([ChatMessage(role="assistant", blocks=[])]) == [{"role": "assistant", "content": None}]
    assert openai_messages([ChatMessage(role="assistant", content="")]) == [{"role": "assistant", "content": ""}]


def test_images_of_an_assistant_are_not_sent_back() -> None:
    """Only Gemini accepts them; LlamaIndex's OpenAI integration drops them too."""
    made = ChatMessage(role="assistant", blocks=[TextBlock(text="Here."), ImageBlock(image=PNG)])
    assert openai_messages([made])[0]["content"] == [{"type": "text", "text": "Here."}]


@pytest.mark.parametrize(
    ("role", "sent"), [(MessageRole.MODEL, "assistant"), (MessageRole.CHATBOT, "assistant"), (MessageRole.DEVELOPER, "developer")]
)  # fmt: skip
def test_roles(role: MessageRole, sent: str) -> None:
    """Roles of other integrations are converted."""
    assert openai_messages([ChatMessage(role=role, content="x")])[0]["role"] == sent


def test_images(tmp_path: Path) -> None:
    """By URL, as bytes, from a file; the media type is detected where it is not given."""
    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    file = tmp_path / "image"
    file.write_bytes(PNG)
    linked = ImageBlock(url="https://example.com/a.png", detail="low")
    assert parts(linked)[0]["image_url"] == {"url": "https://example.com/a.png", "detail": "low"}
    for block in (ImageBlock(image=PNG), ImageBlock(path=file), ImageBlock(url=data)):
        assert parts(block) == [{"type": "image_url", "image_url": {"url": data}}]


def test_documents_audio_and_video() -> None:
    """In OpenAI's shape; a file by URL keeps its URL."""
    pdf = f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"
    assert parts(DocumentBlock(data=PDF, title="a.pdf", document_mimetype="application/pdf")) == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}}
    ]
    assert parts(DocumentBlock(url="https://example.com/a.pdf"))[0]["file"]["file_id"] == "https://example.com/a.pdf"
    assert parts(AudioBlock(audio=b"sound", format="wav")) == [
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"sound").decode(), "format": "wav"}}
    ]
    video = base64.b64encode(b"\0film").decode()
    assert parts(VideoBlock(video=b"\0film", video_mimetype="video/mp4"))[0]["file"]["file_data"] == (
        f"data:video/mp4;base64,{video}"
    )


def test_citable_blocks_caches_and_citations() -> None:
    """A source is sent as its text, a cache point marks the part before it, a citation is not sent back."""
    cited = CitationBlock(cited_content="x", source="s", title="t", additional_location_info={})
    assert parts(CitableBlock(title="t", source="s", content="fact"), TextBlock(text="?"), cited) == [
        {"type": "text", "text": "fact"},
        {"type": "text", "text": "?"},
    ]
    cache = CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h"))
    (part,) = parts(TextBlock(text="long"), cache)
    assert part["cache_control"]["ttl"] == "1h"


def test_thinking() -> None:
    """Signed blocks are kept with their signature, plain reasoning as text."""
    signed = ThinkingBlock(content="hm", additional_information={"signature": "sig", "type": "thinking"})
    sealed = ThinkingBlock(
        additional_information={"type": "redacted_thinking", "data": "opaque", "dialect": "anthropic"}
    )
    plain = ThinkingBlock(content="so")
    (message,) = openai_messages([ChatMessage(role="assistant", blocks=[signed, sealed, plain, TextBlock(text="yes")])])
    assert message["content"] == "yes"
    assert message["reasoning_content"] == "hmso"
    assert message["thinking_blocks"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "opaque", "dialect": "anthropic"},
    ]


@pytest.mark.parametrize(
    "block", [ImageBlock(image=b"neither fish nor fowl"), ImageBlock(), DocumentBlock(path="/nowhere/a.pdf")]
)
def test_an_unreadable_block_is_named(llm: Hotspare, block: Any) -> None:
    """The error has the message, the block and the reason; nothing is sent."""
    message = ChatMessage(role="user", blocks=[TextBlock(text="see"), block])
    with pytest.raises(RequestError, match=rf"messages\[0\]\.blocks\[1\]: '{type(block).__name__}' cannot be read"):
        llm.chat([message])


def test_an_invalid_tool_call_is_named(llm: Hotspare) -> None:
    """Values in `additional_kwargs` are validated too."""
    message = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": ["add"]})
    with pytest.raises(RequestError, match=r"messages\[0\]\.additional_kwargs\['tool_calls'\]: 'add' must be a dict"):
        llm.chat([message])


@pytest.mark.parametrize("target", "abc")
def test_an_image_reaches_every_provider(llm: Hotspare, target: str) -> None:
    """The embedded provider reports how many bytes it got."""
    message = ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), ImageBlock(image=PNG)])
    assert llm.chat([message], model=target).message.content == with_images("What is this?", (len(PNG),))


def test_a_video_goes_to_a_target_that_takes_it(provider: Provider, llm: Hotspare) -> None:
    """Only Gemini's wire format takes video; the other targets are skipped without an attempt."""
    message = ChatMessage(
        role="user", blocks=[TextBlock(text="Who?"), VideoBlock(video=b"\0film", video_mimetype="video/mp4")]
    )
    attempts = llm.chat([message], model="c").additional_kwargs["hotspare"]["attempts"]
    assert [attempt["target"] for attempt in attempts] == ["c"]


def test_a_document_by_url_is_not_sent_to_openai(provider: Provider, llm: Hotspare) -> None:
    """Anthropic and Gemini fetch it themselves; OpenAI's wire format cannot send it, and its target is skipped."""
    message = ChatMessage(
        role="user", blocks=[TextBlock(text="Sum up."), DocumentBlock(url="https://example.com/a.pdf")]
    )
    assert llm.chat([message]).additional_kwargs["hotspare"]["target"] == "b"
    assert provider.stats("a").requests == 0


def test_reasoning_is_returned_and_sent_back(provider: Provider) -> None:
    """Thinking streams as `thinking_delta` and is kept in a block; its signature is sent only to its provider."""
    with Pool(
        [
            Target(
                "anthropic/claude-sonnet-4-5", name="claude", base_url=provider.base_url("b", "anthropic"), api_key=KEY
            ),
            Target(
                "openai/gpt-4.1",
                name="gpt",
                base_url=provider.base_url("a"),
                api_key=KEY,
                droppable={"reasoning_effort"},
            ),
        ]
    ) as pool:
        llm = Hotspare(pool=pool, additional_kwargs={"reasoning_effort": "low"}, max_tokens=8000)
        question = ChatMessage(role="user", content="Why?")
        pieces = list(llm.stream_chat([question]))
        thought = "".join(piece.additional_kwargs.get("thinking_delta", "") for piece in pieces)
        (block,) = [b for b in pieces[-1].message.blocks if isinstance(b, ThinkingBlock)]
        assert block.content == thought != ""
        assert pieces[-1].message.content == answer("Why?")
        whole = llm.chat([question]).message
        assert [type(b) for b in whole.blocks] == [ThinkingBlock, TextBlock]
        history = [question, pieces[-1].message, ChatMessage(role="user", content="And?")]
        llm.chat(history, model="claude")
        llm.chat(history, model="gpt")
    sent = provider.recorded_requests("b")[-1]["body"]["messages"][1]["content"][0]
    assert (sent["type"], sent["thinking"]) == ("thinking", thought)
    assert "thinking" not in str(provider.recorded_requests("a")[-1]["body"])
