"""One call in each of LangChain's and LlamaIndex's four ways, with the same result: the text, or the exception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the adapters' suites run without the other frameworks too
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable
    from llama_index.core.llms import ChatMessage
    from llama_index.core.llms.llm import LLM

METHODS = ("whole", "awhole", "stream", "astream")


async def langchain_call(model: Runnable[Any, Any], messages: Sequence[BaseMessage] | str, method: str) -> str:
    """The text of LangChain's answer."""
    if method == "whole":
        return str(model.invoke(messages).text)
    if method == "awhole":
        return str((await model.ainvoke(messages)).text)
    if method == "stream":
        return "".join(str(chunk.text) for chunk in model.stream(messages))
    return "".join([str(chunk.text) async for chunk in model.astream(messages)])


async def llama_index_call(llm: LLM, messages: Sequence[ChatMessage], method: str, **fields: Any) -> str:
    """The text of LlamaIndex's answer."""
    if method == "whole":
        return llm.chat(messages, **fields).message.content or ""
    if method == "awhole":
        return (await llm.achat(messages, **fields)).message.content or ""
    if method == "stream":
        return "".join(response.delta or "" for response in llm.stream_chat(messages, **fields))
    return "".join([response.delta or "" async for response in await llm.astream_chat(messages, **fields)])
