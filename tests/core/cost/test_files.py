"""Tokens of files in a request: texts, PDFs, audio."""

import base64
import struct
import wave
import zlib
from io import BytesIO
from typing import Any

import pytest
from hotspare._cost.files import media_tokens, rough_size
from hotspare._cost.texts import text_tokens

PAGES = b"<< /Type /Pages /Count 2 >> << /Type /Page /Parent 1 0 R >> <</Type/Page>>"
PACKED = b"<< /Type /ObjStm /Filter /FlateDecode >>\nstream\n" + zlib.compress(PAGES) + b"\nendstream"
BOMB = b"<< /Type /ObjStm >>\nstream\n" + zlib.compress(PAGES + bytes(3_000_000)) + b"\nendstream"
FRAME = b"\xff\xfb\x90\x64"
"""MPEG-1, layer III, 128 kilobits and 44,100 samples per second."""
TAGS = b"ID3\x04\x00\x00" + bytes([0, 0, 1, 72]) + bytes(200)
MP3 = FRAME + bytes(32_000 - 4)
VARIABLE = FRAME + bytes(32) + b"Xing" + struct.pack(">II", 1, 383) + bytes(1000)


def file(data: bytes, kind: str) -> dict[str, Any]:
    """A content part with a file."""
    return {"type": "file", "file": {"file_data": f"data:{kind};base64," + base64.b64encode(data).decode()}}


def wav(seconds: int) -> bytes:
    """Silence."""
    target = BytesIO()
    with wave.open(target, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(8000)
        made.writeframes(bytes(16_000 * seconds))
    return target.getvalue()


def test_a_text_file_counts_as_its_text() -> None:
    """For every model, in base64 with or without padding, URL-safe or not."""
    text = "한국어 and English, >>>???"
    part = file(text.encode(), "text/plain")
    assert media_tokens(part, "gpt-5") == text_tokens(text)
    data = part["file"]["file_data"]
    part["file"]["file_data"] = data.rstrip("=").replace("+", "-").replace("/", "_").replace("text_plain", "text/plain")
    assert media_tokens(part, "gpt-5") == text_tokens(text)


@pytest.mark.parametrize("data", [PAGES, PACKED], ids=["plain", "packed"])
@pytest.mark.parametrize(
    ("model", "tokens"), [("gemini-2.5-pro", 516), ("gemini-3-pro", 1120), ("gemini-2.0-flash", None), ("gpt-5", None)]
)
def test_pages_of_a_pdf(data: bytes, model: str, tokens: int | None) -> None:
    """Gemini's number per page; the other providers' numbers are not documented."""
    assert media_tokens(file(b"%PDF-1.5 " + data, "application/pdf"), model) == tokens


@pytest.mark.parametrize(
    ("data", "seconds"),
    [(wav(3), 3), (MP3, 2), (TAGS + MP3, 2), (VARIABLE, 10)],
    ids=["wav", "mp3", "tags", "variable"],
)
def test_seconds_of_audio(data: bytes, seconds: int) -> None:
    """By the head of a WAV or MP3 file; with a variable bit rate, by the number of frames."""
    found = media_tokens(file(data, "audio/mpeg"), "gemini-2.5-flash")
    assert found == pytest.approx(32 * seconds, rel=0.02)
    given = {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}
    assert media_tokens(given, "gemini-2.5-flash") == pytest.approx(found, rel=0.02)
    assert media_tokens(given, "gemini-3-flash") == pytest.approx(25 * seconds, rel=0.02)


@pytest.mark.parametrize(
    "part",
    [
        file(b"%PDF-1.4 cut", "application/pdf"), file(BOMB, "application/pdf"), file(PAGES + bytes(2_000_000), "application/pdf"),
        file(b"<</Type/ObjStm>>stream\nno zlib", "application/pdf"), file(b"\xff", "audio/mpeg"), file(b"OggS" + bytes(99), "audio/ogg"),
        file(b"ID3", "audio/mpeg"), file(bytes(99), "video/mp4"), {"type": "file", "file": {"file_id": "f-1"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,ééé"}}, {"type": "file", "file": "f"}, {"type": "new"},
        {"type": "document_url", "document_url": "https://a.example/b.pdf"},
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_unknown(part: dict[str, Any]) -> None:
    """Truncated, large, packed too tightly, of another format, or not in the request: no number is invented."""
    assert media_tokens(part, "gemini-2.5-flash") is None


def test_an_image_as_a_file_counts_as_an_image() -> None:
    """Gemini takes images as files, by the id of an upload too."""
    part = {"type": "file", "file": {"file_id": "gs://b/a.jpg", "format": "image/jpeg"}}
    assert media_tokens(part, "gemini-3-flash") == 1090
    assert media_tokens(part, "gemini-2.5-flash") is None


def test_rough_sizes_need_no_decoding() -> None:
    """A text file has its own size, other media 800 tokens; the upper bound is a token per character."""
    assert rough_size(file(bytes(30_000), "text/csv")) == pytest.approx((30_000, 40_000), rel=0.01)
    assert rough_size(file(bytes(30_000), "application/pdf")) == pytest.approx((3200, 40_000), rel=0.01)
    assert rough_size({"image_url": {"url": "https://a.example/b.png"}}) == (3200, 800)
