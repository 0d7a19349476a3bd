"""Content codings, decoded with a bound: 32 KB of a compressed body may decode to gigabytes.

Only gzip and deflate are offered to servers. Some relays nevertheless use another coding: br and zstd are decoded if their
libraries are installed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from hotspare.errors import BodyTooLarge, MalformedAnswer

ACCEPTED = "gzip, deflate"

_STEP = 1024 * 1024
"""Most bytes that one step of a decoder returns, if its library can limit them."""
_SLICE = 64
"""Most bytes that are passed to a decoder in one step if its library cannot limit the result. They may hold 16 blocks of zstd, which decode to 2 MB; one command of
brotli decodes to 16 MB."""
_MAX_WINDOW = 8 * 1024 * 1024
"""Bytes of zstd's window; RFC 9659 allows no more over HTTP."""


class Decoder:
    """Decodes one body.

    Args:
        coding: the response's `content-encoding`.
        limit: bytes of the decoded body.

    Raises MalformedAnswer for bytes that are not of this coding, BodyTooLarge above the limit.
    """

    def __init__(self, coding: str, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._steps = [
            _step(name.strip()) for name in reversed(coding.lower().split(",")) if name.strip() not in ("", "identity")
        ]

    def feed(self, data: bytes) -> bytes:
        """The decoded bytes."""
        parts: list[bytes] = []
        try:
            for part in self._decode(data, 0):
                self._size += len(part)
                if self._size > self._limit:
                    raise BodyTooLarge(f"more than {self._limit} bytes")
                parts.append(part)
        except BodyTooLarge:
            raise
        except Exception as error:  # every library has errors of its own
            raise MalformedAnswer(f"the body cannot be decoded: {error}") from None
        return b"".join(parts)

    def _decode(self, data: bytes, level: int) -> Iterator[bytes]:
        if level == len(self._steps):
            if data:
                yield data
            return
        for part in self._steps[level](data):
            yield from self._decode(part, level + 1)


_Step = Callable[[bytes], Iterator[bytes]]


def _step(name: str) -> _Step:
    if name in ("gzip", "x-gzip", "deflate"):
        return _Zlib(raw_allowed=name == "deflate")
    if name == "br" and (library := next(filter(find_spec, ("brotli", "brotlicffi")), None)):
        decoder: Any = import_module(library).Decompressor()
        return _in_slices(getattr(decoder, "process", None) or decoder.decompress)
    if name == "zstd" and find_spec("zstandard"):
        zstandard: Any = import_module("zstandard")
        return _in_slices(zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj().decompress)
    raise MalformedAnswer(f"the body has the content coding {name[:40]!r}, which cannot be decoded here")


class _Zlib:
    """gzip, and deflate with or without zlib's header. A body may consist of several gzip members."""

    def __init__(self, *, raw_allowed: bool) -> None:
        self._raw_allowed = raw_allowed
        self._start = b""  # buffered until two bytes show whether there is a header
        self._decoder: Any = None

    def __call__(self, data: bytes) -> Iterator[bytes]:
        if self._decoder is None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return
            self._decoder = self._new(raw=self._raw_allowed and int.from_bytes(data[:2], "big") % 31 != 0)
        while data:
            if self._decoder.eof:  # another member, or padding
                data = data.lstrip(b"\0")
                self._decoder = self._new(raw=False)
                continue
            yield self._decoder.decompress(data, _STEP)
            data = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail

    @staticmethod
    def _new(*, raw: bool) -> Any:
        return zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS | 32)


def _in_slices(decode: Callable[[bytes], bytes]) -> _Step:
    def step(data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _SLICE):
            yield decode(data[start : start + _SLICE])

    return step
