"""The clients that are compared under faults, each set up as its documentation shows for failover.

`python -m benchmarks.peers` and the storms on the wire open them here. Their libraries are imported when they are opened, because each
peer has a separate environment with only itself and hotspare's core.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hotspare.drill.provider import KEY

from benchmarks.environments import python_of

Client = Callable[[str], AsyncGenerator[str]]
"""Sends a prompt and yields the parts of the answer: one, unless the set-up streams."""


@dataclass(frozen=True)
class Upstream:
    """A target. `id`: for hotspare, provider and model. `wire`: `openai` or `anthropic`. `url`: the provider's root, without `/v1`."""

    name: str
    id: str
    region: str | None
    url: str
    wire: str = "openai"

    @property
    def model(self) -> str:
        """The model's name without the provider."""
        return self.id.partition("/")[2]

    @property
    def base_url(self) -> str:
        """The base URL for hotspare, the openai SDK and LiteLLM: with `/v1` for OpenAI's wire format."""
        return f"{self.url}/v1" if self.wire == "openai" else self.url


@dataclass(frozen=True)
class Setup:
    """The settings of a client. `deadline`: seconds. `stream`: whether it streams. `settings`: of hotspare's pool."""

    upstreams: Sequence[Upstream]
    deadline: float
    stream: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


Open = Callable[[Setup], AbstractAsyncContextManager[Client]]


@dataclass(frozen=True)
class Opening:
    """How a client is opened, and the name of its environment. None: the development environment. `failover`: whether it has several targets."""

    name: str
    open: Open
    environment: str | None = None
    failover: bool = True

    def command(self, module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """The command that runs a module with the client's interpreter, and its environment variables."""
        python = str(python_of(self.environment))
        return [python, "-m", module, *arguments], {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


@asynccontextmanager
async def _hotspare(setup: Setup) -> AsyncGenerator[Client]:
    """A pool with its defaults."""
    from hotspare import Pool, Target

    targets = [
        Target(one.id, name=one.name, region=one.region, base_url=one.base_url, api_key=KEY) for one in setup.upstreams
    ]
    async with Pool(targets, deadline=setup.deadline, **setup.settings) as pool:

        async def client(prompt: str) -> AsyncGenerator[str]:
            if not setup.stream:
                yield (await pool.achat(prompt)).text
                return
            async for chunk in pool.astream(prompt):
                yield chunk.text

        yield client


def _router(*, groups: bool) -> Open:
    """LiteLLM's Router: each target in a separate group with fallbacks, or all in one group with cooldowns and retries."""

    @asynccontextmanager
    async def open_router(setup: Setup) -> AsyncGenerator[Client]:
        import litellm
        from litellm.router import Router

        litellm.suppress_debug_info = True
        deployments = [
            {
                "model_name": one.name if groups else "chat",
                "litellm_params": {
                    "model": f"{one.wire}/{one.model}", "api_base": one.base_url, "api_key": KEY, "timeout": setup.deadline / 2,
                },
            }
            for one in setup.upstreams
        ]  # fmt: skip
        first, *rest = (one.name for one in setup.upstreams)
        fallbacks: list[Any] = [{first: rest}] if groups else []
        router: Any = Router(model_list=deployments, fallbacks=fallbacks, num_retries=0 if groups else 3)

        async def client(prompt: str) -> AsyncGenerator[str]:
            found = await router.acompletion(
                model=first if groups else "chat", messages=[{"role": "user", "content": prompt}], stream=setup.stream
            )
            if not setup.stream:
                yield str(found.choices[0].message.content)
                return
            async for chunk in found:
                yield (chunk.choices[0].delta.content if chunk.choices else "") or ""

        yield client

    return open_router


@asynccontextmanager
async def _with_fallbacks(setup: Setup) -> AsyncGenerator[Client]:
    """LangChain's `with_fallbacks`. Retries inside a target are off."""
    from langchain_anthropic import ChatAnthropic
    from langchain_openai import ChatOpenAI

    common: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": setup.deadline / 2}
    first, *rest = (
        ChatAnthropic(model_name=one.model, base_url=one.base_url, **common)
        if one.wire == "anthropic"
        else ChatOpenAI(model=one.model, base_url=one.base_url, **common)
        for one in setup.upstreams
    )
    chain = first.with_fallbacks(rest)

    async def client(prompt: str) -> AsyncGenerator[str]:
        if not setup.stream:
            yield str((await chain.ainvoke(prompt)).text)
            return
        async for chunk in chain.astream(prompt):
            yield str(chunk.text)

    yield client


@asynccontextmanager
async def _sdk(setup: Setup) -> AsyncGenerator[Client]:
    """The official SDK with the first target and its default of two retries. It does not stream."""
    import openai

    target = setup.upstreams[0]
    async with openai.AsyncOpenAI(base_url=target.base_url, api_key=KEY, timeout=setup.deadline) as sdk:

        async def client(prompt: str) -> AsyncGenerator[str]:
            found = await sdk.chat.completions.create(
                model=target.model, messages=[{"role": "user", "content": prompt}]
            )
            yield found.choices[0].message.content or ""

        yield client


CLIENTS = (
    Opening("hotspare", _hotspare),
    Opening("LiteLLM Router, one group", _router(groups=False), "litellm"),
    Opening("LiteLLM Router, fallbacks", _router(groups=True), "litellm"),
    Opening("LangChain with_fallbacks", _with_fallbacks, "langchain"),
    Opening("openai SDK, one target", _sdk, "http", failover=False),
)
"""All clients. The storms leave out those that do not fail over."""


def opening(name: str) -> Opening:
    """The client with this name."""
    return next(one for one in CLIENTS if one.name == name)
