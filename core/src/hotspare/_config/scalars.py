"""Single values of a configuration: strings, numbers, bools and choices, some of them from environment variables."""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, Self, TypeGuard, get_args, get_origin

_TYPE_NAMES: Mapping[Any, str] = {str: "a string", bool: "true or false", int: "an integer", float: "a number"}


class FromEnv(str):
    """A string that holds an environment variable's value. Its repr shows `${NAME}` instead; it may be read as a number or a bool."""

    __slots__ = ("source",)
    source: str

    def __new__(cls, value: str, source: str) -> Self:
        """`value`: the expanded string. `source`: what the file says (`${NAME}`)."""
        self = super().__new__(cls, value)
        self.source = source
        return self

    def __repr__(self) -> str:
        return repr(self.source)


UNRESOLVED = FromEnv("", "")
"""Stands for a value whose variable is missing: that has been reported, and further checks skip the value."""


def is_table(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether `value` is a table: a dict, or another mapping."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether `value` is a list or tuple; a string is not."""
    return isinstance(value, list | tuple)


def unwrap(raw: Any) -> Any:
    """Free-form data (`extra`) with plain strings in place of FromEnv."""
    if isinstance(raw, FromEnv):
        return str(raw)
    if is_table(raw):
        return {key: unwrap(value) for key, value in raw.items()}
    return [unwrap(item) for item in raw] if is_list(raw) else raw


def scalar(annotation: Any, raw: Any) -> Any:
    """`raw` as a string, number, bool or one of the annotation's choices; None if it is none of these."""
    if get_origin(annotation) is Literal:
        return str(raw) if isinstance(raw, str) and raw in get_args(annotation) else None
    if issubclass(annotation, StrEnum):
        return annotation(raw) if isinstance(raw, str) and raw in list(annotation) else None
    if annotation is str:
        return str(raw) if isinstance(raw, str) else None
    return _bool(raw) if annotation is bool else _number(annotation, raw)


def _bool(raw: Any) -> bool | None:
    if isinstance(raw, FromEnv):
        return {"true": True, "false": False}.get(raw.lower())
    return raw if isinstance(raw, bool) else None


def _number(annotation: type, raw: Any) -> Any:
    if isinstance(raw, FromEnv):
        try:
            raw = annotation(raw)
        except ValueError:
            return None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    if annotation is int:
        return raw if isinstance(raw, int) else None
    try:
        number = float(raw)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def describe(annotation: Any) -> str:
    """What a value of this annotation must be, for messages: `a number`, `one of wait, stream`."""
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(str(choice) for choice in get_args(annotation))}"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return f"one of {', '.join(annotation)}"
    return _TYPE_NAMES.get(annotation, "a table")
