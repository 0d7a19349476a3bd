"""Fewer tokens for the same request: `trim_history` removes old turns, `compact_prompt` removes white space and repetitions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from hotspare._cost.tokens import prompt_tokens
from hotspare.messages import ChatRequest, Message

Reducer = Callable[[ChatRequest], ChatRequest]
"""Returns a request to be sent in place of this one. The call raises its exceptions."""
_KEPT_ROLES = frozenset({"system", "developer"})
_FENCED_JSON = re.compile(r"(```json\s*\n)(.*?)(\n\s*```)", re.S)
_CODE = re.compile(r"(```.*?(?:```|\Z))", re.S)
_NEXT: Message = {"role": "user"}
"""The turn that follows: with it, an older turn is counted as a part of a history."""
LEAST_REPEATED = 200
"""Shortest passage, in characters, that is replaced by a reference when it is repeated: shorter ones save nothing."""
REPEATED = "[as above]"
"""The text that replaces a repeated passage."""


def trim_history(
    messages: Sequence[Message],
    max_tokens: int,
    *,
    model: str = "",
    pinned: Callable[[Message], bool] | None = None,
) -> list[Message]:
    """The messages without the oldest turns, so that they have an estimated `max_tokens` tokens at most.

    A turn is a user's message and all that follows up to the next one, so that no tool result loses its call. Always kept are
    system messages, the last turn, and every turn with a message for which `pinned` is true: together they may exceed `max_tokens`.
    """
    turns: list[list[Message]] = [[]]
    for message in messages:
        if message.get("role") == "user" and turns[-1] and turns[-1][-1].get("role") != "user":
            turns.append([])
        turns[-1].append(message)
    kept = [True] * len(turns)
    total = _tokens(messages, model)
    for place, turn in enumerate(turns[:-1]):
        if total <= max_tokens:
            break
        rest = [message for message in turn if message.get("role") not in _KEPT_ROLES]
        if rest and not (pinned is not None and any(map(pinned, turn))):
            kept[place] = False
            total -= _tokens([*rest, _NEXT], model) - _tokens([_NEXT], model)
    return [
        message
        for keep, turn in zip(kept, turns, strict=True)
        for message in turn
        if keep or message.get("role") in _KEPT_ROLES
    ]


def _tokens(messages: Sequence[Message], model: str) -> int:
    return prompt_tokens(ChatRequest(messages=messages), model)


def compact_prompt(request: ChatRequest) -> ChatRequest:
    """The request with shorter texts. Fenced JSON loses its white space. Outside of code, blanks at the ends of lines are removed, and
    runs of blanks or of empty lines are reduced to one. A repeated paragraph of 200 or more characters becomes "[as above]".

    A reducer for `Policy.reduce`. Messages of assistants and results of tools are sent as they are.
    """
    seen: set[str] = set()
    return replace(request, messages=[_compacted(message, seen) for message in request.messages])


def _compacted(message: Message, seen: set[str]) -> Message:
    if message.get("role") not in {"user", *_KEPT_ROLES}:
        return message
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": _shorter(content, seen)}
    if not isinstance(content, Sequence):
        return message
    parts = [_compacted_part(part, seen) for part in cast("Sequence[object]", content)]
    return {**message, "content": parts}


def _compacted_part(part: object, seen: set[str]) -> object:
    if isinstance(part, str):
        return _shorter(part, seen)
    fields = cast("Mapping[str, Any]", part)
    text = fields.get("text")
    return {**fields, "text": _shorter(text, seen)} if isinstance(text, str) else part


def _shorter(text: str, seen: set[str]) -> str:
    pieces = _CODE.split(_FENCED_JSON.sub(_minified, text))  # every second part is code
    for place in range(0, len(pieces), 2):
        plain = re.sub(r"[ \t]+\n", "\n", pieces[place])
        plain = re.sub(r"(?<=\S)[ \t]{2,}", " ", plain)
        pieces[place] = re.sub(r"\n{3,}", "\n\n", plain)
    return "\n\n".join(_once(paragraph, seen) for paragraph in "".join(pieces).split("\n\n"))


def _once(paragraph: str, seen: set[str]) -> str:
    if len(paragraph) < LEAST_REPEATED:
        return paragraph
    if paragraph in seen:
        return REPEATED
    seen.add(paragraph)
    return paragraph


def _minified(found: re.Match[str]) -> str:
    try:
        text = json.dumps(json.loads(found[2]), separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        return found[0]
    return found[1] + text + found[3]
