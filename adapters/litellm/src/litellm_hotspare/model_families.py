"""What is known of models behind LiteLLM by their names."""

from __future__ import annotations

from hotspare import Dialect


def dialect_of(model: str) -> Dialect:
    """The dialect whose rules for histories apply. They depend on who made the model, not on where it runs."""
    name = model.lower()
    return "anthropic" if "claude" in name else "gemini" if "gemini" in name else "openai"
