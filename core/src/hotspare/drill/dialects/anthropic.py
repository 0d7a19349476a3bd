# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Anthropic's Messages API."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hotspare.drill.answers import opaque_id
from hotspare.drill.dialects.anthropic_validation import invalid, signature, validate
from hotspare.drill.dialects.base import (
    KEY_PREFIX,
    MODELS,
    UNKNOWN_MODEL_PREFIX,
    Dialect,
    Headers,
    RateLimit,
    Rejection,
    StreamEvent,
    data_size,
    dumps,
    retry_after_headers,
)
from hotspare.drill.messages import Answer, Json, Request, Tool, ToolCall, Turn

_FINISH: Final = {
    "stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tool_calls": "tool_use",
    "refusal": "refusal", "null": "null", "malformed": "malformed_function_call",
}  # fmt: skip
_ERRORS: Final[dict[int, tuple[str, str]]] = {
    400: ("invalid_request_error", "The request was invalid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing or payment information."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: gone"),
    408: ("timeout_error", "Request timed out"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    422: ("invalid_request_error", "Unprocessable entity"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit of 50 requests per minute."),
    500: ("api_error", "Internal server error"),
    502: ("api_error", "Bad gateway"),
    503: ("api_error", "Service unavailable"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}
_PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'


class AnthropicDialect(Dialect):
    """`POST /v1/messages`."""

    name = "anthropic"
    malformed = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_de\n\n'
    )
    keepalive = _PING

    def read(self, path: str, headers: Headers, body: Any) -> Request:
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key.startswith(KEY_PREFIX):
            raise Rejection(401, self.error(401, None if key else "x-api-key header is required"))
        if "anthropic-version" not in headers:
            raise invalid("anthropic-version: header is required")
        if not isinstance(body, dict):
            raise invalid("The request body is not valid JSON")
        validate(body)
        if body["model"].startswith(UNKNOWN_MODEL_PREFIX):
            raise Rejection(404, self.error(404, f"model: {body['model']}"))
        return _request(body)

    def body(self, request: Request, answer: Answer) -> Json:
        content: list[Json] = []
        if answer.reasoning:
            thinking = "".join(answer.reasoning)
            content.append({"type": "thinking", "thinking": thinking, "signature": signature(thinking)})
        if answer.text:
            content.append({"type": "text", "text": "".join(answer.text)})
        content += [_tool_use(call, call.arguments) for call in answer.tool_calls]
        return {**_message(request, answer, content), **_ending(answer), "usage": _usage(answer, answer.output_tokens)}

    def events(self, request: Request, answer: Answer, *, usage: bool = True) -> list[StreamEvent]:
        blocks: list[list[StreamEvent]] = []
        if answer.reasoning:
            signed = {"type": "signature_delta", "signature": signature("".join(answer.reasoning))}
            deltas = [{"type": "thinking_delta", "thinking": token} for token in answer.reasoning]
            blocks.append(_block(0, {"type": "thinking", "thinking": "", "signature": ""}, deltas, [signed]))
        if answer.text:
            deltas = [{"type": "text_delta", "text": token} for token in answer.text]
            blocks.append(_block(len(blocks), {"type": "text", "text": ""}, deltas))
        for call in answer.tool_calls:
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in call.pieces]
            blocks.append(_block(len(blocks), _tool_use(call, {}), deltas))
        out = [_start(request, answer), *(event for block in blocks for event in block)]
        # a ping after the start of the first block, as in every recorded stream
        out.insert(min(2, len(out)), StreamEvent(_PING))
        stated = {"usage": _usage(answer, answer.output_tokens)} if usage else {}
        ending = _event("message_delta", {"delta": _ending(answer), **stated})._replace(finish=True)
        return [*out, ending, _event("message_stop", {})]

    def empty_choices(self, request: Request, answer: Answer) -> Json:
        ending = {"stop_reason": None, "stop_sequence": None}
        return {**_message(request, answer, []), **ending, "usage": _usage(answer, 0)}

    def empty_choices_events(self, request: Request, answer: Answer) -> list[bytes]:
        return [event.data for event in self.events(request, answer) if b"content_block" not in event.data]

    def error(self, status: int, message: str | None = None) -> Json:
        kind, text = _ERRORS.get(status, _ERRORS[500])
        return {"type": "error", "error": {"type": kind, "message": message or text}, "request_id": "req_drill"}

    def error_event(self, request: Request, status: int, message: str | None, *, first: bool) -> bytes:
        return b"event: error\ndata: " + dumps(self.error(status, message)) + b"\n\n"

    def context_length_exceeded(self, request: Request, window: int) -> Rejection:
        return invalid(f"prompt is too long: {max(request.prompt_tokens, window + 1)} tokens > {window} maximum")

    def prefill_refused(self, request: Request) -> Rejection:
        return invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )

    def streaming_refused(self) -> Rejection:
        return invalid("Your organization must be verified to stream this model.")

    def rate_limited(self, form: str, seconds: float) -> Rejection:
        headers = retry_after_headers(form, seconds)
        message: str | None = None
        if form == "reset-headers":
            headers.update(self.rate_limit_headers(RateLimit(50, 0, seconds)))
        elif form in ("phrase", "body"):
            message = f"{_ERRORS[429][1]} Please try again in {seconds:g} seconds."
        return Rejection(429, self.error(429, message), headers)

    def quota(self, limit: str) -> Rejection:
        if limit == "day":
            message = (
                "You have reached your specified API usage limits. You will regain access on 2099-01-01 at 00:00 UTC."
            )
            body = self.error(429, message)
            body["error"]["details"] = {"error_code": "enforced_spend_limit_reached"}
            return Rejection(429, body)
        return invalid(
            "Your credit balance is too low to access the Anthropic API. "
            "Please go to Plans & Billing to upgrade or purchase credits."
        )

    def rate_limit_headers(self, limit: RateLimit) -> dict[str, str]:
        reset = (datetime.now(UTC) + timedelta(seconds=limit.reset)).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers: dict[str, str] = {}
        for unit, factor in (("requests", 1), ("tokens", 1000), ("input-tokens", 800), ("output-tokens", 200)):
            headers[f"anthropic-ratelimit-{unit}-limit"] = str(limit.limit * factor)
            headers[f"anthropic-ratelimit-{unit}-remaining"] = str(limit.remaining * factor)
            headers[f"anthropic-ratelimit-{unit}-reset"] = reset
        return headers

    def models(self) -> Json:
        common = {"type": "model", "display_name": "drill", "created_at": "2026-01-01T00:00:00Z"}
        return {"data": [{"id": model, **common} for model in MODELS], "has_more": False}


def _tool_use(call: ToolCall, arguments: Json) -> Json:
    return {"type": "tool_use", "id": "toolu_" + opaque_id(call.seed), "name": call.name, "input": arguments}


def _message(request: Request, answer: Answer, content: list[Json]) -> Json:
    head = {"id": "msg_" + answer.seed, "type": "message", "role": "assistant"}
    return {**head, "model": request.model, "content": content}


def _start(request: Request, answer: Answer) -> StreamEvent:
    ending = {"stop_reason": None, "stop_sequence": None, "usage": _usage(answer, 1)}
    return _event("message_start", {"message": {**_message(request, answer, []), **ending}})


def _ending(answer: Answer) -> Json:
    return {"stop_reason": _FINISH[answer.finish_reason], "stop_sequence": answer.stop_sequence}


def _usage(answer: Answer, output_tokens: int) -> Json:
    return {
        "input_tokens": answer.prompt_tokens - answer.cached_tokens - answer.cache_write_tokens,
        "cache_creation_input_tokens": answer.cache_write_tokens,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _event(name: str, data: Json, *, token: bool = False) -> StreamEvent:
    return StreamEvent(b"event: " + name.encode() + b"\ndata: " + dumps({"type": name, **data}) + b"\n\n", token)


def _block(index: int, block: Json, deltas: list[Json], last: list[Json] | None = None) -> list[StreamEvent]:
    return [
        _event("content_block_start", {"index": index, "content_block": block}),
        *(_event("content_block_delta", {"index": index, "delta": delta}, token=True) for delta in deltas),
        *(_event("content_block_delta", {"index": index, "delta": delta}) for delta in last or ()),
        _event("content_block_stop", {"index": index}),
    ]


def _request(body: Json) -> Request:
    choice: Json = body.get("tool_choice") or {}
    config: Json = body.get("output_config") or {}
    form: Json | None = config.get("format") or body.get("output_format")
    return Request(
        model=body["model"],
        turns=[_turn(message) for message in body["messages"]],
        system=_text(body.get("system") or ""),
        stream=bool(body.get("stream")),
        tools=[Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ()],
        tool_choice=str(choice.get("name") if choice.get("type") == "tool" else choice.get("type", "auto")),
        parallel_tool_calls=not choice.get("disable_parallel_tool_use"),
        json_mode=form is not None,
        json_schema=form["schema"] if form else None,
        max_tokens=body["max_tokens"],
        stop=tuple(body.get("stop_sequences") or ()),
        reasoning=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if part.get("type") == "text")


def _turn(message: Json) -> Turn:
    content = message["content"]
    parts: list[Json] = [] if isinstance(content, str) else content
    return Turn(
        message["role"],
        _text(content),
        [_image_size(part["source"]) for part in parts if part["type"] == "image"],
        [_result(part) for part in parts if part["type"] == "tool_result"],
        tools_called=tuple(part["name"] for part in parts if part["type"] == "tool_use"),
    )


def _image_size(source: Json) -> int:
    return data_size(source["data"]) if source.get("type") == "base64" else 0


def _result(part: Json) -> str:
    content = part.get("content", "")
    return content if isinstance(content, str) else _text(content) or json.dumps(content)
