"""The request that is handed to httpx. Its repr, which tracebacks with locals show, has no query: that may hold a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from hotspare._http.headers import Headers, revealed
from hotspare.secret import Secret, reveal, shown_url


class _Request(httpx.Request):
    def __repr__(self) -> str:
        return f"<Request({self.method!r}, {shown_url(str(self.url))!r})>"


def build_request(
    client: Any, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes, timeout: float
) -> httpx.Request:
    """A request with the client's own headers added to these."""
    request: httpx.Request = client.build_request(
        method, str(reveal(url)), headers=revealed(headers), content=body, timeout=timeout
    )
    request.__class__ = _Request
    return request
