"""Closes the stream of a LlamaIndex LLM that is not read to its end, so that its connection is closed immediately.

LlamaIndex's generators do not close the SDK's stream inside them, and that stream and its generator refer to each other:
the connection would stay open until the garbage collector runs. So the streams inside a generator are found through the
references that CPython reports (`gc.get_referents`), and closed.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from contextlib import suppress
from types import AsyncGeneratorType, CellType, GeneratorType
from typing import Any

_WRAPPED = ("completion_stream", "response_stream")
"""Attributes in which LiteLLM and google-genai store the stream that they wrap."""


def close(stream: Any) -> None:
    """Close a sync stream and the streams inside it."""
    for found in [*_streams(stream)]:
        with suppress(Exception):  # the stream is not used any more: an error while closing it has no consequence
            found.close()


async def aclose(stream: Any) -> None:
    """Close an async stream and the streams inside it."""
    for found in [*_streams(stream)]:
        with suppress(Exception):
            closing = found.aclose() if hasattr(found, "aclose") else found.close()
            if inspect.isawaitable(closing):
                await closing


def _streams(stream: Any) -> Iterator[Any]:
    """The stream, the generators inside it, and the SDK's streams inside those. Never a client, which is shared."""
    pending: list[Any] = [stream]
    seen: set[int] = set()
    while pending:
        found = pending.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        if not isinstance(found, CellType):
            yield found
        holds = isinstance(found, GeneratorType | AsyncGeneratorType | CellType)
        for referent in gc.get_referents(found) if holds else ():
            inner = next((getattr(referent, name) for name in _WRAPPED if hasattr(referent, name)), referent)
            if isinstance(inner, GeneratorType | AsyncGeneratorType | CellType) or _is_stream(inner):
                pending.append(inner)


def _is_stream(value: Any) -> bool:
    name = type(value).__name__
    return ("Stream" in name or "Response" in name) and (hasattr(value, "close") or hasattr(value, "aclose"))
