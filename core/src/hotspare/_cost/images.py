"""Tokens of an image whose data is in the request, by the providers' published rules."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Mapping
from math import ceil, sqrt
from typing import NamedTuple

from hotspare._cost.fields import field_of

_READ = 65_536
"""Number of base64 characters that are searched for the size. In a JPEG with a large preview it comes later, and stays unknown."""
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's frame markers; the frame header has the size."""


class _Rule(NamedTuple):
    """`tokens`: by width and height. `low`: tokens of an image that is sent with `detail="low"`, None: `detail` is ignored.
    `any_size`: `tokens` is the same for all sizes, so an image behind a URL is counted too."""

    tokens: Callable[[int, int], int]
    low: int | None = None
    any_size: bool = False


def image_tokens(part: Mapping[str, object], model: str) -> int | None:
    """Tokens of an `image_url` part; None if the model's rule is unknown, or needs the size and the image is not in the request."""
    image, name = part.get("image_url"), model.lower()
    url = image if isinstance(image, str) else field_of(image, "url")
    rule = next((rule for part, rule in _RULES if part in name), None)
    if rule is None or not isinstance(url, str):
        return None
    if rule.low is not None and field_of(image, "detail") == "low":
        return rule.low
    if rule.any_size:
        return rule.tokens(0, 0)
    size = _size(url) if url.startswith("data:image/") else None
    return rule.tokens(*size) if size else None


def _size(url: str) -> tuple[int, int] | None:
    """Width and height, from the head of a data URL."""
    try:
        return _dimensions(decoded(url, _READ))
    except (ValueError, struct.error):  # not base64, or truncated
        return None


def decoded(url: str, most: int) -> bytes:
    """The data of a data URL: its first `most` characters of base64, URL-safe or not. Raises ValueError."""
    start = url.find(",") + 1
    encoded = url[start : start + most].rstrip("=").replace("-", "+").replace("_", "/")
    encoded = encoded[: len(encoded) - (len(encoded) % 4 == 1)]  # half a byte of truncated data
    return binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4))


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


def _gemini_budget(_width: int, _height: int) -> int:
    """Gemini 3 ("Media resolution"): 1,120 at most, whatever the size; recorded images have about 1,090."""
    return 1090


def _tiles(base: int, each: int) -> _Rule:
    """GPT-4o, 4.1 and 5 ("Images and vision"): a base plus tiles of 512 pixels, after scaling to at most 2,048 pixels and a shorter side of
    at most 768; with detail "low" only the base."""

    def count(width: int, height: int) -> int:
        shrink = min(1.0, 2048 / max(width, height))
        shrink *= min(1.0, 768 / (shrink * min(width, height)))
        return base + each * ceil(width * shrink / 512) * ceil(height * shrink / 512)

    return _Rule(count, low=base)


def _patches(factor: float, side: int = 32, limit: int = 1536) -> _Rule:
    """The small GPT models ("Images and vision") and Mistral: the number of patches, at most `limit`, times `factor`."""

    def count(width: int, height: int) -> int:
        shrink = min(1.0, sqrt(limit * side * side / (width * height)))
        return ceil(factor * min(limit, ceil(width * shrink / side) * ceil(height * shrink / side)))

    return _Rule(count)


def _cells(side: int, limit: int) -> _Rule:
    """Qwen and GLM (`smart_resize` in the image processors of transformers): the image is scaled to the nearest whole cells, at most
    `limit` of them."""

    def count(width: int, height: int) -> int:
        columns, rows = max(1, round(width / side)), max(1, round(height / side))
        if columns * rows <= limit:
            return columns * rows
        shrink = sqrt(limit * side * side / (width * height))
        return max(1, int(width * shrink / side)) * max(1, int(height * shrink / side))

    return _Rule(count)


def _llama_tiles(width: int, height: int) -> int:
    """Llama 4 (`Llama4ImageProcessor` and `Llama4Processor` of transformers): up to 16 tiles of 336 pixels, 144 tokens each, in the
    grid that needs the least scaling; if more than one, also the whole image as a tile; and a separator after each tile."""
    grids = [(x, y) for x in range(1, 17) for y in range(1, 16 // x + 1)]
    scales = {(x, y): min(336 * x / width, 336 * y / height) for x, y in grids}
    larger = [scale for scale in scales.values() if scale >= 1]
    chosen = min(larger) if larger else max(scales.values())
    tiles = min(x * y for (x, y), scale in scales.items() if scale == chosen)
    return 147 + (145 * tiles if tiles > 1 else 0)


_RULES: tuple[tuple[str, _Rule], ...] = (
    ("claude", _Rule(_area)),
    ("gemini-1", _Rule(_gemini_crops)),
    ("gemini-2.0", _Rule(_gemini_crops)),
    ("gemini-2", _Rule(_gemini_tiles)),
    ("gemini", _Rule(_gemini_budget, any_size=True)),
    ("gpt-4.1-mini", _patches(1.62)),
    ("gpt-5-mini", _patches(1.2)),
    ("gpt-4.1-nano", _patches(2.46)),
    ("gpt-5-nano", _patches(1.5)),
    ("gpt-4o-mini", _tiles(2833, 5667)),
    ("gpt-4", _tiles(85, 170)),
    ("gpt-5", _tiles(70, 140)),
    ("llama-4", _Rule(_llama_tiles)),
    ("mistral", _patches(1.0, 28, 3025)),
    ("pixtral", _patches(1.0, 16, 4096)),
    ("qwen3", _cells(32, 16384)),
    ("qwen", _cells(28, 16384)),
    ("glm", _cells(28, 6144)),
)
"""Rules by a substring of the model's name; the first match counts. Newer Geminis count as Gemini 3 does."""
