"""Recorded exchanges of the Anthropic and Gemini wires, and a way to replay their streams, whole or cut.

Nothing here uses hotspare's own parsers, except that `replay` feeds a reader.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hotspare.errors import BackendError
from hotspare.messages import ChatChunk, ChatRequest
from hotspare.providers.base import Wire

WIRE = os.environ.get("HOTSPARE_WIRE", "")
needs_recordings = pytest.mark.skipif(
    not WIRE, reason="set HOTSPARE_WIRE to a directory of recorded provider traffic (see cassettes/README.md)"
)


@dataclass(frozen=True)
class Recorded:
    """One recorded exchange."""

    name: str
    url: str
    request: Mapping[str, Any]
    status: int
    text: str

    @property
    def stream(self) -> bool:
        """Whether the answer is an event stream."""
        return "/stream-" in self.name

    @property
    def model(self) -> str:
        """The model that was asked: in the body (Anthropic) or in the URL (Gemini)."""
        return str(self.request.get("model") or self.url.rpartition("/models/")[2].partition(":")[0])


def recorded(*providers: str) -> list[Recorded]:
    """All exchanges of these providers; none without HOTSPARE_WIRE."""
    files = sorted(path for provider in providers for path in Path(WIRE, provider).glob("*.yaml")) if WIRE else []
    return [item for path in files for item in _load(path)]


def _load(path: Path) -> Iterator[Recorded]:
    for exchange in yaml.safe_load(path.read_text())["interactions"]:
        body = exchange["response"]["body"]["string"]
        yield Recorded(
            f"{path.parent.name}/{path.name}",
            exchange["request"]["uri"],
            json.loads(exchange["request"]["body"]),
            exchange["response"]["status"]["code"],
            body if isinstance(body, str) else body.decode(),
        )


def events(text: str) -> list[tuple[str, str]]:
    """The whole events of an event stream, as (name, data); a last one without its blank line is none."""
    found: list[tuple[str, str]] = []
    blocks = text.replace("\r\n", "\n").split("\n\n")
    for block in blocks[:-1]:
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        name = "".join(line[6:].strip() for line in lines if line.startswith("event:"))
        data = "\n".join(line[5:].lstrip(" ") for line in lines if line.startswith("data:"))
        if data:
            found.append((name, data))
    return found


def replay(wire: Wire, stream: list[tuple[str, str]]) -> list[ChatChunk]:
    """The chunks that a stream's events make, the last one included."""
    reader = wire.reader(ChatRequest(messages=[{"role": "user", "content": "?"}]))
    chunks = [chunk for chunk in (reader.event(name, data) for name, data in stream) if chunk is not None]
    return [*chunks, reader.finish()]


def summary(chunks: list[ChatChunk]) -> dict[str, Any]:
    """What a caller holds at a stream's end."""
    calls: dict[int, list[str]] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        call = calls.setdefault(delta.index, ["", "", ""])
        call[0] += delta.id or ""
        call[1] += delta.name or ""
        call[2] += delta.arguments
    return {
        "text": "".join(chunk.text for chunk in chunks),
        "reasoning": "".join(chunk.reasoning for chunk in chunks),
        "calls": [tuple(call) for call in calls.values()],
        "finish": chunks[-1].finish_reason,
        "usage": chunks[-1].usage,
    }


def attempt(wire: Wire, stream: list[tuple[str, str]]) -> dict[str, Any] | str:
    """The summary, or the name of hotspare's own error; any other exception is a bug and passes through."""
    try:
        return summary(replay(wire, stream))
    except BackendError as error:
        return type(error).__name__
