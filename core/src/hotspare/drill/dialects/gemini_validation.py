# Reads any JSON that comes: what is narrowed from Any stays partly unknown to pyright, which is the point here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What Gemini refuses before it answers, in its own words, and its error bodies."""

import json
import re
from typing import Any, Final

from hotspare.drill.answers import opaque
from hotspare.drill.dialects.base import Json, Reject, unknown_fields

_KNOWN: Final = frozenset(
    [
        "contents",
        "systemInstruction",
        "generationConfig",
        "tools",
        "toolConfig",
        "safetySettings",
        "cachedContent",
        "labels",
        "serviceTier",
        "store",
        "model",
    ]
)
_CONFIG: Final = frozenset(
    [
        "stopSequences",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseModalities",
        "candidateCount",
        "maxOutputTokens",
        "temperature",
        "topP",
        "topK",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseLogprobs",
        "logprobs",
        "enableEnhancedCivicAnswers",
        "speechConfig",
        "thinkingConfig",
        "imageConfig",
        "mediaResolution",
        "audioTimestamp",
        "routingConfig",
        "modelSelectionConfig",
        "responseFormat",
    ]
)
_PARTS: Final = frozenset(
    [
        "text",
        "thought",
        "thoughtSignature",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
        "videoMetadata",
    ]
)
_ERRORS: Final[dict[int, tuple[int, str, str]]] = {
    400: (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    402: (
        402,
        "FAILED_PRECONDITION",
        "Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing.",
    ),
    403: (403, "PERMISSION_DENIED", "Permission denied: Consumer has been suspended."),
    404: (
        404,
        "NOT_FOUND",
        "models/gone is not found for API version v1beta, or is not supported for generateContent.",
    ),
    408: (408, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    413: (413, "INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    422: (422, "INVALID_ARGUMENT", "Unprocessable entity."),
    429: (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    500: (
        500,
        "INTERNAL",
        (
            "An internal error has occurred. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting"
        ),
    ),
    502: (502, "UNAVAILABLE", "Bad gateway."),
    503: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    529: (529, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}


def error_body(status: int, message: str | None = None) -> Json:
    """Gemini's body for `status`; a wrong key is a 400 with `API_KEY_INVALID`."""
    code, word, words = _ERRORS.get(status, _ERRORS[500])
    error: Json = {"code": code, "message": message or words, "status": word}
    if status == 401:
        info = {
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
    return {"error": error}


def invalid(message: str, field: str | None = None) -> Reject:
    """A 400 `INVALID_ARGUMENT`, naming the field where there is one."""
    body = error_body(400, message)
    if field is not None:
        violation = {"field": field, "description": message}
        body["error"]["details"] = [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
        ]
    return Reject(400, body)


def signature(name: str, arguments: Json) -> str:
    """The seal on a function call; it must come back with the call, unchanged."""
    return "Sig" + opaque("gemini", name, json.dumps(arguments, sort_keys=True), length=61)


# their keys are the user's own, not the wire's
_OPAQUE: Final = frozenset(
    ["args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels"]
)


def camel(value: Any) -> Any:
    """Gemini takes snake_case names too; one spelling is enough for what follows."""
    if isinstance(value, list):
        return [camel(v) for v in value]
    if not isinstance(value, dict):
        return value
    out: Json = {}
    for name, inner in value.items():
        spelled = re.sub(r"_([a-z])", lambda m: m[1].upper(), name)
        out[spelled] = inner if spelled in _OPAQUE else camel(inner)
    return out


def check(model: str, body: Json) -> None:
    """Raise `Reject` for the first thing that Gemini would refuse in `body`."""
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


def _unknown(name: str, place: str | None) -> Reject:
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
                words = (
                    "Invalid function name. Must start with a letter or an underscore. Must be "
                    "alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), "
                    "with a maximum length of 128."
                )
                raise invalid(f"* GenerateContentRequest.tools[{i}].function_declarations[{j}].name: {words}")
            names.append(name)
    config: Json = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    for name in config.get("allowedFunctionNames") or ():
        if config.get("mode") not in ("ANY", "VALIDATED"):
            raise invalid("Allowed function names should be set only when function calling mode is ANY.")
        if name not in names:
            raise invalid(f"Allowed function name '{name}' is not in the function declarations.")


def _check_contents(model: str, contents: list[Any]) -> None:
    calls = 0
    begun = _turn_begins(contents)
    for i, content in enumerate(contents):
        role = content.get("role", "user")
        if role not in ("user", "model", "function", "tool"):
            raise invalid("Please use a valid role: user, model.")
        parts = content.get("parts")
        if not parts:
            raise invalid(f"* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty.\n")
        for j, part in enumerate(parts):
            for name in unknown_fields(part, _PARTS):
                raise _unknown(name, f"contents[{i}].parts[{j}]")
            if not set(part) & {
                "text",
                "inlineData",
                "fileData",
                "functionCall",
                "functionResponse",
                "executableCode",
                "codeExecutionResult",
            }:
                raise invalid(
                    f"* GenerateContentRequest.contents[{i}].parts[{j}].data: required oneof field "
                    "'data' must have one initialized field\n"
                )
        answered = sum("functionResponse" in p for p in parts)
        if answered != calls and (answered or calls):
            raise invalid(
                "Please ensure that the number of function response parts is equal to the number of "
                "function call parts of the function call turn."
            )
        calls = sum("functionCall" in p for p in parts)
        if calls and (i == 0 or contents[i - 1].get("role", "user") == "model"):
            raise invalid(
                "Please ensure that function call turn comes immediately after a user turn or after "
                "a function response turn."
            )
        _check_signatures(model, parts, current=i > begun)
    if calls:
        raise invalid(
            "Please ensure that the number of function response parts is equal to the number of "
            "function call parts of the function call turn."
        )


def _turn_begins(contents: list[Any]) -> int:
    """Where the current turn begins: at the last thing the user said. Only calls after it must be signed ("strict
    validation on all function calls of the current turn"; ai.google.dev/gemini-api/docs/thought-signatures).
    """
    for i in range(len(contents) - 1, -1, -1):
        parts: list[Json] = contents[i].get("parts") or []
        said = contents[i].get("role", "user") == "user" and not any("functionResponse" in p for p in parts)
        if said:
            return i
    return -1


def _check_signatures(model: str, parts: list[Json], *, current: bool) -> None:
    called = [p for p in parts if "functionCall" in p]
    for i, part in enumerate(called):
        function: Json = part["functionCall"]
        given = part.get("thoughtSignature")
        if given is None:
            if i == 0 and current and "strict" in model:
                words = (
                    "Function call is missing a thought_signature in functionCall parts. This is "
                    "required for tools to work correctly, and missing "
                    "thought_signature may lead to degraded model performance. Additional data, "
                    f"function call `default_api:{function['name']}`."
                )
                raise invalid(words)
        # Google's documented pass for histories that another model wrote
        elif given not in (
            signature(function["name"], function.get("args") or {}),
            "skip_thought_signature_validator",
            "context_engineering_is_the_way_to_go",
        ):
            raise invalid("Corrupted thought signature.")
