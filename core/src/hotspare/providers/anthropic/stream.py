"""A streamed Anthropic message -> ChatChunks. Proof of completion: the stop reason in `message_delta`."""

from dataclasses import dataclass, field

from hotspare.errors import EmptyAnswer, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatChunk, ChatRequest, ToolCallDelta
from hotspare.providers.anthropic.response import MEDIA_BLOCKS, finish_of, in_band_error, signed_block, usage_of
from hotspare.providers.content import json_text
from hotspare.providers.event_reader import EventReader, text_chunk
from hotspare.providers.finish_reasons import finish_reason_of, reason_of
from hotspare.providers.json_access import Json, as_map, as_text, is_arguments, is_map, merge_counts


@dataclass(slots=True)
class _Block:
    """A content block that is being streamed. `place`: its index among the message's tool calls (-1: not a tool call)."""

    start: Json
    place: int = -1
    arguments: list[str] = field(default_factory=list[str])

    @property
    def kind(self) -> str:
        return as_text(self.start.get("type"))

    def append(self, name: str, piece: str) -> None:
        self.start[name] = as_text(self.start.get(name)) + piece


class AnthropicReader(EventReader):
    """Reads one streamed message. Blocks of server tools and of unknown types are skipped.

    Each event names its block by `index`, because relays interleave blocks. An event without one belongs to the last block.
    """

    without_content = EventReader.without_content | {"message_start", "message_delta", "message_stop"}

    def __init__(self, request: ChatRequest) -> None:
        super().__init__()
        self._request = request
        self._message: Json = {}
        self._usage: Json = {}
        self._ending: Json = {}
        self._blocks: dict[object, _Block] = {}
        self._last: object = None
        self._calls = 0
        self._content = False

    def read(self, name: str, body: Json) -> ChatChunk | None:
        """What is new in this event."""
        kind = as_text(body.get("type")) or name
        match kind:
            case "content_block_delta":
                return self._block_delta(self._index(body), as_map(body.get("delta")))
            case "content_block_start":
                return self._block_start(self._index(body, new=True), as_map(body.get("content_block")))
            case "content_block_stop":
                return self._block_stop(self._index(body))
            case "message_start":
                self._message = as_map(body.get("message"))
                self._usage = merge_counts(self._usage, as_map(self._message.get("usage")))
            case "message_delta":
                self._usage = merge_counts(self._usage, as_map(body.get("usage")))
                delta = as_map(body.get("delta"))
                self._ending |= delta
                self.reason = reason_of(delta.get("stop_reason")) or self.reason
            case "message_stop":
                self.done = True
            case _ if kind == "error" or body.get("error"):
                raise in_band_error(body)
            case _:
                pass
        return None

    def _index(self, body: Json, *, new: bool = False) -> object:
        index = body.get("index")
        if index is None or is_map(index) or isinstance(index, list):
            index = f"block {len(self._blocks)}" if new else self._last
        if new:
            self._last = index
        return index

    def _block_start(self, index: object, start: Json) -> ChatChunk | None:
        kind = start.get("type")
        block = self._blocks[index] = _Block(start)
        if kind == "tool_use":
            block.place, self._calls, self._content = self._calls, self._calls + 1, True
            name, call_id = as_text(start.get("name")), as_text(start.get("id"))
            if not name or not call_id:
                raise MalformedAnswer("a tool_use block without name or id")
            return ChatChunk(tool_calls=(ToolCallDelta(block.place, call_id, name),))
        if kind == "thinking":
            return ChatChunk(reasoning=as_text(start.get("thinking")))
        if kind == "text":
            return self._text(as_text(start.get("text")))
        if block.kind in MEDIA_BLOCKS:
            self._content = True
            return ChatChunk(media=(start,))
        return None

    def _text(self, text: str) -> ChatChunk | None:
        if not text:
            return None
        self._content = True
        return text_chunk(text)

    def _block_delta(self, index: object, delta: Json) -> ChatChunk | None:
        kind, block = delta.get("type"), self._blocks.get(index)
        if kind == "text_delta" and (block is None or block.kind == "text"):
            return self._text(as_text(delta.get("text")))
        if kind == "thinking_delta" and (block is None or block.kind == "thinking"):
            thinking = as_text(delta.get("thinking"))
            if block is not None:
                block.append("thinking", thinking)
            return ChatChunk(reasoning=thinking)
        if kind == "signature_delta" and block is not None and block.kind == "thinking":
            block.append("signature", as_text(delta.get("signature")))
        if kind == "input_json_delta":
            if block is None:
                raise MalformedAnswer("arguments of a tool call that was never started")
            if block.kind == "tool_use":
                return self._arguments(block, as_text(delta.get("partial_json")))
        return None

    @staticmethod
    def _arguments(block: _Block, piece: str) -> ChatChunk | None:
        if not piece:
            return None
        block.arguments.append(piece)
        return ChatChunk(tool_calls=(ToolCallDelta(block.place, arguments=piece),))

    def _block_stop(self, index: object) -> ChatChunk | None:
        block = self._blocks.pop(index, None)
        if block is None:
            return None
        if block.kind in ("thinking", "redacted_thinking"):
            return ChatChunk(thinking=(signed_block(block.start),))
        if block.kind != "tool_use":
            return None
        arguments = "".join(block.arguments)
        if not arguments.strip():  # not streamed: they are in the block's start event, or there are none
            given = json_text(as_map(block.start.get("input")))
            return ChatChunk(tool_calls=(ToolCallDelta(block.place, arguments=given),))
        if not is_arguments(arguments):
            self._blocks[index] = block  # the stop reason will show whether it was cut at the token limit
        return None

    def _open_calls(self) -> tuple[ToolCallDelta, ...]:
        """The ends of tool calls without `content_block_stop`. Raises MalformedAnswer if their arguments are incomplete."""
        found: list[ToolCallDelta] = []
        for index, block in list(self._blocks.items()):
            if block.kind != "tool_use":
                continue
            if not is_arguments("".join(block.arguments)) and finish_reason_of(self.reason) != "length":
                raise MalformedAnswer(f"the arguments of the tool call {block.start.get('name')} are not a JSON object")
            chunk = self._block_stop(index) if not block.arguments else None
            found += chunk.tool_calls if chunk is not None else ()
        return tuple(found)

    def finish(self) -> ChatChunk:
        """The last chunk. Raises EmptyAnswer, IncompleteAnswer, MalformedAnswer, or InBandError for a refusal."""
        if not self.reason:
            if not self.seen:
                raise EmptyAnswer("the stream ended before the first event")
            raise IncompleteAnswer("the stream ended without a stop_reason")
        body: Json = {"type": "message", **self._ending, "stop_reason": self.reason}
        usage = usage_of(self._usage)
        finish_reason = finish_of(body, self._request, usage, has_content=self._content)
        return ChatChunk(
            tool_calls=self._open_calls(),
            finish_reason=finish_reason,
            usage=usage,
            model=as_text(self._message.get("model")),
            id=as_text(self._message.get("id")),
        )
