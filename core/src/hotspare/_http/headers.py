"""Headers whose values no repr shows: not in a traceback with locals, not in `vars()`, here and in the HTTP libraries."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping

from hotspare.secret import HiddenStr, is_secret_name


class Headers:
    """The headers of a request. `items` and `reveal` give them to the HTTP library, at the last moment."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields: dict[str, str] = {
            name: HiddenStr(value) if is_secret_name(name) else value for name, value in fields.items()
        }

    def items(self) -> ItemsView[str, str]:
        """Names and values."""
        return self._fields.items()

    def reveal(self) -> list[tuple[bytes, bytes]]:
        """Names and values, as httpx keeps them."""
        return [(name.encode(), value.encode()) for name, value in self._fields.items()]

    def __repr__(self) -> str:
        return f"Headers({self._fields})"
