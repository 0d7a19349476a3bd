"""Every recorded error, classified as the providers' references say; the expectation is written here by hand."""

import os
from pathlib import Path

import pytest
import yaml
from hotspare.classification import classify
from hotspare.errors import StatusError
from hotspare.outcome import Kind

WIRE = os.environ.get("HOTSPARE_WIRE", "")
FILES = sorted(Path(WIRE).glob("*/*error-*.yaml")) if WIRE else []

# The kind that each recorded status means, where no word in the body says otherwise.
BY_STATUS = {400: Kind.INVALID, 401: Kind.DENIED, 403: Kind.DENIED, 404: Kind.GONE, 413: Kind.INVALID, 422: Kind.INVALID,
             429: Kind.THROTTLED, 500: Kind.SERVER, 503: Kind.SERVER, 529: Kind.SERVER}  # fmt: skip
BY_WORDS = {
    "insufficient_quota": Kind.EXHAUSTED,
    "API_KEY_INVALID": Kind.DENIED,
    "model_not_found": Kind.GONE,
    "tool_use_failed": Kind.SERVER,
    "content_filter": Kind.REFUSED,
}


@pytest.mark.skipif(not FILES, reason="set HOTSPARE_WIRE to a directory of recorded exchanges to run this")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_recorded_errors(path: Path) -> None:
    """Kind and status of a real error body."""
    response = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"][0]["response"]
    body = response["body"]
    raw = body.get("string", body) if isinstance(body, dict) else body
    raw = raw if isinstance(raw, bytes) else (raw if isinstance(raw, str) else yaml.safe_dump(raw)).encode()
    status = response["status"]["code"] if isinstance(response["status"], dict) else response["status"]
    if "parsed_body" in response:
        import json

        raw = json.dumps(response["parsed_body"]).encode()
    expected = next((kind for word, kind in BY_WORDS.items() if word in raw.decode()), BY_STATUS[status])
    found = classify(StatusError("HTTP", status=status, body=raw), dialect=path.parent.name)
    assert (found.kind, found.status) == (expected, status), raw[:300]
    assert found.message
