"""Sends a notice to the channels of a configuration immediately, and prints the result of each."""

from __future__ import annotations

from pathlib import Path

from hotspare._cli.options import config_file
from hotspare._cli.output import printable
from hotspare._config.loader import load
from hotspare.errors import ConfigError, Problem
from hotspare.monitor.channels import Notice


def send_to_channels(config: Path | None, notice: Notice) -> int:
    """Returns the exit code: 1 if a channel failed. Raises ConfigError if the configuration has no channel."""
    found = load(config_file(config)).monitor
    if found is None or not found.channels:
        raise ConfigError(Problem("monitor.channels: there is none; add [[monitor.channels]] to the configuration"))
    failed = 0
    for channel in found.channels:
        try:
            channel.send(notice)
            print(printable(f"{channel.name}: delivered"))
        except Exception as error:  # a mail server or Apprise may raise anything
            failed = 1
            print(printable(f"{channel.name}: failed: {type(error).__name__}: {error}"))
    return failed
