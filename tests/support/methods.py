"""A pool's four methods over real HTTP, the async ones in both event loops, and targets at the embedded provider."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hotspare import ChatReply, Pool, StreamSummary, Target
from hotspare.drill.provider import Provider

STREAMS = ("stream", "asyncio astream", "trio astream")
METHODS = ("chat", *STREAMS, "asyncio achat", "trio achat")
EACH_METHOD = pytest.mark.parametrize("method", METHODS)
"""The test runs once for each."""
EACH_STREAM = pytest.mark.parametrize("method", STREAMS)
WIRES = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
"""A model of each wire format."""


def target(provider: Provider, endpoint: str, wire: str = "openai", *, model: str = "", **fields: Any) -> Target:
    """A target at an endpoint, by default with its name, in a region of its own. `model` is added to the wire's model."""
    values = {"region": endpoint, "name": endpoint, "api_key": "test-1", **fields}
    return Target(f"{wire}/{WIRES[wire]}{model}", base_url=provider.base_url(endpoint, wire), **values)


def targets(provider: Provider, *wires: str) -> list[Target]:
    """One target an endpoint: a, b, c…"""
    return [target(provider, name, wire) for name, wire in zip("abcde", wires, strict=False)]


def run(method: str, pool: Pool, use: Callable[..., Any], *arguments: Any) -> Any:
    """`await use(pool, name, *arguments)` in the method's event loop, where the pool is closed in the end."""
    loop, _, name = method.rpartition(" ")

    async def inside() -> Any:
        async with pool:
            return await use(pool, name, *arguments)

    return anyio.run(inside, backend=loop or "asyncio")


async def ask(pool: Pool, name: str, prompt: str, **options: Any) -> tuple[str, ChatReply | StreamSummary]:
    """The text that the method `name` gives, and what says where it came from: the reply, or the stream's summary."""
    if name in ("chat", "achat"):
        reply = pool.chat(prompt, **options) if name == "chat" else await pool.achat(prompt, **options)
        return reply.text, reply
    if name == "stream":
        chunks = list(pool.stream(prompt, **options))
    else:
        chunks = [chunk async for chunk in pool.astream(prompt, **options)]
    assert chunks[-1].summary is not None
    return "".join(chunk.text for chunk in chunks), chunks[-1].summary


async def text_of(pool: Pool, name: str, prompt: str, **options: Any) -> str:
    """The text alone."""
    return (await ask(pool, name, prompt, **options))[0]
