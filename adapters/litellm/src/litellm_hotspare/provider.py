"""A pool as a LiteLLM provider: ``model="hotspare/<route, alias or target>"``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from itertools import chain
from typing import Any

from hotspare import CallOptions, ChatChunk, ChatReply, ConfigError, Pool, Problem
from litellm.llms.custom_llm import CustomLLM

from litellm_hotspare.embeddings import embedding_arguments, embedding_response
from litellm_hotspare.errors import translate_errors
from litellm_hotspare.litellm_api import litellm, types
from litellm_hotspare.model_info import describe, describe_answer
from litellm_hotspare.patches import install
from litellm_hotspare.request import deadline_of, options_of, request_of
from litellm_hotspare.response import ChunkConverter, response_of
from litellm_hotspare.streams import PoolStream


class HotspareLLM(CustomLLM):
    """LiteLLM's handler for a pool. Registers the pool's routes, models and targets with LiteLLM.

    Args:
        pool: the pool.
        name: the provider's name in LiteLLM, i.e. the part before the slash in ``hotspare/default``.
    """

    def __init__(self, pool: Pool, name: str = "hotspare") -> None:
        super().__init__()
        self.pool, self.name = pool, name
        self._targets, self._by_name = pool.targets, {target.name: target for target in pool.targets}
        install(name)
        describe(pool, name)

    def completion(self, *args: Any, **call: Any) -> Any:
        """A whole answer as a ModelResponse."""
        with translate_errors(call["model"]):
            return self._response(self.pool.chat(request_of(call), **self._options(call)), call)

    async def acompletion(self, *args: Any, **call: Any) -> Any:
        """A whole answer as a ModelResponse, for async callers."""
        with translate_errors(call["model"]):
            reply = await self.pool.achat(request_of(call), **self._options(call))
            return self._response(reply, call)

    def streaming(self, *args: Any, **call: Any) -> Iterator[Any]:
        """The answer chunk by chunk.

        Returns after the first content, so that a failure before it is raised by the call itself, and a Router's retries and
        fallbacks apply.
        """
        with translate_errors(call["model"]):
            chunks = self.pool.stream(request_of(call), **self._options(call))
            first = next(chunks)
        return _converted(first, chunks, call["model"])

    def astreaming(  # pyright: ignore[reportIncompatibleMethodOverride] - annotated as a coroutine, used as an iterator
        self, *args: Any, **call: Any
    ) -> PoolStream:
        """The answer chunk by chunk, for async callers; `litellm.acompletion` returns it after the first content."""
        return PoolStream(self._astream(call))

    async def _astream(self, call: dict[str, Any]) -> AsyncGenerator[Any]:
        converter = ChunkConverter(call["model"])
        with translate_errors(call["model"]):
            async with aclosing(self.pool.astream(request_of(call), **self._options(call))) as chunks:
                async for chunk in chunks:
                    for converted in converter.convert(chunk):
                        yield converted

    def embedding(self, *args: Any, **call: Any) -> Any:
        """Vectors as an EmbeddingResponse, by targets that serve the same model."""
        with translate_errors(call["model"]):
            texts, options = embedding_arguments(call, self.pool)
            return embedding_response(self.pool.embed(texts, **options), call)

    async def aembedding(self, *args: Any, **call: Any) -> Any:
        """`embedding`, for async callers."""
        with translate_errors(call["model"]):
            texts, options = embedding_arguments(call, self.pool)
            return embedding_response(await self.pool.aembed(texts, **options), call)

    def _response(self, reply: ChatReply, call: dict[str, Any]) -> Any:
        """The reply in the ModelResponse that LiteLLM passes, else in a new one."""
        if self._targets is not (targets := self.pool.targets):  # a reload has replaced them
            self._targets, self._by_name = targets, {target.name: target for target in targets}
        if target := self._by_name.get(reply.target):  # else it was removed while it answered
            describe_answer(reply.model, target, self.name)
        given = call.get("model_response")
        return response_of(reply, types.ModelResponse() if given is None else given)

    def _options(self, call: dict[str, Any]) -> CallOptions:
        options = options_of(call)
        options["deadline"] = deadline_of(call.get("timeout"), self.pool.policy.deadline)
        return options


def register(pool: Pool, name: str = "hotspare") -> HotspareLLM:
    """Make ``model="<name>/<route, alias or target>"`` work everywhere in LiteLLM. A second call with the same name replaces the pool.

    Raises ConfigError for an invalid name, or for that of one of LiteLLM's own providers.
    """
    if name in {provider.value for provider in types.LlmProviders} or "/" in name or not name:
        raise ConfigError(
            Problem.at("name", name, "must be a name without '/' that is not a provider of LiteLLM's own")
        )
    handler = HotspareLLM(pool, name)
    others = [item for item in litellm.custom_provider_map if item["provider"] != name]
    litellm.custom_provider_map = [*others, {"provider": name, "custom_handler": handler}]
    litellm.utils.custom_llm_setup()
    return handler


def _converted(first: ChatChunk, chunks: Generator[ChatChunk], model: str) -> Generator[Any]:
    converter = ChunkConverter(model)
    try:
        with translate_errors(model):
            for chunk in chain((first,), chunks):
                yield from converter.convert(chunk)
    finally:
        chunks.close()
