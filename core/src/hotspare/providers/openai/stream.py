"""A streamed chat completion -> ChatChunks. Proof of completion: a finish reason, or `[DONE]` where the flavor allows it."""

from typing import Any

from hotspare.errors import EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatChunk, ChatRequest, ToolCallDelta
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, is_map, load_map
from hotspare.providers.openai.flavors import Flavor
from hotspare.providers.openai.response import (
    finish_of,
    raise_if_aborted,
    raise_in_band_error,
    reasoning_text,
    signed_blocks,
    split_content,
    usage_of,
)
from hotspare.providers.openai.tool_calls import ToolCallAccumulator


class OpenAIReader:
    """Reads one streamed answer. Only the first choice is read."""

    def __init__(self, flavor: Flavor, request: ChatRequest) -> None:
        self._flavor = flavor
        self._request = request
        self._calls = ToolCallAccumulator()
        self._reasoning_details: dict[tuple[str, str], Json] = {}
        self._usage: Json = {}
        self._id = self._model = self._reason = ""
        self._content = self._done = self._seen = False
        self._malformed: MalformedAnswer | None = None

    def event(self, name: str, data: str) -> ChatChunk | None:
        """What is new in this event.

        A malformed event is skipped; `finish` raises it if the stream does not prove complete. An error raises, except after
        the finish reason: OpenRouter sends "Token limit reached" after `length`.
        """
        body = load_map(data)
        if body is None:
            if data.strip() == "[DONE]":
                self._done = True
            elif data.strip():
                self._malformed = MalformedAnswer("an event is not a JSON object", body=_error_body(data))
            return None
        text = self._text_only(body) if self._seen and not self._reason else ""
        if text:
            self._content = True
            return ChatChunk(text=text)
        self._seen = True
        if not self._reason:
            if name == "error" and "error" not in body:
                raise InBandError(as_text(body.get("message")) or "an error event", body=_error_body(data))
            raise_in_band_error(body)
        self._id = self._id or as_text(body.get("id"))
        self._model = as_text(body.get("model")) or self._model
        usage = body.get("usage") or as_map(body.get("x_groq")).get("usage")
        if usage:
            self._usage = as_map(usage)
        choices = body.get("choices")
        if not choices:
            return None
        found = as_maps(choices)
        if not found:
            self._malformed = MalformedAnswer("`choices` holds no object", body=_error_body(data))
        choice = next((item for item in found if not item.get("index")), None)
        return None if choice is None else self._choice(choice, data)

    def _text_only(self, body: Json) -> str:
        """The text of an event that holds a piece of text and nothing else, as nearly all do; else "".

        A shortcut with the same result as `_choice`, which takes four times as long.
        """
        choices: Any = body.get("choices")
        if not _is_exactly(choices, list) or len(choices) != 1:
            return ""
        if "error" in body or body.get("usage") or "x_groq" in body:
            return ""
        choice: Any = choices[0]
        if not _is_exactly(choice, dict) or choice.get("finish_reason") or choice.get("index") or "error" in choice:
            return ""
        delta: Any = choice.get("delta")
        if not _is_exactly(delta, dict) or choice.get("usage") or len(delta) > 1 + ("role" in delta):
            return ""
        text: object = delta.get("content")
        return text if isinstance(text, str) else ""

    def _choice(self, choice: Json, data: str) -> ChatChunk | None:
        self._reason = as_text(choice.get("finish_reason")) or self._reason
        if choice.get("usage"):
            self._usage = as_map(choice["usage"])
        raw = choice.get("delta") or choice.get("message")
        if raw and not is_map(raw):
            self._malformed = MalformedAnswer("a delta is not a JSON object", body=_error_body(data))
        delta = as_map(raw)
        text, inline_reasoning = split_content(delta.get("content"))
        chunk = ChatChunk(
            text=text,
            reasoning=reasoning_text(delta) or inline_reasoning,
            refusal=as_text(delta.get("refusal")),
            tool_calls=self._tool_calls(delta) if "tool_calls" in delta or "function_call" in delta else (),
        )
        if self._flavor.reasoning_signer and "reasoning_details" in delta:
            self._add_details(as_maps(delta["reasoning_details"]))
        self._content = self._content or bool(text or chunk.tool_calls or chunk.refusal)
        return chunk if chunk.is_content else None

    def _tool_calls(self, delta: Json) -> tuple[ToolCallDelta, ...]:
        pieces = as_maps(delta.get("tool_calls"))
        legacy = as_map(delta.get("function_call"))
        if not pieces and (legacy.get("name") or legacy.get("arguments")):
            pieces = [{"index": 0, "function": legacy}]
        deltas = [self._calls.add(piece, self._id) for piece in pieces]
        return tuple(piece for piece in deltas if piece is not None)

    def _add_details(self, details: list[Json]) -> None:
        """Append the pieces of reasoning details; those with the same index and type belong together."""
        for detail in details:
            key = (str(detail.get("index")), str(detail.get("type")))
            whole = self._reasoning_details.setdefault(key, {})
            for field, value in detail.items():
                if value is not None:
                    appends = field in ("text", "summary", "data", "signature") and isinstance(value, str)
                    whole[field] = as_text(whole.get(field)) + value if appends else value

    def finish(self) -> ChatChunk:
        """The last chunk. Raises EmptyAnswer, IncompleteAnswer, MalformedAnswer, or InBandError if a filter blocked it."""
        raise_if_aborted(self._reason, {"id": self._id})
        proven = bool(self._reason) or (
            self._done and self._flavor.done_completes and self._content and self._calls.all_valid()
        )
        if self._malformed is not None and (not proven or not self._calls.all_valid()):
            raise self._malformed
        if not self._seen:
            raise EmptyAnswer("the stream ended before the first event")
        if not proven:
            raise IncompleteAnswer("the stream ended without a finish_reason")
        if self._calls.has_unnamed():
            raise MalformedAnswer("a tool call without a name")
        body: Json = {"id": self._id, "choices": [{"finish_reason": self._reason or None}]}
        calls = bool(self._calls.calls)
        return ChatChunk(
            tool_calls=self._calls.missing_arguments(),
            thinking=signed_blocks(list(self._reasoning_details.values()), self._flavor.reasoning_signer),
            finish_reason=finish_of(self._reason, content=self._content, calls=calls, request=self._request, body=body),
            usage=usage_of(self._usage),
            model=self._model,
            id=self._id,
        )


def _is_exactly(value: object, kind: type) -> bool:
    """Faster than `isinstance`. It narrows no types, so that `Any` stays `Any` for the callers."""
    return type(value) is kind


def _error_body(data: str) -> bytes:
    return data[:65536].encode("utf-8", "replace")
