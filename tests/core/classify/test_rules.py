"""`classify`: the errors of the providers' references as HTTP responses, errors inside a 200, exceptions, wait times."""

import json

import httpx
import pytest
from hotspare._classify.rules import classify
from hotspare.errors import (
    AttemptTimeout,
    BodyTooLarge,
    EmptyAnswer,
    InBandError,
    IncompleteAnswer,
    MalformedAnswer,
    RequestError,
    StatusError,
)  # fmt: skip
from hotspare.outcome import Kind, Outcome, Scope
from hypothesis import given
from hypothesis import strategies as st

from tests.support.refusals import NOW, ROWS, Row, claude, gemini, openai, quota


def outcome_of(status: int, body: object, headers: dict[str, str] | None = None) -> Outcome:
    """The outcome of an HTTP error."""
    raw = body if isinstance(body, str) else json.dumps(body)
    return classify(StatusError("HTTP", status=status, headers=headers, body=raw.encode()), now=NOW)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.dialect}-{row.status}-{i}" for i, row in enumerate(ROWS)])
def test_provider_errors(row: Row) -> None:
    """Kind, scope and wait time of each documented error; the message has no key."""
    row.check(outcome_of(row.status, row.text, row.headers))


IN_BAND: list[tuple[object, Kind]] = [
    ({"error": {"code": 502, "message": "Provider disconnected"}}, Kind.SERVER),
    ({"error": {"code": 429, "message": "Rate limited"}}, Kind.RATE_LIMITED),
    (claude("overloaded_error", "Overloaded"), Kind.SERVER),
    (claude("rate_limit_error", "slow"), Kind.RATE_LIMITED),
    ({"promptFeedback": {"blockReason": "SAFETY"}}, Kind.CONTENT_FILTER),
    ({"candidates": [{"finishReason": "SAFETY"}]}, Kind.CONTENT_FILTER),
    ({"type": "message", "stop_reason": "refusal"}, Kind.CONTENT_FILTER),
    ({"error": {"message": "something"}}, Kind.SERVER),
]


@pytest.mark.parametrize(("body", "kind"), IN_BAND)
def test_errors_inside_a_200(body: object, kind: Kind) -> None:
    """The text and the code decide, because the status says nothing."""
    assert classify(InBandError("in band", status=200, body=json.dumps(body).encode()), now=NOW).kind is kind


@pytest.mark.parametrize(
    ("error", "kind", "before_connect"),
    [
        (MalformedAnswer("x"), Kind.SERVER, False),
        (EmptyAnswer("x"), Kind.SERVER, False),
        (IncompleteAnswer("x"), Kind.SERVER, False),
        (BodyTooLarge("x"), Kind.SERVER, False),
        (AttemptTimeout("x"), Kind.TIMEOUT, False),
        (ConnectionRefusedError("x"), Kind.TRANSPORT, True),
        (ConnectionResetError("x"), Kind.TRANSPORT, False),
        (TimeoutError("x"), Kind.TIMEOUT, False),
    ],
)
def test_exceptions(error: Exception, kind: Kind, before_connect: bool) -> None:
    """hotspare's own errors and Python's."""
    found = classify(error, now=NOW)
    assert (found.kind, found.before_connect) == (kind, before_connect)


@pytest.mark.parametrize(
    "error",
    [
        SystemError("AST constructor recursion depth mismatch"), RecursionError("too deep"), MemoryError(), KeyError("choices"),
        RuntimeError("can't start new thread"), AssertionError(), TypeError("a bug"), ImportError("no boto3"), StopIteration(),
    ],
    ids=repr,
)  # fmt: skip
def test_what_no_provider_has_caused(error: Exception) -> None:
    """An error of the interpreter, a library or a backend: the next target is tried, and neither the request nor the target's
    health is blamed, whichever backend raises it. Its class is named."""
    for found in (classify(error, now=NOW), classify(error, now=NOW, methods={"send"})):
        assert (found.kind, found.fault_scope, found.status) == (Kind.INVALID, Scope.TARGET, None)
        assert found.message == f"{type(error).__name__}: {error}".removesuffix(": ")


def test_a_request_that_no_target_takes() -> None:
    """hotspare's own error is about the request, although httpx has a class of the same name for broken connections."""
    found = classify(RequestError("request: cannot be sent as JSON"), now=NOW)
    assert (found.kind, found.fault_scope) == (Kind.INVALID, Scope.REQUEST)
    assert found.message == "request: cannot be sent as JSON"
    assert classify(httpx.RequestError("broken"), now=NOW).kind is Kind.TRANSPORT


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, {}, 1.5),
        ({"retry-after": "2.5"}, {}, 2.5),
        ({"llm_provider-retry-after": "7", "x-ratelimit-remaining-requests": "0"}, {}, 7.0),
        ({"llm_provider-retry-after": "7", "retry-after": "3"}, {}, 3.0),
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
    """Headers in order of precedence, dates, Gemini's `RetryInfo`, reset headers, and the phrase."""
    found = outcome_of(429, body or openai("rate limit"), headers)
    assert found.kind is Kind.RATE_LIMITED
    assert found.retry_after == (None if seconds is None else pytest.approx(seconds, abs=0.01))


def test_reset_of_used_up_quotas() -> None:
    """Gemini's daily quota at midnight Pacific; Anthropic's spend limit on the first of the month."""
    daily = outcome_of(429, gemini(429, "RESOURCE_EXHAUSTED", "q", quota("PerDay", delay="38s")))
    assert daily.retry_after == 16 * 3600
    monthly = outcome_of(429, claude("rate_limit_error", "x", details={"error_code": "enforced_spend_limit_reached"}))
    assert monthly.retry_after == pytest.approx(6 * 86400 + 8 * 3600)


def test_should_retry_header() -> None:
    """`x-should-retry` is passed on; without the header it is None."""
    assert outcome_of(500, openai("x"), {"x-should-retry": "false"}).should_retry is False
    assert outcome_of(500, openai("x"), {"x-should-retry": "true"}).should_retry is True
    assert outcome_of(500, openai("x")).should_retry is None


@given(
    st.integers(100, 999),
    st.binary(max_size=300),
    st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4),
)
def test_any_response_gives_an_outcome(status: int, body: bytes, headers: dict[str, str]) -> None:
    """No status, body or headers raise an exception."""
    headers = {**headers, "retry-after": next(iter(headers), "x")}
    found = classify(StatusError("x", status=status, headers=headers, body=body), now=NOW)
    assert isinstance(found, Outcome)
    assert found.retry_after is None or found.retry_after >= 0
