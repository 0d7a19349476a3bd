"""Headers whose values no repr shows, neither in tracebacks with locals nor in `vars()`, here and in the HTTP libraries."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping

from hotspare._http.http1 import header_lines
from hotspare.secret import HiddenStr, is_secret_name


class Headers:
    """The headers of a request. Their plain values are passed only to the HTTP library, when the request is sent."""

    __slots__ = ("_fields", "_lines")

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields: dict[str, str] = {
            name: HiddenStr(value) if is_secret_name(name) else value for name, value in fields.items()
        }
        self._lines: HiddenStr | None = None

    def items(self) -> ItemsView[str, str]:
        """Names and values."""
        return self._fields.items()

    @property
    def lines(self) -> HiddenStr:
        """The header lines of HTTP/1.1, formatted once for all requests with these headers. Raises ValueError."""
        if self._lines is None:
            self._lines = HiddenStr(header_lines(self._fields.items()))
        return self._lines

    def reveal(self) -> list[tuple[bytes, bytes]]:
        """Names and values, as httpx keeps them."""
        return [(name.encode(), value.encode()) for name, value in self._fields.items()]

    def __repr__(self) -> str:
        return f"Headers({self._fields})"
