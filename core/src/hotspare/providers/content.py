"""Message content in OpenAI's shape, part by part, and tool calls: readers for the other wire formats."""

import base64
import json
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from hotspare.messages import Message
from hotspare.providers.json_access import Json, as_list, as_map, as_maps, as_text, load_map

SYSTEM_ROLES = frozenset({"system", "developer"})


class InlineData(NamedTuple):
    """Bytes inside a request: their media type, and the bytes as base64."""

    media_type: str
    data: str


def parts_of(content: object) -> list[Json]:
    """A message's content as parts: a string is one text part, None has none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{"type": "text", "text": part} if isinstance(part, str) else as_map(part) for part in as_list(content)]


def plain_text(content: object) -> str:
    """The text of a message's content, parts joined."""
    return "".join(as_text(part.get("text")) for part in parts_of(content) if part.get("type") == "text")


def parse_data_url(url: str) -> InlineData | None:
    """The content of a `data:` URL (RFC 2397); None for any other URL."""
    head, comma, payload = url.partition(",")
    if not head.startswith("data:") or not comma:
        return None
    media_type, *flags = head[5:].split(";")
    if "base64" not in flags:
        payload = base64.b64encode(unquote_to_bytes(payload)).decode("ascii")
    return InlineData(media_type or "text/plain", payload)


def media_type_of(url: str) -> str | None:
    """The media type that a URL's file name suggests."""
    return mimetypes.guess_type(urlsplit(url).path)[0]


def image_url(part: Mapping[str, Any]) -> str:
    """The URL of an `image_url` part: OpenAI writes an object there, many clients a string."""
    image = part.get("image_url")
    return image if isinstance(image, str) else as_text(as_map(image).get("url"))


def tool_calls(message: Message) -> list[Json]:
    """The tool calls of an assistant message."""
    return as_maps(message.get("tool_calls"))


def call_name(call: Mapping[str, Any]) -> str:
    """The function that a tool call names."""
    return as_text(as_map(call.get("function")).get("name"))


def call_arguments(call: Mapping[str, Any]) -> Json:
    """A tool call's arguments as an object; ``{"invalid_json": …}`` if the model wrote invalid JSON.

    Such a call stays in the history, but Anthropic and Gemini accept only an object.
    """
    written = as_text(as_map(call.get("function")).get("arguments"))
    if not written.strip():
        return {}
    parsed = load_map(written)
    return {"invalid_json": written} if parsed is None else parsed


def system_parts(messages: Iterable[Message]) -> list[Json]:
    """The parts of all system and developer messages, in order: Anthropic and Gemini have one field for them."""
    return [
        part for message in messages if message.get("role") in SYSTEM_ROLES for part in parts_of(message.get("content"))
    ]


def part_types(messages: Sequence[Message]) -> set[str]:
    """The types of the content parts in a history."""
    return {as_text(part.get("type")) for message in messages for part in parts_of(message.get("content"))}


def with_cache_control(blocks: list[Json], value: object) -> list[Json]:
    """The blocks with this `cache_control` on the last one, unless it already has one. None: unchanged."""
    if value is None or not blocks or "cache_control" in blocks[-1]:
        return blocks
    return [*blocks[:-1], {**blocks[-1], "cache_control": value}]


def json_text(value: object) -> str:
    """A value as JSON text; non-ASCII characters are kept."""
    return json.dumps(value, ensure_ascii=False)
