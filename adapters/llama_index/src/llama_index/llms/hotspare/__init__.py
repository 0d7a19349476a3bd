"""hotspare for LlamaIndex: `Hotspare`, an LLM that fails over between the targets of a pool."""

from llama_index.llms.hotspare.base import Hotspare
from llama_index.llms.hotspare.targets import target_of

__all__ = ["Hotspare", "target_of"]
