"""Copies of the frozen values that a call makes for each answer and each chunk: what `dataclasses` does, without its checks.

For frozen dataclasses without slots whose fields have plain defaults, which stand on the class: an instance holds only the fields
that differ. A stream of 50 tokens makes 50 chunks of one field; `ChatChunk(text=…)` would set fourteen.
"""

from typing import Any, TypeVar

from hotspare.messages import ChatChunk, ChatReply

_Value = TypeVar("_Value", ChatChunk, ChatReply)
_new = object.__new__


def text_chunk(text: str) -> ChatChunk:
    """`ChatChunk(text=text)`, in an eighth of its time."""
    chunk = _new(ChatChunk)
    chunk.__dict__["text"] = text
    return chunk


def changed(value: _Value, **fields: Any) -> _Value:
    """`dataclasses.replace(value, **fields)`, in an eighth of its time. The names are not checked."""
    copy = _new(type(value))
    copy.__dict__.update(value.__dict__, **fields)
    return copy
