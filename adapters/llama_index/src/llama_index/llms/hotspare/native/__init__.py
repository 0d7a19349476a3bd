"""Native LlamaIndex LLMs as members of a pool."""
