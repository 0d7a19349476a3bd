"""LiteLLM's messages -> OpenAI's chat shape, which every hotspare target takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from litellm_hotspare.litellm_api import as_mapping
from litellm_hotspare.metadata import BLOCKS_KEY, METADATA_KEY


def openai_messages(messages: Iterable[Any]) -> list[dict[str, Any]]:
    """The history as plain dicts. It may hold dicts and LiteLLM's own message objects."""
    return [_message(message) for message in messages]


def _message(message: Any) -> dict[str, Any]:
    """One message, without the fields that are None in LiteLLM's own messages."""
    kept = {key: value for key, value in as_mapping(message).items() if value is not None or key == "content"}
    specific = as_mapping(kept.pop("provider_specific_fields", None))
    if mark := specific.get("signed_by") or as_mapping(specific.get(METADATA_KEY)).get("signed_by"):
        kept["signed_by"] = mark
    if blocks := specific.get(BLOCKS_KEY):
        kept["thinking_blocks"] = [*kept.get("thinking_blocks", ()), *blocks]
    calls: list[Any] = kept.get("tool_calls") or []
    if calls:
        kept.setdefault("content", None)  # LiteLLM removes it, and some servers require it
        kept["tool_calls"] = [_tool_call(call) for call in calls]
    return kept


def _tool_call(call: Any) -> dict[str, Any]:
    """A tool call, with Gemini's thought signature moved from LiteLLM's place for it to Google's own."""
    plain = dict(as_mapping(call))
    specific = as_mapping(plain.pop("provider_specific_fields", None))
    if specific.get("thought_signature"):
        plain["extra_content"] = {"google": {"thought_signature": specific["thought_signature"]}}
    return {key: value for key, value in plain.items() if value is not None}
