"""`HotspareEmbeddings`: LangChain's own suites, an outage, and a vector store on top."""

from collections.abc import Iterator
from typing import Any

import pytest
from hotspare import ConfigError, Policy, Pool, Target
from hotspare.drill.dialects.embeddings import vector
from hotspare.drill.provider import KEY, Provider
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_hotspare import HotspareEmbeddings, RequestInvalid, TargetsUnavailable
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

SMALL = "text-embedding-3-small"


def targets(provider: Provider) -> list[Target]:
    """The same model at two providers."""
    return [
        Target(f"openai/{SMALL}", name="a", base_url=provider.base_url("a"), api_key=KEY),
        Target(f"azure/{SMALL}", name="b", base_url=provider.url("b"), api_key=KEY),
    ]


class TestUnit(EmbeddingsUnitTests):
    """LangChain's unit suite, which makes no call."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return HotspareEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"targets": [Target(f"openai/{SMALL}", api_key="test")]}


class TestStandard(EmbeddingsIntegrationTests):
    """LangChain's integration suite over real HTTP, while the first target is down."""

    @pytest.fixture(autouse=True)
    def _pool(self, provider: Provider) -> Iterator[None]:
        provider.fault("a", "status", status=503)
        with Pool(targets(provider)) as self.pool:
            yield

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return HotspareEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"pool": self.pool}


def test_an_index_is_searched_through_an_outage(provider: Provider) -> None:
    """Built with the first target, searched with the second: the same model, so the same vectors."""
    embeddings = HotspareEmbeddings(targets=targets(provider), policy=Policy(deadline=5), dimensions=64, batch_size=2)
    store = InMemoryVectorStore(embeddings)
    store.add_texts(["Seoul is sunny today", "the train leaves at nine", "bread needs flour and water"])
    provider.fault("a", "status", status=500)
    assert store.similarity_search("when does the train leave", k=1)[0].page_content == "the train leaves at nine"
    assert [target.name for target in embeddings.pool.targets] == ["a", "b"]
    assert embeddings.embed_query("x") == vector("x", 64)
    embeddings.pool.close()


def test_mistakes_are_named(provider: Provider) -> None:
    """At the constructor, and at the call of a pool that would mix models; errors are LangChain's too."""
    with pytest.raises(ConfigError, match="exactly one of pool, targets, config"):
        HotspareEmbeddings()
    with Pool(targets(provider)) as pool:
        with pytest.raises(ConfigError, match="policy: cannot be combined with pool"):
            HotspareEmbeddings(pool, policy=Policy())
        assert HotspareEmbeddings(pool).embed_documents([]) == []
        provider.fault(["a", "b"], "status", status=503)
        with pytest.raises(TargetsUnavailable):
            HotspareEmbeddings(pool, deadline=0.5).embed_query("x")
    config = {
        "targets": [{"id": f"openai/{SMALL}", "api_key": KEY}, {"id": "openai/text-embedding-3-large", "api_key": KEY}]
    }
    with pytest.raises(RequestInvalid, match="different models"):
        HotspareEmbeddings(config=config).embed_query("x")
