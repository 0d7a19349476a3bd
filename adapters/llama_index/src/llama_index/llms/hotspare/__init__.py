"""hotspare for LlamaIndex: `Hotspare`, an LLM that fails over between providers, regions and accounts."""

from llama_index.llms.hotspare.base import Hotspare

__all__ = ["Hotspare"]
