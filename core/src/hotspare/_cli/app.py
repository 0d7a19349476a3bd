"""The subcommands, and how they are loaded."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from hotspare import __version__

COMMANDS = {
    "drill": "Rehearse an outage with real HTTP calls to an embedded provider: no API key, no network.",
    "batch": "Answer every line of a JSONL file; started again, it continues where it stopped.",
    "chat": "Send a prompt to a pool and print the answer.",
    "check": "Validate a configuration, print the order of targets, and send a short request to each of them.",
    "prices": "Show the prices of a configuration's targets, and their source.",
    "alerts": "Test alert channels, list what fired, silence rules.",
    "top": "Watch running applications: targets, traffic, latency, limits, events; keys to drain and enable.",
    "report": "Report on a period: success, latency, uptime, rescued calls, outages, cost; text, JSON or HTML.",
    "ledger": "Query the ledger: the latest failures and calls, attempts by target or hour, CSV.",
    "status": "Show a running application's targets, or send a short request to each target of a configuration.",
    "disable": "Stop sending calls to a target of a running application.",
    "enable": "Take a target of a running application back into use.",
    "drain": "Disable a target of a running application, and wait until no attempt is in flight there.",
    "reload": "Switch a running application to another configuration, and print what changes.",
    "reset": "Reset the recorded health of a target of a running application.",
    "simulate": "Replay traffic in virtual time against another configuration: targets, cost, latency, refusals.",
    "replay": "Repeat every decision of a recording, and compare; or see what another policy would decide.",
    "explain": "Explain one call of a recording: each decision, its rule, and why targets were skipped.",
}
"""Every subcommand and its line in the help text. Module `hotspare._cli.<name>` has the function `run` and the text `HELP`."""


class LazyGroup(TyperGroup):
    """Loads a subcommand when it is called; until then it is a placeholder that only the help text needs."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the placeholder by the real command, before its arguments are parsed."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """The command, from its module."""
    module = import_module(f"hotspare._cli.{name}")
    single = typer.Typer(add_completion=False)
    single.command(name, help=_reflowed(module.HELP))(module.run)
    return typer.main.get_command(single)


def _reflowed(text: str) -> str:
    """Without the source's line ends, which would be kept: a paragraph takes the width of the terminal. Brackets are escaped."""
    return escape("\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n")))


def _print_version(value: bool) -> None:
    if value:
        print(f"hotspare {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    help="Keep an application's LLM calls answered while providers, regions, keys and quotas fail. Start with: hotspare drill",
    epilog="Exit codes: 0 success, 1 a target failed or a call was lost, 2 wrong usage or configuration, 130 interrupted.",
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
)  # fmt: skip


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The options of the command itself."""


def _placeholder() -> None:
    """Never called: `LazyGroup` replaces it."""


for _name, _summary in COMMANDS.items():
    app.command(_name, help=_summary)(_placeholder)
