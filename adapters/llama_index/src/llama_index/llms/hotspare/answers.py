"""What a pool answers -> LlamaIndex's responses: cumulative content, deltas, blocks, usage and the trail.

`raw` is a dict with `usage` in OpenAI's words, where LlamaIndex's `TokenCountingHandler` looks; `additional_kwargs` holds
the three token counts. The trail of the call stands in both, under `hotspare`: agents hand on only `raw`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic_core import from_json

from hotspare.messages import ChatChunk, ChatReply, StreamSummary, ToolCall, ToolCallDelta, Usage
from hotspare.outcome import AttemptRecord

Json = dict[str, Any]

TRAIL = "hotspare"
"""The key of the trail in a response's `additional_kwargs` and `raw`."""


def response_of(reply: ChatReply, *, single: bool = False) -> ChatResponse:
    """A whole answer as LlamaIndex's. `single` keeps only the first of parallel tool calls."""
    calls = reply.tool_calls[:1] if single else reply.tool_calls
    trail = trail_of(reply.target, reply.attempts, reply.cost)
    return ChatResponse(
        message=message_of(reply.text or reply.refusal or "", calls, reply.reasoning, reply.thinking),
        raw={**_raw(reply.usage, reply.finish_reason, reply.model, reply.id, reply.raw), TRAIL: trail},
        logprobs=getattr(reply.native, "logprobs", None),
        additional_kwargs={**_counts(reply.usage), TRAIL: trail},
    )


def completion_of(response: ChatResponse) -> CompletionResponse:
    """A chat's response as a completion's."""
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        logprobs=response.logprobs,
        additional_kwargs=response.additional_kwargs,  # pyright: ignore[reportUnknownMemberType]
    )


def message_of(
    text: str, calls: Sequence[ToolCall], reasoning: str = "", thinking: Sequence[Mapping[str, Any]] = ()
) -> ChatMessage:
    """The assistant's message: thinking, text and tool calls as blocks; calls in OpenAI's words beside them.

    There is exactly one TextBlock for all text, and none that is empty beside others: LlamaIndex joins them with newlines.
    """
    blocks: list[ContentBlock] = _thoughts(reasoning, thinking)
    blocks += [TextBlock(text=text)] if text or not (calls or blocks) else []
    blocks += [
        ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=arguments_of(call.arguments))
        for call in calls
    ]
    # Core's structured streaming reads the calls here; memory buffers and chat engines look here too.
    extra = {"tool_calls": [call.as_dict() for call in calls]} if calls else {}
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=extra)


def _thoughts(reasoning: str, thinking: Sequence[Mapping[str, Any]]) -> list[ContentBlock]:
    signed = [ThinkingBlock(content=b.get("thinking"), additional_information=dict(b)) for b in thinking]
    return [*signed] if signed else [ThinkingBlock(content=reasoning)] if reasoning else []


def arguments_of(written: str) -> Json:
    """A call's arguments as far as they are written: a cut JSON gives what stands in it, anything else nothing."""
    try:
        value = from_json(written or "{}", allow_partial="trailing-strings")
    except ValueError:
        return {}
    return cast("Json", value) if isinstance(value, dict) else {}


def trail_of(
    target: str,
    attempts: Sequence[AttemptRecord],
    cost: float | None,
    targets: Sequence[str] = (),
    seams: Sequence[int] = (),
) -> Json:
    """Who answered and what was tried, as plain data: safe to log, to store and to show."""
    tried = [
        {
            "target": a.target,
            "why": a.reason,
            "kind": str(a.kind),
            "seconds": a.seconds,
            "status": a.status,
            "message": a.message,
        }
        for a in attempts
    ]
    failovers = sum(one.target != two.target for one, two in pairwise(attempts))
    trail = {"target": target, "attempts": tried, "failovers": failovers, "cost": cost}
    return {**trail, "targets": list(targets), "seams": list(seams)} if targets else trail


def _counts(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }


def _raw(
    usage: Usage, finish_reason: str, model: str, answer_id: str, provider: Mapping[str, Any] | None = None
) -> Json:
    """The provider's own JSON where there is one, with usage in the words that LlamaIndex's counters read."""
    told = (provider or {}).get("usage")
    detail: Json = dict(cast("Json", told)) if isinstance(told, Mapping) else {}
    known = {"id": answer_id, "model": model, "finish_reason": finish_reason}
    return {**known, **(provider or {}), "usage": {**detail, **_counts(usage)}}


class Collector:
    """A stream's chunks, put together as they come: every response holds all text so far and what is new."""

    def __init__(self, *, single: bool = False) -> None:
        self._single = single
        self._text = self._reasoning = ""
        self._thinking: list[Mapping[str, Any]] = []
        self._calls: dict[int, ToolCall] = {}

    def take(self, chunk: ChatChunk) -> ChatResponse:
        """The response that shows this chunk; the last one carries usage and the trail."""
        delta = chunk.text + chunk.refusal
        self._text += delta
        self._reasoning += chunk.reasoning
        self._thinking += chunk.thinking
        self._add(chunk.tool_calls)
        kwargs: Json = {"thinking_delta": chunk.reasoning} if chunk.reasoning else {}
        raw: Json | None = None
        if chunk.finish_reason is not None:
            usage = chunk.usage or Usage()
            kwargs |= _counts(usage)
            raw = _raw(usage, chunk.finish_reason, chunk.model, chunk.id)
            if chunk.summary is not None:
                kwargs[TRAIL] = raw[TRAIL] = _trail(chunk.summary)
        message = message_of(self._text, tuple(self._calls.values()), self._reasoning, self._thinking)
        return ChatResponse(message=message, delta=delta, raw=raw, additional_kwargs=kwargs)

    def _add(self, deltas: Iterable[ToolCallDelta]) -> None:
        for delta in deltas:
            if self._single and self._calls and delta.index not in self._calls:
                continue
            known = self._calls.get(delta.index, ToolCall("", "", ""))
            self._calls[delta.index] = ToolCall(
                delta.id or known.id,
                delta.name or known.name,
                known.arguments + delta.arguments,
                delta.signature or known.signature,
            )


def _trail(receipt: StreamSummary) -> Json:
    return trail_of(receipt.target, receipt.attempts, receipt.cost, receipt.targets, receipt.splice_points)
