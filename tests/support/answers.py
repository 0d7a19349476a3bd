"""Whole answers and streams of the wire formats, as raw bytes for `raw_server`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.support.raw_server import RawRequest, Step, event, response, sse

DEAD = response(503, {"error": {"message": "overloaded", "type": "server_error"}})
TOO_LONG = response(
    400,
    {
        "error": {
            "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
        }
    },
)


def openai(
    request: RawRequest,
    content: str | None = "fine",
    *,
    finish: str | None = "stop",
    calls: Sequence[Any] = (),
    **message: Any,
) -> bytes | list[Step]:
    """An answer of OpenAI's wire format, streamed if the request asks for it."""
    said: dict[str, Any] = {
        "role": "assistant",
        "content": content,
        **({"tool_calls": list(calls)} if calls else {}),
        **message,
    }
    base = {"id": "x", "created": 1, "model": "gpt-4.1"}
    if not request.streaming:
        choices = [{"index": 0, "message": said, "finish_reason": finish}]
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return response(200, {**base, "object": "chat.completion", "choices": choices, "usage": usage})
    if calls:
        said["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    pieces = [{"index": 0, "delta": said, "finish_reason": None}, {"index": 0, "delta": {}, "finish_reason": finish}]
    events = [event({**base, "object": "chat.completion.chunk", "choices": [piece]}) for piece in pieces]
    return sse(*events, event("[DONE]"))


def anthropic(
    request: RawRequest, content: Sequence[Any] = ({"type": "text", "text": "fine"},), *, stop: str | None = "end_turn"
) -> bytes | list[Step]:
    """An answer of Anthropic's wire format, streamed if the request asks for it. Of streams, blocks of text only."""
    usage = {"input_tokens": 5, "output_tokens": 2}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "usage": usage}
    if not request.streaming:
        return response(200, {**message, "content": list(content), "stop_reason": stop, "stop_sequence": None})
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    events = [event({"type": "message_start", "message": start}, "message_start")]
    for index, block in enumerate(content):
        begin = {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        delta = {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": block["text"]}}
        end = {"type": "content_block_stop", "index": index}
        events += [event(one, one["type"]) for one in (begin, delta, end)]
    last = {
        "type": "message_delta",
        "delta": {"stop_reason": stop, "stop_sequence": None},
        "usage": {"output_tokens": 2},
    }
    events += [event(last, "message_delta"), event({"type": "message_stop"}, "message_stop")]
    return sse(*events)


def gemini(
    request: RawRequest, parts: Sequence[Any] = ({"text": "fine"},), *, finish: str = "STOP"
) -> bytes | list[Step]:
    """An answer of Gemini's wire format, streamed if the request asks for it."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    body = {"candidates": [candidate], "usageMetadata": usage}
    return sse(event(body)) if request.streaming else response(200, body)
