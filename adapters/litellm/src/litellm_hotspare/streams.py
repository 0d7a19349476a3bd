"""Async streams that begin with their first content, like those of LiteLLM's own providers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Self


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


async def start_stream(response: Any) -> Any:
    """LiteLLM's response; of a pool's stream, after its first content. Raises a failure before that."""
    stream = getattr(response, "completion_stream", None)
    error = await stream.start() if isinstance(stream, PoolStream) else None
    if error is None:
        return response
    try:
        return await anext(response)  # raises again, so that LiteLLM's wrapper reports the failure to the callbacks
    except Exception:
        raise error from error.__cause__
