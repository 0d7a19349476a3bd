"""Chunks of a stream -> the whole answer, and back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hotspare.messages import ChatChunk, ChatReply, ToolCall, ToolCallDelta, Usage


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    signature: str | None = None
    arguments: list[str] = field(default_factory=list[str])

    def add(self, delta: ToolCallDelta) -> None:
        self.id = delta.id or self.id
        self.name = delta.name or self.name
        self.signature = delta.signature or self.signature
        self.arguments.append(delta.arguments)


def reply_of(chunks: Iterable[ChatChunk]) -> ChatReply:
    """The whole answer of a stream. `chunks` includes the last one, which has the finish reason and the usage."""
    text, reasoning, refusal = list[str](), list[str](), list[str]()
    calls: dict[int, _Call] = {}
    thinking: list[Any] = []
    media: list[Any] = []
    last = ChatChunk()
    for chunk in chunks:
        text.append(chunk.text)
        reasoning.append(chunk.reasoning)
        refusal.append(chunk.refusal)
        thinking += chunk.thinking
        media += chunk.media
        for delta in chunk.tool_calls:
            calls.setdefault(delta.index, _Call()).add(delta)
        last = chunk
    return ChatReply(
        text="".join(text),
        tool_calls=tuple(ToolCall(c.id, c.name, "".join(c.arguments), c.signature) for c in calls.values()),
        reasoning="".join(reasoning),
        thinking=tuple(thinking),
        media=tuple(media),
        refusal="".join(refusal) or None,
        finish_reason=last.finish_reason or "stop",
        usage=last.usage or Usage(),
        model=last.model,
        id=last.id,
    )


def chunks_of(reply: ChatReply) -> tuple[ChatChunk, ChatChunk]:
    """A whole answer as a stream of two chunks: the content, and the end with finish reason and usage."""
    deltas = (
        ToolCallDelta(index, call.id, call.name, call.arguments, call.signature)
        for index, call in enumerate(reply.tool_calls)
    )
    content = ChatChunk(
        text=reply.text,
        tool_calls=tuple(deltas),
        reasoning=reply.reasoning,
        thinking=reply.thinking,
        media=reply.media,
        refusal=reply.refusal or "",
    )
    end = ChatChunk(finish_reason=reply.finish_reason, usage=reply.usage, model=reply.model, id=reply.id)
    return content, end
