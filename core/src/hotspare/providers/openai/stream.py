"""A streamed chat completion -> ChatChunks. Proof of completion: a finish reason, or `[DONE]` where the flavor allows it."""

from typing import Any

from hotspare.errors import EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatChunk, ChatRequest, ToolCallDelta
from hotspare.providers.event_reader import EventReader, text_chunk
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, is_exactly, is_map, merge_counts
from hotspare.providers.openai.flavors import Flavor
from hotspare.providers.openai.response import (
    choice_reason,
    content_of,
    finish_of,
    raise_in_band_error,
    reasoning_blocks,
    signed_blocks,
    usage_of,
)
from hotspare.providers.openai.tool_calls import ToolCallAccumulator


class OpenAIReader(EventReader):
    """Reads one streamed answer. Only the first choice is read."""

    def __init__(self, flavor: Flavor, request: ChatRequest) -> None:
        super().__init__()
        self._flavor = flavor
        self._request = request
        self._calls = ToolCallAccumulator()
        self._reasoning_details: dict[tuple[str, str], Json] = {}
        self._usage: Json = {}
        self._id = self._model = ""
        self._content = False

    def read(self, name: str, body: Json) -> ChatChunk | None:
        """What is new in this event."""
        text = self._text_only(body) if self.seen and not self.reason else ""
        if text:
            self._content = True
            return text_chunk(text)
        if not self.reason:
            if name == "error" and "error" not in body:
                raise InBandError(as_text(body.get("message")) or "an error event")
            raise_in_band_error(body)
        self._id = self._id or as_text(body.get("id"))
        self._model = as_text(body.get("model")) or self._model
        self._add_usage(body.get("usage") or as_map(body.get("x_groq")).get("usage"))
        choices = body.get("choices")
        if not choices:
            return None
        found = as_maps(choices)
        if not found:
            raise MalformedAnswer("`choices` contains no object")
        choice = next((item for item in found if not item.get("index")), None)
        return None if choice is None else self._choice(choice)

    def _add_usage(self, usage: object) -> None:
        if usage:
            self._usage = merge_counts(self._usage, as_map(usage))

    def _text_only(self, body: Json) -> str:
        """The text of an event that has a piece of text and nothing else, as nearly all events; else "".

        A fast path with the same result as `_choice`, which takes four times as long.
        """
        choices: Any = body.get("choices")
        if not is_exactly(choices, list) or len(choices) != 1:
            return ""
        if "error" in body or body.get("usage") or "x_groq" in body:
            return ""
        choice: Any = choices[0]
        if not is_exactly(choice, dict) or choice.get("finish_reason") or choice.get("index") or "error" in choice:
            return ""
        delta: Any = choice.get("delta")
        if not is_exactly(delta, dict) or choice.get("usage") or len(delta) > 1 + ("role" in delta):
            return ""
        text: object = delta.get("content")
        return text if isinstance(text, str) else ""

    def _choice(self, choice: Json) -> ChatChunk:
        self._add_usage(choice.get("usage"))
        raw = choice.get("delta") or choice.get("message")
        if raw and not is_map(raw):
            raise MalformedAnswer("a delta is not a JSON object")
        delta = as_map(raw)
        content = content_of(delta)
        chunk = ChatChunk(
            text=content.text,
            reasoning=content.reasoning,
            refusal=content.refusal,
            media=content.media,
            tool_calls=self._tool_calls(delta) if "tool_calls" in delta or "function_call" in delta else (),
        )
        if self._flavor.reasoning_signer:
            self._add_details(reasoning_blocks(delta, self._flavor.reasoning_signer))
        self._content = self._content or content.is_answer or bool(self._calls.calls)
        self.reason = choice_reason(choice) or self.reason
        return chunk

    def _tool_calls(self, delta: Json) -> tuple[ToolCallDelta, ...]:
        pieces = as_maps(delta.get("tool_calls"))
        legacy = as_map(delta.get("function_call"))
        if not pieces and (legacy.get("name") or legacy.get("arguments")):
            pieces = [{"index": 0, "function": legacy}]
        return tuple(found for piece in pieces for found in self._calls.add(piece, self._id))

    def _add_details(self, details: list[Json]) -> None:
        """Append the pieces of reasoning details; those with the same index and type belong together."""
        for detail in details:
            key = (str(detail.get("index")), str(detail.get("type")))
            whole = self._reasoning_details.setdefault(key, {})
            for field, value in detail.items():
                if value is not None:
                    appends = field in ("text", "thinking", "summary", "data", "signature") and isinstance(value, str)
                    whole[field] = as_text(whole.get(field)) + value if appends else value

    def finish(self) -> ChatChunk:
        """The last chunk. Raises EmptyAnswer, IncompleteAnswer, MalformedAnswer, or InBandError if a filter blocked it."""
        if not self.reason and not self._done_completes():
            if not self.seen:
                raise EmptyAnswer("the stream ended before the first event")
            raise IncompleteAnswer("the stream ended without a finish_reason")
        body: Json = {"id": self._id, "choices": [{"finish_reason": self.reason or None}]}
        calls = self._calls.end(self._id)
        usage, called = usage_of(self._usage), bool(self._calls.calls)
        finish_reason = finish_of(
            self.reason, content=self._content, calls=called, request=self._request, usage=usage, body=body
        )
        if finish_reason != "length":
            self._calls.raise_if_broken()
        details, self._reasoning_details = list(self._reasoning_details.values()), {}
        return ChatChunk(
            tool_calls=calls,
            thinking=signed_blocks(details, self._flavor.reasoning_signer),
            finish_reason=finish_reason,
            usage=usage,
            model=self._model,
            id=self._id,
        )

    def _done_completes(self) -> bool:
        return self.done and self._flavor.done_completes and self._content and self._calls.all_valid()
