"""Tokens of an image whose data is in the request, by the providers' published rules."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Mapping
from math import ceil, sqrt
from typing import cast

_READ = 65_536
"""Number of base64 characters that are searched for the size. In a JPEG with a large preview it comes later, and stays unknown."""
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's frame markers; the frame header has the size."""


def image_tokens(part: Mapping[str, object], model: str) -> int | None:
    """Tokens of a content part; None if it is not an image, is referenced by URL, or the model's rule is unknown."""
    image = part.get("image_url")
    fields = cast("Mapping[str, object]", image) if isinstance(image, Mapping) else {"url": image}
    url, name = fields.get("url"), model.lower()
    rule = next((rule for part, rule in _RULES if part in name), None)
    if rule is None or not isinstance(url, str) or not url.startswith("data:image/"):
        return None
    size = _size(url)
    return rule(*size) if size else None


def _size(url: str) -> tuple[int, int] | None:
    """Width and height, from the head of a data URL."""
    encoded = url.partition(",")[2][:_READ].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        data = binascii.a2b_base64(encoded[: len(encoded) // 4 * 4])
        return _dimensions(data)
    except (ValueError, struct.error):  # not base64, or truncated
        return None


def _dimensions(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG"):
        return struct.unpack_from(">II", data, 16)
    if data.startswith(b"GIF8"):
        return struct.unpack_from("<HH", data, 6)
    if data.startswith(b"RIFF") and data[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if data.startswith(b"RIFF") and data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    return _jpeg(data) if data.startswith(b"\xff\xd8") else None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        marker, length = struct.unpack_from(">xBH", data, at)
        if marker in _SOF:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + length
    return None


def _area(width: int, height: int) -> int:
    """Claude ("Vision"): width x height / 750, after scaling to at most 1,568 pixels on the longer side and at most 1,600 tokens."""
    shrink = min(1.0, 1568 / max(width, height))
    return min(1600, ceil(width * height * shrink * shrink / 750))


def _gemini_tiles(width: int, height: int) -> int:
    """Gemini 2.5 ("Understand and count tokens"): 258 per tile of 768 pixels."""
    return 258 * ceil(width / 768) * ceil(height / 768)


def _gemini_crops(width: int, height: int) -> int:
    """Gemini up to 2.0: 258 for a small image; else 258 for the whole image and 258 per crop of 256 to 768 pixels."""
    if max(width, height) <= 384:
        return 258
    side = min(768, max(256, min(width, height) / 1.5))
    return 258 * (1 + ceil(width / side) * ceil(height / side))


def _tiles(base: int, each: int) -> Callable[[int, int], int]:
    """GPT-4o, 4.1 and 5 ("Images and vision"): a base plus tiles of 512 pixels, after scaling to at most 2,048 pixels and a shorter side of
    at most 768."""

    def count(width: int, height: int) -> int:
        shrink = min(1.0, 2048 / max(width, height))
        shrink *= min(1.0, 768 / (shrink * min(width, height)))
        return base + each * ceil(width * shrink / 512) * ceil(height * shrink / 512)

    return count


def _patches(factor: float, side: int = 32, limit: int = 1536) -> Callable[[int, int], int]:
    """The small GPT models ("Images and vision"), Mistral and Qwen: the number of patches, at most `limit`, times `factor`."""

    def count(width: int, height: int) -> int:
        shrink = min(1.0, sqrt(limit * side * side / (width * height)))
        return ceil(factor * min(limit, ceil(width * shrink / side) * ceil(height * shrink / side)))

    return count


_RULES: tuple[tuple[str, Callable[[int, int], int]], ...] = (
    ("claude", _area),
    ("gemini-3", lambda _width, _height: 1090),
    ("gemini-1", _gemini_crops),
    ("gemini-2.0", _gemini_crops),
    ("gemini", _gemini_tiles),
    ("gpt-4.1-mini", _patches(1.62)),
    ("gpt-5-mini", _patches(1.2)),
    ("gpt-4.1-nano", _patches(2.46)),
    ("gpt-5-nano", _patches(1.5)),
    ("gpt-4o-mini", _tiles(2833, 5667)),
    ("gpt-4", _tiles(85, 170)),
    ("gpt-5", _tiles(70, 140)),
    ("mistral", _patches(1.0, 28, 3025)),
    ("pixtral", _patches(1.0, 16, 4096)),
    ("qwen", _patches(1.0, 28, 16384)),
)
"""Rules by a substring of the model's name; the first match counts."""
