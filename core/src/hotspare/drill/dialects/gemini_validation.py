# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Rejects requests that Gemini would reject, with Gemini's error bodies."""

import json
import re
from typing import Any, Final

from hotspare.drill.answers import opaque_id
from hotspare.drill.dialects.base import Rejection, unknown_fields
from hotspare.drill.messages import Json

_KNOWN: Final = frozenset({
    "contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "safetySettings", "cachedContent",
    "labels", "serviceTier", "store", "model",
})  # fmt: skip
_CONFIG: Final = frozenset({
    "stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities",
    "candidateCount", "maxOutputTokens", "temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty",
    "responseLogprobs", "logprobs", "enableEnhancedCivicAnswers", "speechConfig", "thinkingConfig", "imageConfig",
    "mediaResolution", "audioTimestamp", "routingConfig", "modelSelectionConfig", "responseFormat",
})  # fmt: skip
_PARTS: Final = frozenset({
    "text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall", "functionResponse",
    "executableCode", "codeExecutionResult", "videoMetadata",
})  # fmt: skip
_DATA_PARTS: Final = _PARTS - {"thought", "thoughtSignature", "videoMetadata"}
_SKIP_SIGNATURE: Final = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""Signatures that Google documents for histories of other models."""
_MISSING_SIGNATURE: Final = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, "
    "and missing thought_signature may lead to degraded model performance."
)
_RESPONSES_RULE: Final = (
    "Please ensure that the number of function response parts is equal to the number of "
    "function call parts of the function call turn."
)
_FUNCTION_NAME_RULE: Final = (
    "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), "
    "underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128."
)
_ERRORS: Final[dict[int, tuple[int, str, str]]] = {
    400: (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    402: (402, "FAILED_PRECONDITION", "Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing."),
    403: (403, "PERMISSION_DENIED", "Permission denied: Consumer has been suspended."),
    404: (404, "NOT_FOUND", "models/gone is not found for API version v1beta, or is not supported for generateContent."),
    408: (408, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    413: (413, "INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    422: (422, "INVALID_ARGUMENT", "Unprocessable entity."),
    429: (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    500: (500, "INTERNAL", "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting"),
    502: (502, "UNAVAILABLE", "Bad gateway."),
    503: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    529: (529, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}  # fmt: skip


def error_body(status: int, message: str | None = None) -> Json:
    """Gemini's body for `status`. For 401 it is a 400 with the reason `API_KEY_INVALID`."""
    code, name, text = _ERRORS.get(status, _ERRORS[500])
    error: Json = {"code": code, "message": message or text, "status": name}
    if status == 401:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        service = {"domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}
        error["details"] = [{**info, **service}]
    return {"error": error}


def invalid(message: str, field: str | None = None) -> Rejection:
    """A 400 `INVALID_ARGUMENT`, with the field if it is known."""
    body = error_body(400, message)
    if field is not None:
        violation = {"field": field, "description": message}
        bad_request = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
        body["error"]["details"] = [bad_request]
    return Rejection(400, body)


def signature(name: str, arguments: Json) -> str:
    """The signature of a function call. A client that sends the call back must send it unchanged."""
    return "Sig" + opaque_id("gemini", name, json.dumps(arguments, sort_keys=True), length=61)


# objects whose keys the user chose: they are not converted
_OPAQUE: Final = frozenset({
    "args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels",
})  # fmt: skip


def camel_case(value: Any) -> Any:
    """The same with all field names in camelCase, because Gemini accepts snake_case too."""
    if isinstance(value, list):
        return [camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    out: Json = {}
    for name, inner in value.items():
        spelled = re.sub(r"_([a-z])", lambda m: m[1].upper(), name)
        out[spelled] = inner if spelled in _OPAQUE else camel_case(inner)
    return out


def validate(model: str, body: Json) -> None:
    """Raise `Rejection` for the first thing in `body` that Gemini would reject."""
    for name in unknown_fields(body, _KNOWN):
        raise _unknown(name, None)
    config: Json = body.get("generationConfig") or {}
    for name in unknown_fields(config, _CONFIG):
        raise _unknown(name, "generation_config")
    temperature = config.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        raise invalid(
            f"Unable to submit request because it has a temperature value of {temperature:g} but the "
            "supported range is from 0 (inclusive) to 2.0001 (exclusive)."
        )
    has_schema = config.get("responseSchema") is not None or config.get("responseJsonSchema") is not None
    if has_schema and config.get("responseMimeType") != "application/json":
        raise invalid("Function calling config or response schema requires response mime type: 'application/json'.")
    if (maximum := config.get("maxOutputTokens")) is not None and maximum < 1:
        raise invalid("max_output_tokens must be positive.", "generation_config.max_output_tokens")
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified\n", "contents")
    _check_tools(body)
    _check_contents(model, contents)


def _unknown(name: str, place: str | None) -> Rejection:
    at = f" at '{place}'" if place else ""
    return invalid(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.', place or "")


def _check_tools(body: Json) -> None:
    tools = body.get("tools") or []
    groups: list[Json] = [tools] if isinstance(tools, dict) else tools
    names: list[str] = []
    for i, group in enumerate(groups):
        for j, declared in enumerate(group.get("functionDeclarations") or ()):
            name = str(declared.get("name", ""))
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}", name):
                place = f"* GenerateContentRequest.tools[{i}].function_declarations[{j}].name"
                raise invalid(f"{place}: {_FUNCTION_NAME_RULE}")
            names.append(name)
    config: Json = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    for name in config.get("allowedFunctionNames") or ():
        if config.get("mode") not in ("ANY", "VALIDATED"):
            raise invalid("Allowed function names should be set only when function calling mode is ANY.")
        if name not in names:
            raise invalid(f"Allowed function name '{name}' is not in the function declarations.")


def _check_contents(model: str, contents: list[Any]) -> None:
    calls = 0
    turn_start = _current_turn(contents)
    for i, content in enumerate(contents):
        role = content.get("role", "user")
        if role not in ("user", "model", "function", "tool"):
            raise invalid("Please use a valid role: user, model.")
        parts = content.get("parts")
        if not parts:
            raise invalid(f"* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty.\n")
        for j, part in enumerate(parts):
            _check_part(part, f"contents[{i}].parts[{j}]")
        responses = sum("functionResponse" in part for part in parts)
        if responses != calls:
            raise invalid(_RESPONSES_RULE)
        calls = sum("functionCall" in part for part in parts)
        if calls and (i == 0 or contents[i - 1].get("role", "user") == "model"):
            place = "immediately after a user turn or after a function response turn."
            raise invalid(f"Please ensure that function call turn comes {place}")
        _check_signatures(model, parts, current=i > turn_start)
    if calls:
        raise invalid(_RESPONSES_RULE)


def _check_part(part: Json, place: str) -> None:
    for name in unknown_fields(part, _PARTS):
        raise _unknown(name, place)
    if not set(part) & _DATA_PARTS:
        rule = "required oneof field 'data' must have one initialized field\n"
        raise invalid(f"* GenerateContentRequest.{place}.data: {rule}")


def _current_turn(contents: list[Any]) -> int:
    """Index of the user's last message. Only function calls after it must be signed ("strict validation on all function
    calls of the current turn"; ai.google.dev/gemini-api/docs/thought-signatures)."""
    for i in range(len(contents) - 1, -1, -1):
        parts: list[Json] = contents[i].get("parts") or []
        if contents[i].get("role", "user") == "user" and not any("functionResponse" in part for part in parts):
            return i
    return -1


def _check_signatures(model: str, parts: list[Json], *, current: bool) -> None:
    for i, part in enumerate(part for part in parts if "functionCall" in part):
        function: Json = part["functionCall"]
        given = part.get("thoughtSignature")
        if given is None:
            if i == 0 and current and "strict" in model:
                call = f"Additional data, function call `default_api:{function['name']}`."
                raise invalid(f"{_MISSING_SIGNATURE} {call}")
        elif given not in (signature(function["name"], function.get("args") or {}), *_SKIP_SIGNATURE):
            raise invalid("Corrupted thought signature.")
