"""Shared by the tests of the LlamaIndex adapter."""

import struct
import zlib
from collections import Counter
from typing import Any

import anyio.lowlevel
from hotspare.drill.provider import Provider
from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.tools import FunctionTool


class EventRecorder(BaseEventHandler):
    """Records every event."""

    events: list[BaseEvent]

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Record the event."""
        self.events.append(event)

    def count(self) -> Counter[str]:
        """The number of events of each class."""
        return Counter(type(event).__name__ for event in self.events)


def _png() -> bytes:
    """A PNG image of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\1\2\3")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PNG = _png()


def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


def weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


ADD, WEATHER = FunctionTool.from_defaults(add), FunctionTool.from_defaults(weather)


def calls_of(response: ChatResponse) -> list[ToolCallBlock]:
    """The tool calls of a response."""
    return [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]


async def provider_sees(provider: Provider, what: str) -> None:
    """Run the loop until the provider's counter is not zero; reading it takes about a millisecond."""
    for _ in range(2000):
        if getattr(provider.stats("a"), what):
            return
        await anyio.lowlevel.checkpoint()
    raise AssertionError(f"{what} is still 0")
