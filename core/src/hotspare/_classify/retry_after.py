"""When a provider may be called again, in every form that providers use. Seconds from now; None if it names no time.

In this order: `retry-after-ms`, `retry-after` (seconds or an HTTP date, RFC 9110 section 10.2.3), Gemini's `RetryInfo`,
the reset headers of OpenAI and Groq (`6m0s`), of Anthropic (RFC 3339) and of others (`x-ratelimit-reset`: seconds, or the
epoch in seconds or milliseconds), then the phrases "try again in 1.2s" and "regain access on 2026-12-01 at 00:00 UTC".
Dates are read against the response's own `Date`: the two clocks may differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime

_UNITS = r"milliseconds?|ms|days?|d|hours?|h|minutes?|mins?|m|seconds?|secs?|s"
_NUMBER = r"\d{1,12}(?:\.\d{1,12})?"
_PHRASE = re.compile(
    rf"(?:(?:try again|retry|reset|resets) (?:in|after)|retry after)\s{{1,3}}((?:{_NUMBER}\s?(?:{_UNITS})?(?![a-z])\s?){{1,5}})",
    re.I,
)
_DURATION = re.compile(rf"({_NUMBER})\s?({_UNITS})?(?![a-z])", re.I)
_ACCESS_DATE = re.compile(
    r"(?:access|again|until|resets?)\b.{0,20}\b(\d{4}-\d\d-\d\d)(?:(?: at |[T ])(\d\d:\d\d(?::\d\d)?))?", re.I
)
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
_MAX_SECONDS = 1e9
"""30 years. A longer time is not a time to wait."""
_EPOCH, _EPOCH_MS = 1e9, 1e11
"""Larger numbers are a point in time, in seconds or milliseconds of the epoch: as durations they would be decades."""
_LIMIT_HEADERS = (
    *((f"x-ratelimit-remaining-{limit}", f"x-ratelimit-reset-{limit}") for limit in ("requests", "tokens")),
    *(
        (f"anthropic-ratelimit-{limit}-remaining", f"anthropic-ratelimit-{limit}-reset")
        for limit in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
)
"""What is left of each limit, and its reset: of OpenAI and those that use its headers, and of Anthropic."""


def retry_after(headers: Mapping[str, str], text: str, now: float, *, delay: str = "") -> float | None:
    """Seconds until the provider may be called again. `now`: wall clock, epoch seconds. `delay`: Gemini's `RetryInfo`."""
    headers = provider_headers(headers)
    now = moment(headers.get("date")) or now
    for found in (_milliseconds(headers), seconds_until(headers.get("retry-after"), now), duration(delay)):
        if found is not None:
            return found
    exhausted = [reset for remaining, reset in _LIMIT_HEADERS if headers.get(remaining, "1").strip() == "0"]
    resets = [*(seconds_until(headers.get(name), now) for name in exhausted), _plain_reset(headers, now)]
    known = [reset for reset in resets if reset is not None]
    if known:
        return max(known)
    phrase = _PHRASE.search(text)
    return duration(phrase.group(1)) if phrase else _access_date(text, now)


def provider_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, and those that a LiteLLM proxy passes on from its provider with the prefix `llm_provider-`."""
    return {name.removeprefix("llm_provider-"): value for name, value in headers.items()} | dict(headers)


def duration(text: str) -> float | None:
    """`6m0s`, `142h40m7s`, `12ms`, `1.5`, `2 minutes` in seconds; None for a text without a number."""
    total, found = 0.0, False
    for number, unit in _DURATION.findall(text[:80]):
        found, unit, value = True, unit.lower(), float(number)
        total += value / 1000 if unit.startswith(("ms", "milli")) else value * _SECONDS[unit[:1]]
    return _valid(total) if found else None


def seconds_to_midnight_pacific(now: float) -> float:
    """Seconds until Gemini resets daily quotas: midnight in Los Angeles (ai.google.dev/gemini-api/docs/rate-limits)."""
    zone: tzinfo
    try:
        from zoneinfo import ZoneInfo

        zone = ZoneInfo("America/Los_Angeles")
    except (ImportError, KeyError, OSError):  # no time zone data: winter time is at most an hour late
        zone = timezone(timedelta(hours=-8))
    here = datetime.fromtimestamp(now, zone)
    midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.timestamp() - now  # the difference of the two would ignore that a day may have 23 or 25 hours


def seconds_to_next_month(now: float) -> float:
    """Seconds until Anthropic resets spend limits: the first of next month, 00:00 UTC."""
    here = datetime.fromtimestamp(now, UTC)
    first = (here.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - here).total_seconds()


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _milliseconds(headers: Mapping[str, str]) -> float | None:
    value = _number(headers.get("retry-after-ms"))
    return None if value is None else _valid(value / 1000)


def seconds_until(value: str | None, now: float) -> float | None:
    """Seconds until a time that is stated in seconds, as a duration, as a date, or in seconds or milliseconds of the epoch."""
    number = _number(value)
    if number is not None:
        seconds = number / 1000 if number >= _EPOCH_MS else number
        return _valid(seconds - now if seconds >= _EPOCH else seconds)
    when = moment(value)
    if when is not None:
        return _valid(when - now)
    return duration(value) if value and value[0].isdigit() and "-" not in value else None


def _plain_reset(headers: Mapping[str, str], now: float) -> float | None:
    """`x-ratelimit-reset` and the `ratelimit-reset` of the IETF draft, if the limit is used up or not named."""
    for prefix in ("x-ratelimit", "ratelimit", "x-rate-limit"):
        value = headers.get(f"{prefix}-reset-after", headers.get(f"{prefix}-reset"))
        if value is not None and headers.get(f"{prefix}-remaining", "0").strip() in ("0", ""):
            return seconds_until(value, now)
    return None


def moment(value: str | None) -> float | None:
    """A date in epoch seconds; None if it is not a date."""
    if not value:
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(value)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _access_date(text: str, now: float) -> float | None:
    """Anthropic: "You will regain access on 2026-12-01 at 00:00 UTC"."""
    found = _ACCESS_DATE.search(text)
    return seconds_until(f"{found[1]}T{found[2] or '00:00'}", now) if found else None


def _valid(seconds: float) -> float | None:
    """The seconds, never negative; None for NaN and for more than 30 years."""
    return max(0.0, seconds) if seconds == seconds and seconds < _MAX_SECONDS else None
