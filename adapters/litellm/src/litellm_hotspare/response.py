"""hotspare's replies and chunks -> LiteLLM's ModelResponse and stream chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from hotspare import ChatChunk, ChatReply, StreamSummary, ToolCallDelta, Usage

from litellm_hotspare.chunks import Chunk, copied
from litellm_hotspare.litellm_api import types
from litellm_hotspare.metadata import BLOCKS_KEY, METADATA_KEY, hidden_params


def response_of(reply: ChatReply, response: Any) -> Any:
    """A whole answer, written into LiteLLM's ModelResponse `response`."""
    message: dict[str, Any] = {"content": reply.text or None, "role": "assistant"}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                **_with_signature(call.signature),
            }
            for call in reply.tool_calls
        ]
    message |= _reasoning(reply)
    specific = {BLOCKS_KEY: foreign_blocks(reply), "refusal": reply.refusal}
    specific["signed_by"] = reply.signed_by if reply.is_signed else None
    if any(specific.values()):
        message["provider_specific_fields"] = {name: value for name, value in specific.items() if value}
    response.id = reply.id or response.id
    response.model = reply.model or response.model
    response.choices = [types.Choices(index=0, finish_reason=reply.finish_reason, message=types.Message(**message))]
    response.usage = types.Usage(**usage_of(reply.usage, reply.cost))
    response._hidden_params.update(hidden_params(reply))
    return response


class ChunkConverter:
    """Converts one stream's chunks. `model`: used for chunks without a model name.

    Chunks are copies of an empty one, which cost a third of new ones.
    """

    def __init__(self, model: str) -> None:
        self._delta = types.Delta()
        self._choice = types.StreamingChoices(index=0, finish_reason=None, delta=self._delta)
        self._chunk = Chunk(
            id=f"chatcmpl-{uuid.uuid4()}", created=int(time.time()), model=model, choices=[self._choice]
        )
        self._role: str | None = "assistant"
        self._last_call: int | None = None
        self._blocks: list[dict[str, Any]] = []

    def convert(self, chunk: ChatChunk) -> list[Any]:
        """LiteLLM's chunks for one of hotspare's.

        Content becomes a ModelResponseStream with full deltas. The end becomes a GenericStreamingChunk, because
        LiteLLM's wrapper passes finish reason and usage on unchanged only from that. After a tool call it has an empty piece
        of that call, because an empty text would become a separate text block in `/v1/messages`.
        """
        found: list[Any] = []
        if chunk.is_content:
            found.append(self._content(chunk))
        self._blocks += foreign_blocks(chunk)
        if chunk.finish_reason is not None:
            summary = chunk.summary
            found.append(
                types.GenericStreamingChunk(
                    text="",
                    tool_use=None if self._last_call is None else _empty_piece(self._last_call),
                    is_finished=True,
                    finish_reason=chunk.finish_reason,
                    usage=usage_of(chunk.usage or Usage(), summary.cost if summary else None),
                    index=0,
                    provider_specific_fields=self._specific(summary),
                )
            )
        return found

    def _specific(self, summary: StreamSummary | None) -> dict[str, Any] | None:
        """Fields of the last chunk, which LiteLLM copies into the message that it builds from a stream."""
        metadata = {METADATA_KEY: summary.as_metadata()} if summary else {}
        return metadata | ({BLOCKS_KEY: self._blocks} if self._blocks else {}) or None

    def _content(self, chunk: ChatChunk) -> Any:
        role, self._role = self._role, None
        text = chunk.text or None
        self._last_call = chunk.tool_calls[-1].index if chunk.tool_calls else None
        if chunk.tool_calls or chunk.reasoning or chunk.thinking or chunk.refusal:
            delta = types.Delta(content=text, role=role, **_beside_text(chunk))
        else:
            delta = copied(self._delta, content=text, role=role)
        return copied(self._chunk, model=chunk.model or self._chunk.model, choices=[copied(self._choice, delta=delta)])


def _beside_text(chunk: ChatChunk) -> dict[str, Any]:
    """The fields of a delta that a chunk of text does not have."""
    found = _reasoning(chunk)
    if chunk.tool_calls:
        found["tool_calls"] = [_tool_call_delta(call) for call in chunk.tool_calls]
    if chunk.refusal:
        found["provider_specific_fields"] = {"refusal": chunk.refusal}
    return found


def usage_of(usage: Usage, cost: float | None = None) -> dict[str, Any]:
    """Tokens in OpenAI's naming, and their cost in USD."""
    found: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens:
        found["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.cache_write_tokens:
        found["cache_creation_input_tokens"] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        found["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if cost is not None:
        found["cost"] = cost
    return found


def _reasoning(answer: ChatReply | ChatChunk) -> dict[str, Any]:
    """Reasoning and signed thinking, under LiteLLM's names."""
    found: dict[str, Any] = {}
    if answer.reasoning:
        found["reasoning_content"] = answer.reasoning
    if own := [dict(block) for block in answer.thinking if not _is_foreign(block)]:
        found["thinking_blocks"] = own
    return found


def foreign_blocks(answer: ChatReply | ChatChunk) -> list[dict[str, Any]]:
    """Reasoning for which LiteLLM's messages have no field: encrypted, or signed by a provider other than Anthropic."""
    return [dict(block) for block in answer.thinking if _is_foreign(block)]


def _is_foreign(block: Mapping[str, Any]) -> bool:
    return bool(block.get("dialect", "anthropic") != "anthropic")


def _tool_call_delta(delta: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": delta.arguments}
    if delta.name is not None:
        function["name"] = delta.name
    return {
        "index": delta.index,
        "id": delta.id,
        "type": "function" if delta.id else None,
        "function": function,
        **_with_signature(delta.signature),
    }


def _empty_piece(index: int) -> dict[str, Any]:
    return {"id": None, "type": "function", "function": {"name": None, "arguments": ""}, "index": index}


def _with_signature(signature: str | None) -> dict[str, Any]:
    return {"provider_specific_fields": {"thought_signature": signature}} if signature else {}
