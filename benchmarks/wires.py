"""The cost of each wire format: its code (lines, and files outside its folder that name it), and its run time. Takes about 5 seconds.

    python -m benchmarks.wires             # print the table
    python -m benchmarks.wires --write     # and write it into docs/benchmarks.md

Times are CPU time, the lowest of several rounds, without any HTTP. Every wire carries the same answers, of 50 and of 150 tokens, from the
embedded provider, one event per read; the difference of the two is the cost of the additional chunks. With HOTSPARE_WIRE, a directory of
recorded provider traffic, a further row has complete streams of each wire's own provider.
"""

import argparse
import ast
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import hotspare
import httpx
import yaml
from hotspare import ChatRequest, Target
from hotspare.drill.provider import KEY, Provider
from hotspare.providers.base import Wire
from hotspare.providers.endpoint import Endpoints
from hotspare.providers.exchange import Exchange
from hotspare.providers.presets import preset_of
from hotspare.providers.response import ResponseParser, read_response
from hotspare.providers.sse import SSEDecoder
from hotspare.secret import HiddenStr

from benchmarks.page import write
from benchmarks.syntax import parsed

CORE = Path(hotspare.__file__).parent
PROVIDERS = CORE / "providers"
RECORDINGS = os.environ.get("HOTSPARE_WIRE", "")
ASK, ASK_MORE = (ChatRequest(messages=[{"role": "user", "content": f"tokens={count}"}]) for count in (50, 150))
_CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Seoul"}'}}
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
CONVERSATION = ChatRequest(
    messages=[
        {"role": "system", "content": "Answer in one sentence."},
        {"role": "user", "content": "What is the weather in Seoul?"},
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "user", "content": "And tomorrow?"},
    ],
    tools=[_TOOL],
)
MODELS: dict[str, dict[str, Any]] = {
    "openai": {"id": "openai/gpt-4.1", "api": "chat"},
    "responses": {"id": "openai/gpt-4.1", "api": "responses"},
    "anthropic": {"id": "anthropic/claude-sonnet-4-5"},
    "gemini": {"id": "gemini/gemini-2.5-flash"},
}
"""A target of each wire format that the embedded provider speaks, by the name of its folder."""
PROVIDERS_NAMED = {
    "_classify/model_errors.py", "_config/hints.py", "_config/loader.py", "_cost/dataset.py", "_cost/families.py", "_cost/files.py", "_cost/images.py",
    "_cost/thoughts.py", "_cost/tokens.py", "_cost/unknowns.py", "_health/domains.py", "telemetry/otel_metrics.py",
}  # fmt: skip
"""Files in which the texts "openai", "anthropic" and "gemini" name providers, not wire formats."""
_RECORDED = {"responses": "openai-responses"}
"""The folder of the recordings of a wire's own provider, if it does not have the wire's name."""


# --- its code ------------------------------------------------------------------------------------------------------


def wires() -> list[str]:
    """The folders that hold a wire format."""
    return sorted(path.parent.name for path in PROVIDERS.glob("*/wire.py"))


def lines(wire: str) -> int:
    """Lines of code in its folder: without blank lines, comments and docstrings."""
    return sum(map(_lines, (PROVIDERS / wire).glob("*.py")))


def _lines(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    words = {
        line
        for node in ast.walk(parsed(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.end_lineno
        for line in range(node.lineno, node.end_lineno + 1)
    }
    code = (line.strip() for number, line in enumerate(text.splitlines(), 1) if number not in words)
    return sum(bool(line) and not line.startswith("#") for line in code)


def naming(wire: str) -> set[str]:
    """The files of core outside its folder whose code names it, without `PROVIDERS_NAMED`."""
    return having(wire) - PROVIDERS_NAMED


def having(wire: str) -> set[str]:
    """The files of core outside its folder that import from it, or have its name as a text. The drill is left out: its embedded provider
    is the other end of each wire, and has a module for it."""
    outside = (path for path in _sources() if path.parts[0] != "drill" and path.parts[:2] != ("providers", wire))
    return {path.as_posix() for path in outside if _names(_sources()[path], wire)}


@cache
def _sources() -> Mapping[Path, str]:
    return {path.relative_to(CORE): path.read_text(encoding="utf-8") for path in CORE.rglob("*.py")}


def _names(text: str, wire: str) -> bool:
    folder = f"hotspare.providers.{wire}"
    if f'"{wire}"' not in text and folder not in text:  # parsing each file would take seconds
        return False
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Constant) and node.value == wire:
            return True
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{folder}."):
            return True
    return False


# --- its time ------------------------------------------------------------------------------------------------------


class Recorded(NamedTuple):
    """The answers of the embedded provider over one wire, and the recorded streams of its own provider."""

    endpoints: Endpoints
    target: Target
    whole: bytes
    short: list[bytes]
    long: list[bytes]
    sent: list[list[bytes]]


def record(provider: Provider, client: httpx.Client, wire: str) -> Recorded:
    """Record the answers of one wire, whole and streamed."""
    target = Target(**MODELS[wire], base_url=provider.base_url("a", wire), api_key=KEY)
    endpoints = Endpoints(target, preset_of(target))

    def answer(request: ChatRequest, *, stream: bool) -> bytes:
        exchange = Exchange(endpoints, target, request, HiddenStr(KEY), stream=stream)
        url, headers = exchange.url.get_secret_value(), dict(exchange.headers.items())
        return client.post(url, headers=headers, content=exchange.body).raise_for_status().content

    short, long = (events(answer(request, stream=True)) for request in (ASK, ASK_MORE))
    return Recorded(
        endpoints, target, answer(ASK, stream=False), short, long, list(recordings(wire)) if RECORDINGS else []
    )


def events(stream: bytes) -> list[bytes]:
    """The events of a stream, each as a server sends it."""
    return [event + b"\n\n" for event in re.split(rb"\r?\n\r?\n", stream) if event.strip()]


def read(wire: Wire, stream: Iterable[bytes]) -> None:
    """Read a stream to its end."""
    parser = ResponseParser(wire, ASK, 200, {})
    for event in stream:
        for _ in parser.feed(event):
            pass
    for _ in parser.end():
        pass


def decode(stream: Iterable[bytes]) -> None:
    """Only split a stream into lines and events."""
    decoder = SSEDecoder()
    for event in stream:
        decoder.feed(event)


def recordings(wire: str) -> Iterator[list[bytes]]:
    """The recorded streams of the wire's own provider."""
    folder = Path(RECORDINGS) / _RECORDED.get(wire, wire)
    for path in sorted(folder.glob("stream-[!e]*.yaml")):
        for exchange in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["interactions"]:
            body = exchange["response"]["body"]["string"]
            yield events(body.encode() if isinstance(body, str) else body)


def lowest(
    calls: Mapping[tuple[str, str], Callable[[], object]], rounds: int, count: int
) -> dict[tuple[str, str], float]:
    """Microseconds of CPU of each call in its best round. They take turns, so that other load on the machine affects all of them."""
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.process_time()
            for _ in range(count):
                call()
            found[name] = min(found[name], (time.process_time() - started) / count * 1e6)
    return found


def calls_of(made: Recorded) -> dict[str, Callable[[], object]]:
    """The measured functions of one wire, by name."""
    wire = made.endpoints.of(ASK).wire
    return {
        "request": lambda: Exchange(made.endpoints, made.target, ASK, None, stream=True),
        "with tools": lambda: Exchange(made.endpoints, made.target, CONVERSATION, None, stream=True),
        "whole": lambda: read_response(wire, ASK, 200, {}, made.whole),
        "short": partial(read, wire, made.short),
        "long": partial(read, wire, made.long),
        "short lines": partial(decode, made.short),
        "long lines": partial(decode, made.long),
        "sent": lambda: [read(wire, stream) for stream in made.sent],
        "sent lines": lambda: [decode(stream) for stream in made.sent],
    }


def code(wire: str) -> dict[str, str]:
    """The size of one wire's code, as cells of its column."""
    return {"lines of code": f"{lines(wire)}", "files outside that name it": f"{len(naming(wire))}"}


def shown(wire: str, made: Recorded, cost: Mapping[tuple[str, str], float]) -> dict[str, str]:
    """The run times of one wire, as cells of its column."""
    more = len(made.long) - len(made.short)
    chunk = (cost[wire, "long"] - cost[wire, "short"]) / more
    line = (cost[wire, "long lines"] - cost[wire, "short lines"]) / more
    found = {
        "a request": cost[wire, "request"],
        "a request with a tool, its call and its result": cost[wire, "with tools"],
        "a whole answer": cost[wire, "whole"],
        "a chunk: its lines": line,
        "a chunk: all beside its lines": chunk - line,
        "a stream: its beginning and its end": cost[wire, "short"] - chunk * len(made.short),
    }
    if made.sent:
        beside = cost[wire, "sent"] - cost[wire, "sent lines"]
        found["an event of a recorded stream, beside its lines"] = beside / sum(map(len, made.sent))
    return {name: f"{value:.1f} µs" for name, value in found.items()}


def table(provider: Provider, rounds: int, count: int) -> str:
    """A row for each measure, a column for each wire. `count`: calls a round."""
    with httpx.Client(verify=False) as client:  # no TLS: loading certificates takes longest
        made = {wire: record(provider, client, wire) for wire in wires() if wire in MODELS}
    cost = lowest({(wire, name): call for wire in made for name, call in calls_of(made[wire]).items()}, rounds, count)
    columns = {wire: code(wire) | (shown(wire, made[wire], cost) if wire in made else {}) for wire in wires()}
    head = f"| what | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}\n"
    names = dict.fromkeys(name for column in columns.values() for name in column)
    return head + "\n".join(
        f"| {name} | {' | '.join(one.get(name, '') for one in columns.values())} |" for name in names
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    with Provider("a") as provider:
        found = table(provider, options.rounds, count=20)
    text = f"{found}\n\n{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}."
    print(text)
    if options.write:
        write("wires", text)


if __name__ == "__main__":
    main()
