"""`hotspare batch`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from hotspare import ChatReply, ConfigError, Pool, Problem
from hotspare._cli.options import ConfigOption, config_file
from hotspare._cli.output import printable
from hotspare.ledger import Ledger, default_path

HELP = """Answer every line of a JSONL file, and write the answers to another one.

A line is a request, {"custom_id": "1", "messages": […], "temperature": 0}, {"custom_id": "1", "prompt": "…"}, or a line of OpenAI's
batch format, {"custom_id": "1", "body": {"messages": […]}}. Without custom_id it is line-1, line-2 and so on.

Each answer is written when it arrives, in one write. Started again with the same files, the command sends only the unanswered lines:
only requests in flight when it was killed are paid for twice. After Ctrl-C or SIGTERM, requests in flight are finished first; a second
signal ends the command immediately. Failures are written to <output>.errors, and are sent again at the next start. Attempts are
recorded in the ledger (`hotspare ledger`).
"""


_BEGIN = b'{"custom_id"'
"""The beginning of every line of answers."""


def run(
    source: Annotated[Path, typer.Argument(help="JSONL file of requests.")],
    output: Annotated[Path, typer.Argument(help="JSONL file of answers; lines are appended.")],
    config: ConfigOption = None,
    model: Annotated[str | None, typer.Option(help="A route, an alias or the name of a target.")] = None,
    concurrency: Annotated[int, typer.Option(help="Concurrent requests.", min=1)] = 8,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """See `HELP`. Exit code 1 if a line was not answered."""
    requests = read_requests(source)
    done = _answered(output)
    left = {key: request for key, request in requests.items() if key not in done}
    options: dict[str, Any] = {"model": model} if model else {}
    failed, costs = 0, list[float | None]()
    errors = output.with_name(output.name + ".errors")
    keys = list(left)
    with (
        _Stopping(left.values()) as stopping,
        _recorded(Pool.from_config(config_file(config))) as pool,
        _Appender(output) as answers,
    ):
        errors.unlink(missing_ok=True)
        results = pool.map(
            stopping, concurrency=concurrency, ordered=False, progress=_bar(progress, len(left)), **options
        )
        for result in results:
            key = keys[result.index]
            if result.reply is not None:
                answers.add({"custom_id": key, **_as_dict(result.reply)})
                costs.append(result.reply.cost)
            else:
                failed += 1
                with _Appender(errors) as failures:
                    failures.add(
                        {"custom_id": key, "error": printable(str(result.error)), "type": type(result.error).__name__}
                    )
    open_lines = len(requests) - len(_answered(output))
    counts = f"{len(requests) - open_lines} of {len(requests)} answered, {len(done)} before, {failed} failed"
    print(f"{counts}, {_sum(costs)}" + (f"; the failures are in {errors}" if failed else ""), file=sys.stderr)
    raise typer.Exit(130 if stopping.stopped else int(open_lines > 0))


def _sum(costs: Sequence[float | None]) -> str:
    known = [cost for cost in costs if cost is not None]
    return f"{sum(known):.6f} USD" if known or not costs else "cost not known"


def _recorded(pool: Pool) -> Pool:
    """The pool, with the default ledger."""
    if (ledger := default_path()) is not None:
        Ledger(ledger).attach(pool)
    return pool


def _bar(progress: bool, total: int) -> Any:
    return bool(progress and sys.stderr.isatty() and total)


class _Stopping:
    """The requests, until a signal: then no more are started. The next signal ends the command."""

    def __init__(self, requests: Any) -> None:
        self._requests, self.stopped = list(requests), False

    def __enter__(self) -> _Stopping:
        self._handlers = {one: signal.signal(one, self._stop) for one in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._handlers.items():
            signal.signal(one, handler)

    def _stop(self, *_: object) -> None:
        self.stopped = True
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # let the system end the process: an exception would wait for the threads
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        begin = "\n" if sys.stderr.isatty() else ""  # below the progress bar
        words = "finishing requests in flight; a second signal ends the command now, and unfinished requests will be paid for again"
        os.write(sys.stderr.fileno(), f"{begin}{words}\n".encode())

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Any]:
        for request in self._requests:
            if self.stopped:
                return
            yield request


class _Appender:
    """Adds lines to a file, each in one write, so that a killed process leaves no partial line."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigError(Problem.at("output", str(path), f"cannot be written: {error.strerror}")) from None

    def add(self, line: dict[str, Any]) -> None:
        """Add one line."""
        os.write(self._file, json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")

    def __enter__(self) -> _Appender:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def read_requests(path: Path) -> dict[str, dict[str, Any]]:
    """The requests by id. Raises ConfigError for a line that is not a request."""
    found: dict[str, dict[str, Any]] = {}
    try:
        # `splitlines` also splits at U+2028, which JSON allows.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise ConfigError(Problem.at("source", str(path), f"cannot be read: {error.strerror}")) from None
    except UnicodeDecodeError as error:
        raise ConfigError(Problem.at("source", str(path), f"is not UTF-8: byte {error.start} is invalid")) from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            key, request = _request(f"{path}: line {number}", line, f"line-{number}")
            if key in found:
                raise ConfigError(Problem.at(f"{path}: line {number}", key, "is the custom_id of an earlier line"))
            found[key] = request
    return found


def _request(place: str, line: str, key: str) -> tuple[str, dict[str, Any]]:
    try:
        values: Any = json.loads(line)
    except ValueError as error:
        raise ConfigError(Problem(f"{place}: invalid JSON: {error}")) from None
    if isinstance(values, str):
        values = {"prompt": values}
    if not isinstance(values, dict):
        raise ConfigError(Problem.at(place, values, "must be an object with messages or prompt"))
    given = cast("dict[str, Any]", values)
    key = str(given.pop("custom_id", key))
    body = given.get("body", given)
    if not isinstance(body, dict):
        raise ConfigError(Problem.at(f"{place}: body", body, "must be an object with messages or prompt"))
    body = dict(cast("dict[str, Any]", body))
    if "prompt" in body:
        body["request"] = body.pop("prompt")
    if "request" not in body and "messages" not in body:
        raise ConfigError(Problem(f"{place}: has neither messages nor prompt"))
    if "body" in given:
        body.pop("model", None)  # an OpenAI model; here the configuration determines the target
    return key, body


def _answered(path: Path) -> set[str]:
    """The answered ids. A partial answer at the end (after a full disk) is removed. Raises ConfigError for any other file."""
    if not path.is_file():
        return set()
    text = path.read_bytes()
    size = text.rfind(b"\n") + 1
    try:
        if not text[size:].startswith(_BEGIN[: len(text) - size]):
            raise ValueError
        found = {_answered_id(line) for line in text[:size].splitlines() if line.strip()}
    except (ValueError, KeyError, TypeError):
        hint = "has lines that are not answers of `hotspare batch`; name another file"
        raise ConfigError(Problem.at("output", str(path), hint)) from None
    if size < len(text):
        os.truncate(path, size)
    return found


def _answered_id(line: bytes) -> str:
    answer: Any = json.loads(line)
    _ = answer["text"]  # a request has none
    return str(answer["custom_id"])


def _as_dict(reply: ChatReply) -> dict[str, Any]:
    return {
        "text": reply.text, "message": reply.message, "target": reply.target, "model": reply.model,
        "finish_reason": reply.finish_reason, "usage": asdict(reply.usage), "cost": reply.cost,
    }  # fmt: skip
