"""Reads a request's parts, whose shape is the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast


def field_of(value: object, *names: str) -> object:
    """The field at this path of nested mappings; None if the path does not exist."""
    for name in names:
        value = cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None
    return value
