# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""hotspare's replies and chunks -> LangChain's results.

The answer of a LangChain model is passed on unchanged. The answer of one of hotspare's own targets becomes plain text
content, tool calls, reasoning in `additional_kwargs["reasoning_content"]`, which LangChain's `content_blocks` read,
and signed thinking in `additional_kwargs["thinking_blocks"]`, which is sent back with the history.
"""

from __future__ import annotations

from typing import Any

from hotspare import ChatChunk, ChatReply, StreamSummary, Target, ToolCallDelta, Usage
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_hotspare.history import SIGNATURES_KEY
from langchain_hotspare.metadata import METADATA_KEY

_GATEWAY_KEY = "lc_gateway_metadata"
"""The key in `generation_info` from which LangSmith's tracer reads the provider and the model of the answer. LangChain removes it
from messages. It is copied from the private constant `GATEWAY_METADATA_RESPONSE_KEY`, because importing that could break."""


def response_of(reply: ChatReply, target: Target) -> ChatResult:
    """A whole answer. `target`: the one that answered."""
    info = _gateway_metadata(reply, target)
    if isinstance(reply.native, ChatGeneration):
        message = reply.native.message.model_copy(update={"id": None})
        info = {**(reply.native.generation_info or {}), **info}
        known = message.response_metadata
        message.response_metadata = known | _response_metadata(reply, reply, target, known)
    else:
        message = _message(reply, _response_metadata(reply, reply, target, {}))
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])


class ChunkConverter:
    """Converts one stream's chunks.

    Merging chunks concatenates strings, so the model's name, the finish reason and the metadata are on the last chunk only.
    """

    def __init__(self) -> None:
        self._text_block: dict[str, Any] | None = None
        self._ids: dict[int, str] = {}

    def convert(self, chunk: ChatChunk, target: Target | None = None) -> ChatGenerationChunk:
        """The chunk as LangChain's. `target`: the one that answered, given with the last chunk."""
        if isinstance(chunk.native, ChatGenerationChunk):
            generation = self._unchanged(chunk.native)
        else:
            generation = self._converted(chunk, is_last=target is not None)
        message = generation.message
        if target is not None and isinstance(message, AIMessageChunk):
            message.chunk_position = "last"
            info = generation.generation_info or {}
            summary = chunk.summary or StreamSummary(target.name)
            known = {**message.response_metadata, **info}
            message.response_metadata |= _response_metadata(chunk, summary, target, known)
            generation.generation_info = info | _gateway_metadata(chunk, target)
        return generation

    def _unchanged(self, native: ChatGenerationChunk) -> ChatGenerationChunk:
        """A LangChain model's own chunk. Its text block's index is kept for text that another target appends."""
        content = native.message.content
        if isinstance(content, list):
            texts = [block for block in content if isinstance(block, dict) and block.get("type") == "text"]
            if texts and "index" in texts[-1]:
                self._text_block = {"type": "text", "index": texts[-1]["index"]}
        return native

    def _converted(self, chunk: ChatChunk, *, is_last: bool) -> ChatGenerationChunk:
        content: Any = chunk.text
        if self._text_block is not None:
            content = [{**self._text_block, "text": chunk.text}] if chunk.text else []
        if not (is_last or chunk.tool_calls or chunk.reasoning or chunk.thinking or chunk.refusal):
            return ChatGenerationChunk(
                message=AIMessageChunk(content=content)
            )  # text alone, as nearly all of a stream is
        message = AIMessageChunk(
            content=content,
            tool_call_chunks=[_tool_call_chunk(delta) for delta in chunk.tool_calls],
            additional_kwargs=_additional_kwargs(chunk, self._signatures(chunk)),
            usage_metadata=usage_metadata(chunk.usage) if is_last else None,
        )
        return ChatGenerationChunk(message=message)

    def _signatures(self, chunk: ChatChunk) -> dict[str, str]:
        """Gemini's thought signatures by tool-call id: a later delta may bring the signature of an earlier id."""
        for delta in chunk.tool_calls:
            if delta.id:
                self._ids[delta.index] = delta.id
        return {self._ids[d.index]: d.signature for d in chunk.tool_calls if d.signature and d.index in self._ids}


def usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    """Tokens in LangChain's shape; None if the provider reported none."""
    if usage is None or usage == Usage():
        return None
    found = UsageMetadata(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, total_tokens=usage.total_tokens
    )
    if usage.cached_tokens or usage.cache_write_tokens:
        details = {"cache_read": usage.cached_tokens, "cache_creation": usage.cache_write_tokens}
        found["input_token_details"] = InputTokenDetails(**{k: v for k, v in details.items() if v})  # type: ignore[typeddict-item]
    if usage.reasoning_tokens:
        found["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return found


def _message(reply: ChatReply, metadata: dict[str, Any]) -> AIMessage:
    if not (reply.tool_calls or reply.reasoning or reply.thinking or reply.refusal):
        return AIMessage(content=reply.text, usage_metadata=usage_metadata(reply.usage), response_metadata=metadata)
    calls: list[Any] = []
    invalid: list[Any] = []
    for call in reply.tool_calls:
        raw = {"id": call.id, "function": {"name": call.name, "arguments": call.arguments or "{}"}}
        try:
            calls.append(parse_tool_call(raw, return_id=True))
        except OutputParserException as error:  # the arguments are not JSON
            invalid.append(make_invalid_tool_call(raw, str(error)))
    signatures = {call.id: call.signature for call in reply.tool_calls if call.signature}
    return AIMessage(
        content=reply.text,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs=_additional_kwargs(reply, signatures),
        usage_metadata=usage_metadata(reply.usage),
        response_metadata=metadata,
    )


def _tool_call_chunk(delta: ToolCallDelta) -> ToolCallChunk:
    return tool_call_chunk(id=delta.id, name=delta.name, args=delta.arguments, index=delta.index)


def _additional_kwargs(answer: ChatReply | ChatChunk, signatures: dict[str, str]) -> dict[str, Any]:
    found = {
        "reasoning_content": answer.reasoning,
        "thinking_blocks": [dict(block) for block in answer.thinking],
        "refusal": answer.refusal,
        SIGNATURES_KEY: signatures,
    }
    return {name: value for name, value in found.items() if value}


def _response_metadata(
    answer: ChatReply | ChatChunk, summary: ChatReply | StreamSummary, target: Target, known: dict[str, Any]
) -> dict[str, Any]:
    """Model name, id, finish reason, unless the model gave them itself (`known`), and where the answer came from."""
    found: dict[str, Any] = {"model_name": answer.model or target.model, "id": answer.id}
    if not known.get("stop_reason"):
        found["finish_reason"] = answer.finish_reason
    missing = {name: value for name, value in found.items() if value and not known.get(name)}
    return missing | {METADATA_KEY: summary.as_metadata()}


def _gateway_metadata(answer: ChatReply | ChatChunk, target: Target) -> dict[str, Any]:
    return {_GATEWAY_KEY: {"provider": target.provider, "model": answer.model or target.model, "via": "hotspare"}}
