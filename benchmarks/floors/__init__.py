"""What the adapters for LiteLLM and LlamaIndex add to their frameworks: `python -m benchmarks.floors`."""
