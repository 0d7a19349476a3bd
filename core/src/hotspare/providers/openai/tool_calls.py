"""Streamed tool calls of chat completions: pieces -> ToolCallDeltas with a position, a name and an id."""

from dataclasses import dataclass

from hotspare.messages import ToolCallDelta
from hotspare.providers.json_access import Json, as_map, as_text, load_map
from hotspare.providers.openai.response import arguments_of, generated_id, signature_of


@dataclass(slots=True)
class _Call:
    """A tool call that is being streamed. It is announced once its name is known."""

    index: object
    position: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    announced: bool = False


class ToolCallAccumulator:
    """The pieces of streamed tool calls, assigned to their calls.

    OpenAI gives each piece the index of its call. Some providers omit it, and Google's endpoint sends whole calls that all
    have index 0; then the id tells the calls apart.
    """

    def __init__(self) -> None:
        self.calls: list[_Call] = []

    def add(self, piece: Json, response_id: str) -> ToolCallDelta | None:
        """What is new in this piece; None while the call has no name, and for a repetition."""
        function = as_map(piece.get("function")) or as_map(piece.get("custom"))
        name, call_id = as_text(function.get("name")), as_text(piece.get("id"))
        call = self._find(piece.get("index"), call_id, name)
        call.id = call.id or call_id
        call.name = call.name or name
        new = arguments_of(function.get("arguments", function.get("input")))
        call.arguments += new
        if not call.name:
            return None
        if call.announced:
            return ToolCallDelta(call.position, arguments=new) if new else None
        call.announced = True
        call.id = call.id or generated_id(response_id, call.position, call.name)
        return ToolCallDelta(call.position, call.id, call.name, call.arguments, signature_of(piece))

    def _find(self, index: object, call_id: str, name: str) -> _Call:
        last = self.calls[-1] if self.calls else None
        if index is not None:
            found = next((call for call in reversed(self.calls) if call.index == index), None)
            is_other = found is not None and name and found.name and call_id and found.id and call_id != found.id
            if found is not None and not is_other:
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

    def missing_arguments(self) -> tuple[ToolCallDelta, ...]:
        """An empty object for each call that has no arguments."""
        return tuple(ToolCallDelta(call.position, arguments="{}") for call in self.calls if not call.arguments)

    def has_unnamed(self) -> bool:
        """Whether a call has no name."""
        return any(not call.name for call in self.calls)

    def all_valid(self) -> bool:
        """Whether all arguments are complete JSON objects."""
        return all(not call.arguments or load_map(call.arguments) is not None for call in self.calls)
