"""Real exceptions of the official SDKs and of LiteLLM: every documented error, errors in streams, no connection, timeouts."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hotspare._classify.rules import classify
from hotspare.drill.provider import Provider
from hotspare.outcome import Kind, Outcome

from tests.conformance.sdks import SDKS
from tests.support.refusals import NOW, ROWS, Row

ROOT = Path(__file__).parents[2]
REFUSALS = [row for row in ROWS if row.status >= 400]
"""SDKs follow redirects."""
NUMBERED = list(enumerate(REFUSALS))
LITELLM_STATUS = {("groq", 413): 429, ("anthropic", 529): 500, ("anthropic", 413): 400, ("gemini", 503): 500}
"""Statuses that LiteLLM changes."""


def model_of(number: int) -> str:
    """The model that fails with this row."""
    return f"row-{number}-"


@pytest.fixture(scope="module")
def refusing() -> Iterator[Provider]:
    """A provider on loopback at which each model fails with its row."""
    with Provider() as provider:
        for number, row in NUMBERED:
            options = {"status": row.status, "body": row.text, "headers": row.headers, "model": model_of(number)}
            provider.fault("a", "status", **options)
        yield provider


def raised(sdk: str, url: str, model: str, timeout: float = 10, *, stream: bool = False) -> Exception:
    """The exception that an SDK raises."""
    with pytest.raises(Exception) as caught:
        SDKS[sdk](url, model, timeout, stream=stream)
    return caught.value


def ids(numbered: tuple[int, Row]) -> str:
    return f"{numbered[1].dialect}-{numbered[1].status}-{numbered[0]}"


@pytest.mark.parametrize("numbered", NUMBERED, ids=ids)
def test_the_official_sdks(numbered: tuple[int, Row], refusing: Provider) -> None:
    """Kind, scope and wait time are the same from the SDK's exception as from the response."""
    number, row = numbered
    error = raised(row.wire, refusing.base_url("a", row.wire), model_of(number))
    assert type(error).__module__.startswith({"gemini": "google.genai"}.get(row.wire, row.wire))
    row.check(classify(error, now=NOW))


@pytest.mark.parametrize("numbered", NUMBERED, ids=ids)
def test_litellm(numbered: tuple[int, Row], refusing: Provider) -> None:
    """The same from LiteLLM's exceptions, which change some statuses."""
    number, row = numbered
    error = raised("litellm", refusing.base_url("a", row.wire), f"{row.wire}/{model_of(number)}")
    assert type(error).__module__.startswith("litellm")
    bad_key = 401 if "API_KEY_INVALID" in row.text else None
    row.check(classify(error, now=NOW), status=bad_key or LITELLM_STATUS.get((row.dialect, row.status)))


def test_the_next_openai_sdk(refusing: Provider) -> None:
    """openai 3 uses another HTTP library; it is installed beside openai 2, and tested in a process of its own."""
    beside = ROOT / ".venv" / "openai3"
    assert beside.is_dir(), "make venv"
    rows = [(number, row) for number, row in NUMBERED if row.wire == "openai"]
    command = [sys.executable, "-m", "tests.conformance.sdks", "openai", refusing.base_url("a", "openai")]
    path = os.pathsep.join(map(str, (beside, ROOT, ROOT / "core" / "src")))
    done = subprocess.run(
        [*command, *(model_of(number) for number, _ in rows)],
        env=os.environ | {"PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(rows), done.stderr
    for (_, row), line in zip(rows, lines, strict=True):
        assert line.pop("version").startswith("3.")
        row.check(Outcome(**{**line, "kind": Kind(line["kind"])}))


DIRECT = [("openai", "gpt-4.1"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-flash")]
ALL = [*DIRECT, *(("litellm", f"{wire}/{model}") for wire, model in DIRECT)]


@pytest.mark.filterwarnings("ignore::UserWarning")  # LiteLLM's own, of pydantic, when it reads a stream
@pytest.mark.parametrize(("status", "message", "kind"), [
    (401, None, Kind.AUTH), (429, None, Kind.RATE_LIMITED), (500, None, Kind.SERVER), (529, None, Kind.SERVER),
    (500, "an unknown message", Kind.SERVER),
])  # fmt: skip
@pytest.mark.parametrize(("sdk", "model"), ALL)
def test_errors_inside_a_stream(
    sdk: str, model: str, status: int, message: str | None, kind: Kind, provider: Provider
) -> None:
    """An error event after a 200 and some content has the kind of its text, whichever SDK raises it."""
    wire = model.partition("/")[0] if sdk == "litellm" else sdk
    provider.fault("a", "error_event", at=2, status=status, message=message)
    error = raised(sdk, provider.base_url("a", wire), model, stream=True)
    assert classify(error, now=NOW).kind is kind


def closed_port() -> int:
    """A port without a listener."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(("sdk", "model"), ALL)
def test_refused_connections(sdk: str, model: str) -> None:
    """TRANSPORT, before a connection existed; LiteLLM gives it a status 500, which no server sent."""
    found = classify(raised(sdk, f"http://127.0.0.1:{closed_port()}", model))
    assert (found.kind, found.before_connect) == (Kind.TRANSPORT, True)


@pytest.mark.parametrize(("sdk", "model"), ALL)
def test_timeouts(sdk: str, model: str, provider: Provider) -> None:
    """TIMEOUT, for a server that never answers."""
    wire = model.partition("/")[0] if sdk == "litellm" else sdk
    provider.fault("a", "blackhole")
    assert classify(raised(sdk, provider.base_url("a", wire), model, 0.2)).kind is Kind.TIMEOUT
