"""A LlamaIndex LLM as a hotspare backend: one request per attempt, no LlamaIndex events, time limits in sync code too."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from typing import Any

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.llms.hotspare import closing
from llama_index.llms.hotspare.backend_request import arguments_for, unsupported
from llama_index.llms.hotspare.backend_response import StreamReader, reply_of
from llama_index.llms.hotspare.model_families import family_of
from llama_index.llms.hotspare.worker import Worker

from hotspare import ChatChunk, ChatReply, ChatRequest, Kind, Outcome, classify, remaining_time

_TERMINATED_EARLY = re.compile(r"Response was terminated early: (\w+)")
_END = object()
_METHODS = frozenset({
    "chat", "_chat", "achat", "_achat", "stream_chat", "_stream_chat", "astream_chat", "_astream_chat", "gen", "send", "asend",
    "stream", "astream",
})  # fmt: skip
"""The methods of LLMs, and of this backend, whose local variables hold the provider's response; see `hotspare.classify`."""


class LlamaIndexBackend:
    """Makes a target's calls through a LlamaIndex LLM.

    Args:
        llm: with its retries switched off (see `llama_index.llms.hotspare.targets`).
        metadata: the LLM's own.
        max_tokens: the LLM's own limit, sent if the request has none.
    """

    prefill = False
    streaming = True

    def __init__(self, llm: LLM, metadata: LLMMetadata, *, max_tokens: int | None = None) -> None:
        self.metadata = metadata
        self._llm = llm
        self._family = family_of(llm)
        self._max_tokens = max_tokens
        self._takes_tools = metadata.is_function_calling_model and isinstance(llm, FunctionCallingLLM)

    def __repr__(self) -> str:
        return f"LlamaIndexBackend({type(self._llm).__name__}, {self.metadata.model_name!r})"

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that this LLM does not support."""
        return unsupported(request, self._family, takes_tools=self._takes_tools)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer. Raises AttemptTimeout, or whatever the LLM raises."""
        call = self._call("chat", request, timeout)
        worker = Worker()
        try:
            response = worker.run(partial(self._limited, call), timeout)
            return reply_of(response, self.metadata.model_name, allow_empty=request.follows_tool_result)
        finally:
            worker.close()

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for asyncio."""
        response = await self._acall("achat", request, timeout)
        return reply_of(response, self.metadata.model_name, allow_empty=request.follows_tool_result)

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer chunk by chunk.

        Raises AttemptTimeout after `timeout` seconds without a first content, `stall` seconds without further content, or when
        the pool stops waiting.
        """
        until = time.monotonic() + timeout
        call = self._call("stream_chat", request, max(timeout, stall))
        reader, worker, responses = self._reader(request), Worker(), None
        try:
            responses = worker.run(partial(self._limited, call), timeout)
            while (response := worker.run(partial(next, responses, _END), _seconds_left(until))) is not _END:
                chunk = reader.read(response)
                until = time.monotonic() + stall if chunk.is_content else until
                yield chunk
            yield from reader.end()
        finally:
            worker.close(partial(closing.close, responses))

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer chunk by chunk, for asyncio; the pool's driver enforces the time limits."""
        reader = self._reader(request)
        started = False
        for is_last_try in (False, True):
            responses = await self._acall("astream_chat", request, max(timeout, stall))
            try:
                async for response in responses:
                    started = True
                    yield reader.read(response)
                break
            except Exception as error:
                if started or is_last_try or not _is_closed_loop(error):
                    raise
            finally:
                await closing.aclose(responses)
        for chunk in reader.end():
            yield chunk

    def classify(self, error: Exception) -> Outcome:
        """The outcome for an exception of this LLM or its SDK, see `hotspare.classify`."""
        early = _TERMINATED_EARLY.search(str(error))
        if early is not None:  # GoogleGenAI raises for every finish reason but STOP
            kind = Kind.INVALID if early[1] == "MAX_TOKENS" else Kind.CONTENT_FILTER
            return Outcome(kind, str(error)[:500], code=early[1])
        return classify(error, methods=_METHODS)

    # --- private -------------------------------------------------------------------------------------------------

    def _reader(self, request: ChatRequest) -> StreamReader:
        return StreamReader(self._family, self.metadata.model_name, allow_empty=request.follows_tool_result)

    def _call(self, name: str, request: ChatRequest, timeout: float) -> Callable[[], Any]:
        messages, kwargs = arguments_for(self._llm, self._family, request, self._max_tokens)
        if self._family.takes_timeout:
            kwargs["timeout"] = timeout
        if self._family.needs_usage_option and "stream" in name:
            kwargs["stream_options"] = {"include_usage": True}
        return partial(_undecorated(self._llm, name), messages, **kwargs)

    def _limited(self, call: Callable[[], Any]) -> Any:
        if self._llm.rate_limiter is not None:
            self._llm.rate_limiter.acquire()
        return call()

    async def _acall(self, name: str, request: ChatRequest, timeout: float) -> Any:
        """The call's result. A client whose event loop is closed fails only once, so that the call is made again."""
        if self._llm.rate_limiter is not None:
            await self._llm.rate_limiter.async_acquire()
        try:
            return await self._call(name, request, timeout)()
        except Exception as error:
            if not _is_closed_loop(error):
                raise
        return await self._call(name, request, timeout)()


def _seconds_left(until: float) -> float:
    """Seconds until the backend's own limit, or until the pool stops waiting, if that is sooner."""
    left = until - time.monotonic()
    pool = remaining_time()
    return left if pool is None else min(left, pool)


def _is_closed_loop(error: BaseException | None) -> bool:
    """Whether the client failed because it belongs to a closed event loop, which is not a failure of the provider."""
    while error is not None:
        if isinstance(error, RuntimeError) and "Event loop is closed" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _undecorated(llm: LLM, name: str) -> Callable[..., Any]:
    """The LLM's method without LlamaIndex's decorators, so that events fire once per call, at Hotspare.

    The span decorator sets `__wrapped__`; the callback decorator keeps the function in the closure cell `f`. Where they
    do not, the decorated method is returned.
    """
    method = getattr(type(llm), name)
    decorated = getattr(method, "__wrapped__", method)
    names = getattr(getattr(decorated, "__code__", None), "co_freevars", ())
    cells: dict[str, Any] = dict(zip(names, getattr(decorated, "__closure__", None) or (), strict=False))
    inner: Any = cells["f"].cell_contents if "f" in cells else None
    return partial(inner, llm) if callable(inner) else getattr(llm, name)
