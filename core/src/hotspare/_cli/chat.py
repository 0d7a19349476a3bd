"""`hotspare chat`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from hotspare import AttemptRecord, ChatReply, ConfigError, Pool, Problem
from hotspare._cli.options import ConfigOption, JsonOption, config_file
from hotspare._cli.output import WaitingNotice, printable
from hotspare.ledger import Ledger, default_path

HELP = """Send a prompt to a pool and print the answer. The attempts are printed to stderr, and recorded in the ledger (`hotspare ledger`).

Example: hotspare chat "What is a hot spare?" --target openai/gpt-4.1 --target anthropic/claude-sonnet-4-20250514
"""


def run(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from stdin.")],
    config: ConfigOption = None,
    target: Annotated[
        list[str] | None, typer.Option(help="provider/model, instead of a configuration. May be repeated.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A route, an alias or the name of a target.")] = None,
    stream: Annotated[bool, typer.Option(help="Print the answer while it is received.")] = True,
    deadline: Annotated[float | None, typer.Option(help="Deadline of the call in seconds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """See `HELP`."""
    text = sys.stdin.read() if prompt == "-" else prompt
    options: dict[str, Any] = {"model": model} if model else {}
    if deadline is not None:
        options["deadline"] = deadline
    if target and config is not None:
        raise ConfigError(Problem.at("--target", list(target), "cannot be combined with --config: give one of them"))
    pool = Pool(target) if target else Pool.from_config(config_file(config, "--target openai/gpt-4.1"))
    attempts: tuple[AttemptRecord, ...] = ()
    if (path := default_path()) is not None:
        Ledger(path).attach(pool)
    with pool, WaitingNotice(pool) as waiting:
        if as_json or not stream:
            reply = pool.chat(text, **options)
            waiting.done()
            print(json.dumps(_as_dict(reply), ensure_ascii=False) if as_json else reply.text)
            attempts = reply.attempts
        else:
            for chunk in pool.stream(text, **options):
                waiting.done()
                sys.stdout.write(chunk.text)
                sys.stdout.flush()
                attempts = chunk.summary.attempts if chunk.summary else attempts
            print()
    for attempt in attempts:
        print(printable(f"{attempt.number}. {attempt}"), file=sys.stderr)


def _as_dict(reply: ChatReply) -> dict[str, Any]:
    return {
        "text": reply.text, "target": reply.target, "model": reply.model, "finish_reason": reply.finish_reason,
        "usage": asdict(reply.usage), "cost": reply.cost, "attempts": [attempt.as_dict() for attempt in reply.attempts],
    }  # fmt: skip
