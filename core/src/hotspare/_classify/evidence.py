# What is narrowed from Any stays partly unknown to pyright: errors and bodies may have any shape.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What an error and its causes carry: class names, status, headers, body text, error code, message.

Read by duck typing (`.status`, `.body`, `.headers`, `.response`), because core imports no HTTP library and no SDK.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotspare._classify.exceptions import IN_BAND, is_transport

MAX_TEXT = 65536
"""Characters of a body that are looked at: as many as `BackendError.body` keeps bytes."""
MAX_MESSAGE = 500
MAX_CODE = 100
MAX_CAUSES = 8
"""Causes that are followed. Real chains (SDK, httpx, httpcore, socket) have four or five links."""

_KEYLIKE = re.compile(r"(sk-|AIza|Bearer |gsk_|xai-|key-)[A-Za-z0-9_*\-.]{6,}")
_HTML_TITLE = re.compile(r"<(?:title|h1)[^>]*>(.*?)</", re.I | re.S)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an error says, wherever it keeps it.

    `class_names`: the error's class, its parents, then the same of each cause. `text`: the body, else `str(error)`.
    `code`, `message`: of the error object inside the body; the message has no key in it.
    """

    class_names: tuple[str, ...]
    status: int | None
    headers: Mapping[str, str]
    text: str
    code: str
    message: str

    @property
    def own_class(self) -> str:
        """The name of the error's own class."""
        return self.class_names[0] if self.class_names else ""

    @property
    def is_in_band(self) -> bool:
        """Whether it is an error inside a successful response."""
        return self.own_class in IN_BAND or (self.status is not None and 200 <= self.status < 300)

    @property
    def is_html(self) -> bool:
        """Whether the body is a web page: a gateway's, not the provider's."""
        return self.text.lstrip().startswith("<")


def read_evidence(error: BaseException) -> Evidence:
    """Collect what an error and its causes carry; the outermost status, headers and body win."""
    names: list[str] = []
    status: int | None = None
    headers: Mapping[str, str] = {}
    text = ""
    broken_connection = False
    for one in _causes(error):
        names += _class_names(one)
        if one is error or not broken_connection:
            status = status if status is not None else _status(one)
            headers = headers or _headers(one)
            text = text or _body_text(one)
        # The causes of a broken connection are the HTTP library's: the codes of its parser are no HTTP statuses.
        broken_connection = broken_connection or is_transport(names)
    parsed = _parse_json(text)
    message = _message(parsed) or _plain_message(text) or str(error)
    code = _code(parsed) or str(getattr(error, "code", "") or "")
    return Evidence(
        class_names=tuple(names),
        status=status,
        headers=headers,
        text=(text or str(error))[:MAX_TEXT],
        code=code[:MAX_CODE],
        message=_KEYLIKE.sub(r"\1***", message)[:MAX_MESSAGE],
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then its causes, as a traceback would show them."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(seen) < MAX_CAUSES:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _class_names(error: BaseException) -> list[str]:
    names = [parent.__name__ for parent in type(error).__mro__]
    return [name for name in names if name not in ("object", "BaseException", "Exception")]


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        metadata: Any = response.get("ResponseMetadata")
        value = metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None
        return value if isinstance(value, int) else None
    for holder, name in ((error, "status"), (error, "status_code"), (response, "status_code"), (error, "code")):
        value = getattr(holder, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
            return value
    return None


def _headers(error: BaseException) -> Mapping[str, str]:
    for holder in (error, getattr(error, "response", None)):
        found = getattr(holder, "headers", None)
        if found:
            try:
                return {str(name).lower(): str(value) for name, value in dict(found).items()}
            except (TypeError, ValueError):
                continue
    return {}


def _body_text(error: BaseException) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        return _dump(response.get("Error", {}))
    body = getattr(error, "body", None) or getattr(error, "details", None)
    if isinstance(body, bytes):
        return body.decode("utf-8", "replace")
    if isinstance(body, str):
        return body
    if isinstance(body, Mapping | list):
        return _dump(body)
    try:
        found = getattr(response, "text", "")
    except Exception:  # httpx raises when the body of a streamed response was not read
        return ""
    return found if isinstance(found, str) else ""


def _dump(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _error_object(parsed: Any) -> Any:
    """The error inside a body: under `error` or `Error`, first in a list (Gemini), or the body itself."""
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if isinstance(parsed, Mapping):
        inner = parsed.get("error", parsed.get("Error"))
        return inner if inner is not None else parsed
    return None


def _message(parsed: Any) -> str:
    error = _error_object(parsed)
    if isinstance(error, str):
        return error
    if not isinstance(error, Mapping):
        return ""
    found = error.get("message") or error.get("Message") or error.get("detail")
    if found is None and "promptFeedback" in error:
        found = f"blocked: {error['promptFeedback']}"
    return found if isinstance(found, str) else ("" if found is None else _dump(found))


def _code(parsed: Any) -> str:
    error = _error_object(parsed)
    if not isinstance(error, Mapping):
        return ""
    found = error.get("code") or error.get("Code") or error.get("status") or error.get("type")
    return str(found) if isinstance(found, str | int) else ""


def _plain_message(text: str) -> str:
    """The message of a body that is not JSON: the title of a web page, else the text."""
    if text.lstrip()[:1] != "<":
        return text[:MAX_MESSAGE]
    found = _HTML_TITLE.search(text)
    return " ".join(found.group(1).split()) if found else ""
