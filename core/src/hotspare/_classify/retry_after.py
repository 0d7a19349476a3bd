"""How long a provider asks to be left alone, in every form that they use. Seconds from now; None where none is named.

Order: `retry-after-ms`, `retry-after` (seconds or an HTTP date, RFC 9110 10.2.3), Gemini's `RetryInfo`, reset headers of
OpenAI and Groq (`6m0s`), of Anthropic (RFC 3339), then the phrase "try again in 1.2s".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_PHRASE = re.compile(
    r"(?:try again in|retry after|retry in)\s+((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|h|hours?|m|minutes?|s|seconds?)?\s*)+)",
    re.I,
)
_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|h|hours?|m|minutes?|s|seconds?)?", re.I)
_RETRY_INFO = re.compile(r'"retryDelay"\s*:\s*"([\d.]+)s"')
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}


def retry_after(headers: Mapping[str, str], text: str, now: float) -> float | None:
    """Seconds until the provider wants to be asked again. `now`: wall clock, epoch seconds.

    A LiteLLM proxy hands its provider's headers on under a prefix.
    """
    headers = {name.removeprefix("llm_provider-"): value for name, value in headers.items()} | dict(headers)
    for found in (_milliseconds(headers), _header(headers.get("retry-after"), now), _first(_RETRY_INFO, text)):
        if found is not None:
            return found
    resets = [duration(headers[name]) for name in _exhausted(headers)]
    resets += [_date(headers.get(f"anthropic-ratelimit-{name}-reset"), now) for name in _anthropic_exhausted(headers)]
    known = [reset for reset in resets if reset is not None]
    if known:
        return max(known)
    phrase = _PHRASE.search(text)
    return duration(phrase.group(1)) if phrase else None


def duration(text: str) -> float | None:
    """`6m0s`, `12ms`, `1.5`, `2 minutes` in seconds; None for anything else."""
    total, seen = 0.0, False
    for number, unit in _UNIT.findall(text):
        try:
            value = float(number)
        except ValueError:
            return None
        seen = True
        unit = unit.lower()
        total += value / 1000 if unit.startswith(("ms", "milli")) else value * _SECONDS[unit[:1]]
    return total if seen else None


def next_midnight_pacific(now: float) -> float:
    """Seconds until Gemini's daily quotas are new: midnight in Los Angeles."""
    try:
        from zoneinfo import ZoneInfo

        here = datetime.fromtimestamp(now, ZoneInfo("America/Los_Angeles"))
    except (ImportError, KeyError, OSError):
        here = datetime.fromtimestamp(now, UTC) - timedelta(hours=8)
    midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - here).total_seconds()


def next_month(now: float) -> float:
    """Seconds until the first of next month, 00:00 UTC: when Anthropic's spend limits are new."""
    here = datetime.fromtimestamp(now, UTC)
    first = (here.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - here).total_seconds()


def _milliseconds(headers: Mapping[str, str]) -> float | None:
    try:
        return _sane(float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        return None


def _header(value: str | None, now: float) -> float | None:
    if value is None:
        return None
    try:
        return _sane(float(value))
    except ValueError:
        return _date(value, now)


def _date(value: str | None, now: float) -> float | None:
    if not value:
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(value)
            if when.tzinfo is None:
                when = when.replace(tzinfo=UTC)
            return _sane(when.timestamp() - now)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _sane(seconds: float) -> float | None:
    return max(0.0, seconds) if seconds == seconds and seconds < 1e9 else None


def _first(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return duration(found.group(1)) if found else None


def _exhausted(headers: Mapping[str, str]) -> list[str]:
    return [
        f"x-ratelimit-reset-{what}"
        for what in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{what}", "1").strip() == "0" and f"x-ratelimit-reset-{what}" in headers
    ]


def _anthropic_exhausted(headers: Mapping[str, str]) -> list[str]:
    kinds = ("requests", "tokens", "input-tokens", "output-tokens")
    return [what for what in kinds if headers.get(f"anthropic-ratelimit-{what}-remaining", "1").strip() == "0"]
