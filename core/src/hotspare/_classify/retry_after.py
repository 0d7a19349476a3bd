"""When a provider may be called again, in every form that providers use. Seconds from now; None if it names no time.

In this order: `retry-after-ms`, `retry-after` (seconds or an HTTP date, RFC 9110 section 10.2.3), Gemini's `RetryInfo`,
the reset headers of OpenAI and Groq (`6m0s`) and of Anthropic (RFC 3339), then the phrase "try again in 1.2s".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_NUMBER, _UNITS = r"\d+(?:\.\d+)?", "milliseconds?|ms|hours?|h|minutes?|m|seconds?|s"
_PHRASE = re.compile(rf"(?:try again in|retry after|retry in)\s+((?:{_NUMBER}\s*(?:{_UNITS})?\s*)+)", re.I)
_UNIT = re.compile(rf"({_NUMBER})\s*({_UNITS})?", re.I)
_RETRY_INFO = re.compile(r'"retryDelay"\s*:\s*"([\d.]+)s"')
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}


def retry_after(headers: Mapping[str, str], text: str, now: float) -> float | None:
    """Seconds until the provider may be called again. `now`: wall clock, epoch seconds.

    A LiteLLM proxy passes its provider's headers on with the prefix `llm_provider-`.
    """
    headers = {name.removeprefix("llm_provider-"): value for name, value in headers.items()} | dict(headers)
    for found in (_milliseconds(headers), _seconds_or_date(headers.get("retry-after"), now), _retry_info(text)):
        if found is not None:
            return found
    resets = [duration(headers[name]) for name in _openai_resets(headers)]
    resets += [_date(headers.get(name), now) for name in _anthropic_resets(headers)]
    known = [reset for reset in resets if reset is not None]
    if known:
        return max(known)
    phrase = _PHRASE.search(text)
    return duration(phrase.group(1)) if phrase else None


def duration(text: str) -> float | None:
    """`6m0s`, `12ms`, `1.5`, `2 minutes` in seconds; None for anything else."""
    total, found = 0.0, False
    for number, unit in _UNIT.findall(text):
        try:
            value = float(number)
        except ValueError:
            return None
        found = True
        unit = unit.lower()
        total += value / 1000 if unit.startswith(("ms", "milli")) else value * _SECONDS[unit[:1]]
    return total if found else None


def seconds_to_midnight_pacific(now: float) -> float:
    """Seconds until Gemini resets daily quotas: midnight in Los Angeles (ai.google.dev/gemini-api/docs/rate-limits)."""
    try:
        from zoneinfo import ZoneInfo

        here = datetime.fromtimestamp(now, ZoneInfo("America/Los_Angeles"))
    except (ImportError, KeyError, OSError):  # no time zone data: winter time is at most an hour late
        here = datetime.fromtimestamp(now, UTC) - timedelta(hours=8)
    midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - here).total_seconds()


def seconds_to_next_month(now: float) -> float:
    """Seconds until Anthropic resets spend limits: the first of next month, 00:00 UTC."""
    here = datetime.fromtimestamp(now, UTC)
    first = (here.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - here).total_seconds()


def _milliseconds(headers: Mapping[str, str]) -> float | None:
    try:
        return _valid(float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        return None


def _seconds_or_date(value: str | None, now: float) -> float | None:
    if value is None:
        return None
    try:
        return _valid(float(value))
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
            return _valid(when.timestamp() - now)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _valid(seconds: float) -> float | None:
    """Never negative; None for NaN, and for more than 30 years, which is no time to wait."""
    return max(0.0, seconds) if seconds == seconds and seconds < 1e9 else None


def _retry_info(text: str) -> float | None:
    found = _RETRY_INFO.search(text)
    return duration(found.group(1)) if found else None


def _openai_resets(headers: Mapping[str, str]) -> list[str]:
    """The names of the reset headers of limits that are used up."""
    return [
        f"x-ratelimit-reset-{limit}"
        for limit in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{limit}", "1").strip() == "0" and f"x-ratelimit-reset-{limit}" in headers
    ]


def _anthropic_resets(headers: Mapping[str, str]) -> list[str]:
    """The names of the reset headers of limits that are used up."""
    return [
        f"anthropic-ratelimit-{limit}-reset"
        for limit in ("requests", "tokens", "input-tokens", "output-tokens")
        if headers.get(f"anthropic-ratelimit-{limit}-remaining", "1").strip() == "0"
    ]
