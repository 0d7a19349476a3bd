"""hotspare's errors -> LiteLLM's own exception classes, with the status that a Router's cooldowns and fallbacks go by."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
from hotspare import AllTargetsFailed, AttemptRecord, HotspareError, Kind, RequestError, StreamInterrupted

from litellm_hotspare.host import litellm

_STATUS = {
    "AuthenticationError": 401,
    "BadRequestError": 400,
    "ContentPolicyViolationError": 400,
    "ContextWindowExceededError": 400,
    "NotFoundError": 404,
    "RateLimitError": 429,
    "ServiceUnavailableError": 503,
}
_OWN_FAULT = {
    Kind.CONTEXT_LENGTH: "ContextWindowExceededError",
    Kind.CONTENT_FILTER: "ContentPolicyViolationError",
    Kind.INVALID: "BadRequestError",
}
"""The request's own fault: it decides, whatever else happened before."""
_UNANIMOUS = {
    Kind.RATE_LIMITED: "RateLimitError",
    Kind.QUOTA: "RateLimitError",
    Kind.AUTH: "AuthenticationError",
    Kind.NOT_FOUND: "NotFoundError",
    Kind.TIMEOUT: "Timeout",
}
"""What every target said alike has its own class; a mixture is an unavailable service."""


@contextmanager
def as_litellm(model: str) -> Generator[None]:
    """What hotspare raises inside leaves as LiteLLM's own."""
    try:
        yield
    except HotspareError as error:
        raise translated(error, model) from error


def translated(error: HotspareError, model: str) -> Exception:
    """The LiteLLM exception for one of hotspare's.

    `num_retries` is 0: the pool has asked everybody, and a Router must not multiply that. A proxy sends `headers` on:
    `x-should-retry` says the same to the official SDKs, `retry-after` when to come back.
    """
    name = _class_of(error)
    headers = {"x-should-retry": "false"}
    wait = getattr(error, "retry_after", None)
    if wait is not None:
        headers["retry-after"] = f"{wait:.1f}"
    made: Any = getattr(litellm, name)(
        message=str(error), model=model, llm_provider="hotspare", **_response(name, headers)
    )
    made.num_retries, made.headers = 0, headers
    found: Exception = made
    return found


def _response(name: str, headers: dict[str, str]) -> dict[str, Any]:
    status = _STATUS.get(name)
    if status is None:
        return {}
    request = httpx.Request("POST", "http://hotspare")
    return {"response": httpx.Response(status, headers=headers, request=request)}


def _class_of(error: HotspareError) -> str:
    if isinstance(error, RequestError):
        return "BadRequestError"
    if isinstance(error, StreamInterrupted):
        return "APIConnectionError"
    if not isinstance(error, AllTargetsFailed):
        return "InternalServerError"
    return class_for(error.attempts)


def class_for(attempts: tuple[AttemptRecord, ...]) -> str:
    """The name of the LiteLLM class that says what these attempts came to."""
    kinds = {record.kind for record in attempts}
    for kind, name in _OWN_FAULT.items():
        if kind in kinds:
            return name
    names = {_UNANIMOUS.get(kind, "") for kind in kinds}
    return names.pop() or "ServiceUnavailableError" if len(names) == 1 else "ServiceUnavailableError"
