"""A LiteLLM model as a hotspare backend: ``Target("litellm/bedrock/anthropic.claude-…")``, any model that LiteLLM supports."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any

from hotspare import ChatChunk, ChatReply, ChatRequest, Outcome, Target, TargetKey, classify

from litellm_hotspare.backend_request import arguments_for, fields_of
from litellm_hotspare.backend_response import StreamReader, reply_of
from litellm_hotspare.litellm_api import litellm

_ALWAYS_SUPPORTED = frozenset({"max_tokens", "user"})
"""Fields that count as supported, whatever LiteLLM lists for the model."""
_STREAMED: Mapping[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


class LiteLLMBackend:
    """Makes a target's calls through `litellm.completion` and `acompletion` (asyncio only), with LiteLLM's retries off.

    The target's `base_url` and `api_key` are LiteLLM's `api_base` and `api_key`; its `extra` are further arguments of
    the call, e.g. ``{"aws_region_name": "us-east-1"}``; its `headers` are `extra_headers`.
    """

    prefill = False
    streaming = True

    def __init__(self, target: Target) -> None:
        litellm.suppress_debug_info = True  # LiteLLM prints a help text to stdout for each failed call
        self._target = target
        self._key = TargetKey(target)
        supported = litellm.get_supported_openai_params(model=target.model)
        self._supported = None if supported is None else frozenset(supported) | _ALWAYS_SUPPORTED

    def __repr__(self) -> str:
        return f"LiteLLMBackend({self._target.model!r})"

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that LiteLLM does not translate for this model."""
        if self._supported is None:
            return ()
        return tuple(name for name in fields_of(request) if name not in self._supported)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer. Raises whatever LiteLLM raises."""
        return reply_of(litellm.completion(**self._call(request, self._key.get(timeout)), timeout=timeout))

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for asyncio."""
        return reply_of(
            await litellm.acompletion(**self._call(request, await self._key.aget(timeout)), timeout=timeout)
        )

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer chunk by chunk. LiteLLM has one limit, `timeout`, for every read."""
        stream = litellm.completion(**self._call(request, self._key.get(timeout)), **_STREAMED, timeout=timeout)
        reader = StreamReader(stream)
        for chunk in stream:
            yield reader.read(chunk)
        yield from reader.end()

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer chunk by chunk, for asyncio; the pool's driver enforces the time limits."""
        call = self._call(request, await self._key.aget(timeout))
        stream = await litellm.acompletion(**call, **_STREAMED, timeout=max(timeout, stall))
        reader = StreamReader(stream)
        try:
            async for chunk in stream:
                yield reader.read(chunk)
            for last in reader.end():
                yield last
        finally:
            await stream.aclose()

    def classify(self, error: Exception) -> Outcome:
        """The outcome for an exception of LiteLLM."""
        return classify(error)

    def _call(self, request: ChatRequest, key: str | None) -> dict[str, Any]:
        return arguments_for(self._target, request, self._supported, key)
