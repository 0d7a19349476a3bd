"""Estimates the number of tokens of a text without a tokenizer.

Words are counted by class, with weights that were fitted to OpenAI's vocabulary `o200k_base` on English prose, source code and
Korean. No tokenizer is used: tiktoken downloads its vocabulary on first use, and exact counts of texts do not improve the estimates of
recorded prompts, because the remaining errors come from what providers add.
"""

from __future__ import annotations

import re

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_LONG_PARTS = re.compile(r"[A-Z]?[a-z]{1,7}|[A-Z]{1,4}")
_NUMBERS = re.compile(r"[0-9]{1,3}")
_SIGNS = re.compile(r"[!-/:-@\[-`{-~]+")
_LINES = re.compile(r"\s*[\r\n]\s*|[ \t]{2,}")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_HANGUL_WORDS = re.compile(r"[\uac00-\ud7a3]+")
_KANA_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_OTHERS = re.compile(r"[^\x00-\x7f\uac00-\ud7a3\u3040-\u30ff\u3400-\u9fff]")


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
