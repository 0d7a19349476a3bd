# pyright: basic
"""LlamaIndex with a custom LLM in the form of its documentation, and with hotspare."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.llms import LLM, CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.llms.hotspare import Hotspare

from benchmarks.core import CHUNKS
from benchmarks.floors.answers import KINDS, TEXT, WORD, Calls, new_pool


class _Floor(CustomLLM):
    """A custom LLM that returns prepared answers."""

    @property
    def metadata(self) -> LLMMetadata:
        """The defaults."""
        return LLMMetadata()

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """The same answer to everything."""
        return ANSWER

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """The same answer to everything."""
        return ANSWER

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """The same chunks to everything."""
        return _responses()

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """The same chunks to everything."""

        async def responses() -> AsyncIterator[ChatResponse]:
            for response in _responses():
                yield response

        return responses()

    def complete(self, *args: Any, **kwargs: Any) -> Any:
        """Not measured."""
        raise NotImplementedError

    stream_complete = complete


ANSWER = ChatResponse(message=ChatMessage(role="assistant", content=TEXT))


def _responses() -> Iterator[ChatResponse]:
    text = ""
    for _ in range(CHUNKS):
        text += WORD
        yield ChatResponse(message=ChatMessage(role="assistant", content=text), delta=WORD)


def _calls(llm: LLM) -> Calls:
    """LlamaIndex's calls of this LLM."""
    messages = [ChatMessage(role="user", content="hello")]

    async def stream() -> None:
        async for _ in await llm.astream_chat(messages):
            pass

    whole, chunks = KINDS
    return {
        f"LlamaIndex, {whole}, sync": lambda: llm.chat(messages),
        f"LlamaIndex, {whole}, async": lambda: llm.achat(messages),
        f"LlamaIndex, {chunks}, sync": lambda: list(llm.stream_chat(messages)),
        f"LlamaIndex, {chunks}, async": stream,
    }


def contenders() -> dict[str, Calls]:
    """The calls of the floor and those of hotspare."""
    return {"floor": _calls(_Floor()), "hotspare": _calls(Hotspare(pool=new_pool()))}


async def flush() -> None:
    """LlamaIndex does nothing in the background."""


def wait() -> None:
    """The same for sync calls."""
