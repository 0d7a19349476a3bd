"""Estimates the number of tokens of a prompt without a tokenizer.

Words are counted by class, with weights that were fitted to OpenAI's vocabulary `o200k_base` on English prose, source code and
Korean; `families` has the tokens that models add for messages, tools and schemas, `images` those of images. `tests/core/cost/test_tokens.py`
and `tests/conformance/test_tokens.py` measure the errors. No tokenizer is used: tiktoken downloads its vocabulary on first use, and exact
counts of texts do not improve the estimates of recorded prompts, because the remaining errors come from what providers add.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

from hotspare._cost.families import Family, family
from hotspare._cost.images import image_tokens
from hotspare._cost.unknowns import field_of
from hotspare.messages import ChatRequest

_ITEM_TEXTS = ("content", "text", "arguments", "output")
_MEDIA = 800
"""Rough number of tokens of an image or a file. Recorded images have 85 to 1,600."""
ANTHROPICS = frozenset({"anthropic", "bedrock", "vertex"})
"""Providers that call Claude through Anthropic's API, which has schemas; others use a tool instead."""
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_LONG_PARTS = re.compile(r"[A-Z]?[a-z]{1,7}|[A-Z]{1,4}")
_NUMBERS = re.compile(r"[0-9]{1,3}")
_SIGNS = re.compile(r"[!-/:-@\[-`{-~]+")
_LINES = re.compile(r"\s*[\r\n]\s*|[ \t]{2,}")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_HANGUL_WORDS = re.compile(r"[\uac00-\ud7a3]+")
_KANA_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_OTHERS = re.compile(r"[^\x00-\x7f\uac00-\ud7a3\u3040-\u30ff\u3400-\u9fff]")


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
        total += _tool_prompt(added, request.tool_choice) + added.tool * len(request.tools)
        total += added.tools * sum(text_tokens(_json(tool.get("function", tool))) for tool in request.tools)
    schema = request.response_format
    if schema and schema.get("type") == "json_schema":
        if added.forced and provider not in ANTHROPICS:  # a tool that must be called takes the schema's place
            total += added.forced + added.tool + added.tools * text_tokens(_json(schema))
        else:
            total += added.schema_prompt + added.schema * text_tokens(_json(schema))
    if added.thinking and _thinks(request, model, provider):
        total += added.thinking
    return round(total)


def _tool_prompt(added: Family, choice: object) -> float:
    """Tokens of the prompt that a family adds for tools; Claude's differs if a tool must be called."""
    return added.forced if added.forced and choice not in (None, "auto", "none") else added.tool_prompt


def text_tokens(text: str) -> float:
    """An estimate of the tokens of a text, without those of a message around it."""
    words = len(_WORDS.findall(text))
    signs = _SIGNS.findall(text)
    total = 0.971 * words + 0.341 * (len(_LONG_PARTS.findall(text)) - words) + 1.558 * len(_NUMBERS.findall(text))
    total += 0.731 * len(signs) + 0.084 * sum(map(len, signs)) + 1.067 * len(_LINES.findall(text))
    if not text.isascii():
        total += 0.83 * len(_HANGUL.findall(text)) - 0.216 * len(_HANGUL_WORDS.findall(text))
        total += 0.373 * len(_KANA_HAN.findall(text)) + 1.128 * len(_OTHERS.findall(text))
    return total


def tokens_upper_bound(request: ChatRequest) -> int:
    """A cheap upper bound of the tokens of prompt and answer: messages hardly ever have more tokens than characters."""
    return (request.max_tokens or 0) + sum(_characters(message.get("content")) for message in request.messages)


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
    texts = (cast("Mapping[str, object]", part).get("text") if isinstance(part, Mapping) else part for part in parts)
    return sum(_bytes(text) if isinstance(text, str) else 4 * _MEDIA for text in texts)


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
    return sum(_part_tokens(part, model) for part in parts)


def _characters(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    parts = cast("Sequence[object]", content) if isinstance(content, Sequence) else ()
    texts = (cast("Mapping[str, object]", part).get("text") if isinstance(part, Mapping) else part for part in parts)
    return sum(len(text) if isinstance(text, str) else _MEDIA for text in texts)


def _part_tokens(part: object, model: str) -> float:
    if isinstance(part, Mapping):
        fields = cast("Mapping[str, object]", part)
        text = fields.get("text")
        return text_tokens(text) if isinstance(text, str) else image_tokens(fields, model) or 0
    return text_tokens(part) if isinstance(part, str) else 0.0
