"""The provider's limits as stated in a response: in the headers of every response, and in the bodies of 429s.

=================================  ======================================================  =========================
headers                            providers                                               reset
=================================  ======================================================  =========================
`x-ratelimit-*-requests|tokens`    OpenAI, Azure, Groq, Together, Fireworks, most relays   `6m0s`, seconds
`anthropic-ratelimit-*`            Anthropic: requests, tokens, input and output tokens    RFC 3339
`x-ratelimit-*`, `ratelimit-*`     OpenRouter; the IETF draft                              seconds, or a moment
none                               Gemini: the exceeded quotas are in the 429's body       `RetryInfo`
=================================  ======================================================  =========================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from hotspare._classify.retry_after import moment, provider_headers, seconds_until
from hotspare.outcome import RateLimit

Unit = Literal["requests", "tokens", "input_tokens", "output_tokens"]

_ANTHROPIC: Mapping[str, Unit] = {
    "requests": "requests", "tokens": "tokens", "input-tokens": "input_tokens", "output-tokens": "output_tokens",
}  # fmt: skip
_LIMIT_IN_WORDS = re.compile(
    r"\b(requests|tokens|input tokens|output tokens) per min\w{0,5}\b.{0,20}\bLimit:? (\d{1,12})\b", re.I | re.A
)
"""OpenAI, Groq: "Rate limit reached for gpt-4.1 on tokens per min (TPM): Limit 30000, Used …"."""


def rate_limits(headers: Mapping[str, str], now: float) -> tuple[RateLimit, ...]:
    """The limits that the headers of an answer state. `now`: wall clock, epoch seconds. Names in lower case."""
    headers = provider_headers(headers)
    now = moment(headers.get("date")) or now
    found: list[RateLimit] = []
    for word, unit in _ANTHROPIC.items():
        name = f"anthropic-ratelimit-{word}"
        _add(found, unit, headers, (f"{name}-limit", f"{name}-remaining", f"{name}-reset"), now)
    for unit in ("requests", "tokens"):
        names = tuple(f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset"))
        _add(found, unit, headers, names, now)
    if not found:
        for prefix in ("x-ratelimit", "ratelimit"):
            names = tuple(f"{prefix}-{what}" for what in ("limit", "remaining", "reset"))
            _add(found, "requests", headers, names, now)
    return tuple(found)


def limits_in_words(message: str) -> tuple[RateLimit, ...]:
    """The limit that the message of a 429 names, with nothing left of it."""
    found = _LIMIT_IN_WORDS.search(message)
    if found is None:
        return ()
    words = found[1].lower().replace(" ", "_")
    unit: Unit = next(one for one in _ANTHROPIC.values() if one == words)
    return (RateLimit(unit, float(found[2]), 0.0),)


def limits_of_quotas(quotas: Sequence[tuple[str, str]]) -> tuple[RateLimit, ...]:
    """Gemini's `QuotaFailure`: id and value of each quota per minute that a request has exceeded."""
    found: list[RateLimit] = []
    for name, value in quotas:
        limit = _number(value)
        if "PerMinute" in name and limit:
            unit: Unit = "input_tokens" if "InputToken" in name else "tokens" if "Token" in name else "requests"
            found.append(RateLimit(unit, limit, 0.0))
    return tuple(found)


def _add(found: list[RateLimit], unit: Unit, headers: Mapping[str, str], names: Sequence[str], now: float) -> None:
    limit, remaining = (_number(headers.get(name)) for name in names[:2])
    if limit is not None and remaining is not None:
        found.append(RateLimit(unit, limit, remaining, seconds_until(headers.get(names[2]), now)))


def _number(text: str | None) -> float | None:
    """The number that a header begins with: the IETF draft has `100, 100;w=60`."""
    found = re.match(r"\s*(\d{1,15}(?:\.\d{1,9})?)", text or "")
    return float(found[1]) if found else None
