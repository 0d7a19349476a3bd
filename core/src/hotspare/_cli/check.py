"""`hotspare check`."""

from __future__ import annotations

from typing import Annotated

import typer

from hotspare import Pool
from hotspare._cli.options import ConfigArgument, JsonOption, ProbeDeadlineOption, config_file
from hotspare._cli.probe import print_probes, probe_targets
from hotspare._cli.tables import console
from hotspare._config.loader import load

HELP = """Validate a configuration, print the order of targets, and send a short request to each of them.

Every mistake is reported with its location in the file. With --no-probe no request is sent.
"""


def run(
    config: ConfigArgument = None,
    probe: Annotated[bool, typer.Option(help="Send a short request to each target.")] = True,
    deadline: ProbeDeadlineOption = 20.0,
    as_json: JsonOption = False,
) -> None:
    """See `HELP`."""
    path = config_file(config)
    with Pool.from_config(path) as pool:
        if not as_json:
            console().print(str(pool.explain()), markup=False, highlight=False)
    if probe:
        found = load(path)
        raise typer.Exit(print_probes(found.targets, probe_targets(found, deadline), as_json=as_json))
    if as_json:
        print_probes((), (), as_json=True)
