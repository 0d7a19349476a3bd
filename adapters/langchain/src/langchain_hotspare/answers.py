# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""hotspare's answers -> LangChain's: whole ones and streamed ones.

An answer of a native member goes through as it came. One from a wire is made here: plain text content, tool calls,
reasoning in `additional_kwargs["reasoning_content"]` (from where LangChain's `content_blocks` take it), and signed
thinking in `additional_kwargs["thinking_blocks"]`, which goes back with the history.
"""

from __future__ import annotations

from typing import Any

from hotspare import ChatChunk, ChatReply, StreamSummary, Target, Usage
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_hotspare.messages import SIGNATURES
from langchain_hotspare.trail import KEY, trail_of

_IDENTITY = "lc_gateway_metadata"
"""Under this key of `generation_info` LangSmith's tracer takes who really answered, and LangChain strips it from messages
(`GATEWAY_METADATA_RESPONSE_KEY`, a private name whose value is spelt out here so that no version can break the import)."""


def result_of(reply: ChatReply, target: Target) -> ChatResult:
    """A whole answer, and the target that gave it."""
    if isinstance(reply.native, ChatGeneration):
        message = reply.native.message.model_copy(update={"id": None})
        info = dict(reply.native.generation_info or {})
    else:
        message, info = _message(reply), {}
    message.response_metadata = {**message.response_metadata, **_metadata(reply, target, message.response_metadata)}
    info |= _identity(reply, target)
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])


def _message(reply: ChatReply) -> AIMessage:
    calls: list[Any] = []
    invalid: list[Any] = []
    for call in reply.tool_calls:
        raw = {"id": call.id, "function": {"name": call.name, "arguments": call.arguments or "{}"}}
        try:
            calls.append(parse_tool_call(raw, return_id=True))
        except OutputParserException as error:  # the model wrote no JSON
            invalid.append(make_invalid_tool_call(raw, str(error)))
    signatures = {call.id: call.signature for call in reply.tool_calls if call.signature}
    return AIMessage(
        content=reply.text,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs=_extra(reply, signatures),
        usage_metadata=usage_metadata(reply.usage),
    )


def _extra(answer: ChatReply | ChatChunk, signatures: dict[str, str]) -> dict[str, Any]:
    thinking = [dict(block) for block in answer.thinking]
    found = {
        "reasoning_content": answer.reasoning,
        "thinking_blocks": thinking,
        "refusal": answer.refusal,
        SIGNATURES: signatures,
    }
    return {name: value for name, value in found.items() if value}


def _metadata(answer: ChatReply | ChatChunk, target: Target, known: dict[str, Any]) -> dict[str, Any]:
    """What is said once of an answer; of a native one only what its own model did not say."""
    trail = answer if isinstance(answer, ChatReply) else answer.summary or StreamSummary(target.name)
    found: dict[str, Any] = {"model_name": answer.model or target.model, "id": answer.id}
    if not known.get("stop_reason"):
        found["finish_reason"] = answer.finish_reason
    return {name: value for name, value in found.items() if value and not known.get(name)} | {KEY: trail_of(trail)}


def _identity(answer: ChatReply | ChatChunk, target: Target) -> dict[str, Any]:
    return {_IDENTITY: {"provider": target.provider, "model": answer.model or target.model, "via": "hotspare"}}


def usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    """Tokens as LangChain counts them; None where the provider told none."""
    if usage is None or usage == Usage():
        return None
    told = UsageMetadata(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, total_tokens=usage.total_tokens
    )
    if usage.cached_tokens or usage.cache_write_tokens:
        details = {"cache_read": usage.cached_tokens, "cache_creation": usage.cache_write_tokens}
        told["input_token_details"] = InputTokenDetails(**{k: v for k, v in details.items() if v})  # type: ignore[typeddict-item]
    if usage.reasoning_tokens:
        told["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return told


class ChunkWriter:
    """Writes one stream's chunks. What merging would concatenate (names, reasons, the trail) stands on the last one only."""

    def __init__(self) -> None:
        self._block: dict[str, Any] | None = None
        self._ids: dict[int, str] = {}

    def write(self, chunk: ChatChunk, target: Target | None = None) -> ChatGenerationChunk:
        """The chunk as LangChain's. `target`: the one that answered, with the last chunk."""
        last = target is not None
        generation = self._native(chunk) if isinstance(chunk.native, ChatGenerationChunk) else self._made(chunk, last)
        message = generation.message
        if target is not None and isinstance(message, AIMessageChunk):
            message.chunk_position = "last"
            info = generation.generation_info or {}
            message.response_metadata |= _metadata(chunk, target, {**message.response_metadata, **info})
            generation.generation_info = info | _identity(chunk, target)
        return generation

    def _native(self, chunk: ChatChunk) -> ChatGenerationChunk:
        """A member's own chunk; remembered is the text block that a seam would have to go on with."""
        native: ChatGenerationChunk = chunk.native
        content = native.message.content
        if isinstance(content, list):
            texts = [block for block in content if isinstance(block, dict) and block.get("type") == "text"]
            if texts and "index" in texts[-1]:
                self._block = {"type": "text", "index": texts[-1]["index"]}
        return native

    def _made(self, chunk: ChatChunk, last: bool) -> ChatGenerationChunk:
        content: Any = chunk.text
        if self._block is not None:
            content = [{**self._block, "text": chunk.text}] if chunk.text else []
        message = AIMessageChunk(
            content=content,
            tool_call_chunks=[self._call(delta) for delta in chunk.tool_calls],
            additional_kwargs=_extra(chunk, self._signatures(chunk)),
            usage_metadata=usage_metadata(chunk.usage) if last else None,
        )
        return ChatGenerationChunk(message=message)

    def _call(self, delta: Any) -> ToolCallChunk:
        return tool_call_chunk(id=delta.id, name=delta.name, args=delta.arguments, index=delta.index)

    def _signatures(self, chunk: ChatChunk) -> dict[str, str]:
        for delta in chunk.tool_calls:
            if delta.id:
                self._ids[delta.index] = delta.id
        return {self._ids[d.index]: d.signature for d in chunk.tool_calls if d.signature and d.index in self._ids}
