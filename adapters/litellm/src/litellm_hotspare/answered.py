"""A ChatReply or ChatChunk -> LiteLLM's ModelResponse and stream chunks, with the trail where LiteLLM users look."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Sequence
from typing import Any

from hotspare import AttemptRecord, ChatChunk, ChatReply, ToolCallDelta, Usage

from litellm_hotspare.host import types


def response_of(reply: ChatReply, into: Any) -> Any:
    """A whole answer as LiteLLM's ModelResponse `into`; cost and trail in its hidden parameters."""
    message: dict[str, Any] = {"content": reply.text or None, "role": "assistant"}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                **_signed(call.signature),
            }
            for call in reply.tool_calls
        ]
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.thinking:
        message["thinking_blocks"] = [dict(block) for block in reply.thinking]
    if reply.refusal:
        message["provider_specific_fields"] = {"refusal": reply.refusal}
    into.id = reply.id or into.id
    into.model = reply.model or into.model
    into.choices = [types.Choices(index=0, finish_reason=reply.finish_reason, message=types.Message(**message))]
    into.usage = types.Usage(**usage_of(reply.usage))
    into._hidden_params.update(hidden(reply.target, reply.attempts, reply.cost))
    return into


def hidden(target: str, attempts: Sequence[AttemptRecord], cost: float | None) -> dict[str, Any]:
    """What LiteLLM's hidden parameters hold of a call: `response_cost`, the trail, and headers that a proxy sends on."""
    found: dict[str, Any] = {
        "hotspare": {"target": target, "attempts": [_record(record) for record in attempts], "cost": cost},
        "additional_headers": {"x-hotspare-target": target, "x-hotspare-attempts": str(len(attempts))},
    }
    if cost is not None:
        found["response_cost"] = cost
    return found


def _record(record: AttemptRecord) -> dict[str, Any]:
    """One attempt as plain JSON."""
    return {**dataclasses.asdict(record), "kind": str(record.kind)}


def usage_of(usage: Usage, cost: float | None = None) -> dict[str, Any]:
    """Tokens in OpenAI's words, and what they cost."""
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


class Speaker:
    """Turns one stream's chunks into LiteLLM's."""

    def __init__(self, model: str) -> None:
        self._id = f"chatcmpl-{uuid.uuid4()}"
        self._created = int(time.time())
        self._model = model
        self._role: str | None = "assistant"

    def say(self, chunk: ChatChunk) -> list[Any]:
        """What LiteLLM is handed for one chunk: full deltas, and at the end one of its generic chunks, for only such a
        one carries finish reason and usage through its wrapper unharmed."""
        said: list[Any] = []
        if chunk.is_content:
            said.append(self._delta(chunk))
        if chunk.finish_reason is not None:
            cost = chunk.summary.cost if chunk.summary else None
            said.append(
                types.GenericStreamingChunk(
                    text="",
                    tool_use=None,
                    is_finished=True,
                    finish_reason=chunk.finish_reason,
                    usage=usage_of(chunk.usage or Usage(), cost),
                    index=0,
                    provider_specific_fields=self._trail(chunk),
                )
            )
        return said

    def _trail(self, chunk: ChatChunk) -> dict[str, Any] | None:
        receipt = chunk.summary
        if receipt is None:
            return None
        trail = hidden(receipt.target, receipt.attempts, receipt.cost)["hotspare"]
        return {"hotspare": {**trail, "targets": list(receipt.targets), "seams": list(receipt.splice_points)}}

    def _delta(self, chunk: ChatChunk) -> Any:
        delta: dict[str, Any] = {"role": self._role, "content": chunk.text or None}
        self._role = None
        if chunk.tool_calls:
            delta["tool_calls"] = [_piece(piece) for piece in chunk.tool_calls]
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.thinking:
            delta["thinking_blocks"] = [dict(block) for block in chunk.thinking]
        if chunk.refusal:
            delta["provider_specific_fields"] = {"refusal": chunk.refusal}
        return types.ModelResponseStream(
            id=self._id,
            created=self._created,
            model=chunk.model or self._model,
            choices=[types.StreamingChoices(index=0, delta=types.Delta(**delta), finish_reason=None)],
        )


def _piece(piece: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": piece.arguments}
    if piece.name is not None:
        function["name"] = piece.name
    return {
        "index": piece.index,
        "id": piece.id,
        "type": "function" if piece.id else None,
        "function": function,
        **_signed(piece.signature),
    }


def _signed(signature: str | None) -> dict[str, Any]:
    return {"provider_specific_fields": {"thought_signature": signature}} if signature else {}
