"""Detects test tools that replace the network."""

from __future__ import annotations

import sys
from typing import Any


def is_httpx_replaced() -> bool:
    """Whether vcrpy, respx or pytest-httpx has replaced a function of httpx's transport.

    Requests then go through httpx, so that recordings and mocks work without a setting. Looked up in each call: it costs
    half a microsecond, and nothing is imported.
    """
    httpx: Any = sys.modules.get("httpx")
    if httpx is None:
        return False
    # With defaults, because another thread may be importing httpx, so that a part of it is missing.
    function = getattr(getattr(httpx, "HTTPTransport", None), "handle_request", None)
    httpcore: Any = sys.modules.get("httpcore")
    pooled = getattr(getattr(httpcore, "ConnectionPool", None), "handle_request", None)
    return _is_foreign(function, "httpx") or _is_foreign(pooled, "httpcore")


def _is_foreign(function: Any, library: str) -> bool:
    """Whether a function of `library` was replaced by one whose code is in another package."""
    if function is None:
        return False
    code = getattr(function, "__code__", None)
    return code is None or library not in code.co_filename.replace("\\", "/").split("/")[-3:]
