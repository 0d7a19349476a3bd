"""Answers that hold images or audio, and errors whose body has any size."""

from typing import Any

import pytest

from tests.support.field_calls import (
    STREAMED,
    WHOLE,
    Face,
    Wire,
    call,
    chunk_event,
    end,
    finish,
    start,
    two_targets,
    whole,
)
from tests.support.raw_server import event, response, sse

ALL: list[Face] = [*WHOLE, *STREAMED]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"id": "a", "data": "AAAA", "transcript": "hello"}
INLINE = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
MEDIA: dict[str, tuple[Wire, dict[str, Any]]] = {
    "images": ("openai", {"images": [IMAGE]}),
    "audio": ("openai", {"audio": AUDIO}),
    "a part": ("openai", {"content": [{"type": "output_image", "image": "AAAA"}]}),
    "inline data": ("gemini", INLINE),
    "a file": ("gemini", {"fileData": {"fileUri": "gs://x"}}),
}


@pytest.mark.parametrize("face", ALL)
@pytest.mark.parametrize("kind", MEDIA)
def test_images_and_audio_are_content(kind: str, face: Face) -> None:
    """An answer of nothing else is an answer, and holds them as the provider sent them."""
    wire, data = MEDIA[kind]
    if wire == "openai":
        body, streamed = whole(wire, "", **data), [chunk_event(data)]
    else:
        body, streamed = whole(wire, ""), [event({"candidates": [{"content": {"parts": [data]}}]})]
        body["candidates"][0]["content"]["parts"] = [data]
    steps = sse(*start(wire), *streamed, finish(wire), *end(wire))
    with two_targets(wire, response(200, body) if face in WHOLE else steps) as two:
        result = call(two.pool, face)
    assert (len(result.reply.media), result.kinds) == (1, ["first ok"])
    assert "AAAA" in str(result.reply.media) or "gs://x" in str(result.reply.media)


def test_empty_fields_for_media_are_none() -> None:
    """No image, and audio that only has an id: the answer is empty."""
    nothing: list[dict[str, Any]] = [
        {"images": []},
        {"audio": {}},
        {"audio": {"id": "a"}},
        {"images": None, "audio": None},
    ]
    for empty in nothing:
        with two_targets("openai", response(200, whole("openai", "", **empty))) as two:
            assert call(two.pool, "chat").kinds == ["first server", "spare ok"]


# --- errors' bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 503])
@pytest.mark.parametrize("face", ALL)
def test_an_errors_body_of_any_size(face: Face, status: int) -> None:
    """Its status and its beginning say what it is; the rest is not read, and makes no other error of it."""
    body = b'{"error":{"message":"' + b"y" * 35_000_000 + b'"}}'
    with two_targets("openai", response(status, body)) as two:
        result = call(two.pool, face)
    assert result.kinds[0] == ("first invalid" if status == 400 else "first server")
