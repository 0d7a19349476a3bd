"""A LlamaIndex index that is built at one provider and searched after that provider went down; offline.

    python examples/rag.py

Embeddings fail over only between targets of one and the same model, so the index stays valid; answers may come from any
model. With real keys: export OPENAI_API_KEY, AZURE_OPENAI_API_KEY and ANTHROPIC_API_KEY, drop the provider, leave `api_key`
out of the targets, and `base_url` too, except Azure's: that of your resource.
"""

from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider
from llama_index.core import Document, VectorStoreIndex
from llama_index.embeddings.hotspare import HotspareEmbedding
from llama_index.llms.hotspare import Hotspare

TEXTS = (
    "Seoul is sunny today, with 21 degrees in the afternoon.",
    "The train to Busan leaves at nine from platform four.",
    "The museum is closed on Mondays.",
)
QUESTION = "When does the train to Busan leave?"


def embedding_targets(provider: Provider) -> list[Target]:
    """One embedding model at two providers."""
    model = "text-embedding-3-small"
    return [
        Target(f"openai/{model}", name="openai", base_url=provider.base_url("a"), api_key=KEY),
        Target(f"azure/{model}", name="azure", tier=1, base_url=provider.base_url("b", "azure"), api_key=KEY),
    ]


def chat_targets(provider: Provider) -> list[Target]:
    """Two models that write answers."""
    claude = provider.base_url("b", "anthropic")
    return [
        Target("openai/gpt-4.1", name="gpt", base_url=provider.base_url("a"), api_key=KEY),
        Target("anthropic/claude-sonnet-4-5", name="claude", tier=1, base_url=claude, api_key=KEY),
    ]


def main() -> None:
    """Build the index, take its provider down, search and answer."""
    with (
        Provider(["a", "b"]) as provider,
        Pool(embedding_targets(provider)) as vectors,
        Pool(chat_targets(provider)) as chat,
    ):
        documents = [Document(text=text) for text in TEXTS]
        index = VectorStoreIndex(documents, embed_model=HotspareEmbedding(vectors))
        print(f"index built: {provider.stats('a').requests} request to openai, {provider.stats('b').requests} to azure")

        provider.fault("a", "refused")
        print("openai is down")

        nodes = index.as_retriever(similarity_top_k=1).retrieve(QUESTION)
        print(f"found: {nodes[0].get_content()}")
        engine = index.as_query_engine(Hotspare(chat), similarity_top_k=1)  # pyright: ignore[reportUnknownMemberType]
        answer = engine.query(QUESTION)
        print(f"answer: {str(answer)[:100]}")
        used = provider.stats("b").dialects
        print(f"the spares served {sum(used.values())} requests: {dict(used)}")


if __name__ == "__main__":
    main()
