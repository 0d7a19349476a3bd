"""hotspare's errors as LangChain's: each class is both, so `except AllTargetsFailed` and `except ModelError` catch it.

::

    AllTargetsFailed + ModelError      `.attempts` lists every attempt; `.retry_after`: seconds until a retry makes sense
    ├── TargetsUnavailable             ModelAPIError             5xx, invalid answers, mixed failures, no target available
    ├── TargetsUnreachable             ModelConnectionError      no connection to any target
    ├── TargetsTimedOut                ModelTimeoutError         no target answered in time
    ├── TargetsRateLimited             ModelRateLimitError       429 from every target
    ├── TargetsUnauthorized            ModelAuthenticationError  keys rejected, quotas or credit used up
    ├── TargetsNotFound                ModelNotFoundError        the models do not exist
    ├── ContextLengthExceeded          ContextOverflowError      the prompt exceeds every context window
    └── RequestRejected                ModelInvalidRequestError  an invalid request, or rejected by a content filter
    StreamInterrupted + ModelAPIError  StreamBroken: the stream broke after its first content; `.text` is the text so far
    RequestError + ModelInvalidRequestError  RequestInvalid: nothing was sent
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from hotspare import AllTargetsFailed, HotspareError, Kind, LimitExceeded, RequestError, Scope, StreamInterrupted
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelTimeoutError,
)


class TargetsUnavailable(AllTargetsFailed, ModelAPIError):
    """The targets failed, or none was available. A later retry may succeed."""


class TargetsUnreachable(AllTargetsFailed, ModelConnectionError):
    """No target could be connected to."""


class TargetsTimedOut(AllTargetsFailed, ModelTimeoutError):
    """No target answered in time."""


class TargetsRateLimited(AllTargetsFailed, ModelRateLimitError):
    """Every target answered 429. `.retry_after`: seconds until a retry makes sense."""


class TargetsUnauthorized(AllTargetsFailed, ModelAuthenticationError):
    """Keys were rejected, or quotas or credit are used up: an operator has to act."""


class TargetsNotFound(AllTargetsFailed, ModelNotFoundError):
    """The providers do not have the models."""


class ContextLengthExceeded(AllTargetsFailed, ContextOverflowError):
    """The prompt is longer than the context window of every target that was called."""


class RequestRejected(AllTargetsFailed, ModelInvalidRequestError):
    """The request is invalid, or a content filter rejected it."""


class StreamBroken(StreamInterrupted, ModelAPIError):
    """The stream broke after its first content and could not be continued. `.text` is the text so far."""


class RequestInvalid(RequestError, ModelInvalidRequestError):
    """No target can take the request as written. Nothing was sent."""


_CLASS_BY_KIND: dict[Kind, type[AllTargetsFailed]] = {
    Kind.SERVER: TargetsUnavailable,
    Kind.TRANSPORT: TargetsUnreachable,
    Kind.TIMEOUT: TargetsTimedOut,
    Kind.RATE_LIMITED: TargetsRateLimited,
    Kind.QUOTA: TargetsUnauthorized,
    Kind.AUTH: TargetsUnauthorized,
    Kind.NOT_FOUND: TargetsNotFound,
    Kind.CONTEXT_LENGTH: ContextLengthExceeded,
    Kind.CONTENT_FILTER: RequestRejected,
    Kind.REJECTED: TargetsUnavailable,
    Kind.INVALID: RequestRejected,
}
_REQUEST_AT_FAULT = (Kind.CONTEXT_LENGTH, Kind.CONTENT_FILTER, Kind.INVALID)
"""If the last attempt has one of these kinds, it alone decides the class, unless its scope is the target."""
_TEMPORARY = (TargetsUnavailable, TargetsUnreachable, TargetsTimedOut, TargetsRateLimited)


@contextmanager
def translate_errors() -> Generator[None]:
    """Raise hotspare's errors as this module's classes, with the same attributes, cause and traceback."""
    try:
        yield
    except (AllTargetsFailed, StreamInterrupted, RequestError) as error:
        raise translated(error).with_traceback(error.__traceback__) from error.__cause__


def translated(error: HotspareError) -> HotspareError:
    """The error as this module's class, with the same attributes."""
    if isinstance(error, AllTargetsFailed):
        cls: type[HotspareError] = _class_of(error)
    else:
        cls = StreamBroken if isinstance(error, StreamInterrupted) else RequestInvalid
    new = cls.__new__(cls, *error.args)
    new.__dict__.update(error.__dict__)
    return new


def _class_of(error: AllTargetsFailed) -> type[AllTargetsFailed]:
    """The class for these attempts. Mixed failures count as unavailable if at least one of them is temporary.

    Other mixed failures (rejected keys, missing models) count as unauthorized. A prompt that is too long for one target gives
    ContextLengthExceeded, whatever the other attempts were, unless the scope of that failure is the target.
    """
    if isinstance(error, LimitExceeded) and not error.attempts:
        return TargetsRateLimited
    if any(attempt.kind is Kind.CONTEXT_LENGTH and attempt.scope is not Scope.TARGET for attempt in error.attempts):
        return ContextLengthExceeded
    last = error.attempts[-1] if error.attempts else None
    if last is not None and last.kind in _REQUEST_AT_FAULT and last.scope is not Scope.TARGET:
        return _CLASS_BY_KIND[last.kind]
    classes = {_CLASS_BY_KIND.get(attempt.kind, TargetsUnavailable) for attempt in error.attempts}
    if len(classes) == 1:
        return classes.pop()
    return TargetsUnavailable if not classes or classes.intersection(_TEMPORARY) else TargetsUnauthorized
