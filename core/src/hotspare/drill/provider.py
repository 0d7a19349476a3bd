"""The embedded provider: a fault-scripted LLM provider on loopback, in a process of its own, for drills and tests.

It speaks OpenAI chat completions (`/v1/chat/completions`, Azure's `/openai/deployments/<name>/chat/completions` and
`/openai/v1/chat/completions`, `/v1/models`), Anthropic Messages (`/v1/messages`) and Gemini
(`/v1beta/models/<model>:generateContent` and `:streamGenerateContent`) on every endpoint; an endpoint is a TCP port
with faults, settings and counters of its own. Answers are a pure function of the prompt: `answer(prompt)` is what a
client must get, word for word. Keys that begin with `test-` are accepted; model names that begin with `gone` do not
exist; any other does.

Knobs inside the last user message
    `tokens=N`            the answer has N tokens (60 without it)
    `cached=N`            N of the prompt's tokens are billed as cached
    `written=N`           N more of them are billed as written to the cache, where a wire says so (Anthropic)
    `call <tool>`         calls that tool if it is offered; `call <tool> twice`, `call a and call b` call in parallel
    `first say`           text comes before the tool calls
    `toolong`             the context-length error of the wire
    `refuse me`           refused as the wire refuses: content filter, `stop_reason: refusal`,
                          `promptFeedback.blockReason`

The request itself is obeyed too: `max_tokens` cuts with the finish reason for length, stop sequences, `tool_choice`,
JSON schemas (values are sampled from the schema), images (their number and bytes are told), reasoning. After tool
results the answer is `after_tools(prompt, results)`. A conversation that ends in a beginning of the answer (a
trailing assistant message, or one followed by any instruction to continue) is answered with the rest of it, in the
manner set by `prefill` and `continuation`: `continue` exactly, `strip` without leading white space, `overlap`
repeating the last four tokens, `restart` from the start, `prose` wrapped in chatter; `prefill="refuse"` answers 400
with the provider's own words. Where a prefill is not configured, Anthropic and Gemini continue; OpenAI restarts,
unless the message carries `prefix: true` (Mistral, DeepSeek). Models named `…strict…` on the Gemini wire demand their
thought signatures back; `…mistral…` on OpenAI's demands Mistral's call ids.

Faults are listed, with all that they take, in `hotspare.drill.faults.KINDS`; settings in
`hotspare.drill.endpoint.Settings`.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from hotspare.drill.answers import answer, tokenize
from hotspare.drill.conversation import after_tools, with_images
from hotspare.drill.faults import FaultError

__all__ = ["KEY", "Provider", "Stats", "after_tools", "answer", "tokenize", "with_images"]

KEY: Final = "test-key"
"""A key that the embedded provider accepts."""

_NAMES: Final = ("a", "b", "c", "d", "e", "f", "g", "h")
_SUFFIX: Final = {"openai": "/v1", "azure": "/openai/v1", "anthropic": "", "gemini": ""}
_START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Stats:
    """What one endpoint has seen since its last reset.

    `outcomes` counts requests by `ok`, the fault's kind, `rejected:<status>`, `filtered` or `unknown_path`;
    `closed_by_client` counts
    connections which the client ended while an answer was still due; `arrivals` are `time.monotonic()` seconds.
    """

    requests: int
    wires: Mapping[str, int]
    outcomes: Mapping[str, int]
    connections: int
    open_connections: int
    in_flight: int
    max_in_flight: int
    closed_by_client: int
    listening: bool
    arrivals: tuple[float, ...]


class Provider:
    """The embedded provider as a context manager: entering starts the process, leaving ends it.

    `endpoints`: names of its endpoints, each on a port of its own. `seed`: of its probabilities and jitters.
    Everything may be called from any thread; calls take about a millisecond.
    """

    def __init__(self, endpoints: Iterable[str] = _NAMES, *, seed: int = 0) -> None:
        self.endpoints = tuple(endpoints)
        self._seed = seed
        self._process: subprocess.Popen[str] | None = None
        self._ports: dict[str, int] = {}
        self._control = 0

    def __enter__(self) -> "Provider":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and learn its ports. Raises RuntimeError when it does not come up."""
        source = str(Path(__file__).parents[2])
        path = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH")) if p)
        command = [sys.executable, "-m", "hotspare.drill.provider", ",".join(self.endpoints), str(self._seed)]
        # own session: Ctrl-C at the terminal reaches the client first, which still needs its provider to end in order
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait(timeout=_START_SECONDS)
            raise RuntimeError(f"the embedded provider did not start (exit code {code})")
        told = json.loads(line)
        self._ports, self._control = told["endpoints"], told["control"]

    def stop(self) -> None:
        """End the process: politely, then surely. Does nothing the second time."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError before `start`."""
        if self._process is None:
            raise RuntimeError("the embedded provider is not running; use it as a context manager")
        return self._process.pid

    def url(self, endpoint: str) -> str:
        """The endpoint's root, without a path."""
        if endpoint not in self._ports:
            raise FaultError(
                f"endpoint {endpoint!r} is unknown; there are {', '.join(self._ports) or 'none: it is not started'}"
            )
        return f"http://127.0.0.1:{self._ports[endpoint]}"

    def base_url(self, endpoint: str, wire: str = "openai") -> str:
        """What a target or an SDK of that wire (openai, azure, anthropic, gemini) takes as `base_url`."""
        if wire not in _SUFFIX:
            raise FaultError(f"wire {wire!r} is unknown; use one of {', '.join(_SUFFIX)}")
        return self.url(endpoint) + _SUFFIX[wire]

    def fault(self, endpoints: str | Iterable[str], kind: str, **options: Any) -> None:
        """Add a fault to one endpoint or several (`KINDS` and the fields of `Fault` in `hotspare.drill.faults`).
        Raises FaultError.
        """
        self._ask("fault", endpoints, kind=kind, **options)

    def clear(self, endpoints: str | Iterable[str] | None = None) -> None:
        """Take all faults away, and open closed ports again; everywhere by default."""
        self._ask("clear", endpoints)

    def configure(self, endpoints: str | Iterable[str] | None = None, **settings: Any) -> None:
        """Replace the standing manners: rpm, burst, rate_form, prefill, continuation, window, streams, replies; those not
        named return to their defaults.
        """
        self._ask("configure", endpoints, **settings)

    def stats(self, endpoint: str, *, arrivals: bool = False) -> Stats:
        """The endpoint's counters, with every request's time of arrival if asked for."""
        told = self._ask("stats", endpoint, arrivals=arrivals)[endpoint]
        fields: dict[str, Any] = {**told, "arrivals": tuple(told["arrivals"])}
        return Stats(**fields)

    def heard(self, endpoint: str) -> list[dict[str, Any]]:
        """The last 64 requests as `path`, `headers` (without keys) and `body`."""
        return list(self._ask("heard", endpoint)[endpoint])

    def reset(self) -> None:
        """Every endpoint as new: no faults, default settings, counters at zero. Connections stay."""
        self._ask("reset", None)

    def _ask(self, what: str, endpoints: str | Iterable[str] | None, **options: Any) -> dict[str, Any]:
        names = [endpoints] if isinstance(endpoints, str) else list(endpoints or ())
        connection = http.client.HTTPConnection("127.0.0.1", self._control, timeout=10)
        try:
            connection.request(
                "POST", "/", json.dumps({"do": what, "endpoints": names, **options}), {"Connection": "close"}
            )
            response = connection.getresponse()
            told = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise FaultError(told["error"])
        return dict(told)


if __name__ == "__main__":
    from hotspare.drill.server import main

    sys.exit(main(sys.argv[1:]))
