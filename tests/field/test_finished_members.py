"""A framework's own model that has given its finish reason has answered: what goes wrong afterwards is no break."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hotspare import Policy, Pool, Target
from hotspare.messages import ChatChunk
from langchain_hotspare import ChatHotspare
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage
from llama_index.llms.hotspare import Hotspare
from llama_index.llms.openai import OpenAI

from tests.support.field_calls import SHORT, finish, start, text, well
from tests.support.raw_server import SSE_HEAD, RawServer, Step, chunk, event, raw_server

STEPS: list[Step] = [
    SSE_HEAD,
    *map(chunk, [*start("openai"), text("openai", "the whole "), text("openai", "answer"), finish("openai")]),
]
POLICY: dict[str, Any] = {"deadline": 20, "timeouts": SHORT, "retry_same_target": "never"}


def langchain(first: RawServer, spare: RawServer) -> tuple[Callable[[], str], Callable[[], str]]:
    """ChatHotspare over two of LangChain's models: sync and async."""
    models = [ChatOpenAI(model="m", base_url=f"{one.url}/v1", api_key="k", max_retries=0) for one in (first, spare)]  # type: ignore[arg-type]
    llm = ChatHotspare(models=models, policy=Policy(**POLICY))

    async def read() -> str:
        return "".join([str(piece.text) async for piece in llm.astream("hi")])

    return lambda: "".join(str(piece.text) for piece in llm.stream("hi")), lambda: asyncio.run(read())


def llama_index(first: RawServer, spare: RawServer) -> tuple[Callable[[], str], Callable[[], str]]:
    """Hotspare over two of LlamaIndex's LLMs."""
    llms = [OpenAI(model="gpt-4o-mini", api_base=f"{one.url}/v1", api_key="k", max_retries=0) for one in (first, spare)]
    llm = Hotspare(llms=llms, **POLICY)
    messages = [ChatMessage("hi")]

    async def read() -> str:
        return "".join([piece.delta or "" async for piece in await llm.astream_chat(messages)])

    return lambda: "".join(piece.delta or "" for piece in llm.stream_chat(messages)), lambda: asyncio.run(read())


def litellm(first: RawServer, spare: RawServer) -> tuple[Callable[[], str], Callable[[], str]]:
    """A pool of two of LiteLLM's models."""
    targets = [
        Target("litellm/openai/gpt-4o-mini", name=name, base_url=f"{one.url}/v1", api_key="k")
        for name, one in (("a", first), ("b", spare))
    ]
    pool = Pool(targets, **POLICY)

    def join(chunks: Iterator[ChatChunk]) -> str:
        return "".join(one.text for one in chunks)

    async def read() -> str:
        return "".join([one.text async for one in pool.astream("hi")])

    return lambda: join(pool.stream("hi")), lambda: asyncio.run(read())


MEMBERS = {"LangChain": langchain, "LlamaIndex": llama_index, "LiteLLM": litellm}
ENDINGS: dict[str, list[Step]] = {
    "a reset": [0.5, "reset"],
    "a close": ["close"],
    "garbage": [chunk(event('{"cho')), b"0\r\n\r\n"],
    "silence": ["hang"],
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("framework", MEMBERS)
def test_a_finished_member_is_not_continued(framework: str, ending: str) -> None:
    """The answer ends, and the next model is not called. (Silence: in async code; a sync model waits for its own timeout.)"""
    with raw_server(lambda _: [*STEPS, *ENDINGS[ending]]) as first, raw_server(well) as spare:
        sync, in_a_loop = MEMBERS[framework](first, spare)
        assert in_a_loop() == "the whole answer"
        if ending != "silence":
            assert sync() == "the whole answer"
        assert spare.requests == []


@pytest.mark.parametrize("framework", MEMBERS)
def test_an_unfinished_member_is_continued(framework: str) -> None:
    """Without the finish reason, the same break is one."""
    with raw_server(lambda _: [*STEPS[:-1], 0.5, "reset"]) as first, raw_server(well) as spare:
        for face in MEMBERS[framework](first, spare):
            assert face() == "the whole answerspare answer"
