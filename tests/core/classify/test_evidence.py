"""`read_evidence`: where errors of hotspare, HTTP libraries and SDKs keep status, headers, body, code and message."""

from typing import Any

import pytest
from hotspare._classify.evidence import MAX_CAUSES, read_evidence
from hotspare._classify.rules import classify
from hotspare.errors import StatusError
from hotspare.outcome import Kind


class Response:
    """A response as httpx, requests and the SDKs have it."""

    def __init__(self, status_code: int = 0, headers: Any = None, text: object = "") -> None:
        self.status_code = status_code
        self.headers = headers or {}
        self.text = text


class Unread(Response):
    """A streamed response whose body was not read: httpx raises."""

    @property
    def text(self) -> str:
        raise RuntimeError("attempted to access streaming response content")

    @text.setter
    def text(self, value: object) -> None:
        pass


def error(name: str = "SomeError", cause: BaseException | None = None, **attributes: object) -> Exception:
    """An exception of a class of this name, with these attributes."""
    made: Exception = type(name, (Exception,), attributes)("its own text")
    made.__cause__ = cause
    return made


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"status": 429}, 429),
        ({"status_code": 429}, 429),
        ({"code": 429}, 429),
        ({"response": Response(429)}, 429),
        ({"response": {"ResponseMetadata": {"HTTPStatusCode": 429}}}, 429),
        ({"status": True, "status_code": 500}, 500),
        ({"status": 99}, None),
        ({"status": 999}, 999),
        ({"status": 1000}, None),
        ({"status": "429"}, None),
        ({"response": {"ResponseMetadata": {"HTTPStatusCode": "429"}}}, None),
        ({"response": {}}, None),
        ({}, None),
    ],
)
def test_status(attributes: dict[str, object], status: int | None) -> None:
    """An integer from 100 to 999 on the error or its response, in this order; botocore's metadata."""
    assert read_evidence(error(**attributes)).status == status


@pytest.mark.parametrize(
    ("attributes", "headers"),
    [
        ({"headers": {"Retry-After": 7}}, {"retry-after": "7"}),
        ({"response": Response(429, {"Retry-After": "7"})}, {"retry-after": "7"}),
        ({"headers": 5, "response": Response(429, {"A": "b"})}, {"a": "b"}),
        ({"headers": {}}, {}),
    ],
)
def test_headers(attributes: dict[str, object], headers: dict[str, str]) -> None:
    """Of the error, else of its response; names in lower case, values as text; what is no mapping is ignored."""
    assert read_evidence(error(**attributes)).headers == headers


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"body": b"bytes \xff"}, "bytes \ufffd"),
        ({"body": "text"}, "text"),
        ({"body": {"error": "é"}}, "é"),
        ({"body": [1]}, "its own text"),
        ({"details": {"message": "m"}}, "m"),
        ({"response": Response(text="of the response")}, "of the response"),
        ({"response": Response(text=5)}, "its own text"),
        ({"response": Unread()}, "its own text"),
        ({"response": {"Error": {"Message": "X"}}}, "X"),
        ({"response": {}}, "its own text"),
        ({"body": {"message": "m", "a": {1}}}, "m"),
        ({"body": {}}, "its own text"),
        ({"body": 7}, "its own text"),
        ({}, "its own text"),
    ],
)
def test_where_the_message_is(attributes: dict[str, object], text: str) -> None:
    """In the body of the error, else of its response, else it is the error's own text."""
    assert read_evidence(error(**attributes)).message == text


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ('{"error": {"code": "c", "message": "m"}}', "c", "m"),
        ('{"error": {"status": "S", "message": "m"}}', "S", "m"),
        ('{"error": {"type": "t", "message": "m"}}', "t", "m"),
        ('{"error": {"code": 429, "message": "m"}}', "429", "m"),
        ('[{"error": {"code": 400, "message": "m"}}]', "400", "m"),
        ('{"Error": {"Code": "C", "Message": "m"}}', "C", "m"),
        ('{"error": "m"}', "", "m"),
        ('{"detail": "m"}', "", "m"),
        ('{"message": {"detail": "m"}}', "", "m"),
        ('{"detail": [{"loc": ["body"], "msg": "m", "input": "secret"}, {"msg": "n"}]}', "", "m; n"),
        (
            '{"error": {"message": "outer", "metadata": {"raw": "{\\"error\\": {\\"message\\": \\"inner\\"}}"}}}',
            "",
            "outer: inner",
        ),
        ('{"error": {"message": "litellm: {\\"error\\": {\\"message\\": \\"inner\\"}}"}}', "", "inner"),
        ('{"error": "Bad Request", "message": "m"}', "", "m"),
        ('{"error": {"code": "c", "message": "cut ' + "m" * 9000, "c", "cut " + "m" * 496),
        ('{"promptFeedback": {"blockReason": "SAFETY"}}', "", "the prompt was blocked: {'blockReason': 'SAFETY'}"),
        ('{"code": {"a": 1}}', "", "its own text"),
        ("<html><title> Bad\n Gateway </title></html>", "", "Bad Gateway"),
        ("  <h1>502</h1>", "", "502"),
        ("<p>no title</p>", "", "its own text"),
        ("[]", "", "its own text"),
        ("{}", "", "its own text"),
        ("plain text", "", "plain text"),
    ],
)
def test_code_and_message(body: str, code: str, message: str) -> None:
    """Of the error object in the body, in each provider's shape; the title of a web page; else the text."""
    found = read_evidence(error(body=body))
    assert (found.code, found.message) == (code, message)


@pytest.mark.parametrize("name", ["IncompleteAnswer", "MalformedAnswer"])
def test_an_answer_is_no_error_body(name: str) -> None:
    """hotspare's own message about a broken answer counts, not the answer, which holds the model's words."""
    body = '{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota."}}'
    found = read_evidence(error(name, body=body))
    assert (found.message, found.code, found.words) == ("its own text", "", " | its own text")


def test_the_code_may_be_an_attribute() -> None:
    """As of the SDKs, if the body has none."""
    assert read_evidence(error(code="rate_limited")).code == "rate_limited"


@pytest.mark.parametrize(
    "key", ["sk-abcdef1234", "AIzaSyA12345", "Bearer abc.def.ghi", "gsk_abcdef", "xai-abcdef", "key-abc123"]
)
def test_no_key_is_in_the_message(key: str) -> None:
    """Of what looks like a key, only its prefix is shown."""
    message = read_evidence(error(body=f"invalid key {key}!")).message
    assert key not in message
    assert message.endswith("***!")


def test_lengths_are_limited() -> None:
    """4,000 characters of a message are looked at, 500 shown, and 100 of a code."""
    found = read_evidence(error(body='{"code": "' + "c" * 200 + '", "message": "' + "m" * 100_000 + '"}'))
    assert len(found.words) < 4000 + 300
    assert (len(found.message), len(found.code)) == (500, 100)


def test_causes_are_read_in_order() -> None:
    """The outermost status, headers and body win; class names are those of all, outermost first."""
    inner = error("Inner", status=500, headers={"a": "inner"}, body="inner")
    outer = error("Outer", cause=error("Middle", cause=inner, status=429))
    found = read_evidence(outer)
    assert found.class_names == ("Outer", "Middle", "Inner")
    assert (found.own_class, found.status, found.headers, found.message) == ("Outer", 429, {"a": "inner"}, "inner")


def test_context_counts_unless_it_is_suppressed() -> None:
    """As in a traceback: `raise ... from None` hides the context."""
    for suppress, names in ((False, ("Outer", "Inner")), (True, ("Outer",))):
        outer = error("Outer")
        outer.__context__ = error("Inner")
        outer.__suppress_context__ = suppress
        assert read_evidence(outer).class_names == names


def test_endless_causes_end() -> None:
    """A chain that is a loop is read once; a long one up to its limit."""
    first, second = error("First"), error("Second")
    first.__cause__, second.__cause__ = second, first
    assert read_evidence(first).class_names == ("First", "Second")
    chain = error("E0")
    for number in range(1, 20):
        chain = error(f"E{number}", cause=chain)
    assert len(read_evidence(chain).class_names) == MAX_CAUSES


def test_nothing_is_read_below_a_broken_connection() -> None:
    """The HTTP library's own causes have codes that are no statuses."""
    parser = error("ParserError", status=400, headers={"a": "b"}, body="invalid_api_key")
    found = read_evidence(error("ConnectError", cause=parser))
    assert (found.status, found.headers, found.message) == (None, {}, "its own text")


@pytest.mark.parametrize(
    ("raised", "in_band", "html"),
    [
        (error("InBandError"), True, False),
        (error("E", status=200, body=" <html>"), True, True),
        (error("E", status=299, body="a < b"), True, False),
        (error("E", status=300), False, False),
        (error("E", status=199), False, False),
        (error("E"), False, False),
    ],
)
def test_in_band_and_html(raised: Exception, in_band: bool, html: bool) -> None:
    """An error inside a success, by class or status; a web page, by its first character."""
    found = read_evidence(raised)
    assert (found.is_in_band, found.is_html) == (in_band, html)


@pytest.mark.parametrize(
    ("raised", "kind", "before_connect"),
    [
        (error("InternalServerError", status=500, cause=error("APIConnectionError")), Kind.TRANSPORT, False),
        (error("InternalServerError", status=500, cause=error("TransportError", cause=error("gaierror"))), Kind.TRANSPORT, True),
        (error("InternalServerError", status=503, cause=error("APIConnectionError")), Kind.SERVER, False),
        (error("ConnectError", cause=error("ConnectionRefusedError")), Kind.TRANSPORT, True),
        (error("ConnectError", cause=error("ServerDisconnectedError")), Kind.TRANSPORT, False),
        (error("APIConnectionError", cause=error("ConnectError")), Kind.TRANSPORT, True),
        (error("ReadError"), Kind.TRANSPORT, False),
        (error("APITimeoutError", cause=error("ConnectTimeout")), Kind.TIMEOUT, False),
        (error("AuthenticationError"), Kind.AUTH, False),
        (error("ContextWindowExceededError", status=500), Kind.CONTEXT_LENGTH, False),
        (error("Wrapper", cause=error("ContextWindowExceededError")), Kind.CONTEXT_LENGTH, False),
        (error("SomeError", body="model_not_found"), Kind.NOT_FOUND, False),
    ],
)  # fmt: skip
def test_classes(raised: Exception, kind: Kind, before_connect: bool) -> None:
    """LiteLLM's status 500 for broken connections; wrapped connect errors; classes that decide without a status."""
    found = classify(raised, now=0.0)
    assert (found.kind, found.before_connect) == (kind, before_connect)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, '{"error": {"message": "model_not_found"}}', Kind.AUTH),
        (402, '{"error": {"message": "rate limit"}}', Kind.QUOTA),
        (404, '{"error": {"message": "invalid_api_key"}}', Kind.NOT_FOUND),
        (429, '{"error": {"message": "moderation"}}', Kind.RATE_LIMITED),
        (400, '{"error": {"message": "rate limit of requests"}}', Kind.INVALID),
        (422, '{"error": {"message": "the field `user` is no longer available"}}', Kind.INVALID),
        (400, '{"error": {"message": "the model is no longer available"}}', Kind.NOT_FOUND),
        (503, '{"error": {"message": "invalid_api_key"}}', Kind.SERVER),
        (503, '{"Code": "ServiceQuotaExceededException", "message": "x"}', Kind.QUOTA),
        (429, "<html>invalid_api_key</html>", Kind.RATE_LIMITED),
        (418, "", Kind.SERVER),
        (498, "", Kind.SERVER),
        (302, "", Kind.SERVER),
        (200, '{"error": {"code": "429"}}', Kind.RATE_LIMITED),
        (200, '{"error": {"code": "529"}}', Kind.SERVER),
        (200, '{"error": {"code": "1300"}}', Kind.SERVER),
    ],
)
def test_text_against_status(status: int, body: str, kind: Kind) -> None:
    """Where the two disagree; a web page, whose text does not count; a number as code inside a 200."""
    assert classify(StatusError("x", status=status, body=body.encode()), now=0.0).kind is kind


def test_digits_of_a_port_are_no_status() -> None:
    """LiteLLM takes "403" in the text of a refused connection for the status."""
    text = "litellm.BadRequestError: Cannot connect to host 127.0.0.1:40373 ssl:default [Connect call failed]"
    raised = type("PermissionDeniedError", (Exception,), {"status_code": 403})(text)
    found = classify(raised, now=0.0)
    assert (found.kind, found.before_connect) == (Kind.TRANSPORT, True)
