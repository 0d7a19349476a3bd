# What a chat model has to implement is named with an underscore by LangChain; it is its contract all the same.
# pyright: reportPrivateUsage=false
"""A LangChain chat model as a hotspare backend: it makes the calls, hotspare decides which of them are made.

Called are the model's `_generate`, `_stream` and their async twins without a callback manager: a run inside the pool's
own run would count every token twice. So the member's `callbacks` and `cache` stay unused; its rate limiter is asked
without waiting, and a spent one sends the call elsewhere.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from math import inf
from typing import TYPE_CHECKING, Any, cast

from hotspare import BackendError, ChatChunk, ChatReply, ChatRequest, Outcome, classify
from hotspare.errors import EmptyAnswer, IncompleteAnswer
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_hotspare.binding import Binding
from langchain_hotspare.families import family_of
from langchain_hotspare.history import for_member, model_for
from langchain_hotspare.reading import ChunkReader, may_be_empty, reply_of

if TYPE_CHECKING:
    from langchain_hotspare.request import NativeCall

log = logging.getLogger("hotspare")

_MODALITIES = {"image_url": "image_inputs", "input_audio": "audio_inputs", "file": "pdf_inputs"}
"""What a content part needs, in the words of LangChain's model profiles."""


_TIMEOUTS = ("request_timeout", "default_request_timeout", "timeout")
"""Where models keep the timeout in seconds that their user gave them: a shorter one than the pool's stays."""


class MemberThrottled(BackendError):
    """The member's own rate limiter has no place now."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the rate limiter of {name} has no place now", status=429)


class NativeBackend:
    """Makes one attempt's call on a LangChain chat model.

    Args:
        model: with its SDK's retries switched off (`langchain_hotspare.members` sees to that).
        kwargs: bound to the model by the user; they go with every call.
        name: the target's.
    """

    prefill = False
    streaming = True

    def __init__(self, model: BaseChatModel, kwargs: dict[str, Any], name: str) -> None:
        self.model, self.kwargs, self.name, self.family = model, kwargs, name, family_of(model)
        own = (getattr(model, field, None) for field in _TIMEOUTS)
        self._longest = min(
            (float(value) for value in own if isinstance(value, (int, float)) and value > 0), default=inf
        )

    def __repr__(self) -> str:
        return f"NativeBackend({self.name!r}, {type(self.model).__name__})"

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """What the model says it cannot do: by its profile for media, by its own `bind_tools` for the rest."""
        profile = self.model.profile or {}
        found = self.family.unsupported(request, profile)
        kinds = {part.get("type") for message in request.messages for part in _parts(message.get("content"))}
        if any(profile.get(need) is False for kind, need in _MODALITIES.items() if kind in kinds):
            found.append("messages")
        try:
            self._binding(request).kwargs_for(self.model)
        except Exception as error:  # whatever its `bind_tools` raises means: not this request
            log.debug("%s cannot take this request: %s", self.name, error)
            found.append("response_format" if request.response_format is not None else "tools")
        return tuple(found)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer. Raises whatever the model's SDK raises."""
        model, messages, stop, kwargs = self._call(request, timeout)
        if self.model.rate_limiter is not None and not self.model.rate_limiter.acquire(blocking=False):
            raise MemberThrottled(self.name)
        return _read(model._generate(messages, stop=stop, **kwargs), stop)

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for async callers."""
        model, messages, stop, kwargs = self._call(request, timeout)
        if self.model.rate_limiter is not None and not await self.model.rate_limiter.aacquire(blocking=False):
            raise MemberThrottled(self.name)
        return _read(await model._agenerate(messages, stop=stop, **kwargs), stop)

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer piece by piece. Closing the generator closes the model's stream."""
        if not self._streams(sync=True):
            yield from _pieces(self.send(request, timeout=timeout))
            return
        model, messages, stop, kwargs = self._call(request, timeout)
        if self.model.rate_limiter is not None and not self.model.rate_limiter.acquire(blocking=False):
            raise MemberThrottled(self.name)
        reader = ChunkReader()
        with closing(cast("Generator[ChatGenerationChunk]", model._stream(messages, stop=stop, **kwargs))) as chunks:
            for chunk in chunks:
                yield reader.take(chunk)
        yield self._end(reader, stop)

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer piece by piece, for async callers, who keep the time themselves."""
        if not self._streams(sync=False):
            for piece in _pieces(await self.asend(request, timeout=timeout)):
                yield piece
            return
        model, messages, stop, kwargs = self._call(request, max(timeout, stall))
        if self.model.rate_limiter is not None and not await self.model.rate_limiter.aacquire(blocking=False):
            raise MemberThrottled(self.name)
        reader = ChunkReader()
        opened = cast("AsyncGenerator[ChatGenerationChunk]", model._astream(messages, stop=stop, **kwargs))
        async with aclosing(opened) as chunks:
            async for chunk in chunks:
                yield reader.take(chunk)
        yield self._end(reader, stop)

    def classify(self, error: Exception) -> Outcome:
        """What an exception of the model's SDK means. LangGraph's own signals are none: they go on to the graph."""
        if any(parent.__name__ == "GraphBubbleUp" for parent in type(error).__mro__):
            raise error
        return classify(error, now=time.time())

    # --- inside --------------------------------------------------------------------------------------------------

    def _call(
        self, request: ChatRequest, timeout: float
    ) -> tuple[BaseChatModel, list[BaseMessage], list[str] | None, dict[str, Any]]:
        call: NativeCall | None = request.native
        bound = self._binding(request).kwargs_for(self.model)
        kwargs = {**self.kwargs, **bound, **self.family.settings(request, self.model.profile or {})}
        if call is not None:
            kwargs |= call.kwargs
        if self.family.known:
            kwargs.setdefault("timeout", min(timeout, self._longest))
        messages = for_member(request, self.model, self.name)
        return model_for(request, self.model, self.name), messages, list(request.stop) or None, kwargs

    def _binding(self, request: ChatRequest) -> Binding:
        call: NativeCall | None = request.native
        return call.binding if call is not None and call.binding is not None else Binding.of(request)

    def _streams(self, *, sync: bool) -> bool:
        cls = type(self.model)
        can = cls._stream is not BaseChatModel._stream or (not sync and cls._astream is not BaseChatModel._astream)
        return can and self.model.disable_streaming is not True

    def _end(self, reader: ChunkReader, stop: list[str] | None) -> ChatChunk:
        if self.family.known and not reader.proved:
            raise IncompleteAnswer("the stream ended without a finish reason")
        if not (reader.said or reader.may_be_empty or stop):
            raise EmptyAnswer("the stream ended with nothing in it")
        return reader.last()


def _read(result: ChatResult, stop: list[str] | None) -> ChatReply:
    if not result.generations:
        raise EmptyAnswer("the answer has no choice in it")
    generation = result.generations[0]
    message = generation.message
    message.response_metadata = {**(result.llm_output or {}), **message.response_metadata}
    reply = reply_of(generation)
    said = reply.text or reply.tool_calls or reply.refusal or reply.reasoning
    if not (said or stop or may_be_empty({**message.response_metadata, **(generation.generation_info or {})})):
        raise EmptyAnswer("the answer is empty")
    return reply


def _parts(content: object) -> Sequence[dict[str, Any]]:
    return cast("Sequence[dict[str, Any]]", content) if isinstance(content, list) else ()


def _pieces(reply: ChatReply) -> tuple[ChatChunk, ChatChunk]:
    """A whole answer as a stream, of a model that cannot stream."""
    reader = ChunkReader()
    generation: ChatGeneration = reply.native
    told = {"response_metadata", "usage_metadata"}  # once, and so with the last one
    said = generation.message.model_dump(exclude={"type", *told})
    metadata = generation.message.model_dump(include=told)
    whole = reader.take(ChatGenerationChunk(message=AIMessageChunk.model_validate(said)))
    end = AIMessageChunk.model_validate({"content": "", **metadata})
    reader.take(ChatGenerationChunk(message=end, generation_info=generation.generation_info))
    return whole, reader.last()
