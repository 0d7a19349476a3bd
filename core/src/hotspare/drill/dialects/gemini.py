# Reads any JSON that comes: what is narrowed from Any stays partly unknown to pyright, which is the point here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Gemini's generateContent and streamGenerateContent."""

import json
import re
from typing import Any, Final

from hotspare.drill.answers import opaque
from hotspare.drill.conversation import count_prompt
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
from hotspare.drill.dialects.gemini_validation import camel, check, error_body, invalid, signature

_FINISH: Final = {"stop": "STOP", "stop_sequence": "STOP", "length": "MAX_TOKENS", "tools": "STOP", "refused": "SAFETY"}
_PATH: Final = re.compile(r"/models/([^:]+):(generateContent|streamGenerateContent)")


class GeminiWire:
    """`POST /v1beta/models/<model>:generateContent` and `:streamGenerateContent`, with `alt=sse` or as a JSON array."""

    name = "gemini"
    malformed = b'data: {"candidates": [{"content": {"parts": [{"te\n\n'
    keepalive = b": keep-alive\n\n"

    def read(self, path: str, headers: Headers, body: Any) -> Ask:
        """See `Wire.read`."""
        key = headers.get("x-goog-api-key") or "".join(re.findall(r"[?&]key=([^&]+)", path))
        if not key:
            words = (
                "Method doesn't allow unregistered callers (callers without established identity). "
                "Please use API Key or other form of API consumer identity to call this API."
            )
            raise Reject(403, error_body(403, words))
        if not key.startswith("test-"):
            raise Reject(400, error_body(401))
        found = _PATH.search(path)
        if found is None:
            raise Reject(404, error_body(404))
        model = found[1]
        if model.startswith("gone"):
            words = (
                f"models/{model} is not found for API version v1beta, or is not supported for generateContent. "
                "Call ModelService.ListModels to see the list of available models and their supported methods."
            )
            raise Reject(404, error_body(404, words))
        if not isinstance(body, dict):
            raise invalid("Invalid JSON payload received. Unexpected end of string.")
        clean = camel(body)
        check(model, clean)
        ask = _ask(model, clean)
        ask.stream = found[2] == "streamGenerateContent"
        ask.streams_as_array = ask.stream and "alt=sse" not in path
        return ask

    def whole(self, ask: Ask, said: Said) -> Json:
        """See `Wire.whole`."""
        parts: list[Json] = []
        if said.thinking:
            parts.append({"text": "".join(said.thinking), "thought": True})
        if said.text:
            parts.append({"text": "".join(said.text)})
        parts += _calls(ask, said)
        return {**_candidate(said, parts, _FINISH[said.finish]), "usageMetadata": _usage(said), **_head(ask, said)}

    def frames(self, ask: Ask, said: Said, *, usage: bool = True) -> list[Frame]:
        """See `Wire.frames`."""
        head = _head(ask, said)
        chunks = [({**_candidate(said, [{"text": t, "thought": True}]), **head}, True) for t in said.thinking]
        chunks += [({**_candidate(said, [{"text": t}]), **head}, True) for t in said.text]
        chunks += [({**_candidate(said, [part]), **head}, True) for part in _calls(ask, said)]
        last = {**_candidate(said, [{"text": ""}], _FINISH[said.finish]), **head}
        chunks.append(({**last, "usageMetadata": _usage(said)} if usage else last, False))
        if not ask.streams_as_array:
            return [Frame(b"data: " + dumps(c) + b"\r\n\r\n", token) for c, token in chunks]
        out = [Frame((b",\r\n" if i else b"[") + dumps(c), token) for i, (c, token) in enumerate(chunks)]
        return [*out, Frame(b"]")]

    def hollow(self, ask: Ask, said: Said) -> Json:
        """See `Wire.hollow`."""
        return {"candidates": [], "usageMetadata": _usage(said), **_head(ask, said)}

    def error(self, status: int, message: str | None = None) -> Json:
        """See `Wire.error`."""
        return error_body(status, message)

    def error_event(self, status: int, message: str | None = None) -> bytes:
        """See `Wire.error_event`."""
        return b"data: " + dumps(error_body(status, message)) + b"\r\n\r\n"

    def too_long(self, ask: Ask, window: int) -> Reject:
        """See `Wire.too_long`."""
        tokens = max(ask.prompt_tokens, window + 1)
        return invalid(f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({window}).")

    def refuse_prefill(self, ask: Ask) -> Reject:
        """See `Wire.refuse_prefill`."""
        return invalid("Please ensure that single turn requests end with a user role or the role field is empty.")

    def throttled(self, form: str, seconds: float) -> Reject:
        """See `Wire.throttled`."""
        body = error_body(
            429, f"You exceeded your current quota. Please retry in {seconds:g}s." if form == "phrase" else None
        )
        if form in ("body", "reset-headers"):
            body["error"]["details"] = [
                _violation("GenerateRequestsPerMinutePerProjectPerModel"),
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds:g}s"},
            ]
        return Reject(429, body, retry_headers(form, seconds))

    def quota(self, form: str) -> Reject:
        """See `Wire.quota`."""
        if form != "day":
            return Reject(402, error_body(402))
        words = "You exceeded your current quota, please check your plan and billing details."
        body = error_body(429, words)
        # the delay is a lie that real answers carry: the quota comes back at midnight Pacific time
        body["error"]["details"] = [
            _violation("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"},
        ]
        return Reject(429, body)

    def rate_headers(self, rate: Rate) -> Headers:
        """Gemini tells no limits in headers."""
        del rate
        return {}


def _violation(quota: str) -> Json:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [
            {"quotaMetric": "generativelanguage.googleapis.com/generate_content_requests", "quotaId": quota}
        ],
    }


def _head(ask: Ask, said: Said) -> Json:
    return {"modelVersion": ask.model, "responseId": said.seed}


def _candidate(said: Said, parts: list[Json], finish: str | None = None) -> Json:
    if said.finish == "refused":
        return {"promptFeedback": {"blockReason": "SAFETY"}}
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    return {"candidates": [{**candidate, "finishReason": finish} if finish else candidate]}


def _calls(ask: Ask, said: Said) -> list[Json]:
    out: list[Json] = []
    third = "gemini-3" in ask.model
    for i, call in enumerate(said.calls):
        function: Json = {"name": call.name, "args": call.arguments}
        part: Json = {"functionCall": {"id": _call_id(call), **function} if third else function}
        # only the first of parallel calls is signed, as Gemini's page on thought signatures says
        if i == 0 and (third or ask.reasoning or "strict" in ask.model):
            part["thoughtSignature"] = signature(call.name, call.arguments)
        out.append(part)
    return out


def _call_id(call: Call) -> str:
    return opaque(call.seed, length=8)


def _usage(said: Said) -> Json:
    shown = said.output_tokens - said.reasoning_tokens
    usage: Json = {
        "promptTokenCount": said.prompt_tokens,
        "candidatesTokenCount": shown,
        "totalTokenCount": said.prompt_tokens + said.output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": said.prompt_tokens}],
    }
    if said.cached_tokens:
        usage["cachedContentTokenCount"] = said.cached_tokens
    if said.thinking:
        usage["thoughtsTokenCount"] = said.reasoning_tokens
    return usage


def _ask(model: str, body: Json) -> Ask:
    config: Json = body.get("generationConfig") or {}
    function_config: Json = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    thinking: Json = config.get("thinkingConfig") or {}
    turns = [_turn(c) for c in body["contents"]]
    system = "".join(p.get("text", "") for p in (body.get("systemInstruction") or {}).get("parts") or ())
    tools = _tools(body.get("tools"))
    allowed = function_config.get("allowedFunctionNames") or [t.name for t in tools]
    texts = [*([system] if system else []), *(t.text or " ".join(t.results) for t in turns)]
    return Ask(
        model=model,
        turns=turns,
        system=system,
        tools=[t for t in tools if t.name in allowed],
        choice={"ANY": "any", "NONE": "none"}.get(function_config.get("mode", "AUTO"), "auto"),
        json=config.get("responseMimeType") == "application/json",
        schema=config.get("responseJsonSchema") or config.get("responseSchema"),
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences") or ()),
        reasoning=bool(thinking.get("includeThoughts") and thinking.get("thinkingBudget") != 0),
        prompt_tokens=count_prompt(texts, sum(len(t.images) for t in turns)),
    )


def _tools(tools: Any) -> list[Tool]:
    groups: list[Json] = [tools] if isinstance(tools, dict) else tools or []
    declared = [d for g in groups for d in g.get("functionDeclarations") or ()]
    return [Tool(d["name"], d.get("parametersJsonSchema") or d.get("parameters") or {}) for d in declared]


def _turn(content: Json) -> Turn:
    parts: list[Json] = content["parts"]
    files = [p for p in parts if "inlineData" in p or "fileData" in p]
    return Turn(
        "assistant" if content.get("role") == "model" else "user",
        "".join(p.get("text", "") for p in parts if not p.get("thought")),
        [data_size(p["inlineData"]["data"]) if "inlineData" in p else 0 for p in files],
        [_result(p["functionResponse"]) for p in parts if "functionResponse" in p],
        called=tuple(p["functionCall"]["name"] for p in parts if "functionCall" in p),
    )


def _result(function: Json) -> str:
    response = function.get("response") or {}
    for name in ("result", "output", "content"):
        if isinstance(response.get(name), str):
            return str(response[name])
    return json.dumps(response, ensure_ascii=False)
