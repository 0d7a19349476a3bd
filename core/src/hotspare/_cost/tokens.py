"""Estimates the number of tokens of a prompt without a tokenizer.

`texts` has the tokens of texts, `families` what models add for messages, tools and schemas, `images`, `files` and `thoughts` the rest.
`tests/core/cost/test_tokens.py` and `tests/conformance/test_tokens.py` measure the errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hotspare._cost.families import Family, family
from hotspare._cost.fields import field_of
from hotspare._cost.files import media_tokens, rough_size
from hotspare._cost.texts import text_tokens
from hotspare._cost.thoughts import thought_tokens
from hotspare.messages import ChatRequest

_ITEM_TEXTS = ("content", "text", "arguments", "output")
ANTHROPICS = frozenset({"anthropic", "bedrock", "vertex"})
"""Providers that call Claude through Anthropic's API, which has schemas; others use a tool instead."""


def prompt_tokens(request: ChatRequest, model: str = "", provider: str = "") -> int:
    """An estimate of the prompt's tokens, including tools and schema. `model`, `provider`: determine what is added to the texts.

    If a part of the prompt cannot be counted (`unknowns.uncounted`), this is a lower bound.
    """
    added = family(model, provider)
    total = added.base + added.message * (len(request.messages) - 1)
    for message in request.messages:
        total += added.text * _content_tokens(message.get("content"), model)
        for call in cast("Sequence[Mapping[str, object]]", message.get("tool_calls") or ()):
            total += added.call + added.calls * text_tokens(_json(call.get("function")))
    total += sum(_own_text([fields.get("instructions"), fields.get("input")]) for fields in request.extra.values())
    if request.tools and not (provider == "groq" and request.tool_choice == "none"):  # Groq leaves the tools out then
        tools = _loaded_tools(request) if provider in ANTHROPICS else request.tools
        total += _tool_prompt(added, request.tool_choice) + added.tool * len(tools)
        total += added.tools * sum(text_tokens(_json(tool.get("function", tool))) for tool in tools)
    schema = request.response_format
    if schema and schema.get("type") == "json_schema":
        if added.forced and provider not in ANTHROPICS:  # a tool that must be called takes the schema's place
            total += added.forced + added.tool + added.tools * text_tokens(_json(schema))
        else:
            total += added.schema_prompt + added.schema * text_tokens(_json(schema))
    total += thought_tokens(request.messages, model, provider)
    if added.thinking and _thinks(request, model, provider):
        total += added.thinking
    return round(total)


def _tool_prompt(added: Family, choice: object) -> float:
    """Tokens of the prompt that a family adds for tools; Claude's differs if a tool must be called."""
    return added.forced if added.forced and choice not in (None, "auto", "none") else added.tool_prompt


def _loaded_tools(request: ChatRequest) -> Sequence[Mapping[str, Any]]:
    """The tools without those that Anthropic keeps out of the prompt until a search has found them (`defer_loading`, "Tool search")."""
    deferred = [
        tool for tool in request.tools if tool.get("defer_loading") or field_of(tool, "function", "defer_loading")
    ]
    if not deferred:
        return request.tools
    calls = [call for message in request.messages for call in message.get("tool_calls") or ()]
    found = str([calls, *(body.get("messages") for body in request.extra.values())])  # called, or in a `tool_reference`
    absent = [tool for tool in deferred if f"'{field_of(tool, 'function', 'name')}'" not in found]
    return [tool for tool in request.tools if tool not in absent]


def tokens_upper_bound(request: ChatRequest) -> int:
    """A cheap upper bound of the tokens of prompt and answer: messages and tools hardly ever have more tokens than characters."""
    tools = sum(len(str(one)) for one in request.tools)
    return (request.max_tokens or 0) + tools + sum(_characters(message.get("content")) for message in request.messages)


def rough_prompt_tokens(request: ChatRequest) -> float:
    """A rough estimate for every call, in a hundredth of the time of `prompt_tokens`: four bytes of UTF-8 per token, which are about four
    characters of English or one and a half of Korean."""
    size = sum(_bytes(message.get("content")) for message in request.messages) + sum(
        len(str(one)) for one in request.tools
    )
    return size / 4 + Family().message * len(request.messages)


def _bytes(content: object) -> int:
    if isinstance(content, str):
        return len(content) if content.isascii() else len(content.encode("utf-8", "surrogatepass"))
    parts = cast("Sequence[object]", content) if isinstance(content, Sequence) else ()
    return sum(_bytes(text) if isinstance(text := _text_of(part), str) else rough_size(text)[0] for part in parts)


def _characters(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    parts = cast("Sequence[object]", content) if isinstance(content, Sequence) else ()
    return sum(len(text) if isinstance(text := _text_of(part), str) else rough_size(text)[1] for part in parts)


def _text_of(part: object) -> str | Mapping[str, object]:
    """The text of a content part; the part itself if it is not a text."""
    if not isinstance(part, Mapping):
        return part if isinstance(part, str) else ""
    fields = cast("Mapping[str, object]", part)
    text = fields.get("text")
    return text if isinstance(text, str) else fields


def _thinks(request: ChatRequest, model: str, provider: str) -> bool:
    """Whether Claude reasons in a way that lengthens the prompt: with a budget, or through another provider."""
    effort = provider != "anthropic" and request.reasoning_effort not in (None, "none")
    bodies = request.extra.values()
    budget = any(field_of(body.get("thinking"), "type") == "enabled" or body.get("reasoning") for body in bodies)
    return effort or budget or model.endswith(":thinking")


def _own_text(items: object) -> float:
    """Tokens of the Responses API's fields in `extra`: instructions, and items without a counterpart in hotspare's messages."""
    if isinstance(items, str):
        return text_tokens(items)
    if isinstance(items, Mapping):
        item = cast("Mapping[str, object]", items)
        return sum(_own_text(item.get(name)) for name in _ITEM_TEXTS) + text_tokens(_json(item.get("tools", "")))
    return sum(map(_own_text, cast("Sequence[object]", items))) if isinstance(items, Sequence) else 0.0


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _content_tokens(content: object, model: str) -> float:
    if isinstance(content, str):
        return text_tokens(content)
    parts = cast("Sequence[object]", content) if isinstance(content, Sequence) else ()
    texts = map(_text_of, parts)
    return sum(text_tokens(text) if isinstance(text, str) else media_tokens(text, model) or 0 for text in texts)
