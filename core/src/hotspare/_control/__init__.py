"""Operates a running pool from another process: a server on loopback, and its client."""

import os
from pathlib import Path

DEFAULT_FILE = "hotspare-status.json"
"""The file in which a pool writes its address, in the directory of the process, unless HOTSPARE_STATUS names another."""


def status_file(given: str | Path | None = None) -> Path:
    """The given file, else the one in HOTSPARE_STATUS, else the default one."""
    return Path(given or os.environ.get("HOTSPARE_STATUS") or DEFAULT_FILE)
