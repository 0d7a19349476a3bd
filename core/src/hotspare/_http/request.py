"""The request that is passed to httpx. Its repr, which tracebacks with locals show, leaves out the query, which may hold a key."""

from __future__ import annotations

import httpx

from hotspare._http.protocol import Request
from hotspare.secret import shown_url


class _Request(httpx.Request):
    def __repr__(self) -> str:
        return f"<Request({self.method!r}, {shown_url(str(self.url))!r})>"


def build_request(client: httpx.Client | httpx.AsyncClient, request: Request, timeout: httpx.Timeout) -> httpx.Request:
    """A request of httpx, with the client's own headers added."""
    built = client.build_request(
        request.method, str(request.url), headers=request.headers.reveal(), content=request.body, timeout=timeout
    )
    built.__class__ = _Request
    return built
