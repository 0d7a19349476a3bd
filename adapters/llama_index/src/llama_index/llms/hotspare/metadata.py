"""The metadata and the token counts of a response."""

from __future__ import annotations

from typing import Any

from hotspare import Usage

METADATA_KEY = "hotspare"
"""The key in a response's `additional_kwargs` and `raw` that holds `ChatReply.as_metadata()` or, for a stream,
`StreamSummary.as_metadata()`. It is in `raw` too, because agents pass on only that."""


def token_counts(usage: Usage) -> dict[str, Any]:
    """The tokens under the names that LlamaIndex's `TokenCountingHandler` reads; empty if the provider reported none."""
    if not usage.known:
        return {}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
