"""Fewer tokens for the same request: the history trimmed to a size, white space and repetitions taken out of prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from hotspare._cost.tokens import prompt_tokens
from hotspare.messages import ChatRequest, Message

Reducer = Callable[[ChatRequest], ChatRequest]
"""Makes a request of another one, before it is sent. What it raises, the call raises."""
_KEPT_ROLES = frozenset({"system", "developer"})
_FENCED_JSON = re.compile(r"(```json\s*\n)(.*?)(\n\s*```)", re.S)
_CODE = re.compile(r"(```.*?(?:```|\Z))", re.S)
LEAST_REPEATED = 200
"""Characters from which a passage that stood in the prompt before is replaced by a reference: shorter ones save nothing."""
REPEATED = "[as above]"
"""What stands in the place of a repeated passage."""


def trim_history(
    messages: Sequence[Message],
    max_tokens: int,
    *,
    model: str = "",
    pinned: Callable[[Message], bool] | None = None,
) -> list[Message]:
    """The messages without the oldest turns, so that they have an estimated `max_tokens` tokens at most.

    A turn is a user's message and all that follows up to the next one, so that no tool result loses its call. System messages,
    messages for which `pinned` is true, with their turn, and the last turn are always kept: they may be longer than `max_tokens`.
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
            total -= _tokens(rest, model)
    return [
        message
        for keep, turn in zip(kept, turns, strict=True)
        for message in turn
        if keep or message.get("role") in _KEPT_ROLES
    ]


def _tokens(messages: Sequence[Message], model: str) -> int:
    return prompt_tokens(ChatRequest(messages=messages), model)


def compact_prompt(request: ChatRequest) -> ChatRequest:
    """The request with shorter texts: fenced JSON without white space, no blanks at the ends of lines and no runs of them or of
    empty lines outside of code, and paragraphs of 200 characters and more that were there before replaced by "[as above]".

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
    pieces = _CODE.split(_FENCED_JSON.sub(_minified, text))  # every second one is code
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
