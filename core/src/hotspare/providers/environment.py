"""A provider's settings in the environment variables that its own SDK reads.

Sources: openai 2.54 (`_client.py`), anthropic 2.12 (`_client.py`, `lib/_env.py`), google-genai 3.4, groq 1.7, together 3.1,
fireworks-ai 1.2, ollama 0.6.
"""

import os
import re
from collections.abc import Mapping

from hotspare.errors import ConfigError, Problem

_PATHS = {"ollama": "/v1", "groq": "/openai/v1", "fireworks": "/v1"}
"""The path that the SDKs of these providers append to the base URL of the variable."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def variable(name: str, env: Mapping[str, str] | None) -> str:
    """One variable of `env`, or of the process; "" where it is not set."""
    # The environment is kept in no local variable, because a traceback that shows locals would show all of it.
    return os.environ.get(name, "") if env is None else env.get(name, "")


def address(provider: str, names: tuple[str, ...], env: Mapping[str, str] | None) -> str:
    """The first base URL in these variables; "" where none is set."""
    url = next((found for name in names if (found := variable(name, env).strip())), "")
    if url and provider == "ollama" and "://" not in url:
        url = f"http://{url}"
    url = url.rstrip("/")
    return f"{url}{_PATHS[provider]}" if url and provider in _PATHS and not url.endswith("/v1") else url


def headers_in(name: str, env: Mapping[str, str] | None) -> dict[str, str]:
    """The headers in a variable, one `Name: value` a line, with their names in lower case. Other lines are skipped, as the SDKs do."""
    lines = (line.partition(":") for line in variable(name, env).split("\n"))
    return {header.strip().lower(): value.strip() for header, colon, value in lines if colon}


def check_headers(name: str, headers: Mapping[str, str]) -> None:
    """Raise ConfigError for a part of the variable `name` that cannot be a header. The message contains no value."""
    for header, value in headers.items():
        if not (_NAME.fullmatch(header) and value.isascii() and value.isprintable()):
            hint = "must be one 'Name: value' a line, in printable ASCII"
            raise ConfigError(Problem(f"the environment variable {name}: header {header!r}: {hint}"))
