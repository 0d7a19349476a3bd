# LangChain names the methods that a chat model must implement with an underscore, although they are part of its API.
# pyright: reportPrivateUsage=false
"""A LangChain chat model as a hotspare backend: it makes the calls of its target.

The model's `_generate`, `_stream` and their async twins are called without a callback manager, because a separate run
inside the pool's run would count every token twice. So the model's `callbacks` and `cache` are not used. Its rate limiter is
acquired without waiting: if it has no token left, the call fails over to another target.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from math import inf
from typing import Any, NamedTuple, cast

from hotspare import BackendError, ChatChunk, ChatReply, ChatRequest, Outcome, classify
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk

from langchain_hotspare.backend_request import binding_for, call_of, may_be_empty, messages_for, model_for
from langchain_hotspare.backend_response import StreamReader, chunks_of, reply_of
from langchain_hotspare.cut_answers import cut_answer, ignore_cut_answers
from langchain_hotspare.model_families import family_of

log = logging.getLogger("hotspare")

_MODALITIES = {"image_url": "image_inputs", "input_audio": "audio_inputs", "file": "pdf_inputs"}
"""Types of content parts, and the key of LangChain's model profiles that states whether a model accepts them."""

_TIMEOUTS = ("request_timeout", "default_request_timeout", "timeout")
"""Fields of models with their own timeout in seconds, which applies if it is shorter than the pool's."""


_METHODS = frozenset({
    "_generate", "_agenerate", "_stream", "_astream", "_stream_responses", "_astream_responses", "send", "asend", "stream",
    "astream",
})  # fmt: skip
"""The methods of models, and of this backend, whose local variables hold the provider's response; see `hotspare.classify`."""


class RateLimiterExhausted(BackendError):
    """The model's own rate limiter has no token left."""

    def __init__(self, target: str) -> None:
        super().__init__(f"the model's own rate limiter has no token left for {target}", status=429)


class LangChainBackend:
    """Makes a target's calls through a LangChain chat model.

    Args:
        model: with its SDK's retries switched off (see `langchain_hotspare.targets`).
        kwargs: arguments bound to the model by the user, sent with every call.
        name: the target's name.
    """

    prefill = False
    streaming = True

    def __init__(self, model: BaseChatModel, kwargs: dict[str, Any], name: str) -> None:
        self.model, self.kwargs, self.name, self.family = model, kwargs, name, family_of(model)
        own = (getattr(model, field, None) for field in _TIMEOUTS)
        self._max_timeout = min(
            (float(value) for value in own if isinstance(value, (int, float)) and value > 0), default=inf
        )

    def __repr__(self) -> str:
        return f"LangChainBackend({self.name!r}, {type(self.model).__name__})"

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that the model does not support, by its profile and its own `bind_tools`."""
        profile = self.model.profile or {}
        found = self.family.unsupported(request, profile)
        kinds = {part.get("type") for message in request.messages for part in _parts(message.get("content"))}
        if any(profile.get(needed) is False for kind, needed in _MODALITIES.items() if kind in kinds):
            found.append("messages")
        try:
            binding_for(request).arguments_for(self.model)
        except Exception as error:  # whatever its bind_tools raises, the model does not support this request
            log.debug("%s does not support this request: %s", self.name, error)
            found.append("response_format" if request.response_format is not None else "tools")
        return tuple(found)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer. Raises whatever the model's SDK raises."""
        call = self._call(request, timeout)
        self._acquire()
        try:
            response = call.model._generate(call.messages, stop=call.stop, **call.kwargs)
        except Exception as error:
            response = cut_answer(call.model, error)
        return reply_of(response, allow_empty=call.allow_empty)

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for async callers."""
        call = self._call(request, timeout)
        await self._aacquire()
        try:
            response = await call.model._agenerate(call.messages, stop=call.stop, **call.kwargs)
        except Exception as error:
            response = cut_answer(call.model, error)
        return reply_of(response, allow_empty=call.allow_empty)

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer chunk by chunk. Closing the generator closes the model's stream."""
        if not self._streams(sync=True):
            yield from chunks_of(self.send(request, timeout=timeout))
            return
        call = self._call(request, timeout)
        self._acquire()
        reader = self._reader(call)
        opened = cast(
            "Generator[ChatGenerationChunk]", call.model._stream(call.messages, stop=call.stop, **call.kwargs)
        )
        with closing(opened) as chunks, ignore_cut_answers():
            for chunk in chunks:
                yield reader.read(chunk)
        yield from reader.end()

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer chunk by chunk, for async callers; the pool's driver enforces the time limits."""
        if not self._streams(sync=False):
            for piece in chunks_of(await self.asend(request, timeout=timeout)):
                yield piece
            return
        call = self._call(request, max(timeout, stall))
        await self._aacquire()
        reader = self._reader(call)
        opened = cast(
            "AsyncGenerator[ChatGenerationChunk]", call.model._astream(call.messages, stop=call.stop, **call.kwargs)
        )
        async with aclosing(opened) as chunks:
            with ignore_cut_answers():
                async for chunk in chunks:
                    yield reader.read(chunk)
        for last in reader.end():
            yield last

    def classify(self, error: Exception) -> Outcome:
        """The outcome for an exception of the model or its SDK, see `hotspare.classify`. LangGraph's control-flow exceptions are
        raised again."""
        if any(parent.__name__ == "GraphBubbleUp" for parent in type(error).__mro__):
            raise error
        return classify(error, methods=_METHODS)

    # --- private -------------------------------------------------------------------------------------------------

    def _call(self, request: ChatRequest, timeout: float) -> _Call:
        """The arguments of the model's call. The request's arguments override those bound by the user."""
        given = call_of(request)
        bound = binding_for(request).arguments_for(self.model)
        kwargs = {**self.kwargs, **bound, **self.family.call_arguments(request, self.model.profile or {})}
        if given is not None:
            kwargs |= given.arguments
        if self.family.known:
            kwargs.setdefault("timeout", min(timeout, self._max_timeout))
        return _Call(
            model_for(request, self.model, self.name),
            messages_for(request, self.model, self.name),
            list(request.stop) or None,
            kwargs,
            may_be_empty(request),
        )

    def _acquire(self) -> None:
        if self.model.rate_limiter is not None and not self.model.rate_limiter.acquire(blocking=False):
            raise RateLimiterExhausted(self.name)

    async def _aacquire(self) -> None:
        if self.model.rate_limiter is not None and not await self.model.rate_limiter.aacquire(blocking=False):
            raise RateLimiterExhausted(self.name)

    def _reader(self, call: _Call) -> StreamReader:
        return StreamReader(needs_finish_reason=self.family.known, allow_empty=call.allow_empty)

    def _streams(self, *, sync: bool) -> bool:
        cls = type(self.model)
        can = cls._stream is not BaseChatModel._stream or (not sync and cls._astream is not BaseChatModel._astream)
        return can and self.model.disable_streaming is not True


class _Call(NamedTuple):
    """The arguments of one call of a LangChain model."""

    model: BaseChatModel
    messages: list[BaseMessage]
    stop: list[str] | None
    kwargs: dict[str, Any]
    allow_empty: bool


def _parts(content: object) -> Sequence[dict[str, Any]]:
    return cast("Sequence[dict[str, Any]]", content) if isinstance(content, list) else ()
