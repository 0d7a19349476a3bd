"""Every recorded error is classified as the providers' references say.

The expected kinds are written here by hand. Errors of APIs without a built-in wire format are classified from what their
framework raises: a status and a body.
"""

import json

import pytest
from hotspare._classify.rules import classify
from hotspare.errors import InBandError, StatusError
from hotspare.outcome import Kind
from hotspare.providers.response import ResponseParser, read_response

from tests.conformance.traffic import ERRORS, FOREIGN_ERRORS, Recorded, named, needs_recordings

pytestmark = needs_recordings

BY_STATUS = {400: Kind.INVALID, 401: Kind.AUTH, 403: Kind.AUTH, 404: Kind.NOT_FOUND, 413: Kind.INVALID, 422: Kind.INVALID,
             429: Kind.RATE_LIMITED, 500: Kind.SERVER, 503: Kind.SERVER, 529: Kind.SERVER}  # fmt: skip
"""The kind of each recorded status, unless the body holds one of BY_TEXT."""
BY_TEXT = {
    "insufficient_quota": Kind.QUOTA,
    "API_KEY_INVALID": Kind.AUTH,
    "model_not_found": Kind.NOT_FOUND,
    "tool_use_failed": Kind.SERVER,
    "content_filter": Kind.CONTENT_FILTER,
}


def kind_of(item: Recorded) -> Kind:
    """The expected kind."""
    return next((kind for text, kind in BY_TEXT.items() if text in item.text), BY_STATUS[item.status])


@named(ERRORS)
def test_a_recorded_error_is_classified(item: Recorded) -> None:
    """Streamed or not: a StatusError with status, headers and body, the expected kind, and the provider's message."""
    parser, raw = ResponseParser(item.wire, item.chat_request, item.status, {"x-request-id": "1"}), item.text.encode()
    with pytest.raises(StatusError) as streamed:
        list(parser.feed(raw))
        list(parser.end())
    with pytest.raises(StatusError) as whole:
        read_response(item.wire, item.chat_request, item.status, {"x-request-id": "1"}, raw)
    for caught in (streamed, whole):
        assert (caught.value.status, caught.value.headers, caught.value.body) == (
            item.status,
            {"x-request-id": "1"},
            raw,
        )
        found = classify(caught.value)
        assert (found.kind, found.status) == (kind_of(item), item.status)
        assert found.message.startswith(json.loads(item.text)["error"]["message"][:500])


@named(ERRORS)
def test_the_same_error_inside_a_200(item: Recorded) -> None:
    """As some relays send it: an InBandError, of the same kind if its text or code tells."""
    with pytest.raises(InBandError) as caught:
        read_response(item.wire, item.chat_request, 200, {}, item.text.encode())
    found = classify(caught.value)
    assert found.message.startswith(json.loads(item.text)["error"]["message"][:500])
    assert found.kind in (kind_of(item), Kind.SERVER)  # without a status, an error whose text says nothing is SERVER


@named(FOREIGN_ERRORS)
def test_errors_without_a_built_in_wire(item: Recorded) -> None:
    """The expected kind and status, and a message."""
    error = StatusError("HTTP", status=item.status, body=item.text.encode())
    found = classify(error)
    assert (found.kind, found.status) == (kind_of(item), item.status)
    assert found.message
