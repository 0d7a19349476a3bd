"""Tokens of images, by the size in their headers and the rules of their models."""

import base64
import struct

import pytest
from hotspare._cost.images import image_tokens

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 540, 360)
GIF = b"GIF89a" + struct.pack("<HH", 540, 360) + bytes(2)
JPEG = b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc0" + struct.pack(">HBHHB", 17, 8, 360, 540, 3)
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(10) + struct.pack("<HH", 540, 360)
WEBP_X = b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + (539).to_bytes(3, "little") + (359).to_bytes(3, "little")


def part(data: bytes) -> dict[str, object]:
    """A content part that holds an image."""
    return {"type": "image_url", "image_url": {"url": "data:image/any;base64," + base64.b64encode(data).decode()}}


@pytest.mark.parametrize("data", [PNG, GIF, JPEG, WEBP, WEBP_X])
def test_the_head_of_an_image_says_its_size(data: bytes) -> None:
    """540 x 360 / 750 for Claude, whatever the format."""
    assert image_tokens(part(data), "claude-sonnet-4-5") == 260


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("gpt-4o", 425), ("gpt-4.1-nano", 502), ("gpt-4o-mini", 14167), ("gemini-2.0-flash", 1806),
     ("gemini-2.5-flash", 258), ("gemini-3-flash-preview", 1090), ("mistral-medium-latest", 260)],
)  # fmt: skip
def test_each_provider_has_a_rule(model: str, tokens: int) -> None:
    """Tiles, patches or a fixed number; those of GPT-4.1 nano and Gemini 2.0 are what the providers counted for such an image."""
    assert image_tokens(part(PNG), model) == tokens


@pytest.mark.parametrize(
    "unknown",
    [part(b"\x89PNG"), part(b"no image"), {"image_url": {"url": "https://a.example/b.png"}}, {"image_url": None},
     {"image_url": {"url": "data:image/png;base64,!"}}],
)  # fmt: skip
def test_what_cannot_be_read_is_unknown(unknown: dict[str, object]) -> None:
    """A cut or foreign image, or one behind a URL, is not measured; nor one of a model without a rule."""
    assert image_tokens(unknown, "gpt-4o") is None
    assert image_tokens(part(PNG), "some-model") is None
