"""A streamed chat completion -> ChatChunk. Proof of completion: a finish reason, or `[DONE]` where a flavor says so."""

from dataclasses import dataclass
from typing import Any

from hotspare.errors import EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatChunk, ChatRequest, ToolCallDelta
from hotspare.providers.json_access import Json, as_list, as_map, as_maps, as_text, is_map, load_map
from hotspare.providers.openai.flavors import Flavor
from hotspare.providers.openai.response import (
    arguments_of,
    finish_of,
    made_up_id,
    raise_broken,
    raise_in_band,
    reasoning_text,
    signature_of,
    signed,
    split_content,
    usage_of,
)


@dataclass(slots=True)
class _Call:
    """A call that is being streamed. Nothing of it is shown before its name is known."""

    key: object
    place: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    shown: bool = False


class CallGatherer:
    """Streamed tool calls, whoever streams them.

    OpenAI gives each piece the call's index. Some leave it out, and Google's endpoint sends whole calls that all have
    index 0; then the id tells the calls apart.
    """

    def __init__(self) -> None:
        self.calls: list[_Call] = []

    def take(self, piece: Json, response_id: str) -> ToolCallDelta | None:
        """What is new in this piece; None while the call has no name yet, and for repetitions."""
        function = as_map(piece.get("function")) or as_map(piece.get("custom"))
        name, call_id = as_text(function.get("name")), as_text(piece.get("id"))
        call = self._find(piece.get("index"), call_id, name)
        call.id = call.id or call_id
        call.name = call.name or name
        new = arguments_of(function.get("arguments", function.get("input")))
        call.arguments += new
        if not call.name:
            return None
        if call.shown:
            return ToolCallDelta(call.place, arguments=new) if new else None
        call.shown = True
        call.id = call.id or made_up_id(response_id, call.place, call.name)
        return ToolCallDelta(call.place, call.id, call.name, call.arguments, signature_of(piece))

    def _find(self, index: object, call_id: str, name: str) -> _Call:
        last = self.calls[-1] if self.calls else None
        if index is not None:
            found = next((call for call in reversed(self.calls) if call.key == index), None)
            another = found is not None and name and found.name and call_id and found.id and call_id != found.id
            if found is not None and not another:
                return found
        elif call_id:
            found = next((call for call in self.calls if call.id == call_id), None)
            if found is not None:
                return found
            if last is not None and not last.id and not (name and last.name):
                return last
        elif last is not None and not (name and last.name):
            return last
        self.calls.append(_Call(index, len(self.calls)))
        return self.calls[-1]

    def rest(self) -> tuple[ToolCallDelta, ...]:
        """What calls without arguments lack: an empty object."""
        return tuple(ToolCallDelta(call.place, arguments="{}") for call in self.calls if not call.arguments)

    def nameless(self) -> bool:
        """Whether a call never got its name."""
        return any(not call.name for call in self.calls)

    def parse(self) -> bool:
        """Whether all arguments are whole JSON objects."""
        return all(not call.arguments or load_map(call.arguments) is not None for call in self.calls)


class OpenAIReader:
    """Reads one streamed answer. Only the first choice is read."""

    def __init__(self, flavor: Flavor, request: ChatRequest) -> None:
        self._flavor = flavor
        self._request = request
        self._calls = CallGatherer()
        self._details: dict[tuple[Any, ...], Json] = {}
        self._usage: Json = {}
        self._id = self._model = self._reason = ""
        self._content = self._done = self._seen = False
        self._malformed: MalformedAnswer | None = None

    def event(self, name: str, data: str) -> ChatChunk | None:
        """What is new in this event.

        A malformed event is remembered and passed over: `finish` raises it unless the stream proves complete. An
        error raises, unless the answer had its finish reason before: OpenRouter sends "Token limit reached" after
        `length`.
        """
        body = load_map(data)
        if body is None:
            if data.strip() == "[DONE]":
                self._done = True
            elif data.strip():
                self._malformed = MalformedAnswer("an event that is no JSON object", body=_bytes(data))
            return None
        text = self._plain(body) if self._seen and not self._reason else ""
        if text:
            self._content = True
            return ChatChunk(text=text)
        self._seen = True
        if not self._reason:
            if name == "error" and "error" not in body:
                raise InBandError(as_text(body.get("message")) or "an error event", body=_bytes(data))
            raise_in_band(body)
        self._id = self._id or as_text(body.get("id"))
        self._model = as_text(body.get("model")) or self._model
        usage = body.get("usage") or as_map(body.get("x_groq")).get("usage")
        if usage:
            self._usage = as_map(usage)
        choices = body.get("choices")
        if not choices:
            return None
        choice = next(
            (as_map(item) for item in as_list(choices) if is_map(item) and not as_map(item).get("index")), None
        )
        if choice is None:
            if not as_maps(choices):
                self._malformed = MalformedAnswer("choices without a choice", body=_bytes(data))
            return None
        return self._choice(choice, data)

    def _plain(self, body: Json) -> str:
        """The text of an event that brings a piece of text and nothing else, as nearly all do; else "".

        A shortcut: the way through `_choice` takes four times as long and reads the same.
        """
        choices: Any = body.get("choices")
        if not _is(choices, list) or len(choices) != 1 or "error" in body or body.get("usage") or "x_groq" in body:
            return ""
        choice: Any = choices[0]
        if not _is(choice, dict) or choice.get("finish_reason") or choice.get("index") or "error" in choice:
            return ""
        delta: Any = choice.get("delta")
        if not _is(delta, dict) or choice.get("usage") or len(delta) > 1 + ("role" in delta):
            return ""
        text: object = delta.get("content")
        return text if isinstance(text, str) else ""

    def _choice(self, choice: Json, data: str) -> ChatChunk | None:
        self._reason = as_text(choice.get("finish_reason")) or self._reason
        if choice.get("usage"):
            self._usage = as_map(choice["usage"])
        raw = choice.get("delta") or choice.get("message")
        if raw and not is_map(raw):
            self._malformed = MalformedAnswer("a delta that is no JSON object", body=_bytes(data))
        delta = as_map(raw)
        text, inline = split_content(delta.get("content"))
        chunk = ChatChunk(
            text=text,
            reasoning=reasoning_text(delta) or inline,
            refusal=as_text(delta.get("refusal")),
            tool_calls=self._pieces(delta) if "tool_calls" in delta or "function_call" in delta else (),
        )
        if self._flavor.signer and "reasoning_details" in delta:
            self._gather(as_maps(delta["reasoning_details"]))
        self._content = self._content or bool(text or chunk.tool_calls or chunk.refusal)
        return chunk if chunk.is_content else None

    def _pieces(self, delta: Json) -> tuple[ToolCallDelta, ...]:
        pieces = as_maps(delta.get("tool_calls"))
        legacy = as_map(delta.get("function_call"))
        if not pieces and (legacy.get("name") or legacy.get("arguments")):
            pieces = [{"index": 0, "function": legacy}]
        deltas = [self._calls.take(piece, self._id) for piece in pieces]
        return tuple(piece for piece in deltas if piece is not None)

    def _gather(self, details: list[Json]) -> None:
        for detail in details:
            key = (detail.get("index"), detail.get("type"))
            whole = self._details.setdefault((str(key[0]), str(key[1])), {})
            for field, value in detail.items():
                if value is not None:
                    grows = field in ("text", "summary", "data", "signature") and isinstance(value, str)
                    whole[field] = as_text(whole.get(field)) + value if grows else value

    def finish(self) -> ChatChunk:
        """The last chunk. Raises EmptyAnswer, IncompleteAnswer, MalformedAnswer, or InBandError for a block."""
        raise_broken(self._reason, {"id": self._id})
        proven = bool(self._reason) or (
            self._done and self._flavor.done_proves and self._content and self._calls.parse()
        )
        if self._malformed is not None and (not proven or not self._calls.parse()):
            raise self._malformed
        if not self._seen:
            raise EmptyAnswer("the stream ended before its first event")
        if not proven:
            raise IncompleteAnswer("the stream ended without a finish_reason")
        if self._calls.nameless():
            raise MalformedAnswer("a tool call without a name")
        body: Json = {"id": self._id, "choices": [{"finish_reason": self._reason or None}]}
        calls = bool(self._calls.calls)
        return ChatChunk(
            tool_calls=self._calls.rest(),
            thinking=signed(list(self._details.values()), self._flavor.signer),
            finish_reason=finish_of(self._reason, content=self._content, calls=calls, request=self._request, body=body),
            usage=usage_of(self._usage),
            model=self._model,
            id=self._id,
        )


def _is(value: object, kind: type) -> bool:
    return type(value) is kind


def _bytes(data: str) -> bytes:
    return data[:65536].encode("utf-8", "replace")
