"""Halves of surrogate pairs. JSON may escape a character beyond U+FFFF as two halves; relays that cut a text by UTF-16 units send
them in two events. A single half is not a character: it cannot be encoded, and is never emitted."""

import re
from collections.abc import Hashable
from dataclasses import replace

from hotspare.errors import MalformedAnswer
from hotspare.messages import ChatChunk, ChatReply, FinishReason

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF = ("\ud800", "\udbff")


def _join(text: str) -> str:
    """The text with its pairs joined. Raises MalformedAnswer for a half without its pair."""
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if _HALF.search(joined):
        raise MalformedAnswer("the answer contains half a surrogate pair")
    return joined


class SurrogateJoiner:
    """Joins pairs whose halves come in two events of one stream."""

    def __init__(self) -> None:
        self.held: dict[Hashable, str] = {}
        """The first half of a pair, by the kind of text in which the second half must follow."""

    def feed(self, chunk: ChatChunk) -> ChatChunk:
        """The chunk without the first half that may end it. Raises MalformedAnswer for a half without its pair."""
        calls = (replace(call, arguments=self._text(call.arguments, ("call", call.index))) for call in chunk.tool_calls)
        return replace(
            chunk,
            text=self._text(chunk.text, "text"),
            reasoning=self._text(chunk.reasoning, "reasoning"),
            refusal=self._text(chunk.refusal, "refusal"),
            tool_calls=tuple(calls),
        )

    def _text(self, text: str, kind: Hashable) -> str:
        text = (self.held.pop(kind, "") + text) if text else text
        if not _HALF.search(text):
            return text
        if _FIRST_HALF[0] <= text[-1] <= _FIRST_HALF[1]:
            self.held[kind], text = text[-1], text[:-1]
        return _join(text)

    def end(self, finish_reason: FinishReason | None) -> None:
        """Check the end of the stream. A remaining half raises MalformedAnswer, except at the token limit, which may split a pair."""
        if self.held and finish_reason != "length":
            raise MalformedAnswer("the answer ends with half a surrogate pair")


def joined_reply(reply: ChatReply) -> ChatReply:
    """A whole answer without halves. Raises MalformedAnswer as the stream would."""
    texts = (reply.text, reply.reasoning, reply.refusal or "", *(call.arguments for call in reply.tool_calls))
    if all(map(str.isascii, texts)) or not any(map(_HALF.search, texts)):
        return reply
    joiner = SurrogateJoiner()
    joined = joiner.feed(ChatChunk(text=reply.text, reasoning=reply.reasoning, refusal=reply.refusal or ""))
    calls = tuple(replace(call, arguments=_join(call.arguments)) for call in reply.tool_calls)
    joiner.end(reply.finish_reason)
    return replace(
        reply, text=joined.text, reasoning=joined.reasoning, refusal=joined.refusal or None, tool_calls=calls
    )
