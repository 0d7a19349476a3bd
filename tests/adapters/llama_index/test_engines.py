"""LlamaIndex's engines over Hotspare, through an outage that begins between two calls of one run."""

from collections.abc import Callable
from typing import Any

import pytest
from hotspare.drill.provider import Provider, answer
from llama_index.core import Document, MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.llms.hotspare import Hotspare

FACTS = [f"Fact {number}: spare part {number} takes over in {number} seconds." for number in range(1, 5)]
QUESTION = "How fast do the spare parts take over?"
Outage = Callable[..., None]


@pytest.fixture
def index() -> VectorStoreIndex:
    """Four documents, embedded without a network."""
    return VectorStoreIndex.from_documents(
        [Document(text=fact) for fact in FACTS], embed_model=MockEmbedding(embed_dim=8)
    )


def questions(provider: Provider, endpoint: str) -> list[str]:
    """The questions that an endpoint got, in order."""
    bodies = [request["body"] for request in provider.recorded_requests(endpoint)]
    if endpoint == "c":
        return ["".join(part["text"] for part in body["contents"][-1]["parts"]) for body in bodies]
    texts = [body["messages"][-1]["content"] for body in bodies]
    return [text if isinstance(text, str) else "".join(part["text"] for part in text) for text in texts]


@pytest.mark.parametrize("mode", ["refine", "compact", "tree_summarize", "simple_summarize", "accumulate"])
def test_query_engine(provider: Provider, index: VectorStoreIndex, llm: Hotspare, outage: Outage, mode: Any) -> None:
    """In every response mode the answer to the last prompt is returned, by the second target; the first calls went to
    `a`."""
    calls = {"refine": 4, "accumulate": 4}.get(mode, 1)
    outage("a", after=calls // 2)
    engine = index.as_query_engine(llm=llm, response_mode=mode, similarity_top_k=4)
    response = str(engine.query(QUESTION))
    prompts = [*questions(provider, "a")[: calls // 2], *questions(provider, "b")]
    assert len(prompts) == calls
    assert QUESTION in prompts[-1]
    assert all(any(fact in prompt for prompt in prompts) for fact in FACTS)
    if mode == "accumulate":
        assert all(answer(prompt) in response for prompt in prompts)
    else:
        assert response == answer(prompts[-1])


def test_streaming_query_engine(provider: Provider, index: VectorStoreIndex, llm: Hotspare, outage: Outage) -> None:
    """A stream that breaks within an answer is continued: its tokens add up to the whole answer."""
    outage("a", kind="cut", at=15)
    engine = index.as_query_engine(llm=llm, streaming=True, similarity_top_k=4)
    response = engine.query(QUESTION)
    tokens = list(response.response_gen)  # type: ignore[union-attr]
    assert "".join(tokens) == answer(questions(provider, "a")[0])
    assert provider.stats("b").requests == 1


@pytest.mark.anyio
async def test_async_query_engine(provider: Provider, index: VectorStoreIndex, llm: Hotspare, outage: Outage) -> None:
    """`aquery`, with one call before the outage and three during it."""
    outage("a", after=1)
    engine = index.as_query_engine(llm=llm, response_mode="refine", similarity_top_k=4)
    response = await engine.aquery(QUESTION)
    assert str(response) == answer(questions(provider, "b")[-1])
    assert len(questions(provider, "b")) == 3


def test_engines_use_the_llm_of_settings(provider: Provider, index: VectorStoreIndex, llm: Hotspare) -> None:
    """`Settings.llm = Hotspare(…)` keeps the object, and engines without an LLM of their own call it."""
    Settings.llm = llm
    assert Settings.llm is llm
    assert str(index.as_query_engine().query(QUESTION)) == answer(questions(provider, "a")[0])


def test_citation_query_engine(provider: Provider, index: VectorStoreIndex, llm: Hotspare, outage: Outage) -> None:
    """Sources are numbered in the prompt; the outage begins between two of its calls."""
    outage("a", after=1)
    engine = CitationQueryEngine.from_args(index, llm=llm, similarity_top_k=4, citation_chunk_size=512)
    first, second = engine.query(QUESTION), engine.query(QUESTION)
    assert str(first) == str(second) == answer(questions(provider, "b")[0])
    assert "Source 1:" in questions(provider, "b")[0]
    assert len(second.source_nodes) == 4


@pytest.mark.parametrize("mode", ["simple", "context", "condense_question", "condense_plus_context"])
def test_streaming_chat_engine(
    provider: Provider, index: VectorStoreIndex, llm: Hotspare, outage: Outage, mode: Any
) -> None:
    """Chat engines read the stream in another thread; the second turn's stream breaks and is continued."""
    engine = index.as_chat_engine(chat_mode=mode, llm=llm)
    first = engine.stream_chat("What takes over?")
    assert "".join(first.response_gen) == answer(questions(provider, "a")[-1])
    outage("a", kind="cut", at=15, streaming=True)
    second = engine.stream_chat(QUESTION)
    tokens = "".join(second.response_gen)
    assert tokens == answer(questions(provider, "a")[-1])
    assert provider.stats("b").requests >= 1
    assert engine.chat_history[-1] == ChatMessage(
        role=MessageRole.ASSISTANT, content=tokens, additional_kwargs=engine.chat_history[-1].additional_kwargs
    )
    assert len(engine.chat_history) == 4


@pytest.mark.anyio
async def test_async_streaming_chat_engine(
    provider: Provider, index: VectorStoreIndex, llm: Hotspare, outage: Outage
) -> None:
    """The async method does the same."""
    outage("a", kind="cut", at=15)
    engine = index.as_chat_engine(chat_mode="context", llm=llm)
    response = await engine.astream_chat(QUESTION)
    tokens = [token async for token in response.async_response_gen()]
    assert "".join(tokens) == answer(questions(provider, "a")[0])
