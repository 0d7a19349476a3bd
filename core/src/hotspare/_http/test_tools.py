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
    # httpx is looked at as it is: another thread may be importing it.
    function = getattr(getattr(httpx, "HTTPTransport", None), "handle_request", None)
    httpcore: Any = sys.modules.get("httpcore")
    pooled = getattr(getattr(httpcore, "ConnectionPool", None), "handle_request", None)
    return _is_foreign(function, "httpx") or _is_foreign(pooled, "httpcore")


def _is_foreign(function: Any, library: str) -> bool:
    if function is None:
        return False
    code = getattr(function, "__code__", None)
    return code is None or library not in code.co_filename.replace("\\", "/").split("/")[-3:]
