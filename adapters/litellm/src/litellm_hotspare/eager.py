"""Async streams that begin with their first content, like those of LiteLLM's own providers.

LiteLLM calls `CustomLLM.astreaming` where nothing can be awaited, and so returns from `litellm.acompletion` before a custom
provider has been called. A failure then comes out of a stream that has begun: a Router's fallbacks ignore it if its status is a
400 class, and `/v1/messages` and `/v1/responses` have answered 200. So `litellm.acompletion` is wrapped once, and waits for the
first content of a pool's stream; everything else in LiteLLM (Router, proxy, the adapters of the other two APIs) calls it by
that name.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from typing import Any, Self

from litellm_hotspare.litellm_api import litellm

_MARK = "_hotspare_waits_for_first_content"


class PoolStream:
    """A pool's stream as LiteLLM's wrapper reads it. `start` may be called once, before it is read."""

    def __init__(self, chunks: AsyncGenerator[Any]) -> None:
        self._chunks = chunks
        self._first: list[Any] = []
        self._error: Exception | None = None

    async def start(self) -> Exception | None:
        """Wait for the first content. A failure before it is returned, and raised again when the stream is read."""
        try:
            self._first.append(await anext(self._chunks))
        except Exception as error:
            self._error = error
        return self._error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._first.pop() if self._first else await anext(self._chunks)

    async def aclose(self) -> None:
        """Close the pool's stream."""
        await self._chunks.aclose()


def install() -> None:
    """Wrap `litellm.acompletion`, unless it is wrapped already."""
    inner = litellm.acompletion
    if getattr(inner, _MARK, False):
        return

    @functools.wraps(inner)
    async def acompletion(*args: Any, **call: Any) -> Any:
        response = await inner(*args, **call)
        stream = getattr(response, "completion_stream", None)
        error = await stream.start() if isinstance(stream, PoolStream) else None
        if error is not None:
            await _fail(response, error)
        return response

    setattr(acompletion, _MARK, True)
    litellm.acompletion = acompletion


async def _fail(response: Any, error: Exception) -> None:
    """Raise a stream's error, after LiteLLM's wrapper has reported it to the callbacks."""
    try:
        await anext(response)
    except Exception:
        raise error from error.__cause__
