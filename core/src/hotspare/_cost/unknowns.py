"""Parts of a prompt that only the provider can count: with them, an estimate is a lower bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hotspare._cost.fields import field_of
from hotspare._cost.files import media_tokens
from hotspare.messages import ChatRequest

_AT_THE_PROVIDER = {
    "tools": "tools of the provider's own", "mcp_servers": "tools of the provider's own", "container": "tools of the provider's own",
    "plugins": "tools of the provider's own", "models": "another model, which the provider chooses",
    "transforms": "texts that the provider shortens", "cachedContent": "a prompt that the provider keeps",
    "previous_response_id": "a prompt that the provider keeps", "conversation": "a prompt that the provider keeps",
    "prompt": "a prompt that the provider keeps",
}  # fmt: skip
"""Fields of a request in its dialect (`ChatRequest.extra`), and what the provider adds for them."""
_INSIDE = {"encrypted_content": "encrypted reasoning", "task_budget": "a budget that the provider states in the prompt"}
"""The same for fields at any depth."""
MEDIA = "media of unknown size"


def uncounted(request: ChatRequest, model: str = "") -> str:
    """The part of the prompt that cannot be counted, as text; "" if everything can."""
    for message in request.messages:
        content = message.get("content")
        if not isinstance(content, str) and any(_is_unknown(part, model) for part in content or ()):
            return MEDIA
    for body in request.extra.values():
        if found := _of_the_provider(body):
            return found
    expands = "gemini" in model.lower() and any(map(_is_recursive, request.tools))
    return "a recursive schema" if expands else ""


def _is_unknown(part: object, model: str) -> bool:
    if not isinstance(part, Mapping):
        return False
    fields = cast("Mapping[str, object]", part)
    return not isinstance(fields.get("text"), str) and media_tokens(fields, model) is None


def _of_the_provider(body: Mapping[str, Any]) -> str:
    named = next((words for name, words in _AT_THE_PROVIDER.items() if body.get(name)), "")
    return named or _inside(body)


def _inside(value: object) -> str:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        if fields.get("type") == "image":
            return MEDIA
        named = next((words for name, words in _INSIDE.items() if fields.get(name)), "")
        return named or next((found for one in fields.values() if (found := _inside(one))), "")
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return next((found for one in cast("Sequence[object]", value) if (found := _inside(one))), "")
    return ""


def _is_recursive(tool: Mapping[str, Any]) -> bool:
    """Whether a tool's schema is recursive: Gemini expands it to an unknown depth."""
    definitions = field_of(tool.get("function") or tool, "parameters", "$defs")
    found = cast("Mapping[str, object]", definitions).items() if isinstance(definitions, Mapping) else ()
    return any(f"'#/$defs/{name}'" in str(schema) for name, schema in found)
