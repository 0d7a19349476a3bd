"""A streamed response -> ChatChunks. Proof of completion: `response.completed` or `response.incomplete`."""

from dataclasses import dataclass, replace
from typing import Any

from hotspare.errors import EmptyAnswer, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatChunk, ChatRequest, ToolCallDelta
from hotspare.providers.event_reader import EventReader, text_chunk
from hotspare.providers.finish_reasons import finish_reason_of
from hotspare.providers.json_access import Json, as_map, as_maps, as_text
from hotspare.providers.responses.response import (
    call_of,
    check_arguments,
    finish_of,
    is_call,
    is_text_call,
    item_of,
    raise_in_band_error,
    status_reason,
    usage_of,
)

_TEXT = "response.output_text.delta"
_PIECES = {
    _TEXT: "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
}
"""Events with a piece of text, and the field of a chunk that it belongs to."""
_ARGUMENTS = frozenset({"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"})
_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILURES = frozenset({"response.failed", "response.cancelled", "error"})


@dataclass(slots=True)
class _Item:
    """An output item that is being streamed. `place`: its index among the answer's tool calls (-1: not a tool call). `streamed`: whether
    deltas of it have arrived."""

    place: int = -1
    name: str = ""
    arguments: str = ""
    is_text: bool = False
    streamed: bool = False
    done: bool = False


class ResponsesReader(EventReader):
    """Reads one streamed response. Events name their item by `output_index`; content that a server did not stream is read
    from the item's last event, or from the response's."""

    without_content = EventReader.without_content | {
        "response.created", "response.queued", "response.in_progress", "response.output_text.annotation.added",
    }  # fmt: skip

    def __init__(self, request: ChatRequest) -> None:
        super().__init__()
        self._request = request
        self._response: Json = {}
        self._items: dict[object, _Item] = {}
        self._last: object = None
        self._content = False

    def read(self, name: str, body: Json) -> ChatChunk | None:
        """What is new in this event."""
        kind: Any = body.get("type")
        if kind == _TEXT and self._last is not None and body.get("output_index") == self._last:
            delta: Any = body.get("delta")
            if type(delta) is str:  # fast path, for nearly all events: text of the same item as before
                return text_chunk(delta)
        kind = as_text(kind) or name
        if kind in _PIECES:
            return self._piece(_PIECES[kind], body)
        if kind in _ARGUMENTS:
            return self._arguments(body)
        if kind == "response.reasoning_summary_part.added":
            return ChatChunk(reasoning="\n\n") if body.get("summary_index") else None
        if kind == "response.output_item.added":
            return self._added(body)
        if kind == "response.output_item.done":
            return self._done(self._item(body), as_map(body.get("item")))
        if kind in _ENDS:
            return self._end(kind, as_map(body.get("response")))
        if kind in _FAILURES or body.get("error"):
            self._failed(body)
        response = as_map(body.get("response"))
        self._response = response or self._response
        return None

    def _piece(self, field: str, body: Json) -> ChatChunk:
        item, delta = self._item(body), body.get("delta")
        if not isinstance(delta, str):
            raise MalformedAnswer("a delta without text")
        item.streamed = True
        self._content = self._content or (bool(delta) and field != "reasoning")
        if field == "text" and delta:
            self._last = body.get("output_index")
            return ChatChunk(text=delta)
        return ChatChunk(refusal=delta) if field == "refusal" else ChatChunk(reasoning=delta)

    def _item(self, body: Json) -> _Item:
        """The item of an event, by `output_index`, or by the item's id if the server sends no index."""
        index = body.get("output_index")
        key = f"{index}" if index is not None else as_text(body.get("item_id") or as_map(body.get("item")).get("id"))
        return self._items.setdefault(key, _Item())

    def _added(self, body: Json) -> ChatChunk | None:
        self._last = None
        item, start = self._item(body), as_map(body.get("item"))
        return self._call(item, start) if is_call(start) else None

    def _call(self, item: _Item, start: Json) -> ChatChunk:
        call = call_of(start)
        item.place = sum(other.place >= 0 for other in self._items.values())
        item.name, item.arguments, item.is_text = call.name, call.arguments, is_text_call(start)
        self._content = True
        return ChatChunk(tool_calls=(ToolCallDelta(item.place, call.id, call.name, call.arguments),))

    def _arguments(self, body: Json) -> ChatChunk | None:
        item, piece = self._item(body), as_text(body.get("delta"))
        if item.place < 0:
            raise MalformedAnswer("arguments of a tool call that was never started")
        item.arguments += piece
        return ChatChunk(tool_calls=(ToolCallDelta(item.place, arguments=piece),)) if piece else None

    def _done(self, item: _Item, whole: Json) -> ChatChunk | None:
        """The end of an item. Returns the content that was not streamed."""
        if item.done:
            return None
        item.done, self._last = True, None
        if is_call(whole):
            return self._call_done(item, whole)
        found = item_of(whole)
        self._content = self._content or found.is_answer
        chunk = ChatChunk(thinking=found.thinking, media=found.media)
        if item.streamed:
            return chunk
        return replace(chunk, text=found.text, reasoning=found.reasoning, refusal=found.refusal)

    def _call_done(self, item: _Item, whole: Json) -> ChatChunk | None:
        if item.place < 0:
            self._call(item, {**whole, "arguments": "", "input": ""})
            call_id: str | None = call_of(whole).id
        else:
            call_id = None
        written = call_of(whole).arguments
        rest = "" if item.arguments.strip() else (written.strip() and written) or ("" if item.is_text else "{}")
        item.arguments += rest
        if call_id is None and not rest:
            return None
        name = item.name if call_id else None
        return ChatChunk(tool_calls=(ToolCallDelta(item.place, call_id, name, rest),))

    def _end(self, kind: str, response: Json) -> ChatChunk | None:
        """The last event repeats the whole response. An item of it is used only if no item was streamed, or if it is of the same kind as
        the streamed item with its index, because relays renumber items."""
        raise_in_band_error(response)
        chunk: ChatChunk | None = None
        streamed = {key: item.place >= 0 for key, item in self._items.items()}
        for index, whole in enumerate(as_maps(response.get("output"))):
            if not streamed or streamed.get(f"{index}") is is_call(whole):
                chunk = _joined(chunk, self._done(self._item({"output_index": index}), whole))
        self._response = {**self._response, **response}
        ended = "completed" if kind == "response.completed" else "incomplete"
        self.reason = status_reason({**response, "status": ended})
        self.done = True
        return chunk

    def _failed(self, body: Json) -> None:
        response = as_map(body.get("response"))
        raise_in_band_error(response if response else body)
        raise IncompleteAnswer(f"the response ended with {body.get('type')}")

    def finish(self) -> ChatChunk:
        """The last chunk. Raises EmptyAnswer, IncompleteAnswer, MalformedAnswer, or InBandError if a filter blocked it."""
        if not self.reason:
            if not self.seen:
                raise EmptyAnswer("the stream ended before the first event")
            raise IncompleteAnswer("the stream ended without response.completed")
        calls = [item for item in self._items.values() if item.place >= 0]
        if finish_reason_of(self.reason) != "length":
            for call in calls:
                if not call.is_text:
                    check_arguments(call.name, call.arguments)
        body: Json = {"status": self.reason, "id": self._response.get("id")}
        usage = usage_of(as_map(self._response.get("usage")))
        finish = finish_of(self.reason, self._request, body, content=self._content, calls=bool(calls), usage=usage)
        return ChatChunk(
            finish_reason=finish,
            usage=usage,
            model=as_text(self._response.get("model")),
            id=as_text(self._response.get("id")),
        )


def _joined(one: ChatChunk | None, other: ChatChunk | None) -> ChatChunk | None:
    """Both chunks as one."""
    if one is None or other is None:
        return one or other
    return ChatChunk(
        text=one.text + other.text,
        tool_calls=one.tool_calls + other.tool_calls,
        reasoning=one.reasoning + other.reasoning,
        thinking=one.thinking + other.thinking,
        media=one.media + other.media,
        refusal=one.refusal + other.refusal,
    )
