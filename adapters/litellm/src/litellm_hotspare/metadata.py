"""The metadata of an answer, in LiteLLM's hidden parameters and in the last chunk of a stream."""

from __future__ import annotations

from typing import Any

from hotspare import ChatReply

METADATA_KEY = "hotspare"
"""The key in `_hidden_params`, and in a stream's `provider_specific_fields`, that holds `ChatReply.as_metadata()` or
`StreamSummary.as_metadata()`."""

BLOCKS_KEY = "reasoning_blocks"
"""The key in a message's `provider_specific_fields` that holds reasoning of other dialects than Anthropic's."""


def hidden_params(reply: ChatReply) -> dict[str, Any]:
    """A response's hidden parameters: the metadata, `response_cost`, and headers that a proxy sends to its client."""
    found: dict[str, Any] = {
        METADATA_KEY: reply.as_metadata(),
        "additional_headers": {
            "x-hotspare-target": reply.target,
            "x-hotspare-attempts": str(len(reply.attempts)),
        },
    }
    if reply.cost is not None:
        found["response_cost"] = reply.cost
    return found
