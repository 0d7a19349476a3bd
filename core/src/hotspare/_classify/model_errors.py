"""An exception of a framework's model -> an Outcome: the provider's failure, or an error in the model's own code."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from types import FrameType

from hotspare._classify.evidence import MAX_MESSAGE, causes
from hotspare.outcome import Kind, Outcome, Scope

_BUILT_IN = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, ImportError, NotImplementedError)  # fmt: skip
"""Exceptions that code raises for input that it cannot handle, with all subclasses (UnicodeError, pydantic's ValidationError…)."""

_ANSWER_VARIABLES = ("response", "raw_response", "completion", "chunk")
"""Variables in which a model's methods hold the provider's response: LangChain's and LlamaIndex's classes, and most others."""

_CLIENT_PACKAGES = ("httpx", "httpx2", "requests", "aiohttp", "openai", "anthropic", "google")
"""Packages that decode JSON only from a response: HTTP clients, and SDKs that return the decoded answer."""


def own_code_outcome(error: BaseException, outcome: Outcome, methods: Collection[str]) -> Outcome | None:
    """The outcome of an exception in the model's own code; None if it is a provider's failure, which `outcome` describes.

    Raised before the provider sent anything, it means that this model does not support the request: INVALID of scope TARGET, so
    that the next target is tried and the model's health is unchanged. Raised later, it means that the answer could not be read: SERVER. `methods`: the functions
    that call the provider; whether it had sent something is read from their variables in the traceback.
    """
    own_code = all(isinstance(cause, _BUILT_IN) for cause in causes(error))
    if outcome.status is not None or (outcome.kind is not Kind.INVALID and not own_code):
        return None
    message = with_class_name(error, outcome.message)
    if any(_holds_answer(frame, methods) or _decodes_answer(error, frame) for frame in _frames(error)):
        return Outcome(Kind.SERVER, message)
    return Outcome(Kind.INVALID, message, scope=Scope.TARGET)


def with_class_name(error: BaseException, message: str) -> str:
    """The message of an error, with the name of its class before it."""
    name = type(error).__name__
    if message == name or message.startswith(f"{name}: "):
        return message
    return f"{name}: {message}".removesuffix(": ")[:MAX_MESSAGE]


def _frames(error: BaseException) -> Iterator[FrameType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _holds_answer(frame: FrameType, methods: Collection[str]) -> bool:
    if frame.f_code.co_name not in methods:
        return False
    variables = frame.f_locals
    return any(variables.get(name) is not None for name in _ANSWER_VARIABLES)


def _decodes_answer(error: BaseException, frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return isinstance(error, json.JSONDecodeError) and package in _CLIENT_PACKAGES
