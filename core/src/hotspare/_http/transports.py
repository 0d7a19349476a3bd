"""The names of the transports, and the check of the argument `transport`."""

from __future__ import annotations

from typing import Any

from hotspare.errors import ConfigError, Problem

TRANSPORTS = ("auto", "httpx")
_HTTPX_METHODS = ("handle_request", "handle_async_request")


def check_transport(transport: Any) -> None:
    """Raises ConfigError for anything but a name in `TRANSPORTS` or an instance of an httpx transport."""
    hint = f"must be one of {', '.join(TRANSPORTS)}"
    if isinstance(transport, str):
        if transport not in TRANSPORTS:
            raise ConfigError(Problem.at("transport", transport, hint))
    elif isinstance(transport, type) or not any(hasattr(transport, name) for name in _HTTPX_METHODS):
        raise ConfigError(Problem.at("transport", transport, f"{hint}, or an instance of an httpx transport"))
