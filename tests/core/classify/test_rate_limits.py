"""What providers' answers state of their limits, in the headers of each and in the bodies of 429s."""

from __future__ import annotations

from typing import Any

import pytest
from hotspare import Pool, Target, classify
from hotspare._classify.rate_limits import rate_limits
from hotspare.drill.provider import KEY, Provider
from hotspare.errors import StatusError
from hotspare.outcome import RateLimit

NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "499",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "29980",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            [RateLimit("requests", 500, 499, 0.12), RateLimit("tokens", 30000, 29980, 360)],
        ),
        (
            {
                "date": DATE,
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:50Z",
                "anthropic-ratelimit-input-tokens-limit": "40000",
                "anthropic-ratelimit-input-tokens-remaining": "39000",
                "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:22Z",
            },
            [RateLimit("requests", 50, 0, 30), RateLimit("input_tokens", 40000, 39000, 2)],
        ),
        (
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "3", "x-ratelimit-reset": "1700000060000"},
            [RateLimit("requests", 20, 3, 60)],
        ),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "7", "ratelimit-reset": "12"},
            [RateLimit("requests", 100, 7, 12)],
        ),
        (
            {"llm_provider-x-ratelimit-limit-requests": "60", "llm_provider-x-ratelimit-remaining-requests": "1"},
            [RateLimit("requests", 60, 1, None)],
        ),
        ({"x-ratelimit-limit-requests": "many", "x-ratelimit-remaining-requests": "0"}, []),
        ({"x-ratelimit-remaining-requests": "0"}, []),
    ],
    ids=["openai", "anthropic", "openrouter", "ietf", "litellm proxy", "no number", "half"],
)
def test_headers(headers: dict[str, str], found: list[RateLimit]) -> None:
    """Of OpenAI and those that write like it, Anthropic, OpenRouter, the IETF draft and a LiteLLM proxy. What is not a number, or
    is stated by half, is nothing."""
    assert list(rate_limits(headers, NOW + 5 if "date" in headers else NOW)) == found


GEMINI = (
    b'{"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED", "details": ['
    b'{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaMetric": '
    b'"generativelanguage.googleapis.com/generate_content_free_tier_requests", "quotaId": '
    b'"GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "15"}, {"quotaId": '
    b'"GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "250000"}]}, '
    b'{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"}]}}'
)
OPENAI = (
    b'{"error": {"message": "Rate limit reached for gpt-4.1 in organization org-x on tokens per min (TPM): Limit 30000, Used '
    b'29000, Requested 2000. Please try again in 2s.", "type": "tokens", "code": "rate_limit_exceeded"}}'
)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (GEMINI, (RateLimit("requests", 15, 0), RateLimit("input_tokens", 250000, 0))),
        (OPENAI, (RateLimit("tokens", 30000, 0),)),
        (b'{"error": {"message": "slow down"}}', ()),
        (OPENAI.replace(b"per min (TPM)", b"per day (TPD)"), ()),
    ],
    ids=["gemini", "openai", "nothing", "daily"],
)
def test_bodies(body: bytes, found: tuple[RateLimit, ...]) -> None:
    """The quotas a minute that Gemini names, and the limit in OpenAI's sentence; a limit of the day is a quota."""
    assert classify(StatusError("HTTP 429", status=429, body=body)).limits == found


@pytest.mark.parametrize("model", ["openai/gpt-4.1", "anthropic/claude-sonnet-4-20250514"])
@pytest.mark.parametrize("face", ["chat", "stream"])
def test_limits_are_read_from_real_answers(model: str, face: str, provider: Provider) -> None:
    """Over a real connection: the reply, or the first chunk of a stream, has what the headers say, and the pool knows it."""
    provider.configure("a", rpm=60, burst=9)
    base = provider.base_url("a", model.partition("/")[0])
    with Pool([Target(model, name="a", base_url=base, api_key=KEY)], deadline=5) as pool:
        seen: list[Any] = [pool.chat("q").limits] if face == "chat" else [one.limits for one in pool.stream("q")]
        assert seen[0][0][:3] == ("requests", 60, 8) and not any(seen[1:])
        assert pool._states[0].limits is not None
        assert pool._states[0].limits.left(pool._now())["60 requests, stated by the provider"] <= 9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.5", 0.5), ("-3", 0.0), ("1700000000.5", 0.5), ("1699999999", 0.0), ("1700000000250", 0.25), ("2023-11-14T22:13:20.5Z", 0.5),
        ("Tue, 14 Nov 2023 22:13:50 +0000", 30.0), ("1m", 60.0), ("", None), ("soon", None),
        ("inf", None), ("1e308", None), ("2023-11-14 22:13:50Z", 30.0),
    ],
)  # fmt: skip
def test_resets(text: str, seconds: float | None) -> None:
    """Seconds, a time of the epoch, a date or a duration; never negative, and never a time without end."""
    headers = {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "3", "x-ratelimit-reset": text}
    assert rate_limits(headers, NOW) == (RateLimit("requests", 20, 3, seconds),)
