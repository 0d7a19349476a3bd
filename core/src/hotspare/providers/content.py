"""OpenAI's message content, looked at part by part, and what Anthropic and Gemini need to know about a part."""

import base64
import json
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from hotspare.messages import ChatRequest, Message
from hotspare.providers.json_access import Json, as_list, as_map, as_maps, as_text, load_map
from hotspare.target import Target

SYSTEM_ROLES = frozenset({"system", "developer"})


class Blob(NamedTuple):
    """Bytes that came inside a request: their media type and their base64 text."""

    media_type: str
    data: str


def parts_of(content: object) -> list[Json]:
    """A message's content as parts: a string is one text part, None is none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{"type": "text", "text": part} if isinstance(part, str) else as_map(part) for part in as_list(content)]


def plain_text(content: object) -> str:
    """The text of a message's content, parts joined."""
    return "".join(as_text(part.get("text")) for part in parts_of(content) if part.get("type") == "text")


def data_url(url: str) -> Blob | None:
    """What a `data:` URL holds (RFC 2397), or None for another kind of URL."""
    head, comma, payload = url.partition(",")
    if not head.startswith("data:") or not comma:
        return None
    media_type, *flags = head[5:].split(";")
    if "base64" not in flags:
        payload = base64.b64encode(unquote_to_bytes(payload)).decode("ascii")
    return Blob(media_type or "text/plain", payload)


def as_data_url(media_type: str, data: str) -> str:
    """Base64 text as a `data:` URL."""
    return f"data:{media_type};base64,{data}"


def media_type_of(url: str) -> str | None:
    """The media type that a URL's file name suggests."""
    return mimetypes.guess_type(urlsplit(url).path)[0]


def image_url(part: Mapping[str, Any]) -> str:
    """The URL of an `image_url` part, which OpenAI writes as an object and many clients as a string."""
    image = part.get("image_url")
    return image if isinstance(image, str) else as_text(as_map(image).get("url"))


def tool_calls(message: Message) -> list[Json]:
    """The tool calls of an assistant message."""
    return as_maps(message.get("tool_calls"))


def call_name(call: Mapping[str, Any]) -> str:
    """The function that a tool call names."""
    return as_text(as_map(call.get("function")).get("name"))


def call_arguments(call: Mapping[str, Any]) -> Json:
    """A tool call's arguments as an object.

    What the model wrote may be no JSON; the call is history then, and the next provider still wants an object.
    """
    written = as_text(as_map(call.get("function")).get("arguments"))
    if not written.strip():
        return {}
    parsed = load_map(written)
    return {"invalid_json": written} if parsed is None else parsed


def system_parts(messages: Iterable[Message]) -> list[Json]:
    """All system and developer texts, in order: the providers other than OpenAI keep them in one place."""
    return [
        part for message in messages if message.get("role") in SYSTEM_ROLES for part in parts_of(message.get("content"))
    ]


def part_kinds(messages: Sequence[Message]) -> set[str]:
    """The types of content parts that occur in a history."""
    return {as_text(part.get("type")) for message in messages for part in parts_of(message.get("content"))}


def compact(value: object) -> str:
    """JSON text as the models write it."""
    return json.dumps(value, ensure_ascii=False)


def missing_capabilities(request: ChatRequest, target: Target) -> list[str]:
    """The request's fields that this target's model cannot serve, by `Target.lacks`."""
    shape = as_text(as_map(request.response_format).get("type"))
    vision = "image_url" in part_kinds(request.messages)
    found = {
        "tools": "tools" in target.missing and bool(request.tools),
        "messages": "vision" in target.missing and vision,
        "response_format": (shape == "json_object" and "json_mode" in target.missing)
        or (shape == "json_schema" and "json_schema" in target.missing),
        "seed": "seed" in target.missing and request.seed is not None,
        "reasoning_effort": "reasoning" in target.missing and request.reasoning_effort not in (None, "none"),
    }
    return [name for name, missing in found.items() if missing]
