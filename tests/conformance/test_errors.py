"""Every recorded error, as hotspare meets it on its way, classified as the providers' references say.

The expectation is written here by hand. Those of dialects that reach hotspare through native members are classified from
the error that their framework would hand over: a status and a body.
"""

import json

import pytest
from hotspare._classify.rules import classify
from hotspare.errors import InBandError, StatusError
from hotspare.outcome import Kind
from hotspare.providers.response import Incoming, read_whole

from tests.conformance.traffic import ERRORS, FOREIGN_ERRORS, Recorded, named, needs_recordings

pytestmark = needs_recordings

BY_STATUS = {400: Kind.INVALID, 401: Kind.AUTH, 403: Kind.AUTH, 404: Kind.NOT_FOUND, 413: Kind.INVALID, 422: Kind.INVALID,
             429: Kind.RATE_LIMITED, 500: Kind.SERVER, 503: Kind.SERVER, 529: Kind.SERVER}  # fmt: skip
"""The kind that each recorded status means, where no word in the body says otherwise."""
BY_WORDS = {
    "insufficient_quota": Kind.QUOTA,
    "API_KEY_INVALID": Kind.AUTH,
    "model_not_found": Kind.NOT_FOUND,
    "tool_use_failed": Kind.SERVER,
    "content_filter": Kind.CONTENT_FILTER,
}


def kind_of(item: Recorded) -> Kind:
    return next((kind for word, kind in BY_WORDS.items() if word in item.text), BY_STATUS[item.status])


@named(ERRORS)
def test_a_recorded_error_is_classified(item: Recorded) -> None:
    """Streamed or not, it is a StatusError with status, headers and body, of the right kind, in the provider's words."""
    incoming, raw = Incoming(item.wire, item.asked, item.status, {"x-request-id": "1"}), item.text.encode()
    with pytest.raises(StatusError) as streamed:
        list(incoming.feed(raw))
        list(incoming.end())
    with pytest.raises(StatusError) as whole:
        read_whole(item.wire, item.asked, item.status, {"x-request-id": "1"}, raw)
    for caught in (streamed, whole):
        assert (caught.value.status, caught.value.headers, caught.value.body) == (
            item.status,
            {"x-request-id": "1"},
            raw,
        )
        found = classify(caught.value, dialect=item.preset.dialect)
        assert (found.kind, found.status) == (kind_of(item), item.status)
        assert found.message == json.loads(item.text)["error"]["message"][:500]


@named(ERRORS)
def test_the_same_error_inside_a_200_is_no_answer(item: Recorded) -> None:
    """As some relays send it: the body is read before the status."""
    with pytest.raises(InBandError) as caught:
        read_whole(item.wire, item.asked, 200, {}, item.text.encode())
    found = classify(caught.value, dialect=item.preset.dialect)
    assert found.message == json.loads(item.text)["error"]["message"][:500]
    assert found.kind in (kind_of(item), Kind.SERVER)  # without its status, an error that says nothing is the server's


@named(FOREIGN_ERRORS)
def test_errors_of_dialects_that_hotspare_does_not_speak(item: Recorded) -> None:
    """Kind and status of a real error body."""
    error = StatusError("HTTP", status=item.status, body=item.text.encode())
    found = classify(error, dialect=item.provider.removesuffix("-responses"))
    assert (found.kind, found.status) == (kind_of(item), item.status)
    assert found.message
