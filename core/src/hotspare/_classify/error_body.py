# Bodies may have any shape, so their types stay partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The body of an error: its message and its codes, in any shape that providers, frameworks and proxies use.

Only the fields of the error itself are read. A body also repeats the request (`input`, `flagged_input`) or holds half an
answer (`failed_generation`), whose words say nothing about the failure. The time is linear in the size of the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_SEARCHED = 4000
"""Characters of a message that the rules search, half of them at its end. Longer messages repeat the request."""
_MAX_DEPTH = 6
"""Mappings, lists and embedded JSON inside each other that are read."""
_MAX_ITEMS = 20
"""Items of a list that are read."""
_MAX_TITLE = 4096
"""Characters of a web page in which its title is searched."""

_MESSAGE_KEYS = (
    "message",
    "Message",
    "msg",
    "detail",
    "error_description",
    "errorMessage",
    "error_msg",
    "error",
    "errors",
)
_CODE_KEYS = frozenset({
    "code", "Code", "type", "status", "reason", "error_code", "errorCode", "error_type", "quotaId", "quotaMetric", "__type",
    "blockReason", "finishReason", "stop_reason", "finish_reason",
})  # fmt: skip
_NESTED_KEYS = (
    "error", "Error", "errors", "message", "detail", "details", "innererror", "metadata", "violations", "promptFeedback", "candidates", "raw",
)  # fmt: skip
"""Fields that may hold more of the error. All other fields may hold the caller's text."""

_QUOTED = re.compile(
    r"\"(?:\\.|[^\"\\])*(?:\"|$)|`[^`]*(?:`|$)|\u201c[^\u201d]*(?:\u201d|$)|(?<![^\s(\[{:=,b])'(?:\\.|[^'\\]|'(?=\w))*'(?!\w)",
    re.S,
)
"""Quotations in a message: in double quotes, backticks, and in single quotes that are not apostrophes."""
_WRAPPER = re.compile(r"\blitellm\.\w{1,60}: |(?<=exception: )\w{1,60}: ")
"""The class that LiteLLM gave to an error. It is ignored, because LiteLLM reads less of the error than these rules do."""
_JSON_START = re.compile(r'\s*(?:\{\s*"|\[\s*\{)')
_SALVAGED = re.compile(r'"(message|code|type|status)"\s{0,9}:\s{0,9}(?:"((?:\\.|[^"\\]){0,8000})|(\d{1,9}))', re.S)


@dataclass(slots=True)
class ErrorBody:
    """The error that a body describes.

    `message`: in the provider's words ("" if it has none). `code`: the first of the error's code, status and type.
    `codes`: all of them, of inner errors and details too. `param`: the request field that it names. `headers`: the
    upstream's headers, where a relay repeats them in the body. `retry_delay`: Gemini's `RetryInfo`, e.g. "38s".
    `is_cut`: the body was longer than what is kept of it. `is_context_overflow`: it counts more tokens in the prompt than the context holds (llama.cpp).
    `quotas`: id and value of those that Gemini says were exceeded.
    """

    message: str = ""
    code: str = ""
    codes: list[str] = field(default_factory=list[str])
    param: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    retry_delay: str = ""
    is_cut: bool = False
    is_context_overflow: bool = False
    quotas: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def read_body(text: str) -> ErrorBody:
    """The error in this text. A text that is not JSON is itself the message; of a web page it is the title."""
    parsed = parse_json(text)
    if not isinstance(parsed, Mapping | list):
        return _salvaged(text) if _JSON_START.match(text) else ErrorBody(message=_plain_message(text))
    body = ErrorBody()
    error = _error_object(parsed)
    body.message = _message(error, _MAX_DEPTH)
    for mapping in _mappings(parsed, _MAX_DEPTH):
        _collect(mapping, body)
    if isinstance(error, Mapping):
        named = (error.get(name) for name in ("code", "Code", "status", "type"))
        body.code = next((str(one) for one in named if one and isinstance(one, str | int)), "")
    if not body.message and isinstance(parsed, Mapping) and "promptFeedback" in parsed:
        body.message = f"the prompt was blocked: {parsed['promptFeedback']}"
    return body


def parse_json(text: str) -> Any:
    """The value of a JSON text; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def without_quotations(message: str, *, is_cut: bool = False) -> str:
    """The message without its quotations; of a very long message, its beginning and its end. `is_cut`: its last quotation may
    have no end."""
    if len(message) > MAX_SEARCHED:
        message = f"{message[: MAX_SEARCHED // 2]} … {message[-MAX_SEARCHED // 2 :]}"
    return _QUOTED.sub(" ", _WRAPPER.sub("", f"{message}'" if is_cut else message))


def _error_object(parsed: Any) -> Any:
    """The error inside a body: under `error` or `Error`, first in a list (Gemini), or the body itself."""
    if isinstance(parsed, list):
        parsed = parsed[0] if parsed else None
    if not isinstance(parsed, Mapping):
        return parsed
    inner = parsed.get("error") or parsed.get("Error")
    if isinstance(inner, str) and isinstance(parsed.get("message"), str):  # {"error": "Bad Request", "message": "…"}
        return parsed
    return inner if isinstance(inner, Mapping | list | str) else parsed


def _message(value: Any, depth: int) -> str:
    """The text of an error: its message, and the upstream's message that a relay repeats in it."""
    if depth <= 0:
        return ""
    if isinstance(value, str):
        inner = _embedded_json(value)
        return (inner is not None and _message(_error_object(inner), depth - 1)) or value
    if isinstance(value, list):  # the errors of a validation: each item has its own message
        return "; ".join(filter(None, (_message(item, depth - 1) for item in value[:_MAX_ITEMS])))
    if not isinstance(value, Mapping):
        return ""
    words = next((found for name in _MESSAGE_KEYS if (found := _message(value.get(name), depth - 1))), "")
    metadata = value.get("metadata")
    raw = _message(metadata.get("raw"), depth - 1) if isinstance(metadata, Mapping) else ""
    return f"{words}: {raw}" if words and raw and raw not in words else words or raw


def _embedded_json(text: str) -> Any:
    """The JSON of an upstream's error inside a message, e.g. "AnthropicException - {"type": "error", …}"."""
    start = text.find("{", 0, 500)
    if start < 0 or '"' not in text[start : start + 4]:
        return None
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def _mappings(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Every mapping that belongs to the error."""
    if depth <= 0:
        return
    if isinstance(value, str):
        value = _embedded_json(value)
    if isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from _mappings(item, depth - 1)
    elif isinstance(value, Mapping):
        yield value
        for name in _NESTED_KEYS:
            if name in value:
                yield from _mappings(value[name], depth - 1)


def _collect(mapping: Mapping[str, Any], body: ErrorBody) -> None:
    """Add what one mapping says: codes, the named field, upstream headers, quotas, token counts."""
    body.codes += [
        str(value)
        for name, value in mapping.items()
        if name in _CODE_KEYS and isinstance(value, str | int) and len(str(value)) <= 100
    ]
    for name in ("param", "field"):
        if isinstance(mapping.get(name), str):
            body.param = body.param or mapping[name][:100]
    headers = mapping.get("headers")
    if isinstance(headers, Mapping):
        body.headers = {str(name).lower(): str(value) for name, value in list(headers.items())[:50]}
    if isinstance(mapping.get("retryDelay"), str):
        body.retry_delay = body.retry_delay or mapping["retryDelay"][:40]
    if "quotaId" in mapping:
        body.quotas.append((str(mapping["quotaId"])[:200], str(mapping.get("quotaValue", ""))[:20]))
    prompt, context = mapping.get("n_prompt_tokens"), mapping.get("n_ctx")
    if isinstance(prompt, int) and isinstance(context, int) and prompt >= context:
        body.is_context_overflow = True


def _salvaged(text: str) -> ErrorBody:
    """The readable fields of JSON that was cut: only the beginning of a body is kept, and it may repeat a long request."""
    body = ErrorBody(is_cut=True)
    for name, words, number in _SALVAGED.findall(text):
        if name != "message":
            body.codes.append((words or number)[:100])
            body.code = body.code or body.codes[-1]
        else:
            body.message = body.message or words
    return body


def _plain_message(text: str) -> str:
    """The message of a body that is not JSON: the title of a web page, else the text."""
    start = text.lstrip()[:_MAX_TITLE]
    if not start.startswith("<"):
        return text
    lower = start.lower()
    for tag in ("title", "h1"):
        opened = lower.find(f"<{tag}")
        begin = lower.find(">", opened) if opened >= 0 else -1
        end = lower.find("<", begin) if begin >= 0 else -1
        if end > begin and (title := " ".join(start[begin + 1 : end].split())):
            return title
    return ""
