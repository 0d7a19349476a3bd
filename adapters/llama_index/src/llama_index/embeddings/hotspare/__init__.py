"""hotspare for LlamaIndex: `HotspareEmbedding`, an embedding model that fails over between the targets of a pool."""

from llama_index.embeddings.hotspare.base import HotspareEmbedding

__all__ = ["HotspareEmbedding"]
