"""`HotspareEmbedding`: a LlamaIndex index that is built and searched through an outage."""

import pytest
from hotspare import ConfigError, Pool, RequestError, Target
from hotspare.drill.dialects.embeddings import vector
from hotspare.drill.provider import KEY, Provider
from llama_index.core import Document, VectorStoreIndex
from llama_index.embeddings.hotspare import HotspareEmbedding

SMALL = "text-embedding-3-small"
TEXTS = ["Seoul is sunny today", "the train leaves at nine", "bread needs flour and water"]


def targets(provider: Provider) -> list[Target]:
    """The same model at two providers."""
    return [
        Target(f"openai/{SMALL}", name="a", base_url=provider.base_url("a"), api_key=KEY),
        Target(f"azure/{SMALL}", name="b", base_url=provider.url("b"), api_key=KEY),
    ]


def test_an_index_is_searched_through_an_outage(provider: Provider) -> None:
    """Built with the first target, searched with the second: the same model, so the same vectors."""
    model = HotspareEmbedding(targets=targets(provider), embed_batch_size=2)
    index = VectorStoreIndex([Document(text=text) for text in TEXTS], embed_model=model)
    assert provider.stats("a").requests == 2
    provider.fault("a", "status", status=500)
    found = index.as_retriever(similarity_top_k=1).retrieve("when does the train leave")
    assert found[0].get_content() == TEXTS[1]
    assert provider.stats("b").outcomes["ok"] == 1
    model.pool.close()


@pytest.mark.anyio
async def test_both_faces_give_the_same_vectors(provider: Provider) -> None:
    """One text, a query, a batch; with the requested length."""
    with Pool(targets(provider)) as pool:
        model = HotspareEmbedding(pool, model_name=SMALL, dimensions=32)
        expected = [vector(text, 32) for text in TEXTS]
        assert model.get_text_embedding_batch(TEXTS) == await model.aget_text_embedding_batch(TEXTS) == expected
        assert model.get_query_embedding(TEXTS[0]) == await model.aget_query_embedding(TEXTS[0]) == expected[0]
        assert model.get_text_embedding(TEXTS[1]) == await model.aget_text_embedding(TEXTS[1]) == expected[1]


def test_mistakes_are_named(provider: Provider) -> None:
    """At the constructor, and at the call of a pool that would mix models."""
    with pytest.raises(ConfigError, match="exactly one"):
        HotspareEmbedding()
    mixed = [*targets(provider), Target("openai/text-embedding-3-large", api_key=KEY)]
    model = HotspareEmbedding(targets=mixed)
    with pytest.raises(RequestError, match="different models"):
        model.get_query_embedding("x")
    model.pool.close()
