"""The clients that go through the storms on the wire, each set up as its documentation shows for failover.

Their libraries are imported when they are opened: each peer has an environment of its own, with nothing but itself and hotspare's core.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.storms.scenarios import Storm

KEY = "test-key"
PRESETS = {"p": "openai", "q": "groq", "s": "together", "openai": "openai"}
"""The storms' providers, and providers of hotspare that speak OpenAI's wire format."""

Client = Callable[[str], AsyncGenerator[str]]
"""Sends a prompt and yields the parts of the answer: one, unless the storm streams."""


@dataclass(frozen=True)
class Opening:
    """How a client is opened, and the name of its environment. None: the development environment."""

    name: str
    open: Callable[[Storm, Mapping[str, str]], AbstractAsyncContextManager[Client]]
    environment: str | None = None


@asynccontextmanager
async def hotspare(storm: Storm, urls: Mapping[str, str]) -> AsyncGenerator[Client]:
    """A pool with its defaults."""
    from hotspare import Pool, Target

    targets: list[Target] = []
    for name, (id, region) in storm.ids.items():
        provider, _, model = id.partition("/")
        targets.append(
            Target(f"{PRESETS[provider]}/{model}", name=name, region=region, base_url=urls[name], api_key=KEY)
        )
    async with Pool(targets, deadline=storm.deadline, **storm.settings) as pool:

        async def client(prompt: str) -> AsyncGenerator[str]:
            if not storm.stream:
                yield (await pool.achat(prompt)).text
                return
            async for chunk in pool.astream(prompt):
                yield chunk.text

        yield client


def _router(*, groups: bool) -> Callable[[Storm, Mapping[str, str]], AbstractAsyncContextManager[Client]]:
    """LiteLLM's Router: each target as a group of its own with fallbacks, or all in one group with cooldowns and retries."""

    @asynccontextmanager
    async def open_router(storm: Storm, urls: Mapping[str, str]) -> AsyncGenerator[Client]:
        import litellm
        from litellm.router import Router

        litellm.suppress_debug_info = True
        deployments = [
            {
                "model_name": name if groups else "chat",
                "litellm_params": {"model": "openai/m", "api_base": url, "api_key": KEY, "timeout": storm.deadline / 2},
            }
            for name, url in urls.items()
        ]
        first, *rest = urls
        fallbacks: list[Any] = [{first: rest}] if groups else []
        router: Any = Router(model_list=deployments, fallbacks=fallbacks, num_retries=0 if groups else 3)

        async def client(prompt: str) -> AsyncGenerator[str]:
            found = await router.acompletion(
                model=first if groups else "chat", messages=[{"role": "user", "content": prompt}], stream=storm.stream
            )
            if not storm.stream:
                yield str(found.choices[0].message.content)
                return
            async for chunk in found:
                yield (chunk.choices[0].delta.content if chunk.choices else "") or ""

        yield client

    return open_router


@asynccontextmanager
async def with_fallbacks(storm: Storm, urls: Mapping[str, str]) -> AsyncGenerator[Client]:
    """LangChain's `with_fallbacks`."""
    from langchain_openai import ChatOpenAI

    common: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": storm.deadline / 2}
    first, *rest = (ChatOpenAI(model="m", base_url=url, **common) for url in urls.values())
    chain = first.with_fallbacks(rest)

    async def client(prompt: str) -> AsyncGenerator[str]:
        if not storm.stream:
            yield str((await chain.ainvoke(prompt)).text)
            return
        async for chunk in chain.astream(prompt):
            yield str(chunk.text)

    yield client


CLIENTS = (
    Opening("hotspare", hotspare),
    Opening("LiteLLM Router, one group", _router(groups=False), "litellm"),
    Opening("LiteLLM Router, fallbacks", _router(groups=True), "litellm"),
    Opening("LangChain with_fallbacks", with_fallbacks, "langchain"),
)
