"""hotspare for LlamaIndex: `Hotspare`, an LLM that fails over between providers, regions and accounts."""

from llama_index.llms.hotspare.base import Hotspare
from llama_index.llms.hotspare.native.members import target_of

__all__ = ["Hotspare", "target_of"]
