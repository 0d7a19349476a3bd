"""hotspare for LlamaIndex: an importable shell in this version; the adapter is not built yet."""
