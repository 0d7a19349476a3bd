"""The limits of the rules of classification: the first and the last status of each kind, and texts that name two limits."""

import json
import time
from email.utils import formatdate

import pytest
from hotspare._classify.evidence import read_evidence
from hotspare._classify.rules import classify
from hotspare.errors import InBandError, StatusError
from hotspare.outcome import Kind, Outcome, Scope

NOW = 1_764_000_000.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, Kind.SERVER),
        (399, Kind.SERVER),
        (400, Kind.INVALID),
        (499, Kind.SERVER),
        (500, Kind.SERVER),
        (599, Kind.SERVER),
        (999, Kind.SERVER),
        (101, Kind.SERVER),
    ],
)
def test_statuses(status: int, kind: Kind) -> None:
    """If the text is not decisive: a status that concerns neither the request nor the key is a failure of the server."""
    assert classify(StatusError("x", status=status, body=b"{}"), now=NOW).kind is kind


@pytest.mark.parametrize(("status", "kind"), [(499, Kind.AUTH), (500, Kind.SERVER), (501, Kind.SERVER)])
def test_a_server_status_comes_before_the_text(status: int, kind: Kind) -> None:
    """From 500 on the text does not count."""
    assert classify(StatusError("x", status=status, body=b"invalid_api_key"), now=NOW).kind is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (399, Kind.SERVER),
        (400, Kind.INVALID),
        (499, Kind.SERVER),
        (500, Kind.SERVER),
        (999, Kind.SERVER),
        (1000, Kind.SERVER),
    ],
)
def test_codes_inside_a_200(code: int, kind: Kind) -> None:
    """A number in the error's code is read as a status; a number that is none leaves it unexplained."""
    body = json.dumps({"error": {"code": code}}).encode()
    assert classify(InBandError("x", status=200, body=body), now=NOW).kind is kind


@pytest.mark.parametrize(
    ("limits", "kind"),
    [(["PerMinute"], Kind.RATE_LIMITED), (["PerDay"], Kind.QUOTA), (["PerMinute", "PerDay"], Kind.QUOTA)],
)
def test_the_longer_limit_counts(limits: list[str], kind: Kind) -> None:
    """Gemini's "exceeded your current quota" is a rate limit where only limits per minute are named."""
    message = "You exceeded your current quota, please check your plan and billing details."
    body = json.dumps(
        {
            "error": {
                "message": message,
                "details": [{"violations": [{"quotaId": f"Requests{limit}"} for limit in limits]}],
            }
        }
    )
    assert classify(StatusError("x", status=429, body=body.encode()), now=NOW).kind is kind


@pytest.mark.parametrize(("status", "read"), [(99, None), (100, 100), (999, 999), (1000, None)])
def test_what_is_a_status(status: int, read: int | None) -> None:
    """HTTP's statuses have three digits."""
    assert read_evidence(StatusError("x", status=status)).status == read


def test_a_body_that_is_no_json() -> None:
    """A body that cannot be written as JSON is taken as Python shows it."""

    class OddError(Exception):
        status = 400
        body = {(1, 2): "context_length_exceeded"}  # noqa: RUF012

    found = classify(OddError("x"), now=NOW)
    assert (found.kind, found.message) == (Kind.INVALID, "{(1, 2): 'context_length_exceeded'}")


def test_an_outcome_has_everything() -> None:
    """Message, status and code of the error, the time to wait, whose fault it is, and the provider's word on a retry."""
    body = {"error": {"message": "user location is not supported", "code": "bad_region"}}
    error = StatusError("x", status=403, headers={"x-should-retry": "false"}, body=json.dumps(body).encode())
    assert classify(error, now=NOW) == Outcome(
        Kind.AUTH, "user location is not supported", 403, "bad_region", scope=Scope.REGION, should_retry=False
    )
    assert classify(StatusError("x", status=400, body=b"odd"), now=NOW) == Outcome(Kind.INVALID, "odd", 400)
    assert classify(TypeError("a bug"), now=NOW) == Outcome(Kind.INVALID, "TypeError: a bug", scope=Scope.TARGET)


def test_dates_count_from_now() -> None:
    """Without a time of its own, `classify` takes the clock's for dates in headers."""
    headers = {"retry-after": formatdate(time.time() + 5000, usegmt=True)}
    found = classify(StatusError("x", status=429, headers=headers))
    assert found.retry_after == pytest.approx(5000, abs=30)
