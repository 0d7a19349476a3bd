"""Ending a native stream that is left early, so that its provider stops writing and its connection is free.

LlamaIndex's generators do not close the SDK's stream under them, and that stream and its own generator hold each other: its
connection would live until the garbage collector comes by. So the streams under a generator are looked up, through the
references that CPython tells of (`gc.get_referents`), and closed.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from contextlib import suppress
from types import AsyncGeneratorType, CellType, GeneratorType
from typing import Any

_WRAPPED = ("completion_stream", "response_stream")
"""Where LiteLLM and google-genai keep the stream that they wrap."""


def close(stream: Any) -> None:
    """End a sync stream and what is under it."""
    for one in [*_under(stream)]:
        with suppress(Exception):  # it is left behind: whatever ails it concerns nobody any more
            one.close()


async def aclose(stream: Any) -> None:
    """End an async stream and what is under it."""
    for one in [*_under(stream)]:
        with suppress(Exception):
            ending = one.aclose() if hasattr(one, "aclose") else one.close()
            if inspect.isawaitable(ending):
                await ending


def _under(stream: Any) -> Iterator[Any]:
    """The stream, the generators in it, and the SDK's streams in those; never a client, which others share."""
    todo: list[Any] = [stream]
    seen: set[int] = set()
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if not isinstance(one, CellType):
            yield one
        for inner in gc.get_referents(one) if isinstance(one, GeneratorType | AsyncGeneratorType | CellType) else ():
            under = next((getattr(inner, name) for name in _WRAPPED if hasattr(inner, name)), inner)
            if isinstance(under, GeneratorType | AsyncGeneratorType | CellType) or _is_stream(under):
                todo.append(under)


def _is_stream(value: Any) -> bool:
    name = type(value).__name__
    return ("Stream" in name or "Response" in name) and (hasattr(value, "close") or hasattr(value, "aclose"))
