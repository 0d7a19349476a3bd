"""The embedded provider: an LLM provider on loopback, in a separate process, that fails on request. For drills and tests.

Every endpoint is a TCP port with its own faults, settings and counters. Each of them serves

* OpenAI chat completions: `/v1/chat/completions` and `/v1/models`; Azure's `/openai/deployments/<name>/chat/completions`
  and `/openai/v1/chat/completions`
* OpenAI responses: `/v1/responses`; Azure's `/openai/v1/responses`
* Anthropic messages: `/v1/messages`
* Gemini: `/v1beta/models/<model>:generateContent` and `:streamGenerateContent`
* embeddings: `/v1/embeddings`, Azure's `/openai/deployments/<name>/embeddings` and `/openai/v1/embeddings`, Gemini's
  `/v1beta/models/<model>:batchEmbedContents`. Texts with common words have similar vectors.

An answer depends on the prompt only: `answer(prompt)` is the exact text that a client must get. API keys that begin with
`test-` are accepted. Every model exists, except those whose name begins with `gone`.

Directives in the last user message:

    tokens=N        the answer has N tokens (60 without it)
    cached=N        N tokens of the prompt are billed as read from the cache
    written=N       N tokens of the prompt are billed as written to the cache (Anthropic)
    call <tool>     calls that tool if the request offers it; also `call a twice`, `call a and call b`
    first say       text comes before the tool calls
    toolong         the context length is exceeded
    refuse me       the provider's refusal: content filter, `stop_reason: refusal`, `promptFeedback.blockReason`

The request is obeyed too: `max_tokens`, stop sequences, `tool_choice`, JSON schemas (values are sampled from the schema),
images (the answer states their number and size), reasoning. After tool results the answer is `after_tools(prompt, results)`.

A conversation that ends in a part of the answer, or in an instruction to continue it, is answered with the rest. The
settings `prefill` and `continuation` say how: `continue` exactly, `strip` without leading white space, `overlap` with the
last four tokens repeated, `restart` from the beginning, `prose` between two sentences of prose; `prefill="refuse"` answers
400. Without the setting, Anthropic and Gemini continue; OpenAI restarts unless the message has `prefix: true` (Mistral,
DeepSeek) or the body `continue_final_message` (vLLM).

Chat Completions rejects what OpenAI serves over Responses only: models with `-pro` or `codex` in their names, and tools with
reasoning from GPT-5.4 on. Models with `strict` in their name require thought signatures (Gemini), those with `mistral` tool-call ids
of nine letters and digits.

The faults and their options are listed in `hotspare.drill.faults`, the settings in `hotspare.drill.settings`.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Unpack

from hotspare.drill.answers import after_tools, answer, tokenize, with_images
from hotspare.drill.faults import FaultError, FaultOptions
from hotspare.drill.settings import SettingsOptions

__all__ = ["KEY", "FaultError", "Provider", "Stats", "after_tools", "answer", "tokenize", "with_images"]

KEY: Final = "test-key"
"""An API key that the embedded provider accepts."""

_NAMES: Final = ("a", "b", "c", "d", "e", "f", "g", "h")
_BASE_PATHS: Final = {"openai": "/v1", "responses": "/v1", "azure": "/openai/v1", "anthropic": "", "gemini": ""}
_STOP_SECONDS: Final = 5.0
_CONTROL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of one endpoint since its last reset.

    outcomes: requests by `ok`, the kind of a fault, `rejected:<status>` or `unknown_path`.
    client_disconnects: connections that the client closed before the response was complete.
    """

    requests: int
    dialects: Mapping[str, int]
    outcomes: Mapping[str, int]
    open_connections: int
    in_flight: int
    client_disconnects: int
    listening: bool


class Provider:
    """The embedded provider as a context manager: entering it starts the process, leaving it stops the process.

    `endpoints`: their names. Default: `a` to `h`. `seed`: of the random numbers that a fault's `probability` uses. Default: 0. All methods are safe to call from any
    thread, and take about a millisecond.
    """

    def __init__(self, endpoints: Iterable[str] = _NAMES, *, seed: int = 0) -> None:
        self.endpoints = tuple(endpoints)
        self._seed = seed
        self._process: subprocess.Popen[str] | None = None
        self._ports: dict[str, int] = {}
        self.control_port = 0
        """Where the running process takes commands, see `send_command`."""

    def __enter__(self) -> "Provider":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process. Raises RuntimeError if it does not start."""
        source = str(Path(__file__).parents[2])
        path = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH")) if p)
        command = [sys.executable, "-m", "hotspare.drill.server", ",".join(self.endpoints), str(self._seed)]
        # a session of its own: Ctrl-C must reach the client only, which still needs its provider to shut down in order
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise RuntimeError(f"the embedded provider did not start (exit code {code}); its error is on stderr")
        ports = json.loads(line)
        self._ports, self.control_port = ports["endpoints"], ports["control"]

    def stop(self) -> None:
        """Stop the process; kill it if it does not end within 5 s. May be called again."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError if the process is not running."""
        if self._process is None:
            raise RuntimeError("the embedded provider is not running; use it as a context manager")
        return self._process.pid

    def url(self, endpoint: str) -> str:
        """The root URL of an endpoint. Raises FaultError for an unknown endpoint."""
        if endpoint not in self._ports:
            known = f"use one of {', '.join(self._ports)}" if self._ports else "the provider is not started"
            raise FaultError(f"endpoint {endpoint!r} is unknown; {known}")
        return f"http://127.0.0.1:{self._ports[endpoint]}"

    def base_url(self, endpoint: str, dialect: str = "openai") -> str:
        """The `base_url` for a target or an SDK of that dialect: openai, responses, azure, anthropic or gemini. Raises FaultError."""
        if dialect not in _BASE_PATHS:
            raise FaultError(f"dialect {dialect!r} is unknown; use one of {', '.join(_BASE_PATHS)}")
        return self.url(endpoint) + _BASE_PATHS[dialect]

    def fault(self, endpoints: str | Iterable[str], kind: str, **options: Unpack[FaultOptions]) -> None:
        """Add a fault to one or more endpoints. Kinds: `hotspare.drill.faults.KINDS`. Raises FaultError."""
        self._send("fault", endpoints, {"kind": kind, **options})

    def clear(self, endpoints: str | Iterable[str] | None = None) -> None:
        """Remove all faults and open closed ports again. Default: on all endpoints."""
        self._send("clear", endpoints, {})

    def configure(self, endpoints: str | Iterable[str] | None = None, **settings: Unpack[SettingsOptions]) -> None:
        """Replace the settings; those that are not named return to their defaults. Default: on all endpoints. Raises FaultError."""
        self._send("configure", endpoints, settings)

    def stats(self, endpoint: str) -> Stats:
        """The endpoint's counters."""
        return Stats(**self._send("stats", endpoint, {})[endpoint])

    def recorded_requests(self, endpoint: str) -> list[dict[str, Any]]:
        """The last 64 requests: `path`, `headers` (without API keys) and `body`."""
        return list(self._send("recorded_requests", endpoint, {})[endpoint])

    def reset(self) -> None:
        """Return every endpoint to its initial state: no faults, default settings, counters at zero. Connections stay open."""
        self._send("reset", None, {})

    def _send(
        self, command: str, endpoints: str | Iterable[str] | None, options: Mapping[str, object]
    ) -> dict[str, Any]:
        names = [endpoints] if isinstance(endpoints, str) else list(endpoints or ())
        return send_command(self.control_port, command, names, options)


def send_command(port: int, command: str, endpoints: Sequence[str], options: Mapping[str, object]) -> dict[str, Any]:
    """Send a command to the control port of a running provider: `fault`, `clear`, `configure`, `reset`, … Raises FaultError."""
    body = json.dumps({"command": command, "endpoints": endpoints, "options": options})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CONTROL_SECONDS)
    try:
        connection.request("POST", "/", body, {"Connection": "close"})
        response = connection.getresponse()
        result = dict(json.loads(response.read()))
    finally:
        connection.close()
    if response.status != 200:
        raise FaultError(result["error"])
    return result
