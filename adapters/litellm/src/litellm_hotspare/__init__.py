"""hotspare for LiteLLM: an importable shell in this version; the adapter is not built yet."""
