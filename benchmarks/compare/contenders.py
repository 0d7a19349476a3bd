# pyright: basic, reportMissingImports=false
# The clients are installed in their separate environments only.
"""The clients that are compared, each set up as its documentation shows. Runs inside an environment that has the client.

As a script it answers on stdout, one JSON line for each line on stdin: `[kind, calls, concurrency]` becomes `[CPU, wall]`,
seconds of one call.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

MODEL = "gpt-4.1"
MESSAGES = [{"role": "user", "content": "hello"}]
Call = Callable[[], Awaitable[object]]
Calls = dict[str, Call]
"""By kind: `whole` and `stream`."""


def httpx_client(base: str) -> Calls:
    import httpx

    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None, max_keepalive_connections=None))
    return _bare(base, client)


def httpx2_client(base: str) -> Calls:
    import httpx2

    client = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None))
    return _bare(base, client)


def _bare(base: str, client: Any) -> Calls:
    url, headers = f"{base}/chat/completions", {"authorization": "Bearer test"}

    async def whole() -> None:
        answer = await client.post(url, json={"model": MODEL, "messages": MESSAGES}, headers=headers)
        assert answer.json()["choices"][0]["message"]["content"]

    async def stream() -> None:
        body = {"model": MODEL, "messages": MESSAGES, "stream": True}
        async with client.stream("POST", url, json=body, headers=headers) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    json.loads(line[6:])

    return {"whole": whole, "stream": stream}


def aiohttp_client(base: str) -> Calls:
    import aiohttp

    url, headers = f"{base}/chat/completions", {"authorization": "Bearer test"}
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def whole() -> None:
        async with session.post(url, json={"model": MODEL, "messages": MESSAGES}, headers=headers) as answer:
            assert json.loads(await answer.read())["choices"][0]["message"]["content"]

    async def stream() -> None:
        body = {"model": MODEL, "messages": MESSAGES, "stream": True}
        async with session.post(url, json=body, headers=headers) as answer:
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    json.loads(line[6:])

    return {"whole": whole, "stream": stream}


def openai_sdk(base: str) -> Calls:
    import openai

    client = openai.AsyncOpenAI(base_url=base, api_key="test")

    async def whole() -> None:
        answer: Any = await client.chat.completions.create(model=MODEL, messages=MESSAGES)  # type: ignore[call-overload]
        assert answer.choices[0].message.content

    async def stream() -> None:
        chunks: Any = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)  # type: ignore[call-overload]
        async for _ in chunks:
            pass

    return {"whole": whole, "stream": stream}


def _langchain(model: Any) -> Calls:
    async def whole() -> None:
        assert (await model.ainvoke("hello")).content

    async def stream() -> None:
        async for _ in model.astream("hello"):
            pass

    return {"whole": whole, "stream": stream}


def chat_openai(base: str) -> Calls:
    from langchain_openai import ChatOpenAI

    return _langchain(ChatOpenAI(model=MODEL, base_url=base, api_key="test"))  # type: ignore[arg-type]


def with_fallbacks(base: str) -> Calls:
    from langchain_openai import ChatOpenAI

    first, second = (ChatOpenAI(model=MODEL, base_url=base, api_key="test", max_retries=0) for _ in range(2))  # type: ignore[arg-type]
    return _langchain(first.with_fallbacks([second]))


def chat_hotspare(base: str) -> Calls:
    from langchain_hotspare import ChatHotspare

    return _langchain(ChatHotspare(pool=_pool(base)))


def pydantic_ai(base: str) -> Calls:
    from pydantic_ai import Agent
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    models = [OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=base, api_key="test")) for _ in range(2)]
    agent = Agent(FallbackModel(*models))

    async def whole() -> None:
        assert (await agent.run("hello")).output

    async def stream() -> None:
        async with agent.run_stream("hello") as answer:
            async for _ in answer.stream_text(delta=True, debounce_by=None):
                pass

    return {"whole": whole, "stream": stream}


def _litellm(router: Any, model: str) -> Calls:
    async def whole() -> None:
        assert (await router.acompletion(model=model, messages=MESSAGES)).choices[0].message.content

    async def stream() -> None:
        async for _ in await router.acompletion(model=model, messages=MESSAGES, stream=True):
            pass

    return {"whole": whole, "stream": stream}


def litellm_router(base: str) -> Calls:
    from litellm.router import Router

    settings = {"model": f"openai/{MODEL}", "api_base": base, "api_key": "test"}
    return _litellm(Router([{"model_name": "m", "litellm_params": settings} for _ in range(2)]), "m")


def litellm_hotspare(base: str) -> Calls:
    import litellm
    import litellm_hotspare

    litellm_hotspare.register(_pool(base))
    return _litellm(litellm, "hotspare/default")


def llama_index_hotspare(base: str) -> Calls:
    from llama_index.llms.hotspare import Hotspare

    llm = Hotspare(pool=_pool(base))

    async def whole() -> None:
        assert (await llm.acomplete("hello")).text

    async def stream() -> None:
        async for _ in await llm.astream_complete("hello"):
            pass

    return {"whole": whole, "stream": stream}


def _pool(base: str) -> Any:
    from hotspare import Pool, Target

    targets = [Target(f"openai/{MODEL}", name=name, region=name, base_url=base, api_key="test") for name in "ab"]
    return Pool(targets, completion="wait")


def hotspare(base: str) -> Calls:
    pool = _pool(base)

    async def whole() -> None:
        assert (await pool.achat("hello")).text

    async def stream() -> None:
        async for _ in pool.astream("hello"):
            pass

    return {"whole": whole, "stream": stream}


MADE: dict[str, Callable[[str], Calls]] = {
    one.__name__: one
    for one in (
        aiohttp_client, httpx_client, httpx2_client, hotspare, openai_sdk, chat_hotspare, chat_openai, with_fallbacks, llama_index_hotspare,
        litellm_hotspare, litellm_router, pydantic_ai,
    )
}  # fmt: skip
"""The functions above, by name: each makes a client for a base URL."""


async def _timed(call: Call, calls: int, concurrency: int) -> tuple[float, float]:
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await call()

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return (time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls


def main() -> None:
    """Run the measurements that are requested on stdin."""
    results, sys.stdout = os.fdopen(os.dup(1), "w", buffering=1), sys.stderr  # libraries may print
    with asyncio.Runner() as runner:

        async def made() -> Calls:
            return MADE[sys.argv[1]](sys.argv[2])

        calls = runner.run(made())
        for line in sys.stdin:
            kind, count, concurrency = json.loads(line)
            print(json.dumps(runner.run(_timed(calls[kind], count, concurrency))), file=results)


if __name__ == "__main__":
    main()
