"""What the tests of the LlamaIndex adapter share."""

import struct
import zlib
from collections import Counter
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent


class Seen(BaseEventHandler):
    """Keeps every event."""

    events: list[BaseEvent]

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Keep it."""
        self.events.append(event)

    def count(self) -> Counter[str]:
        """How many of each kind."""
        return Counter(type(event).__name__ for event in self.events)


def _png() -> bytes:
    """A whole picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\1\2\3")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PNG = _png()
