"""The dialect of a model behind LiteLLM, by its name."""

from __future__ import annotations

from hotspare import Dialect


def dialect_of(model: str) -> Dialect:
    """The dialect whose rules for histories apply. It depends on the vendor of the model, not on the provider that runs it."""
    name = model.lower()
    return "anthropic" if "claude" in name else "gemini" if "gemini" in name else "openai"
