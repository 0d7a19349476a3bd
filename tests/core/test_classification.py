"""What every provider's failures mean: the rows of their error references, as they come over the wire."""

import json
from typing import Any

import pytest
from hotspare.classification import classify
from hotspare.errors import (
    AttemptTimeout,
    BodyTooLarge,
    EmptyAnswer,
    InBandError,
    IncompleteAnswer,
    MalformedAnswer,
    StatusError,
)  # fmt: skip
from hotspare.outcome import Kind, Outcome
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_764_000_000.0  # 2025-11-24T16:00:00Z, a Monday, 08:00 in Los Angeles


def said(status: int, body: object, headers: dict[str, str] | None = None, dialect: str | None = None) -> Outcome:
    """The outcome of a status with a body."""
    raw = body if isinstance(body, str) else json.dumps(body)
    return classify(StatusError("HTTP", status=status, headers=headers, body=raw.encode()), dialect=dialect, now=NOW)


def openai(message: str, code: str | None = None, type_: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def claude(type_: str, message: str, **more: object) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type_, "message": message, **more}}


def gemini(code: int, status: str, message: str, details: list[object] | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": details or []}}


def quota(*ids: str, delay: str | None = None) -> list[object]:
    found: list[object] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": i} for i in ids]}
    ]
    if delay:
        found.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    return found


ROWS: list[tuple[str, int, object, Kind]] = [
    ("openai", 401, openai("Incorrect API key provided: sk-abc123def456", "invalid_api_key"), Kind.DENIED),
    ("openai", 403, openai("Country, region, or territory not supported", "unsupported_country_region_territory"), Kind.DENIED),
    ("openai", 403, openai("Project `p` does not have access to model `m`", "model_not_found"), Kind.GONE),
    ("openai", 404, openai("The model `x` does not exist or you do not have access to it.", "model_not_found"), Kind.GONE),
    ("openai", 400, openai("This model's maximum context length is 128000 tokens. However, your messages resulted in 200000 tokens.", "context_length_exceeded"), Kind.TOO_LONG),
    ("openai", 400, openai("Your request was rejected", "content_policy_violation"), Kind.REFUSED),
    ("openai", 400, openai("filtered", "content_filter"), Kind.REFUSED),
    ("openai", 400, openai("Unsupported parameter: 'max_tokens'", "unsupported_parameter", "invalid_request_error"), Kind.INVALID),
    ("openai", 422, openai("bad value", "invalid_value"), Kind.INVALID),
    ("openai", 429, openai("Rate limit reached for gpt-4.1 in organization org on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.", "rate_limit_exceeded", "tokens"), Kind.THROTTLED),
    ("openai", 429, openai("Rate limit reached for gpt-4.1 on requests per day (RPD): Limit 200, Used 200", "rate_limit_exceeded", "requests"), Kind.EXHAUSTED),
    ("openai", 429, openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota"), Kind.EXHAUSTED),
    ("openai", 429, openai("no credit", "credit_balance_exhausted"), Kind.EXHAUSTED),
    ("openai", 429, openai("That model is currently overloaded with other requests."), Kind.SERVER),
    ("openai", 503, openai("Slow down", "slow_down"), Kind.SERVER),
    ("openai", 500, openai("The server had an error while processing your request", None, "server_error"), Kind.SERVER),
    ("openai", 502, "<html><head><title>502 Bad Gateway</title></head></html>", Kind.SERVER),
    ("azure", 429, {"error": {"code": "429", "message": "Requests have exceeded rate limit. Please retry after 20 seconds."}}, Kind.THROTTLED),
    ("azure", 400, {"error": {"code": "content_filter", "message": "The response was filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, Kind.REFUSED),
    ("azure", 404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}, Kind.GONE),
    ("azure", 403, {"error": {"code": "403", "message": "Access denied due to Virtual Network/Firewall rules."}}, Kind.DENIED),
    ("azure", 429, {"error": {"code": "429", "message": "System is experiencing high demand and cannot process your request."}}, Kind.SERVER),
    ("azure", 429, {"error": {"code": "429", "message": "The service is temporarily unable to process your request."}}, Kind.SERVER),
    ("deepseek", 402, openai("Insufficient Balance", "invalid_request_error", "unknown_error"), Kind.EXHAUSTED),
    ("deepseek", 422, openai("Invalid parameters"), Kind.INVALID),
    ("deepseek", 503, openai("Server overloaded"), Kind.SERVER),
    ("openrouter", 402, {"error": {"code": 402, "message": "Insufficient credits. Add more using https://openrouter.ai/credits"}}, Kind.EXHAUSTED),
    ("openrouter", 403, {"error": {"code": 403, "message": "Input was flagged by moderation", "metadata": {"reasons": ["violence"]}}}, Kind.REFUSED),
    ("openrouter", 408, {"error": {"code": 408, "message": "Request timed out"}}, Kind.TIMEOUT),
    ("openrouter", 502, {"error": {"code": 502, "message": "Your chosen model is down"}}, Kind.SERVER),
    ("openrouter", 503, {"error": {"code": 503, "message": "No provider meets your routing requirements"}}, Kind.SERVER),
    ("groq", 413, openai("Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000", "rate_limit_exceeded", "tokens"), Kind.TOO_LONG),
    ("groq", 498, openai("Flex tier capacity exceeded", "capacity_exceeded"), Kind.SERVER),
    ("groq", 400, {"error": {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": "<f>"}}, Kind.SERVER),
    ("mistral", 429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"}, Kind.THROTTLED),
    ("mistral", 429, {"object": "error", "message": "Service tier capacity exceeded for this model.", "type": "invalid_request_error", "code": "3505"}, Kind.SERVER),
    ("vllm", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400}, Kind.TOO_LONG),
    ("ollama", 404, {"error": {"message": "model 'x' not found, try pulling it first", "type": "api_error"}}, Kind.GONE),
    ("ollama", 503, {"error": {"message": "Loading model", "code": 503}}, Kind.SERVER),
    ("anthropic", 401, claude("authentication_error", "invalid x-api-key"), Kind.DENIED),
    ("anthropic", 403, claude("permission_error", "Your API key does not have permission"), Kind.DENIED),
    ("anthropic", 402, claude("billing_error", "billing"), Kind.EXHAUSTED),
    ("anthropic", 400, claude("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), Kind.EXHAUSTED),
    ("anthropic", 400, claude("invalid_request_error", "This organization has reached its spend limit"), Kind.EXHAUSTED),
    ("anthropic", 429, claude("rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit"), Kind.THROTTLED),
    ("anthropic", 429, claude("rate_limit_error", "limit", details={"error_code": "enforced_spend_limit_reached"}), Kind.EXHAUSTED),
    ("anthropic", 529, claude("overloaded_error", "Overloaded"), Kind.SERVER),
    ("anthropic", 500, claude("api_error", "Internal server error"), Kind.SERVER),
    ("anthropic", 504, claude("timeout_error", "timed out"), Kind.SERVER),
    ("anthropic", 404, claude("not_found_error", "model: claude-x"), Kind.GONE),
    ("anthropic", 413, claude("request_too_large", "Request exceeds the maximum size"), Kind.INVALID),
    ("anthropic", 400, claude("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), Kind.TOO_LONG),
    ("anthropic", 400, claude("invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000"), Kind.TOO_LONG),
    ("anthropic", 400, claude("invalid_request_error", "This model does not support assistant message prefill."), Kind.INVALID),
    ("gemini", 400, gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [{"reason": "API_KEY_INVALID"}]), Kind.DENIED),
    ("gemini", 400, gemini(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), Kind.DENIED),
    ("gemini", 400, gemini(400, "INVALID_ARGUMENT", "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."), Kind.TOO_LONG),
    ("gemini", 400, gemini(400, "INVALID_ARGUMENT", "Unknown name \"foo\""), Kind.INVALID),
    ("gemini", 403, gemini(403, "PERMISSION_DENIED", "Consumer has been suspended."), Kind.DENIED),
    ("gemini", 404, gemini(404, "NOT_FOUND", "models/x is not found for API version v1beta"), Kind.GONE),
    ("gemini", 402, gemini(402, "FAILED_PRECONDITION", "billing"), Kind.EXHAUSTED),
    ("gemini", 429, gemini(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan", quota("GenerateRequestsPerMinutePerProjectPerModel", delay="38s")), Kind.THROTTLED),
    ("gemini", 429, gemini(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", delay="38s")), Kind.EXHAUSTED),
    ("gemini", 429, gemini(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."), Kind.THROTTLED),
    ("gemini", 500, gemini(500, "INTERNAL", "An internal error has occurred."), Kind.SERVER),
    ("gemini", 503, gemini(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), Kind.SERVER),
    ("gemini", 504, gemini(504, "DEADLINE_EXCEEDED", "deadline"), Kind.SERVER),
    ("relay", 429, openai("upstream: insufficient_quota"), Kind.EXHAUSTED),
    ("relay", 302, "", Kind.SERVER),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "status", "body", "kind"), ROWS, ids=[f"{r[0]}-{r[1]}-{i}" for i, r in enumerate(ROWS)]
)
def test_rows(dialect: str, status: int, body: object, kind: Kind) -> None:
    """Kind, status and the provider's own words; a key never stands in them."""
    found = said(status, body, dialect=dialect)
    assert found.kind is kind
    assert found.status == status
    assert "sk-abc123" not in found.message


IN_BAND: list[tuple[object, Kind]] = [
    ({"error": {"code": 502, "message": "Provider disconnected"}}, Kind.SERVER),
    ({"error": {"code": 429, "message": "Rate limited"}}, Kind.THROTTLED),
    (claude("overloaded_error", "Overloaded"), Kind.SERVER),
    (claude("rate_limit_error", "slow"), Kind.THROTTLED),
    ({"promptFeedback": {"blockReason": "SAFETY"}}, Kind.REFUSED),
    ({"candidates": [{"finishReason": "SAFETY"}]}, Kind.REFUSED),
    ({"type": "message", "stop_reason": "refusal"}, Kind.REFUSED),
    ({"error": {"message": "something"}}, Kind.SERVER),
]


@pytest.mark.parametrize(("body", "kind"), IN_BAND)
def test_errors_inside_a_200(body: object, kind: Kind) -> None:
    """An error body or event after a 200 is what its words and code say."""
    assert classify(InBandError("in band", status=200, body=json.dumps(body).encode()), now=NOW).kind is kind


@pytest.mark.parametrize(
    ("error", "kind", "unconnected"),
    [
        (MalformedAnswer("x"), Kind.SERVER, False),
        (EmptyAnswer("x"), Kind.SERVER, False),
        (IncompleteAnswer("x"), Kind.SERVER, False),
        (BodyTooLarge("x"), Kind.SERVER, False),
        (AttemptTimeout("x"), Kind.TIMEOUT, False),
        (ConnectionRefusedError("x"), Kind.TRANSPORT, True),
        (ConnectionResetError("x"), Kind.TRANSPORT, False),
        (TimeoutError("x"), Kind.TIMEOUT, False),
        (KeyError("a bug"), Kind.INVALID, False),
        (TypeError("a bug"), Kind.INVALID, False),
    ],
)
def test_exceptions(error: Exception, kind: Kind, unconnected: bool) -> None:
    """hotspare's own errors and Python's; a bug in a custom backend is nobody's sickness."""
    found = classify(error, now=NOW)
    assert (found.kind, found.unconnected) == (kind, unconnected)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, {}, 1.5),
        ({"retry-after": "2.5"}, {}, 2.5),
        ({"Retry-After": "20"}, {}, 20.0),
        ({"retry-after": "Mon, 24 Nov 2025 16:00:30 GMT"}, {}, 30.0),
        ({"retry-after": "Mon, 24 Nov 2025 15:00:00 GMT"}, {}, 0.0),
        ({"retry-after": "soon"}, {}, None),
        ({}, gemini(429, "RESOURCE_EXHAUSTED", "q", quota("xPerMinute", delay="38s")), 38.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, {}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12ms"}, {}, 0.012),
        ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "2025-11-24T16:00:05Z"}, {}, 5.0),
        ({}, openai("Please try again in 1.2s."), 1.2),
        ({}, openai("Please retry after 20 seconds."), 20.0),
        ({}, openai("Please try again in 1m30s."), 90.0),
        ({}, openai("no time"), None),
    ],
)  # fmt: skip
def test_every_form_of_retry_after(headers: dict[str, str], body: object, seconds: float | None) -> None:
    """Headers in their order, dates, Gemini's detail, reset headers, and the phrase."""
    found = said(429, body or openai("rate limit"), headers)
    assert found.kind is Kind.THROTTLED
    assert found.retry_after == (None if seconds is None else pytest.approx(seconds, abs=0.01))


def test_resets_of_exhausted_quotas() -> None:
    """Gemini's day ends at midnight Pacific; Anthropic's spend limit on the first of the month."""
    daily = said(429, gemini(429, "RESOURCE_EXHAUSTED", "q", quota("PerDay", delay="38s")))
    assert daily.retry_after == 16 * 3600
    monthly = said(429, claude("rate_limit_error", "x", details={"error_code": "enforced_spend_limit_reached"}))
    assert monthly.retry_after == pytest.approx(6 * 86400 + 8 * 3600)


def test_should_retry_is_kept() -> None:
    """`x-should-retry` overrules a guess from the status."""
    assert said(500, openai("x"), {"x-should-retry": "false"}).should_retry is False
    assert said(500, openai("x"), {"x-should-retry": "true"}).should_retry is True
    assert said(500, openai("x")).should_retry is None


@given(
    st.integers(100, 999),
    st.binary(max_size=300),
    st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4),
)
def test_nothing_escapes(status: int, body: bytes, headers: dict[str, str]) -> None:
    """Any status, body and headers give an outcome."""
    headers = {**headers, "retry-after": next(iter(headers), "x")}
    found = classify(StatusError("x", status=status, headers=headers, body=body), now=NOW)
    assert isinstance(found, Outcome)
    assert found.retry_after is None or found.retry_after >= 0
