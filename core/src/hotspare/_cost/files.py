"""Tokens of files whose data is in the request: of texts, and at Gemini of documents and audio."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

from hotspare._cost.fields import field_of
from hotspare._cost.images import decoded, image_tokens
from hotspare._cost.texts import text_tokens

_MEDIA = 800
"""Rough number of tokens of an image or a file. Recorded images have 85 to 1,600."""
_MOST = 2_000_000
"""Longest document whose pages are counted, in base64 characters, and how much of it is unpacked, in bytes: it takes 6 ms at most."""
_HEAD = 400_000
"""Number of base64 characters of an audio file that are searched for its first frame: tags with a cover picture come before it."""
_PAGE = re.compile(rb"/Type\s*/Page\b")
_PACKED = re.compile(rb"/Type\s*/ObjStm\b.{,300}?stream\r?\n", re.DOTALL)
"""The start of a compressed stream of objects: where documents of PDF 1.5 and later have most of their objects."""
_PER_PAGE = (("gemini-1", None), ("gemini-2.0", None), ("gemini-2", 258), ("gemini", 560))
"""Tokens per page of a PDF ("Document understanding"; for Gemini 3 on Vertex AI: default resolution). Gemini up to 2.0 divides a page into
crops as it does an image, at a resolution that is not documented."""
_PER_SECOND = (("gemini-1", 32), ("gemini-2", 32), ("gemini", 25))
"""Tokens per second of audio ("Understand and count tokens"). Gemini 3 counts 25 in all recordings, though 32 are documented for it too."""
_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
"""Kilobits per second of MP3, by the index in a frame's header."""
_RATES = (44100, 48000, 32000, 0)
"""Samples per second of MPEG-1; by these powers of two less for MPEG-2.5, 2 and 1:"""
_SLOWER = (2, 0, 1, 0)


def media_tokens(part: Mapping[str, object], model: str) -> float | None:
    """Tokens of a content part that is not a text; None if they cannot be counted."""
    if "image_url" in part:
        return image_tokens(part, model)
    url, kind = _source(part)
    if kind.startswith("image/"):
        return image_tokens({"image_url": url}, model)
    try:
        return _file_tokens(url, kind, model.lower()) if url.startswith("data:") else None
    except (ValueError, zlib.error):  # not base64, or not what its media type says
        return None


def rough_size(part: Mapping[str, object]) -> tuple[int, int]:
    """How many bytes of text a content part that is not a text is about as long as, and the most characters: without decoding it."""
    url, kind = _source(part) if "image_url" not in part else ("", "")
    if not url.startswith("data:"):
        return 4 * _MEDIA, _MEDIA
    return len(url) * 3 // 4 if kind.startswith("text/") else 4 * _MEDIA, max(_MEDIA, len(url))


def _source(part: Mapping[str, object]) -> tuple[str, str]:
    """URL and media type of a file; "" for both if it has none."""
    if data := field_of(part, "input_audio", "data"):
        kind = f"audio/{field_of(part, 'input_audio', 'format')}"
        return f"data:{kind};base64,{data}", kind
    file = part.get("file")
    url = str(field_of(file, "file_data") or field_of(file, "file_id") or part.get("document_url") or "")
    return url, url[5:100].partition(";")[0] if url.startswith("data:") else str(field_of(file, "format") or "")


def _file_tokens(url: str, kind: str, model: str) -> float | None:
    if kind.startswith("text/"):
        return text_tokens(decoded(url, len(url)).decode("utf-8", "replace"))
    per_page = next((tokens for name, tokens in _PER_PAGE if name in model), None)
    if kind == "application/pdf" and per_page and len(url) < _MOST:
        pages = _pages(decoded(url, _MOST))
        return per_page * pages if pages else None
    per_second = next((tokens for name, tokens in _PER_SECOND if name in model), None)
    if kind.startswith("audio/") and per_second:
        seconds = _seconds(decoded(url, _HEAD), len(url) * 3 // 4)
        return per_second * seconds if seconds else None
    return None


def _pages(data: bytes) -> int:
    """The number of pages of a PDF; 0: unknown."""
    found, left = len(_PAGE.findall(data)), _MOST
    for start in _PACKED.finditer(data):
        unpacked = zlib.decompressobj().decompress(memoryview(data)[start.end() :], left)
        found += len(_PAGE.findall(unpacked))
        left -= 4000 + len(unpacked)  # and 500 streams at most
        if left <= 0:
            return 0
    return found


def _seconds(data: bytes, size: int) -> float:
    """The duration of an audio file of `size` bytes (WAV, MP3), from its head; 0: unknown."""
    if data.startswith(b"RIFF") and data[8:16] == b"WAVEfmt ":
        per_second = int.from_bytes(data[28:32], "little")
        return size / per_second if per_second else 0.0
    at = 0
    if data.startswith(b"ID3"):  # tags: their length has seven bits per byte
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    head = int.from_bytes(data[at : at + 4], "big")
    version, layer = head >> 19 & 3, head >> 17 & 3
    if head >> 21 != 0x7FF or version == 1 or layer != 1:
        return 0.0
    tag = re.search(rb"(?:Xing|Info)...([\x01-\xff])", data[at : at + 64], re.DOTALL)
    rate = _RATES[head >> 10 & 3] >> _SLOWER[version]
    if tag and tag[1][0] & 1 and rate:
        frames = int.from_bytes(data[at + tag.end() :][:4], "big")
        return frames * (1152 if version == 3 else 576) / rate
    bits = (_MPEG_1 if version == 3 else _MPEG_2)[head >> 12 & 15]
    return (size - at) / (125 * bits) if bits else 0.0
