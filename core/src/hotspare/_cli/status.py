"""`hotspare status`."""

from __future__ import annotations

import typer

from hotspare._cli.options import ConfigArgument, JsonOption, ProbeDeadlineOption, config_file
from hotspare._cli.probe import print_probes, probe_targets
from hotspare._config.loader import load

HELP = """Send a short request to each target of a configuration, and print which of them answer.

Circuit breakers live in each process: the state that a running application sees is in its own pool.health().
"""


def run(config: ConfigArgument = None, deadline: ProbeDeadlineOption = 20.0, as_json: JsonOption = False) -> None:
    """See `HELP`."""
    found = load(config_file(config))
    raise typer.Exit(print_probes(found.targets, probe_targets(found, deadline), as_json=as_json))
