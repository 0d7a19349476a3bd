"""hotspare's errors -> LiteLLM's own exception classes, with the status that a Router's cooldowns and fallbacks use."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from hotspare import (
    AllTargetsFailed,
    AttemptRecord,
    HotspareError,
    Kind,
    LimitExceeded,
    RequestError,
    Scope,
    StreamInterrupted,
)

from litellm_hotspare.litellm_api import litellm

_STATUS: Mapping[type[Exception], int] = {
    litellm.AuthenticationError: 401,
    litellm.BadRequestError: 400,
    litellm.ContentPolicyViolationError: 400,
    litellm.ContextWindowExceededError: 400,
    litellm.NotFoundError: 404,
    litellm.RateLimitError: 429,
    litellm.ServiceUnavailableError: 503,
}
"""Classes whose constructor takes a response, and its status."""
_REQUEST_AT_FAULT: Mapping[Kind, type[Exception]] = {
    Kind.CONTEXT_LENGTH: litellm.ContextWindowExceededError,
    Kind.CONTENT_FILTER: litellm.ContentPolicyViolationError,
    Kind.INVALID: litellm.BadRequestError,
}
"""An attempt of one of these kinds decides the class, whatever the other attempts were, unless only its target is concerned."""
_SAME_FROM_ALL: Mapping[Kind, type[Exception]] = {
    Kind.RATE_LIMITED: litellm.RateLimitError,
    Kind.QUOTA: litellm.RateLimitError,
    Kind.AUTH: litellm.AuthenticationError,
    Kind.NOT_FOUND: litellm.NotFoundError,
    Kind.TIMEOUT: litellm.Timeout,
}
"""The class if it is the same for every attempt. Mixed failures are ServiceUnavailableError."""


@contextmanager
def translate_errors(model: str) -> Generator[None]:
    """Raise hotspare's errors as LiteLLM's, with hotspare's own as `__cause__`."""
    try:
        yield
    except HotspareError as error:
        raise translated(error, model) from error


def translated(error: HotspareError, model: str) -> Exception:
    """The LiteLLM exception for one of hotspare's.

    `num_retries` is 0, because the pool has called every target, and retries of a Router would multiply the attempts. A proxy sends
    `headers` to its client: `x-should-retry` stops the official SDKs' retries, `retry-after` has the seconds to wait.
    """
    cls = _class_of(error)
    headers = {"x-should-retry": "false"}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["retry-after"] = f"{retry_after:.1f}"
    made: Any = cls(message=str(error), model=model, llm_provider="hotspare", **_response(cls, headers))
    made.num_retries, made.headers = 0, headers
    found: Exception = made
    return found


def _response(cls: type[Exception], headers: dict[str, str]) -> dict[str, Any]:
    status = _STATUS.get(cls)
    if status is None:
        return {}
    request = httpx.Request("POST", "http://hotspare")
    return {"response": httpx.Response(status, headers=headers, request=request)}


def _class_of(error: HotspareError) -> Any:
    if isinstance(error, RequestError):
        return litellm.BadRequestError
    if isinstance(error, StreamInterrupted):
        return litellm.APIConnectionError
    if not isinstance(error, AllTargetsFailed):
        return litellm.InternalServerError
    if isinstance(error, LimitExceeded) and not error.attempts:
        return litellm.RateLimitError
    return _class_for(error.attempts)


def _class_for(attempts: tuple[AttemptRecord, ...]) -> Any:
    kinds = {record.kind for record in attempts}
    decisive = {record.kind for record in attempts if record.scope is not Scope.TARGET} if len(kinds) > 1 else kinds
    for kind, cls in _REQUEST_AT_FAULT.items():
        if kind in decisive:
            return cls
    classes = {_SAME_FROM_ALL.get(kind) for kind in kinds}
    same = classes.pop() if len(classes) == 1 else None
    return same or litellm.ServiceUnavailableError
