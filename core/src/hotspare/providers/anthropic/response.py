"""Anthropic's responses -> ChatReply and ChatChunk.

Proof of completion: a stop reason and, in a stream, `message_stop`.
"""

from hotspare.errors import EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import (
    ChatChunk,
    ChatReply,
    FinishReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from hotspare.providers.content import json_text
from hotspare.providers.json_access import (
    Json,
    as_count,
    as_map,
    as_text,
    dump,
    load_map,
    must_list,
    must_map,
)

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",  # a turn of a server tool was paused: what came is complete, the next call continues it
    "compaction": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_EMPTY_IS_VALID = frozenset(
    {
        "stop_sequence",
        "max_tokens",
        "model_context_window_exceeded",
        "pause_turn",
        "compaction",
    }
)


def in_band_error(body: Json) -> InBandError:
    """The error inside a 200, with the provider's own message."""
    error = as_map(body.get("error"))
    message = as_text(error.get("message")) or as_text(error.get("type")) or "an error inside a 200"
    return InBandError(message, body=dump(body))


def refusal_error(body: Json) -> InBandError:
    """A refusal without content. `body` holds the stop reason, which `classify` reads as CONTENT_FILTER."""
    explanation = as_text(as_map(body.get("stop_details")).get("explanation"))
    return InBandError(explanation or "the model refused (stop_reason: refusal)", body=dump(body))


def finish_of(stop_reason: object, *, has_content: bool, body: Json) -> FinishReason:
    """The finish reason. Raises IncompleteAnswer, EmptyAnswer, or InBandError for a refusal without content."""
    reason = as_text(stop_reason)
    if not reason:
        raise IncompleteAnswer("the answer has no stop_reason", body=dump(body))
    if not has_content and reason == "refusal":
        raise refusal_error(body)
    if not has_content and reason not in _EMPTY_IS_VALID:
        raise EmptyAnswer(f"the answer is empty (stop_reason: {reason})", proven=reason == "end_turn", body=dump(body))
    return FINISH_REASONS.get(reason, "stop")


def usage_of(usage: Json) -> Usage:
    """Token counts. Anthropic counts cached tokens outside `input_tokens`; hotspare includes them."""
    cached = as_count(usage.get("cache_read_input_tokens"))
    written = as_count(usage.get("cache_creation_input_tokens"))
    return Usage(
        input_tokens=as_count(usage.get("input_tokens")) + cached + written,
        output_tokens=as_count(usage.get("output_tokens")),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=as_count(as_map(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


def read_message(body: Json) -> ChatReply:
    """A whole answer."""
    if body.get("type") == "error" or "error" in body:
        raise in_band_error(body)
    blocks = [must_map(block, "content[]") for block in must_list(body.get("content"), "content")]
    calls = tuple(_tool_call_of(block) for block in blocks if block.get("type") == "tool_use")
    text = "".join(_required_text(block, "text") for block in blocks if block.get("type") == "text")
    return ChatReply(
        text=text,
        tool_calls=calls,
        reasoning="".join(_required_text(block, "thinking") for block in blocks if block.get("type") == "thinking"),
        thinking=tuple(
            signed_block(block) for block in blocks if block.get("type") in ("thinking", "redacted_thinking")
        ),
        finish_reason=finish_of(body.get("stop_reason"), has_content=bool(text or calls), body=body),
        usage=usage_of(as_map(body.get("usage"))),
        model=as_text(body.get("model")),
        id=as_text(body.get("id")),
        raw=body,
    )


def signed_block(block: Json) -> Json:
    """A thinking block for a history, with the dialect that signed it."""
    return {**block, "dialect": "anthropic"}


def _required_text(block: Json, field: str) -> str:
    if not isinstance(block.get(field), str):
        raise MalformedAnswer(f"a {block.get('type')} block without its {field}", body=dump(block))
    return as_text(block[field])


def _tool_call_of(block: Json) -> ToolCall:
    name, call_id = as_text(block.get("name")), as_text(block.get("id"))
    if not name or not call_id:
        raise MalformedAnswer("a tool_use block without name or id", body=dump(block))
    return ToolCall(call_id, name, json_text(must_map(block.get("input", {}), "tool_use.input")))


class AnthropicReader:
    """Reads one streamed message. Blocks of server tools and of unknown types are skipped."""

    def __init__(self) -> None:
        self._message: Json = {}
        self._usage: Json = {}
        self._stop: Json = {}
        self._block: Json = {}
        self._calls = 0
        self._arguments = ""
        self._seen = self._content = self._stopped = False
        self._malformed: MalformedAnswer | None = None

    def event(self, name: str, data: str) -> ChatChunk | None:
        """What is new in this event.

        A malformed event is skipped; `finish` raises it if the stream does not prove complete.
        """
        if name == "ping" or not data.strip() or data.strip() == "[DONE]":
            return None
        event = load_map(data)
        if event is None:
            self._malformed = MalformedAnswer("an event is not a JSON object", body=data.encode("utf-8", "replace"))
            return None
        self._seen = True
        kind = as_text(event.get("type")) or name
        if kind == "error" or "error" in event:
            raise in_band_error(event)
        chunk = self._dispatch(kind, event)
        if chunk is not None and not chunk.is_content:
            return None
        self._content |= chunk is not None and bool(chunk.text or chunk.tool_calls)
        return chunk

    def _dispatch(self, kind: str, event: Json) -> ChatChunk | None:
        match kind:
            case "message_start":
                self._message = as_map(event.get("message"))
                self._usage = as_map(self._message.get("usage"))
            case "content_block_start":
                return self._block_start(as_map(event.get("content_block")))
            case "content_block_delta":
                return self._block_delta(as_map(event.get("delta")))
            case "content_block_stop":
                return self._block_stop()
            case "message_delta":
                self._stop |= as_map(event.get("delta"))
                self._usage |= {k: v for k, v in as_map(event.get("usage")).items() if v is not None}
            case "message_stop":
                self._stopped = True
            case _:
                pass
        return None

    def _block_start(self, block: Json) -> ChatChunk | None:
        self._block, self._arguments = block, ""
        kind = block.get("type")
        if kind == "tool_use":
            self._calls += 1
            name, call_id = as_text(block.get("name")), as_text(block.get("id"))
            if not name or not call_id:
                raise MalformedAnswer("a tool_use block without name or id", body=dump(block))
            return ChatChunk(tool_calls=(ToolCallDelta(self._calls - 1, call_id, name),))
        if kind == "thinking":
            return ChatChunk(reasoning=as_text(block.get("thinking")))
        return ChatChunk(text=as_text(block.get("text"))) if kind == "text" else None

    def _block_delta(self, delta: Json) -> ChatChunk | None:
        kind, block = delta.get("type"), self._block.get("type")
        if kind == "text_delta" and block in ("text", None):
            return ChatChunk(text=as_text(delta.get("text")))
        if kind == "thinking_delta" and block == "thinking":
            thinking = as_text(delta.get("thinking"))
            self._block["thinking"] = as_text(self._block.get("thinking")) + thinking
            return ChatChunk(reasoning=thinking)
        if kind == "signature_delta" and block == "thinking":
            self._block["signature"] = as_text(self._block.get("signature")) + as_text(delta.get("signature"))
        if kind == "input_json_delta" and block == "tool_use":
            piece = as_text(delta.get("partial_json"))
            self._arguments += piece
            return ChatChunk(tool_calls=(ToolCallDelta(self._calls - 1, arguments=piece),)) if piece else None
        return None

    def _block_stop(self) -> ChatChunk | None:
        block, self._block = self._block, {}
        if block.get("type") in ("thinking", "redacted_thinking"):
            return ChatChunk(thinking=(signed_block(block),))
        if block.get("type") != "tool_use":
            return None
        if not self._arguments:  # not streamed: they were in the start of the block, or there are none
            arguments = json_text(as_map(block.get("input")))
            return ChatChunk(tool_calls=(ToolCallDelta(self._calls - 1, arguments=arguments),))
        if self._malformed is not None and load_map(self._arguments) is None:
            raise self._malformed
        return None

    def finish(self) -> ChatChunk:
        """The last chunk. Raises EmptyAnswer, IncompleteAnswer, MalformedAnswer, or InBandError for a refusal."""
        if not self._stopped or not self._stop.get("stop_reason"):
            if self._malformed is not None:
                raise self._malformed
            if not self._seen:
                raise EmptyAnswer("the stream ended before the first event")
            raise IncompleteAnswer("the stream ended without message_stop and a stop_reason")
        body: Json = {"type": "message", **self._stop}
        return ChatChunk(
            finish_reason=finish_of(self._stop.get("stop_reason"), has_content=self._content, body=body),
            usage=usage_of(self._usage),
            model=as_text(self._message.get("model")),
            id=as_text(self._message.get("id")),
        )
