"""A pool as a LiteLLM provider: ``model="hotspare/<route, alias or target>"``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from itertools import chain
from typing import Any

from hotspare import ChatChunk, ConfigError, Pool
from litellm.llms.custom_llm import CustomLLM

from litellm_hotspare.answered import Speaker, response_of
from litellm_hotspare.asked import deadline_of, request_of
from litellm_hotspare.failed import as_litellm
from litellm_hotspare.host import litellm, types


class HotspareLLM(CustomLLM):
    """What LiteLLM calls for one pool, `pool`."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool

    def completion(self, *args: Any, **call: Any) -> Any:
        """A whole answer as a ModelResponse."""
        with as_litellm(call["model"]):
            return response_of(self.pool.chat(request_of(call), deadline=self._deadline(call)), _blank(call))

    async def acompletion(self, *args: Any, **call: Any) -> Any:
        """A whole answer as a ModelResponse, for async callers."""
        with as_litellm(call["model"]):
            reply = await self.pool.achat(request_of(call), deadline=self._deadline(call))
            return response_of(reply, _blank(call))

    def streaming(self, *args: Any, **call: Any) -> Iterator[Any]:
        """The answer piece by piece. Whoever began to answer is known when this returns, so that a failure is raised by
        the call itself, where a Router's retries and fallbacks see it."""
        with as_litellm(call["model"]):
            chunks = self.pool.stream(request_of(call), deadline=self._deadline(call))
            first = next(chunks)
        return _spoken(first, chunks, call["model"])

    async def astreaming(  # pyright: ignore[reportIncompatibleMethodOverride] - annotated as a coroutine, used as a generator
        self, *args: Any, **call: Any
    ) -> AsyncGenerator[Any]:
        """The answer piece by piece, for async callers."""
        speaker = Speaker(call["model"])
        with as_litellm(call["model"]):
            async with aclosing(self.pool.astream(request_of(call), deadline=self._deadline(call))) as chunks:
                async for chunk in chunks:
                    for said in speaker.say(chunk):
                        yield said

    def _deadline(self, call: dict[str, Any]) -> float:
        return deadline_of(call.get("timeout"), self.pool.policy.deadline)


def register(pool: Pool, name: str = "hotspare") -> HotspareLLM:
    """Make ``model="<name>/<route, alias or target>"`` work everywhere in LiteLLM; a second call for a name replaces it.

    Raises ConfigError for a name that LiteLLM knows as a provider of its own.
    """
    if name in {provider.value for provider in types.LlmProviders} or "/" in name or not name:
        raise ConfigError(f"name: {name!r} must be a provider name that LiteLLM does not know, without '/'")
    handler = HotspareLLM(pool)
    others = [item for item in litellm.custom_provider_map if item["provider"] != name]
    litellm.custom_provider_map = [*others, {"provider": name, "custom_handler": handler}]
    litellm.utils.custom_llm_setup()
    return handler


def _blank(call: dict[str, Any]) -> Any:
    found = call.get("model_response")
    return types.ModelResponse() if found is None else found


def _spoken(first: ChatChunk, chunks: Generator[ChatChunk], model: str) -> Generator[Any]:
    speaker = Speaker(model)
    try:
        with as_litellm(model):
            for chunk in chain((first,), chunks):
                yield from speaker.say(chunk)
    finally:
        chunks.close()
