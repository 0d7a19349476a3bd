"""How many tokens a prompt has, estimated without a tokenizer.

Words are counted by class, with weights that were fitted to OpenAI's vocabulary `o200k_base` on English prose, source code and
Korean; what providers add around messages, tools and schemas is fitted to their recorded usage. `tests/core/cost/test_tokens.py`
and `tests/conformance/test_tokens.py` measure both. tiktoken is not used: it downloads its vocabulary at its first use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from hotspare.messages import ChatRequest

_MEDIA = 800
"""Tokens of an image or a file, whose size says nothing. Recorded images have 85 to 1,600."""
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_LONG_PARTS = re.compile(r"[A-Z]?[a-z]{1,7}|[A-Z]{1,4}")
_NUMBERS = re.compile(r"[0-9]{1,3}")
_SIGNS = re.compile(r"[!-/:-@\[-`{-~]+")
_LINES = re.compile(r"\s*[\r\n]\s*|[ \t]{2,}")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_HANGUL_WORDS = re.compile(r"[\uac00-\ud7a3]+")
_KANA_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_OTHERS = re.compile(r"[^\x00-\x7f\uac00-\ud7a3\u3040-\u30ff\u3400-\u9fff]")


class _Overhead(NamedTuple):
    """What a family of models counts beside the text. `text`, `tools`, `schema`: factors on the tokens of texts and of compact
    JSON; `call`: for each tool call; `tool_prompt`: once, if there are tools; `schema_prompt`: once, if there is a schema."""

    text: float = 1.0
    base: float = 6.0
    message: float = 4.0
    tool_prompt: float = 60.0
    tools: float = 1.2
    schema_prompt: float = 0.0
    schema: float = 0.7
    call: float = 11.0


_FAMILIES: tuple[tuple[str, _Overhead], ...] = (
    ("claude", _Overhead(1.15, 6, 4, 480, 1.2, 120, 1.1, 26)),
    ("gemini", _Overhead(1.0, 1, 0, 0, 0.45, 0, 0.1, 8)),
    ("gpt-oss", _Overhead(1.0, 67, 4, 20, 0.8, 46, 1.0, 11)),
    ("gpt-5", _Overhead(1.0, 7, 4, 70, 0.6, 0, 0.7, 11)),
    ("gpt", _Overhead(1.0, 7, 3.5, 14, 0.39, 0, 0.7, 11)),
    ("llama-4", _Overhead(1.0, 6, 4, 570, 1.2, 0, 0.7, 11)),
    ("llama", _Overhead(1.0, 36, 4, 60, 1.2, 0, 0.7, 11)),
    ("deepseek", _Overhead(1.0, 4, 4, 130, 1.3, 0, 0.7, 30)),
    ("qwen", _Overhead(1.0, 12, 4, 160, 1.2, 0, 0.7, 30)),
)
"""By a part of the model's name; the first that fits. Fitted to the usage in recorded exchanges."""


def prompt_tokens(request: ChatRequest, model: str = "") -> int:
    """An estimate of the prompt's tokens, tools and schema included. `model`: decides what is counted beside the text."""
    added = _overhead(model)
    total = added.base + added.message * (len(request.messages) - 1)
    for message in request.messages:
        total += added.text * _content_tokens(message.get("content"))
        for call in cast("Sequence[Mapping[str, object]]", message.get("tool_calls") or ()):
            total += added.call + text_tokens(_json(call.get("function")))
    if request.tools:
        total += added.tool_prompt + added.tools * sum(text_tokens(_json(tool)) for tool in request.tools)
    if request.response_format:
        total += added.schema_prompt + added.schema * text_tokens(_json(request.response_format))
    return round(total)


def text_tokens(text: str) -> float:
    """An estimate of the tokens of a text, without anything around it."""
    words = len(_WORDS.findall(text))
    signs = _SIGNS.findall(text)
    total = 0.971 * words + 0.341 * (len(_LONG_PARTS.findall(text)) - words) + 1.558 * len(_NUMBERS.findall(text))
    total += 0.731 * len(signs) + 0.084 * sum(map(len, signs)) + 1.067 * len(_LINES.findall(text))
    if not text.isascii():
        total += 0.74 * len(_HANGUL.findall(text)) - 0.216 * len(_HANGUL_WORDS.findall(text))
        total += 0.373 * len(_KANA_HAN.findall(text)) + 1.128 * len(_OTHERS.findall(text))
    return total


def characters(request: ChatRequest) -> int:
    """The characters of its messages: hardly ever fewer than their tokens, in any script."""
    return sum(_characters(message.get("content")) for message in request.messages)


def rough_prompt_tokens(request: ChatRequest) -> float:
    """An estimate at a hundredth of the cost, for every call: four bytes of UTF-8 a token, which are about four characters of
    English and one and a half of Korean."""
    size = sum(_bytes(message.get("content")) for message in request.messages) + sum(
        len(str(one)) for one in request.tools
    )
    return size / 4 + _Overhead().message * len(request.messages)


def _bytes(content: object) -> int:
    if isinstance(content, str):
        return len(content) if content.isascii() else len(content.encode("utf-8", "surrogatepass"))
    parts = cast("Sequence[object]", content) if isinstance(content, Sequence) else ()
    texts = (cast("Mapping[str, object]", part).get("text") if isinstance(part, Mapping) else part for part in parts)
    return sum(_bytes(text) if isinstance(text, str) else 4 * _MEDIA for text in texts)


@lru_cache(64)
def _overhead(model: str) -> _Overhead:
    name = model.lower()
    return next((overhead for part, overhead in _FAMILIES if part in name), _Overhead())


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _content_tokens(content: object) -> float:
    if isinstance(content, str):
        return text_tokens(content)
    return sum(map(_part_tokens, cast("Sequence[object]", content))) if isinstance(content, Sequence) else 0.0


def _characters(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    parts = cast("Sequence[object]", content) if isinstance(content, Sequence) else ()
    texts = (cast("Mapping[str, object]", part).get("text") if isinstance(part, Mapping) else part for part in parts)
    return sum(len(text) if isinstance(text, str) else _MEDIA for text in texts)


def _part_tokens(part: object) -> float:
    if isinstance(part, Mapping):
        text = cast("Mapping[str, object]", part).get("text")
        return text_tokens(text) if isinstance(text, str) else _MEDIA
    return text_tokens(part) if isinstance(part, str) else 0.0
