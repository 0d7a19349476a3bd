"""Tokens of Gemini's earlier thoughts, which are sent back in a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hotspare._cost.fields import field_of
from hotspare._cost.texts import text_tokens

_HEAD = 120
_PER_TOKEN = 5.0
"""Characters of a thought signature: so many, and so many per token of the thoughts that it stands for. Of 31 recorded answers of Gemini 3,
which contain both, half are estimated within 8 % and all within 26 %."""
_OF_A_CALL = ("extra_content", "google", "thought_signature")
_OLD = ("gemini-1", "gemini-2")


def thought_tokens(messages: Sequence[Mapping[str, Any]], model: str, provider: str) -> float:
    """Tokens of the thoughts in a history: the texts of all, and what the signatures of the current turn stand for.

    Gemini counts them from version 3 on, but not on Vertex AI. A turn starts with a user's message ("Thought signatures").
    """
    name = model.lower()
    if "gemini" not in name or provider == "vertex" or any(old in name for old in _OLD):
        return 0.0
    last = max((place for place, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    total = 0.0
    for place, message in enumerate(messages):
        blocks = cast("Sequence[Mapping[str, Any]]", message.get("thinking_blocks") or ())
        own = [block for block in blocks if block.get("dialect") == "gemini"]
        total += sum(text_tokens(str(block.get("thinking") or "")) for block in own)
        if place > last:
            signed = [block.get("signature") for block in own]
            signed += [field_of(call, *_OF_A_CALL) for call in message.get("tool_calls") or ()]
            total += sum(max(0.0, (len(str(one)) - _HEAD) / _PER_TOKEN) for one in signed if one)
    return total
