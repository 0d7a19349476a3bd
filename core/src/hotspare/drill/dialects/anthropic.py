# Reads any JSON that comes: what is narrowed from Any stays partly unknown to pyright, which is the point here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Anthropic's Messages API."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hotspare.drill.answers import opaque
from hotspare.drill.conversation import count_prompt
from hotspare.drill.dialects.anthropic_validation import check, invalid, signature
from hotspare.drill.dialects.base import (
    Ask,
    Call,
    Frame,
    Headers,
    Json,
    Rate,
    Reject,
    Said,
    Tool,
    Turn,
    data_size,
    dumps,
    retry_headers,
)

_FINISH: Final = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tools": "tool_use",
    "refused": "refusal",
}
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


class AnthropicWire:
    """`POST /v1/messages`."""

    name = "anthropic"
    malformed = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_de\n\n'
    )
    keepalive = _PING

    def read(self, path: str, headers: Headers, body: Any) -> Ask:
        """See `Wire.read`."""
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            raise Reject(401, self.error(401, "x-api-key header is required"))
        if not key.startswith("test-"):
            raise Reject(401, self.error(401))
        if "anthropic-version" not in headers:
            raise invalid("anthropic-version: header is required")
        if not isinstance(body, dict):
            raise invalid("The request body is not valid JSON")
        check(body)
        if body["model"].startswith("gone"):
            raise Reject(404, self.error(404, f"model: {body['model']}"))
        return _ask(body)

    def whole(self, ask: Ask, said: Said) -> Json:
        """See `Wire.whole`."""
        content: list[Json] = []
        if said.thinking:
            thinking = "".join(said.thinking)
            content.append({"type": "thinking", "thinking": thinking, "signature": signature(thinking)})
        if said.text:
            content.append({"type": "text", "text": "".join(said.text)})
        content += [{"type": "tool_use", "id": _tool_id(c), "name": c.name, "input": c.arguments} for c in said.calls]
        return {**_message(ask, said, content), **_ending(said), "usage": _usage(said, said.output_tokens)}

    def frames(self, ask: Ask, said: Said, *, usage: bool = True) -> list[Frame]:
        """See `Wire.frames`."""
        start = {**_message(ask, said, []), "stop_reason": None, "stop_sequence": None, "usage": _usage(said, 1)}
        out = [_event("message_start", {"message": start})]
        index = 0
        if said.thinking:
            sign = {"type": "signature_delta", "signature": signature("".join(said.thinking))}
            deltas = [{"type": "thinking_delta", "thinking": t} for t in said.thinking]
            out += _block(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas, [sign])
            index += 1
        if said.text:
            out += _block(index, {"type": "text", "text": ""}, [{"type": "text_delta", "text": t} for t in said.text])
            index += 1
        for call in said.calls:
            block = {"type": "tool_use", "id": _tool_id(call), "name": call.name, "input": {}}
            out += _block(index, block, [{"type": "input_json_delta", "partial_json": p} for p in call.pieces])
            index += 1
        # a ping after the first block's start, where the real one stands in every recorded stream
        out.insert(min(2, len(out)), Frame(_PING))
        told = {"usage": _usage(said, said.output_tokens)} if usage else {}
        return [*out, _event("message_delta", {"delta": _ending(said), **told}), _event("message_stop", {})]

    def hollow(self, ask: Ask, said: Said) -> Json:
        """See `Wire.hollow`."""
        return {**_message(ask, said, []), "stop_reason": None, "stop_sequence": None, "usage": _usage(said, 0)}

    def error(self, status: int, message: str | None = None) -> Json:
        """See `Wire.error`."""
        kind, words = _ERRORS.get(status, _ERRORS[500])
        return {"type": "error", "error": {"type": kind, "message": message or words}, "request_id": "req_drill"}

    def error_event(self, status: int, message: str | None = None) -> bytes:
        """See `Wire.error_event`."""
        return b"event: error\ndata: " + dumps(self.error(status, message)) + b"\n\n"

    def too_long(self, ask: Ask, window: int) -> Reject:
        """See `Wire.too_long`."""
        return invalid(f"prompt is too long: {max(ask.prompt_tokens, window + 1)} tokens > {window} maximum")

    def refuse_prefill(self, ask: Ask) -> Reject:
        """See `Wire.refuse_prefill`."""
        return invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )

    def throttled(self, form: str, seconds: float) -> Reject:
        """See `Wire.throttled`."""
        headers = retry_headers(form, seconds)
        words: str | None = None
        if form == "reset-headers":
            headers.update(_rate_headers(Rate(50, 0, seconds)))
        elif form in ("phrase", "body"):
            words = f"{_ERRORS[429][1]} Please try again in {seconds:g} seconds."
        return Reject(429, self.error(429, words), headers)

    def quota(self, form: str) -> Reject:
        """See `Wire.quota`."""
        if form == "day":
            body = self.error(
                429,
                "You have reached your specified API usage limits. You will regain access on 2099-01-01 at 00:00 UTC.",
            )
            body["error"]["details"] = {"error_code": "enforced_spend_limit_reached"}
            return Reject(429, body)
        words = (
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
            "upgrade or purchase credits."
        )
        return invalid(words)

    def rate_headers(self, rate: Rate) -> Headers:
        """See `Wire.rate_headers`."""
        return _rate_headers(rate)


def _rate_headers(rate: Rate) -> Headers:
    reset = (datetime.now(UTC) + timedelta(seconds=rate.reset)).strftime("%Y-%m-%dT%H:%M:%SZ")
    told: dict[str, str] = {}
    for what, factor in (("requests", 1), ("tokens", 1000), ("input-tokens", 800), ("output-tokens", 200)):
        told[f"anthropic-ratelimit-{what}-limit"] = str(rate.limit * factor)
        told[f"anthropic-ratelimit-{what}-remaining"] = str(rate.remaining * factor)
        told[f"anthropic-ratelimit-{what}-reset"] = reset
    return told


def _tool_id(call: Call) -> str:
    return "toolu_" + opaque(call.seed)


def _message(ask: Ask, said: Said, content: list[Json]) -> Json:
    return {"id": "msg_" + said.seed, "type": "message", "role": "assistant", "model": ask.model, "content": content}


def _ending(said: Said) -> Json:
    return {"stop_reason": _FINISH[said.finish], "stop_sequence": said.stop_sequence}


def _usage(said: Said, output: int) -> Json:
    return {
        "input_tokens": said.prompt_tokens - said.cached_tokens - said.written_tokens,
        "cache_creation_input_tokens": said.written_tokens,
        "cache_read_input_tokens": said.cached_tokens,
        "output_tokens": output,
        "service_tier": "standard",
    }


def _event(name: str, data: Json, *, token: bool = False) -> Frame:
    return Frame(b"event: " + name.encode() + b"\ndata: " + dumps({"type": name, **data}) + b"\n\n", token)


def _block(index: int, block: Json, deltas: list[Json], last: list[Json] | None = None) -> list[Frame]:
    return [
        _event("content_block_start", {"index": index, "content_block": block}),
        *(_event("content_block_delta", {"index": index, "delta": d}, token=True) for d in deltas),
        *(_event("content_block_delta", {"index": index, "delta": d}) for d in last or ()),
        _event("content_block_stop", {"index": index}),
    ]


def _ask(body: Json) -> Ask:
    turns = [_turn(m) for m in body["messages"]]
    system = _text(body.get("system") or "")
    choice: Json = body.get("tool_choice") or {}
    config: Json = body.get("output_config") or {}
    form: Json | None = config.get("format") or body.get("output_format")
    texts = [*([system] if system else []), *(t.text or " ".join(t.results) for t in turns)]
    return Ask(
        model=body["model"],
        turns=turns,
        system=system,
        stream=bool(body.get("stream")),
        tools=[Tool(t["name"], t.get("input_schema") or {}) for t in body.get("tools") or ()],
        choice=str(choice.get("name") if choice.get("type") == "tool" else choice.get("type", "auto")),
        parallel=not choice.get("disable_parallel_tool_use"),
        json=form is not None,
        schema=form["schema"] if form else None,
        max_tokens=body["max_tokens"],
        stop=tuple(body.get("stop_sequences") or ()),
        reasoning=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
        prompt_tokens=count_prompt(texts, sum(len(t.images) for t in turns)),
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(p.get("text", "") for p in content if p.get("type") == "text")


def _turn(message: Json) -> Turn:
    content = message["content"]
    parts: list[Json] = [] if isinstance(content, str) else content
    return Turn(
        message["role"],
        _text(content),
        [_image(p["source"]) for p in parts if p["type"] == "image"],
        [_result(p) for p in parts if p["type"] == "tool_result"],
        called=tuple(p["name"] for p in parts if p["type"] == "tool_use"),
    )


def _image(source: Json) -> int:
    return data_size(source["data"]) if source.get("type") == "base64" else 0


def _result(part: Json) -> str:
    content = part.get("content", "")
    return content if isinstance(content, str) else _text(content) or json.dumps(content)
