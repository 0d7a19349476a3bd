# Errors and bodies may have any shape, so their types stay partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The evidence in an error and its causes: class names, status, headers, error codes, message.

Read by duck typing (`.status`, `.body`, `.headers`, `.response`), because core imports no HTTP library and no SDK.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotspare._classify.error_body import ErrorBody, read_body, without_quotations
from hotspare._classify.exceptions import EXACT, IN_BAND, is_transport

MAX_TEXT = 65536
"""Characters of a body that are read: as many as `BackendError.body` keeps bytes."""
MAX_MESSAGE = 500
"""Characters of the message that people see."""
MAX_CODE = 100
"""Characters of an error code."""
MAX_CAUSES = 8
"""Errors that are read: the error itself and its causes. Real chains (SDK, httpx, httpcore, socket) have four or five links."""

_KEYLIKE = re.compile(r"(sk-|AIza|Bearer |gsk_|xai-|key-)[A-Za-z0-9_*\-.]{6,}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence in an error, in whichever attribute it stands.

    `class_names`: the error's class, its parents, then the same of each cause. `status`: of the response; of an error
    inside a 200, the number in its code. `words`: the text that the rules search: the codes, and the message without its
    quotations. `code`, `message`, `param`: for people; the message contains no key. `is_html`: the body is a web page, a
    gateway's and not the provider's. `is_in_band`: it is an error inside a successful response. `quotas`: id and value of each quota that
    Gemini reports as exceeded.
    """

    class_names: tuple[str, ...]
    status: int | None
    headers: Mapping[str, str]
    words: str
    code: str
    message: str
    param: str = ""
    retry_delay: str = ""
    is_html: bool = False
    is_in_band: bool = False
    is_context_overflow: bool = False
    quotas: tuple[tuple[str, str], ...] = ()

    @property
    def own_class(self) -> str:
        """The name of the error's own class."""
        return self.class_names[0] if self.class_names else ""

    @property
    def effective_status(self) -> int | None:
        """The status of the response; for an error inside a 200, the number in its code."""
        if not self.is_in_band:
            return self.status
        number = int(self.code) if self.code.isascii() and self.code.isdecimal() else 0
        return number if 400 <= number < 1000 else None


def read_evidence(error: BaseException) -> Evidence:
    """Collect the evidence of an error and its causes; the outermost status, headers and body win."""
    names: list[str] = []
    status: int | None = None
    headers: Mapping[str, str] = {}
    text = ""
    broken_connection = False
    for one in causes(error):
        names += _class_names(one)
        if one is error or not broken_connection:
            status = status if status is not None else _status(one)
            headers = headers or _headers(one)
            text = text or _body_text(one)
        # The causes of a broken connection belong to the HTTP library, whose parser's codes are not HTTP statuses.
        broken_connection = broken_connection or is_transport(names)
    own_class = names[0] if names else ""
    # hotspare's own message about an answer is better evidence than the answer, which contains the model's text.
    body = ErrorBody() if own_class in EXACT and text else read_body((text or str(error))[:MAX_TEXT])
    code = body.code or str(getattr(error, "code", "") or "")
    message = body.message or str(error)
    return Evidence(
        class_names=tuple(names),
        status=status,
        headers={**body.headers, **headers},
        words=" | ".join([*body.codes, code, without_quotations(message, is_cut=body.is_cut)]),
        code=code[:MAX_CODE],
        message=_KEYLIKE.sub(r"\1***", message[: 2 * MAX_MESSAGE])[:MAX_MESSAGE],
        param=body.param,
        retry_delay=body.retry_delay,
        is_html=text.lstrip()[:1] == "<",
        is_in_band=own_class in IN_BAND or (status is not None and 200 <= status < 300),
        is_context_overflow=body.is_context_overflow,
        quotas=tuple(body.quotas),
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error itself, then its causes, as a traceback would show them."""
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
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 1000:
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
