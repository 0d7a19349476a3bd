"""hotspare's errors as LangChain's: each is both, so `except AllTargetsFailed` and `except ModelError` see it.

::

    AllTargetsFailed + ModelError      every attempt is inside, in `.attempts`; `.retry_after` says when to come back
    ├── TargetsUnavailable             ModelAPIError          5xx, broken answers, several reasons, or everybody rests
    ├── TargetsUnreachable             ModelConnectionError   no connection to any of them
    ├── TargetsTimedOut                ModelTimeoutError      none answered in its time
    ├── TargetsThrottled               ModelRateLimitError    429 from all
    ├── TargetsDenied                  ModelAuthenticationError  keys refused, quotas and credit used up
    ├── TargetsGone                    ModelNotFoundError     the models do not exist
    ├── PromptTooLong                  ContextOverflowError   no target has a window that is large enough
    └── RequestRefused                 ModelInvalidRequestError  the request is wrong, or was refused by a filter
    StreamInterrupted + ModelAPIError  StreamBroken: a stream broke after its first content; `.text` is what came
    RequestError + ModelInvalidRequestError  RequestInvalid: nothing was sent
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from hotspare import AllTargetsFailed, HotspareError, Kind, RequestError, StreamInterrupted
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
    """The targets failed on their side, or all of them rest. Worth trying later."""


class TargetsUnreachable(AllTargetsFailed, ModelConnectionError):
    """No target could be connected to."""


class TargetsTimedOut(AllTargetsFailed, ModelTimeoutError):
    """No target answered in its time."""


class TargetsThrottled(AllTargetsFailed, ModelRateLimitError):
    """Every target said 429; `.retry_after` is when to come back."""


class TargetsDenied(AllTargetsFailed, ModelAuthenticationError):
    """Keys were refused, or quotas and credit are used up: a human has to act."""


class TargetsGone(AllTargetsFailed, ModelNotFoundError):
    """The models do not exist (any more)."""


class PromptTooLong(AllTargetsFailed, ContextOverflowError):
    """The prompt is over the context window of every target that was asked."""


class RequestRefused(AllTargetsFailed, ModelInvalidRequestError):
    """The request itself is wrong, or a content filter refused it."""


class StreamBroken(StreamInterrupted, ModelAPIError):
    """A stream broke after its first content, and nobody could continue it. `.text` is what came."""


class RequestInvalid(RequestError, ModelInvalidRequestError):
    """A request that no target could take as written. Nothing was sent."""


_BY_KIND: dict[Kind, type[AllTargetsFailed]] = {
    Kind.SERVER: TargetsUnavailable,
    Kind.TRANSPORT: TargetsUnreachable,
    Kind.TIMEOUT: TargetsTimedOut,
    Kind.RATE_LIMITED: TargetsThrottled,
    Kind.QUOTA: TargetsDenied,
    Kind.AUTH: TargetsDenied,
    Kind.NOT_FOUND: TargetsGone,
    Kind.CONTEXT_LENGTH: PromptTooLong,
    Kind.CONTENT_FILTER: RequestRefused,
    Kind.INVALID: RequestRefused,
}
_FINAL = (Kind.CONTEXT_LENGTH, Kind.CONTENT_FILTER, Kind.INVALID)
"""Kinds that end a call whatever came before."""
_PASSING = (TargetsUnavailable, TargetsUnreachable, TargetsTimedOut, TargetsThrottled)


@contextmanager
def as_model_errors() -> Generator[None]:
    """Raises hotspare's errors as LangChain's, with everything that is inside them."""
    try:
        yield
    except (AllTargetsFailed, StreamInterrupted, RequestError) as error:
        raise _translated(error).with_traceback(error.__traceback__) from error.__cause__


def _translated(error: HotspareError) -> HotspareError:
    if isinstance(error, AllTargetsFailed):
        cls: type[HotspareError] = _class_of(error)
    else:
        cls = StreamBroken if isinstance(error, StreamInterrupted) else RequestInvalid
    new = cls.__new__(cls, *error.args)
    new.__dict__.update(error.__dict__)
    return new


def _class_of(error: AllTargetsFailed) -> type[AllTargetsFailed]:
    """One reason: its class. Several: the one that ended the call, else what passes by itself, if anything does."""
    if error.attempts and error.attempts[-1].kind in _FINAL:
        return _BY_KIND[error.attempts[-1].kind]
    classes = {_BY_KIND.get(attempt.kind, TargetsUnavailable) for attempt in error.attempts}
    if len(classes) == 1:
        return classes.pop()
    return TargetsUnavailable if not classes or classes.intersection(_PASSING) else TargetsDenied
