"""Which evidence decides where several disagree: the error's own class, a web page, the status, its codes and its words."""

import json
from typing import Any

import pytest
from hotspare._classify.evidence import read_evidence
from hotspare._classify.rules import classify
from hotspare.errors import AttemptTimeout, InBandError, StatusError
from hotspare.outcome import Kind, Outcome, Scope

COUNTED = "your text has 50000 tokens, larger than 4000"
"""Unknown words that compare a number of tokens with a limit."""


def made(name: str, *arguments: object, **attributes: object) -> Exception:
    """An error of a class of this name, with these attributes."""
    found: Exception = type(name, (Exception,), attributes)(*arguments)
    return found


def of(status: int | None, body: Any, **headers: str) -> Outcome:
    """Of a response, or (None) of an error inside a 200. `body`: a web page, or the fields of the error."""
    text = (body if isinstance(body, str) else json.dumps({"error": body})).encode()
    if status is None:
        return classify(InBandError("x", body=text), now=0.0)
    return classify(StatusError("x", status=status, headers=headers, body=text), now=0.0)


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, Kind.SERVER, None),
        (403, Kind.SERVER, Scope.TARGET),
        (404, Kind.NOT_FOUND, None),
        (405, Kind.SERVER, None),
        (413, Kind.INVALID, Scope.TARGET),
        (414, Kind.SERVER, None),
        (429, Kind.RATE_LIMITED, None),
        (503, Kind.SERVER, None),
    ],
)
def test_web_pages(status: int, kind: Kind, scope: Scope | None) -> None:
    """They are a gateway's: a failure of the server, unless the status says more."""
    found = of(status, "<html><title>Invalid API key</title>")
    assert (found.kind, found.scope, found.message) == (kind, scope, "Invalid API key")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (None, Kind.CONTEXT_LENGTH),
        (400, Kind.CONTEXT_LENGTH),
        (413, Kind.CONTEXT_LENGTH),
        (422, Kind.CONTEXT_LENGTH),
        (500, Kind.CONTEXT_LENGTH),
        (403, Kind.SERVER),
        (414, Kind.INVALID),
        (423, Kind.SERVER),
        (501, Kind.SERVER),
    ],
)
def test_tokens_that_are_counted(status: int | None, kind: Kind) -> None:
    """Unknown words count with the statuses that engines use for long prompts."""
    assert of(status, {"message": COUNTED}).kind is kind
    assert of(status, {"message": "no"}).kind is not Kind.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("status", "body", "is_too_long"),
    [
        (400, {"code": "context_length_exceeded"}, True),
        (401, {"code": "context_length_exceeded"}, False),
        (404, {"code": "context_length_exceeded"}, False),
        (405, {"code": "context_length_exceeded"}, True),
        (429, {"code": "context_length_exceeded"}, False),
        (430, {"code": "context_length_exceeded"}, True),
        (400, {"code": "string_above_max_length", "param": "messages[0].content"}, True),
        (400, {"code": "string_above_max_length", "param": "user"}, False),
        (400, {"code": "invalid", "param": "messages[0].content"}, False),
        (400, {"message": "no", "n_prompt_tokens": 9000, "n_ctx": 4096}, True),
    ],
)
def test_a_prompt_that_is_too_long(status: int, body: dict[str, Any], is_too_long: bool) -> None:
    """By its code, by the field that is too long (OpenAI), and by llama.cpp's numbers; not with a 404 or a 429."""
    assert (of(status, body).kind is Kind.CONTEXT_LENGTH) is is_too_long


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"code": "x", "type": "insufficient_quota", "message": "m"}, Kind.QUOTA),
        ({"code": "x", "type": "content_filter", "message": "m"}, Kind.CONTENT_FILTER),
        ({"code": "invalid_api_key", "message": "m"}, Kind.SERVER),
        ({"message": "insufficient_quota"}, Kind.SERVER),
    ],
)
def test_codes_with_a_500(body: dict[str, Any], kind: Kind) -> None:
    """Only the codes of a used-up quota and of a content filter count; words do not."""
    assert of(500, body).kind is kind


@pytest.mark.parametrize(
    ("status", "message", "kind", "scope"),
    [
        (404, "no endpoints found that support this", Kind.NOT_FOUND, Scope.REQUEST),
        (404, "this is unsupported", Kind.INVALID, Scope.TARGET),
        (404, "rate limit", Kind.NOT_FOUND, None),
        (429, "the model is not found", Kind.RATE_LIMITED, None),
        (429, "content filter", Kind.RATE_LIMITED, None),
        (429, "unsupported", Kind.RATE_LIMITED, None),
        (429, "insufficient quota", Kind.QUOTA, None),
        (400, "rate limit", Kind.INVALID, None),
        (422, "rate limit", Kind.INVALID, None),
        (423, "rate limit", Kind.RATE_LIMITED, None),
        (400, "rate limit exceeded", Kind.RATE_LIMITED, None),
        (400, "it was retired", Kind.INVALID, Scope.TARGET),
        (422, "it was retired", Kind.INVALID, Scope.TARGET),
        (423, "it was retired", Kind.NOT_FOUND, None),
        (400, "the Model was retired", Kind.NOT_FOUND, None),
        (400, "the deployment was retired", Kind.NOT_FOUND, None),
    ],
)
def test_words_and_a_status_that_disagree(status: int, message: str, kind: Kind, scope: Scope | None) -> None:
    """A 404 is about the model, a 429 is no error of the request, and a 400 needs plain words to be more than INVALID."""
    found = of(status, {"message": message})
    assert (found.kind, found.scope) == (kind, scope)


def test_classes_that_decide() -> None:
    """hotspare's own errors; those of a key's function concern one target only."""
    assert classify(AttemptTimeout("x")).scope is None
    found = [classify(made(name)) for name in ("NoKeyGiven", "KeyFunctionFailed")]
    assert [(one.kind, one.scope) for one in found] == [(Kind.AUTH, Scope.TARGET), (Kind.TRANSPORT, Scope.TARGET)]


def test_a_connection_that_litellm_could_not_make() -> None:
    """Its message says so, whatever status it has read from the port's digits."""
    found = classify(
        made(
            "APIError",
            "litellm.APIError: Cannot connect to host x:8443",
            status_code=844,
            body="litellm. Cannot connect to host",
        )
    )
    assert (found.kind, found.scope, found.before_connect) == (Kind.TRANSPORT, None, True)


def test_words_without_a_response() -> None:
    """Of an exception of an unknown class, the words decide."""
    assert classify(Exception("context_length_exceeded")).kind is Kind.CONTEXT_LENGTH
    assert classify(Exception("invalid_api_key")).kind is Kind.AUTH


def test_what_else_an_outcome_has() -> None:
    """The field that the error names, and the limits that a 429 states: headers first, then quotas, then words."""
    assert of(400, {"message": "no", "param": "top_p"}).param == "top_p"
    assert of(400, {"message": "no"}).param is None
    words = "Rate limit reached on requests per min (RPM): Limit 30"
    body = {
        "message": words,
        "details": [{"quotaId": "InputTokensPerMinute", "quotaValue": "20"}, {"quotaId": "PerHour", "quotaValue": "9"}],
    }
    headers = {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1970-01-01T00:00:08Z",
    }
    assert of(429, body, **headers).limits == (("requests", 10.0, 0.0, 8.0),)
    assert of(429, body).limits == (("input_tokens", 20.0, 0.0, None),)
    assert of(429, {"message": words.replace("requests", "output tokens")}).limits == (
        ("output_tokens", 30.0, 0.0, None),
    )
    assert of(404, body, **headers).limits == ()
    tokens = {"message": "slow down", "details": [{"quotaId": "GenerateTokensPerMinute", "quotaValue": "20"}]}
    assert of(429, tokens).limits == (("tokens", 20.0, 0.0, None),)


def test_the_words_of_a_body_that_was_cut() -> None:
    """Its last quotation has no end; keys are removed before the message is cut."""
    cut = StatusError("x", status=400, body=b'{"code": "c", "message": "no key \'abc')
    assert read_evidence(cut).words == "c | c | no key  "
    assert read_evidence(StatusError("x", status=400, body=b"no key 'abc")).words == " | no key 'abc"
