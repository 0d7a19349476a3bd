# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Gemini's generateContent and streamGenerateContent."""

import json
import re
from typing import Any, Final

from hotspare.drill.answers import opaque_id
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
from hotspare.drill.dialects.gemini_validation import camel_case, error_body, invalid, signature, validate
from hotspare.drill.messages import Answer, Json, Request, Tool, Turn

_FINISH: Final = {
    "stop": "STOP", "stop_sequence": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "refusal": "SAFETY",
    "null": "FINISH_REASON_UNSPECIFIED", "malformed": "MALFORMED_FUNCTION_CALL",
}  # fmt: skip
_PATH: Final = re.compile(r"/models/([^:]+):(generateContent|streamGenerateContent)")


class GeminiDialect(Dialect):
    """`POST /v1beta/models/<model>:generateContent` and `:streamGenerateContent`, with `alt=sse` or as a JSON array."""

    name = "gemini"
    malformed = b'data: {"candidates": [{"content": {"parts": [{"te\n\n'
    keepalive = b": keep-alive\n\n"

    def model_of(self, path: str, headers: Headers, form: re.Pattern[str]) -> re.Match[str]:
        """Check the key, and match the path: group 1 is the model. Raises `Rejection` for a wrong key, path or model."""
        key = headers.get("x-goog-api-key") or "".join(re.findall(r"[?&]key=([^&]+)", path))
        if not key:
            message = (
                "Method doesn't allow unregistered callers (callers without established identity). "
                "Please use API Key or other form of API consumer identity to call this API."
            )
            raise Rejection(403, error_body(403, message))
        if not key.startswith(KEY_PREFIX):
            raise Rejection(400, error_body(401))
        found = form.search(path)
        if found is None:
            raise Rejection(404, error_body(404))
        model = found[1]
        if model.startswith(UNKNOWN_MODEL_PREFIX):
            message = (
                f"models/{model} is not found for API version v1beta, or is not supported for generateContent. "
                "Call ModelService.ListModels to see the list of available models and their supported methods."
            )
            raise Rejection(404, error_body(404, message))
        return found

    def read(self, path: str, headers: Headers, body: Any) -> Request:
        found = self.model_of(path, headers, _PATH)
        model = found[1]
        if not isinstance(body, dict):
            raise invalid("Invalid JSON payload received. Unexpected end of string.")
        normalized = camel_case(body)
        validate(model, normalized)
        request = _request(model, normalized)
        request.stream = found[2] == "streamGenerateContent"
        request.stream_as_array = request.stream and "alt=sse" not in path
        return request

    def body(self, request: Request, answer: Answer) -> Json:
        parts: list[Json] = []
        if answer.reasoning:
            parts.append({"text": "".join(answer.reasoning), "thought": True})
        if answer.text:
            parts.append({"text": "".join(answer.text)})
        parts += _function_calls(request, answer)
        candidates = _candidates(answer, parts, _FINISH[answer.finish_reason])
        return {**candidates, "usageMetadata": _usage(answer), **_head(request, answer)}

    def events(self, request: Request, answer: Answer, *, usage: bool = True) -> list[StreamEvent]:
        parts: list[Json] = [{"text": token, "thought": True} for token in answer.reasoning]
        parts += [{"text": token} for token in answer.text]
        parts += _function_calls(request, answer)
        head = _head(request, answer)
        chunks = [{**_candidates(answer, [part]), **head} for part in parts]
        last = {**_candidates(answer, [{"text": ""}], _FINISH[answer.finish_reason]), **head}
        chunks.append({**last, "usageMetadata": _usage(answer)} if usage else last)
        if not request.stream_as_array:
            return [StreamEvent(_event(chunk), chunk is not chunks[-1], chunk is chunks[-1]) for chunk in chunks]
        out = [
            StreamEvent((b",\r\n" if i else b"[") + dumps(chunk), chunk is not chunks[-1], chunk is chunks[-1])
            for i, chunk in enumerate(chunks)
        ]
        return [*out, StreamEvent(b"]")]

    def empty_choices(self, request: Request, answer: Answer) -> Json:
        return {"candidates": [], "usageMetadata": _usage(answer), **_head(request, answer)}

    def empty_choices_events(self, request: Request, answer: Answer) -> list[bytes]:
        chunk = self.empty_choices(request, answer)
        return [b"[" + dumps(chunk) + b"]" if request.stream_as_array else _event(chunk)]

    def error(self, status: int, message: str | None = None) -> Json:
        return error_body(status, message)

    def error_event(self, request: Request, status: int, message: str | None, *, first: bool) -> bytes:
        body = error_body(status, message)
        return (b"[" if first else b",\r\n") + dumps(body) + b"]" if request.stream_as_array else _event(body)

    def context_length_exceeded(self, request: Request, window: int) -> Rejection:
        tokens = max(request.prompt_tokens, window + 1)
        return invalid(f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({window}).")

    def prefill_refused(self, request: Request) -> Rejection:
        return invalid("Please ensure that single turn requests end with a user role or the role field is empty.")

    def streaming_refused(self) -> Rejection:
        return Rejection(400, error_body(400, "Your organization must be verified to stream this model."))

    def rate_limited(self, form: str, seconds: float) -> Rejection:
        message = f"You exceeded your current quota. Please retry in {seconds:g}s." if form == "phrase" else None
        body = error_body(429, message)
        if form in ("body", "reset-headers"):
            body["error"]["details"] = _quota_details("GenerateRequestsPerMinutePerProjectPerModel", f"{seconds:g}s")
        return Rejection(429, body, retry_after_headers(form, seconds))

    def quota(self, limit: str) -> Rejection:
        if limit != "day":
            return Rejection(402, error_body(402))
        body = error_body(429, "You exceeded your current quota, please check your plan and billing details.")
        # as in recorded answers, although the quota is reset at midnight Pacific time
        body["error"]["details"] = _quota_details("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "38s")
        return Rejection(429, body)

    def rate_limit_headers(self, limit: RateLimit) -> Headers:
        return {}  # Gemini states no limits in headers

    def models(self) -> Json:
        methods = {"supportedGenerationMethods": ["generateContent"]}
        return {"models": [{"name": f"models/{model}", **methods} for model in MODELS]}


def _event(chunk: Json) -> bytes:
    return b"data: " + dumps(chunk) + b"\r\n\r\n"


def _quota_details(quota: str, delay: str) -> list[Json]:
    metric = "generativelanguage.googleapis.com/generate_content_requests"
    violation = {"quotaMetric": metric, "quotaId": quota}
    return [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]


def _head(request: Request, answer: Answer) -> Json:
    return {"modelVersion": request.model, "responseId": answer.seed}


def _candidates(answer: Answer, parts: list[Json], finish_reason: str | None = None) -> Json:
    if answer.finish_reason == "refusal":
        return {"promptFeedback": {"blockReason": "SAFETY"}}
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    return {"candidates": [{**candidate, "finishReason": finish_reason} if finish_reason else candidate]}


def _function_calls(request: Request, answer: Answer) -> list[Json]:
    out: list[Json] = []
    third_generation = "gemini-3" in request.model
    for i, call in enumerate(answer.tool_calls):
        function: Json = {"name": call.name, "args": call.arguments}
        if third_generation:
            function = {"id": opaque_id(call.seed, length=8), **function}
        part: Json = {"functionCall": function}
        # only the first of parallel calls is signed (ai.google.dev/gemini-api/docs/thought-signatures)
        if i == 0 and (third_generation or request.reasoning or "strict" in request.model):
            part["thoughtSignature"] = signature(call.name, call.arguments)
        out.append(part)
    return out


def _usage(answer: Answer) -> Json:
    usage: Json = {
        "promptTokenCount": answer.prompt_tokens,
        "candidatesTokenCount": answer.output_tokens - len(answer.reasoning),
        "totalTokenCount": answer.prompt_tokens + answer.output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.prompt_tokens}],
    }
    if answer.cached_tokens:
        usage["cachedContentTokenCount"] = answer.cached_tokens
    if answer.reasoning:
        usage["thoughtsTokenCount"] = len(answer.reasoning)
    return usage


def _request(model: str, body: Json) -> Request:
    config: Json = body.get("generationConfig") or {}
    function_config: Json = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    thinking: Json = config.get("thinkingConfig") or {}
    tools = _tools(body.get("tools"))
    allowed = function_config.get("allowedFunctionNames") or [tool.name for tool in tools]
    system_parts = (body.get("systemInstruction") or {}).get("parts") or ()
    return Request(
        model=model,
        turns=[_turn(content) for content in body["contents"]],
        system="".join(part.get("text", "") for part in system_parts),
        tools=[tool for tool in tools if tool.name in allowed],
        tool_choice={"ANY": "any", "NONE": "none"}.get(function_config.get("mode", "AUTO"), "auto"),
        json_mode=config.get("responseMimeType") == "application/json",
        json_schema=config.get("responseJsonSchema") or config.get("responseSchema"),
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences") or ()),
        reasoning=bool(thinking.get("includeThoughts") and thinking.get("thinkingBudget") != 0),
    )


def _tools(tools: Any) -> list[Tool]:
    groups: list[Json] = [tools] if isinstance(tools, dict) else tools or []
    declared = [declaration for group in groups for declaration in group.get("functionDeclarations") or ()]
    return [Tool(d["name"], d.get("parametersJsonSchema") or d.get("parameters") or {}) for d in declared]


def _turn(content: Json) -> Turn:
    parts: list[Json] = content["parts"]
    files = [part for part in parts if "inlineData" in part or "fileData" in part]
    return Turn(
        "assistant" if content.get("role") == "model" else "user",
        "".join(part.get("text", "") for part in parts if not part.get("thought")),
        [data_size(part["inlineData"]["data"]) if "inlineData" in part else 0 for part in files],
        [_result(part["functionResponse"]) for part in parts if "functionResponse" in part],
        tools_called=tuple(part["functionCall"]["name"] for part in parts if "functionCall" in part),
    )


def _result(function: Json) -> str:
    response = function.get("response") or {}
    for name in ("result", "output", "content"):
        if isinstance(response.get(name), str):
            return str(response[name])
    return json.dumps(response, ensure_ascii=False)
