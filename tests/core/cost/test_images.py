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
     ("gemini-2.5-flash", 258), ("gemini-3-flash-preview", 1090), ("mistral-medium-latest", 260),
     ("llama-4-scout", 727), ("qwen2.5-vl-72b", 247), ("qwen3-vl-8b", 187), ("glm-4.6v", 247)],
)  # fmt: skip
def test_each_provider_has_a_rule(model: str, tokens: int) -> None:
    """Tiles, patches or a fixed number; those of GPT-4.1 nano and Gemini 2.0 are what the providers counted for such an image."""
    assert image_tokens(part(PNG), model) == tokens


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [(300, 200, 147), (340, 200, 437), (400, 301, 437), (5000, 200, 2322), (9000, 9000, 2467)],
)
def test_llama_divides_an_image_into_the_least_tiles(width: int, height: int, tokens: int) -> None:
    """One tile for a small image; else those of the grid that scales the image least, and one of the whole image: at most 17."""
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
    assert image_tokens(part(png), "llama-4-maverick") == tokens


def test_large_images_are_scaled_to_the_most_cells() -> None:
    """Qwen and GLM have an upper bound of cells per image."""
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 9000, 9000)
    assert image_tokens(part(png), "glm-4.6v") == 78 * 78


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-4o", 85), ("gpt-5", 70), ("gemini-3-pro", 1090), ("gpt-5-mini", None)]
)
def test_an_image_behind_a_url_is_counted_if_its_size_does_not_matter(model: str, tokens: int | None) -> None:
    """OpenAI's tiles with the detail "low", and Gemini 3."""
    low = {"image_url": {"url": "https://a.example/b.png", "detail": "low"}}
    assert image_tokens(low, model) == tokens


@pytest.mark.parametrize(
    "unknown",
    [part(b"\x89PNG"), part(b"no image"), {"image_url": {"url": "https://a.example/b.png"}}, {"image_url": None},
     {"image_url": {"url": "data:image/png;base64,!"}}],
)  # fmt: skip
def test_what_cannot_be_read_is_unknown(unknown: dict[str, object]) -> None:
    """A cut or foreign image, or one behind a URL, is not measured; nor one of a model without a rule."""
    assert image_tokens(unknown, "gpt-4o") is None
    assert image_tokens(part(PNG), "some-model") is None
