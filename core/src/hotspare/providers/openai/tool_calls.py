"""Streamed tool calls of chat completions: pieces -> ToolCallDeltas with a position, a name and an id."""

from collections.abc import Iterator
from dataclasses import dataclass

from hotspare.errors import MalformedAnswer
from hotspare.messages import ToolCallDelta
from hotspare.providers.json_access import Json, as_map, as_text, is_arguments
from hotspare.providers.openai.response import arguments_of, generated_id, signature_of


@dataclass(slots=True)
class _Call:
    """A tool call that is being streamed. `is_text`: the input of a custom tool, which is text instead of JSON."""

    index: object
    position: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str | None = None
    announced: bool = False
    is_text: bool = False

    def add_name(self, piece: str) -> None:
        """Add a piece of the name. Some servers send a name in pieces, others repeat the name so far with every piece."""
        if not self.announced:
            self.name = piece if piece.startswith(self.name) else self.name + piece

    def announce(self, response_id: str) -> ToolCallDelta:
        """The first delta, with name and id."""
        self.announced = True
        self.id = self.id or generated_id(response_id, self.position, self.name)
        return ToolCallDelta(self.position, self.id, self.name, self.arguments, self.signature)


class ToolCallAccumulator:
    """Assigns the pieces of streamed tool calls to their calls.

    OpenAI gives each piece the index of its call. Some providers omit it, and Google's endpoint sends whole calls that all
    have index 0; then the id distinguishes the calls. A call is announced once its name is complete: with its first arguments,
    before the next call, or at the end.
    """

    def __init__(self) -> None:
        self.calls: list[_Call] = []

    def add(self, piece: Json, response_id: str) -> Iterator[ToolCallDelta]:
        """The new deltas of this piece: none until the call's name is complete, and none for a repeated piece."""
        custom = "function" not in piece and "custom" in piece
        function = as_map(piece.get("custom" if custom else "function"))
        name, call_id = as_text(function.get("name")), as_text(piece.get("id"))
        known = len(self.calls)
        call = self._find(piece.get("index"), call_id, name)
        if len(self.calls) > known:
            yield from self._announce(self.calls[:known], response_id)
        call.is_text = call.is_text or custom
        call.id = call.id or call_id
        call.signature = call.signature or signature_of(piece)
        if name:
            call.add_name(name)
        new = arguments_of(function.get("arguments", function.get("input")))
        call.arguments += new
        if call.announced and new:
            yield ToolCallDelta(call.position, arguments=new)
        elif new:
            yield from self._announce([call], response_id)

    @staticmethod
    def _announce(calls: list[_Call], response_id: str) -> Iterator[ToolCallDelta]:
        return (call.announce(response_id) for call in calls if call.name and not call.announced)

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

    def end(self, response_id: str) -> tuple[ToolCallDelta, ...]:
        """The last deltas: calls that were not announced yet, and an empty object for each call without arguments."""
        found: list[ToolCallDelta] = []
        for call in self.calls:
            if not call.arguments.strip() and not call.is_text:
                call.arguments = "{}"
                if call.announced:
                    found.append(ToolCallDelta(call.position, arguments="{}"))
            found += self._announce([call], response_id)
        return tuple(found)

    def raise_if_broken(self) -> None:
        """Raise MalformedAnswer for a call without a name, or whose arguments are not JSON."""
        for call in self.calls:
            if not call.name:
                raise MalformedAnswer("a tool call without a name")
            if not (call.is_text or is_arguments(call.arguments)):
                raise MalformedAnswer(f"the arguments of the tool call {call.name} are not a JSON object")

    def all_valid(self) -> bool:
        """Whether all arguments are complete."""
        return all(call.is_text or is_arguments(call.arguments) for call in self.calls)
