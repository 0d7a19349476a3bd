"""When a provider may be called again: each form alone, which of several counts, and what is no time at all."""

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from hotspare._classify.retry_after import (
    duration,
    retry_after,
    seconds_to_midnight_pacific,
    seconds_to_next_month,
)

NOW = 1_764_000_000.0
"""2025-11-24 16:00:00 UTC, a Monday."""


@pytest.fixture(autouse=True)
def _far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time zone makes no difference."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0), ("12ms", 0.012), ("1.5", 1.5), ("2 minutes", 120.0), ("1 minute", 60.0), ("3 hours", 10_800.0),
        ("1h2m3s", 3723.0), ("250 milliseconds", 0.25), ("1 millisecond", 0.001), ("2 Seconds", 2.0), ("1 MS", 0.001),
        ("1 second 500 ms", 1.5), ("0s", 0.0), ("soon", None), ("", None), ("-", None),
    ],
)  # fmt: skip
def test_duration(text: str, seconds: float | None) -> None:
    """Numbers with units add up; a number alone is seconds; without a number there is none."""
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "-5"}, 0.0),
        ({"retry-after-ms": "soon"}, None),
        ({"retry-after-ms": "soon", "retry-after": "4"}, 4.0),
        ({"retry-after-ms": "nan", "retry-after": "4"}, 4.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "999999999"}, 999_999_999.0),
        ({"retry-after": "1764000030"}, 30.0),  # a moment
        ({"retry-after": "1000000000"}, 0.0),  # a moment of 2001
        ({"retry-after-ms": "1000000000000"}, None),  # 30 years
        ({"retry-after": "1e308"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Mon, 24 Nov 2025 16:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 24 Nov 2025 16:00:30"}, 30.0),  # without a zone: UTC
        ({"retry-after": "Mon, 24 Nov 2025 17:00:30 +0100"}, 30.0),
        ({"retry-after": "2025-11-24T16:00:30Z"}, 30.0),
        ({"retry-after": "2025-11-24T16:00:30"}, 30.0),
        ({"retry-after": "2025-11-24T15:00:00Z"}, 0.0),
        ({"retry-after": "9999-12-31T00:00:00Z"}, None),
        ({"retry-after": "Mon, 99 Nov 2025"}, None),
        ({"retry-after": "2025-99-01"}, None),
        ({"retry-after": "1764000030000"}, 30.0),  # in milliseconds
        ({"retry-after": "30s"}, 30.0),
        ({"llm_provider-retry-after": "7"}, 7.0),
        ({"llm_provider-retry-after": "7", "retry-after": "3"}, 3.0),
        ({}, None),
    ],
)  # fmt: skip
def test_retry_after_headers(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds, seconds or a date, never negative; what is no number, no date or beyond 30 years is none."""
    assert retry_after(headers, "", NOW) == seconds


def openai(limit: str, remaining: str, reset: str) -> dict[str, str]:
    return {f"x-ratelimit-remaining-{limit}": remaining, f"x-ratelimit-reset-{limit}": reset}


def anthropic(limit: str, remaining: str, reset: str) -> dict[str, str]:
    return {f"anthropic-ratelimit-{limit}-remaining": remaining, f"anthropic-ratelimit-{limit}-reset": reset}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (openai("requests", "0", "6m0s"), 360.0),
        (openai("tokens", "0", "12ms"), 0.012),
        (openai("tokens", " 0 ", "5s"), 5.0),
        (openai("tokens", "1", "5s"), None),
        (openai("images", "0", "5s"), None),
        ({"x-ratelimit-reset-tokens": "5s"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        (openai("requests", "0", "soon"), None),
        (openai("requests", "0", "2s") | openai("tokens", "0", "9s"), 9.0),
        (openai("requests", "0", "9s") | openai("tokens", "5", "20s"), 9.0),
        *((anthropic(limit, "0", "2025-11-24T16:00:05Z"), 5.0) for limit in ("requests", "tokens", "input-tokens", "output-tokens")),
        (anthropic("tokens", " 0 ", "2025-11-24T16:00:05Z"), 5.0),
        (anthropic("tokens", "1", "2025-11-24T16:00:05Z"), None),
        (anthropic("images", "0", "2025-11-24T16:00:05Z"), None),
        ({"anthropic-ratelimit-tokens-reset": "2025-11-24T16:00:05Z"}, None),
        ({"anthropic-ratelimit-tokens-remaining": "0"}, None),
        (anthropic("tokens", "0", "2025-11-24T16:00:05Z") | openai("tokens", "0", "9s"), 9.0),
        (anthropic("tokens", "0", "2025-11-24T16:00:15Z") | openai("tokens", "0", "9s"), 15.0),
        ({f"llm_provider-{name}": value for name, value in openai("tokens", "0", "9s").items()}, 9.0),
    ],
)  # fmt: skip
def test_reset_headers(headers: dict[str, str], seconds: float | None) -> None:
    """The latest reset of the limits that are used up; limits that are not used up say nothing."""
    assert retry_after(headers, "", NOW) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 1.2s.", 1.2),
        ("please TRY AGAIN IN 3 seconds", 3.0),
        ("retry after 20 seconds", 20.0),
        ("Retry in 1m30s", 90.0),
        ("retry after 2 hours 5 minutes", 7500.0),
        ("try again in 500ms", 0.5),
        ("try again in 7", 7.0),
        ("try again later", None),
        ("in 5 seconds", None),
        ("Your quota will reset after 142h40m7s.", 142 * 3600 + 40 * 60 + 7.0),
        ("resets in 1 day 2 hours", 26 * 3600.0),
        ("You will regain access on 2025-12-01 at 00:00 UTC.", (6 * 24 + 8) * 3600.0),
        ("You can use it again from 2025-11-25", 8 * 3600.0),
        ("regain access on 2025-99-01", None),
    ],
)
def test_times_in_the_text(text: str, seconds: float | None) -> None:
    """The phrases of OpenAI, Groq, Azure, Gemini and Anthropic."""
    assert retry_after({}, text, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "delay", "seconds"),
    [
        ({"retry-after-ms": "1000", "retry-after": "2"}, "3s", 1.0),
        ({"retry-after": "2"} | openai("tokens", "0", "4s"), "3s", 2.0),
        (openai("tokens", "0", "4s"), "3s", 3.0),
        (openai("tokens", "0", "4s"), "", 4.0),
        ({"x-ratelimit-reset": "6"}, "", 6.0),
        ({"retry-after": "0"}, "3s", 0.0),
        ({}, "600.5s", 600.5),
    ],
)
def test_precedence(headers: dict[str, str], delay: str, seconds: float) -> None:
    """Milliseconds, seconds, Gemini's retry info, resets, the phrase; a time of 0 is a time."""
    assert retry_after(headers, "try again in 5s", NOW, delay=delay) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset": "30"}, 30.0),
        ({"x-ratelimit-reset": "1764000030"}, 30.0),
        ({"x-ratelimit-reset": "1764000030000"}, 30.0),
        ({"x-ratelimit-reset": "1764000030.5"}, 30.5),
        ({"x-ratelimit-reset": "2025-11-24T16:00:30Z"}, 30.0),
        ({"x-ratelimit-reset": "1m30s"}, 90.0),
        ({"x-ratelimit-reset": "1763999970"}, 0.0),
        ({"x-ratelimit-reset": "30", "x-ratelimit-remaining": "0"}, 30.0),
        ({"x-ratelimit-reset": "30", "x-ratelimit-remaining": "7"}, None),
        ({"x-ratelimit-reset": "30", "x-ratelimit-remaining": ""}, 30.0),
        ({"ratelimit-reset": "12"}, 12.0),
        ({"x-rate-limit-reset": "12"}, 12.0),
        ({"x-ratelimit-reset-after": "1.5"}, 1.5),
        ({"x-ratelimit-reset": "never"}, None),
        ({"x-ratelimit-reset": "nan"}, None),
        ({"x-ratelimit-reset": "-5"}, 0.0),
        ({"x-ratelimit-reset": "1e308"}, None),
    ],
)
def test_plain_reset(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, a moment in seconds or milliseconds of the epoch, a date or a duration; not of a limit with some left."""
    assert retry_after(headers, "", NOW) == seconds


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_dates_are_read_against_the_response_s_own(skew: int) -> None:
    """The provider's clock may differ from this machine's."""
    date, later = (formatdate(NOW + skew + seconds, usegmt=True) for seconds in (0, 30))
    assert retry_after({"date": date, "retry-after": later}, "", NOW) == 30
    assert retry_after({"date": date, "x-ratelimit-reset": str(int(NOW + skew + 30))}, "", NOW) == 30
    assert retry_after({"date": "garbage", "retry-after": "9"}, "", NOW) == 9


HOUR = 3600


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (NOW, 16 * HOUR),  # 8:00 in Los Angeles, winter time
        (NOW + 61.5, 16 * HOUR - 61.5),
        (NOW + 16 * HOUR, 24 * HOUR),  # midnight itself: the next one
        (1_751_382_000.0, 16 * HOUR + 0.0),  # 2025-07-01 15:00 UTC: 8:00 in summer time
        (1_762_066_800.0, 25 * HOUR + 0.0),  # 2025-11-02 00:00, the day on which summer time ends
        (1_741_507_200.0, 23 * HOUR + 0.0),  # 2025-03-09 00:00, the day on which it begins
    ],
)
def test_midnight_pacific(now: float, seconds: float) -> None:
    """The next midnight in Los Angeles, in summer and in winter."""
    assert seconds_to_midnight_pacific(now) == pytest.approx(seconds, rel=0, abs=0.01)


def test_midnight_without_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no time zone data, winter time is used all year."""
    import zoneinfo

    def missing(key: Any) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(key)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", missing)
    assert seconds_to_midnight_pacific(NOW) == 16 * HOUR
    assert seconds_to_midnight_pacific(1_751_382_000.0) == 17 * HOUR


@pytest.mark.parametrize(
    ("now", "days"),
    [
        (NOW - 16 * HOUR, 7.0),  # 2025-11-24 00:00
        (NOW, 7 - 16 / 24),
        (NOW + 0.5, 7 - (16 * HOUR + 0.5) / 86_400),
        (1_767_225_599.0, 1 / 86_400),  # the last second of the year
        (1_767_225_600.0, 31.0),  # 2026-01-01
        (1_769_817_600.0, 1.0),  # 2026-01-31
        (1_769_904_000.0, 28.0),  # 2026-02-01
    ],
)
def test_next_month(now: float, days: float) -> None:
    """The first of the next month, in months of every length."""
    assert seconds_to_next_month(now) == pytest.approx(days * 86_400, rel=0, abs=0.01)
