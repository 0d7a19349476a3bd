"""The metadata of an answer, in LiteLLM's hidden parameters and in the last chunk of a stream."""

from __future__ import annotations

from collections.abc import Mapping
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


def take_fields(chunks: Any) -> tuple[Any, Mapping[str, Any]]:
    """A stream's chunks without the `provider_specific_fields` that hold its metadata, and those fields. The chunks are not changed.

    They are in one of the last three: LiteLLM adds one with the finish reason, and one with the usage if the caller wants it.
    """
    for place in range(len(chunks or ()) - 1, -1, -1)[:3]:
        chunk = chunks[place]
        for choice in getattr(chunk, "choices", ()):
            fields: Mapping[str, Any] = getattr(choice.delta, "provider_specific_fields", None) or {}
            if METADATA_KEY in fields:
                delta = choice.delta.model_copy(update={"provider_specific_fields": None})
                bare = chunk.model_copy(update={"choices": [choice.model_copy(update={"delta": delta})]})
                return [*chunks[:place], bare, *chunks[place + 1 :]], fields
    return chunks, {}
