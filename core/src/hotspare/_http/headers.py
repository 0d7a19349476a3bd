"""Headers whose values no repr shows: not in a traceback with locals, not in `vars()`, here and in the HTTP libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hotspare.secret import HiddenStr, is_secret_name


class Headers:
    """The headers of a request. `reveal` gives them to the HTTP library, at the last moment."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields: dict[str, str] = {
            name: HiddenStr(value) if is_secret_name(name) else value for name, value in fields.items()
        }

    def reveal(self) -> list[tuple[bytes, bytes]]:
        """Names and values, as httpx keeps them."""
        return [(name.encode(), value.encode()) for name, value in self._fields.items()]

    def __repr__(self) -> str:
        return f"Headers({self._fields})"


def revealed(headers: Mapping[str, str] | Headers) -> Any:
    """What httpx takes as headers."""
    return headers.reveal() if isinstance(headers, Headers) else headers
