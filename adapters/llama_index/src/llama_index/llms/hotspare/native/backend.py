"""A Backend around one native LLM: one request a call, events fired by nobody but Hotspare, time kept."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from typing import Any

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.llms.hotspare.native import leaving
from llama_index.llms.hotspare.native.asking import arguments_for, unsupported
from llama_index.llms.hotspare.native.families import family_of
from llama_index.llms.hotspare.native.reading import Listener, reply_of
from llama_index.llms.hotspare.native.worker import Worker

from hotspare import ChatChunk, ChatReply, ChatRequest, Kind, Outcome, classify

_EARLY = re.compile(r"Response was terminated early: (\w+)")
_END = object()


class NativeBackend:
    """Makes one attempt's call through a native LLM. `max_tokens`: the LLM's own bound, sent if the request has none."""

    prefill = False
    streaming = True

    def __init__(self, llm: LLM, metadata: LLMMetadata, *, max_tokens: int | None = None) -> None:
        self.metadata = metadata
        self._llm = llm
        self._family = family_of(llm)
        self._max_tokens = max_tokens
        self._lacks_tools = not (metadata.is_function_calling_model and isinstance(llm, FunctionCallingLLM))

    def __repr__(self) -> str:
        return f"NativeBackend({type(self._llm).__name__}, {self.metadata.model_name!r})"

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that this LLM cannot carry."""
        return unsupported(request, self._family, self._lacks_tools)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer. Raises AttemptTimeout, or what the LLM raises."""
        call = self._call("chat", request, timeout)
        worker = Worker()
        try:
            return reply_of(worker.do(partial(self._limited, call), timeout), self.metadata.model_name)
        finally:
            worker.end()

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for asyncio."""
        return reply_of(await self._aopen("achat", request, timeout), self.metadata.model_name)

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer piece by piece. Raises AttemptTimeout without content for `timeout`, later for `stall` seconds."""
        until = time.monotonic() + timeout
        call = self._call("stream_chat", request, max(timeout, stall))
        listener, worker, responses = Listener(self._family, self.metadata.model_name), Worker(), None
        try:
            responses = worker.do(partial(self._limited, call), timeout)
            while (response := worker.do(partial(next, responses, _END), until - time.monotonic())) is not _END:
                chunk = listener.hear(response)
                until = time.monotonic() + stall if chunk.is_content else until
                yield chunk
            yield from listener.end()
        finally:
            worker.end(partial(leaving.close, responses))

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer piece by piece, for asyncio; the caller keeps the time."""
        listener = Listener(self._family, self.metadata.model_name)
        heard = False
        for last_try in (False, True):
            responses = await self._aopen("astream_chat", request, max(timeout, stall))
            try:
                async for response in responses:
                    heard = True
                    yield listener.hear(response)
                break
            except Exception as error:
                if heard or last_try or not _loop_is_gone(error):
                    raise
            finally:
                await leaving.aclose(responses)
        for chunk in listener.end():
            yield chunk

    def classify(self, error: Exception) -> Outcome:
        """What an exception of this LLM means."""
        early = _EARLY.search(str(error))
        if early is not None:  # GoogleGenAI raises for every finish reason but STOP
            kind = Kind.INVALID if early[1] == "MAX_TOKENS" else Kind.CONTENT_FILTER
            return Outcome(kind, str(error)[:500], code=early[1])
        return classify(error)

    def _call(self, name: str, request: ChatRequest, timeout: float) -> Callable[[], Any]:
        messages, kwargs = arguments_for(self._llm, self._family, request, self._max_tokens)
        if self._family.takes_timeout:
            kwargs["timeout"] = timeout
        if self._family.usage_option and "stream" in name:
            kwargs["stream_options"] = {"include_usage": True}
        return partial(_undecorated(self._llm, name), messages, **kwargs)

    def _limited(self, call: Callable[[], Any]) -> Any:
        if self._llm.rate_limiter is not None:
            self._llm.rate_limiter.acquire()
        return call()

    async def _aopen(self, name: str, request: ChatRequest, timeout: float) -> Any:
        """The call's result. A client that was left behind in a closed event loop fails once, through nobody's fault."""
        if self._llm.rate_limiter is not None:
            await self._llm.rate_limiter.async_acquire()
        try:
            return await self._call(name, request, timeout)()
        except Exception as error:
            if not _loop_is_gone(error):
                raise
        return await self._call(name, request, timeout)()


def _loop_is_gone(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, RuntimeError) and "Event loop is closed" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _undecorated(llm: LLM, name: str) -> Callable[..., Any]:
    """The LLM's method below LlamaIndex's decorators, so that events fire once a call, at Hotspare; else the method itself.

    The span decorator leaves `__wrapped__`; the callback decorator keeps the function in the closure cell `f`.
    """
    method = getattr(type(llm), name)
    decorated = getattr(method, "__wrapped__", method)
    names = getattr(getattr(decorated, "__code__", None), "co_freevars", ())
    cells: dict[str, Any] = dict(zip(names, getattr(decorated, "__closure__", None) or (), strict=False))
    inner: Any = cells["f"].cell_contents if "f" in cells else None
    return partial(inner, llm) if callable(inner) else getattr(llm, name)
