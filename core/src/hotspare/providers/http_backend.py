"""The backend that speaks a provider's wire format over HTTP."""

import contextlib
import json
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import TYPE_CHECKING

from hotspare._http.decoding import ACCEPTED
from hotspare._http.headers import Headers
from hotspare.backend import Backend
from hotspare.errors import AttemptTimeout, RequestError
from hotspare.messages import IDLE, ChatChunk, ChatReply, ChatRequest
from hotspare.providers.base import Wire
from hotspare.providers.entry_points import backend_factory, has_entry_point
from hotspare.providers.presets import PRESETS, Preset, preset_of
from hotspare.providers.response import ResponseParser, read_response
from hotspare.providers.urls import without_login
from hotspare.secret import SecretUrl
from hotspare.target import Target

if TYPE_CHECKING:
    from hotspare._http.client import AsyncStream, Http, Stream
    from hotspare.outcome import Outcome

_DRAIN = 0.1
"""Seconds to wait for the end of a body after the last event of the wire format."""
_DRAIN_READS = 16
"""Reads at most after that event."""


def backend_for(target: Target, http: "Http", env: Mapping[str, str] | None = None) -> Backend:
    """The target's own backend, one from another distribution, or one that speaks its preset's wire format.

    Raises ConfigError for an unknown provider, a missing base URL or a missing key, naming the variable.
    """
    if target.backend is not None:
        return target.backend
    if target.provider not in PRESETS and has_entry_point(target.provider):
        return backend_factory(target.provider)(target)
    preset = preset_of(target)
    return HttpBackend(target, preset.wire(), preset, http, key=preset.key_of(target, env))


class HttpBackend:
    """Makes HTTP calls to one target. It never retries and keeps no health."""

    streaming: bool = True

    def __init__(self, target: Target, wire: Wire, preset: Preset, http: "Http", *, key: str | None = None) -> None:
        self._target = target
        self._wire = wire
        self._http = http
        base_url = preset.base_url_of(target)
        address, login = without_login(base_url)
        self._url = SecretUrl(wire.url(address, target, stream=False))
        self._stream_url = SecretUrl(wire.url(address, target, stream=True))
        http.expect(self._url)
        common = {"content-type": "application/json", "accept-encoding": ACCEPTED, "user-agent": "hotspare"}
        common |= wire.headers(key) | login
        common |= {name.lower(): value for name, value in target.headers.items()}
        self.prefill: bool = wire.prefill(target)
        self._headers = Headers({"accept": "application/json", **common})
        self._stream_headers = Headers({"accept": "text/event-stream", **common})

    def __repr__(self) -> str:
        return f"HttpBackend({self._target.name!r}, {self._wire.dialect!r})"

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that the wire format cannot carry."""
        return self._wire.unsupported(request, self._target)

    def body(self, request: ChatRequest, *, stream: bool) -> bytes:
        """The request's JSON. Raises RequestError for what JSON cannot express."""
        try:
            return json.dumps(self._wire.write(request, self._target, stream=stream), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError(f"request: cannot be sent as JSON: {error}") from error

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer. Raises a BackendError."""
        body = self.body(request, stream=False)
        answer = self._http.send("POST", self._url, self._headers, body, timeout=timeout)
        return read_response(self._wire, request, answer.status, answer.headers, answer.body)

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for async callers, who bound it by cancelling."""
        body = self.body(request, stream=False)
        answer = await self._http.asend("POST", self._url, self._headers, body)
        return read_response(self._wire, request, answer.status, answer.headers, answer.body)

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer piece by piece. Raises AttemptTimeout without content for `timeout`, later for `stall` seconds; a
        driver bounds each wait anew."""
        body = self.body(request, stream=True)
        with self._http.open("POST", self._stream_url, self._stream_headers, body, timeout=timeout) as answer:
            parser = ResponseParser(self._wire, request, answer.status, answer.headers)
            while (data := answer.read()) is not None:
                for chunk in parser.feed(data) if data else (IDLE,):
                    if chunk.is_content:
                        answer.handle.limit(stall)
                    yield chunk
                if parser.done:
                    answer.handle.limit(_DRAIN)
                    _drain(answer)
                    break
                if answer.handle.expired:
                    raise AttemptTimeout("no content in time")
            yield from parser.end()

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer piece by piece, for async callers, who bound each wait by cancelling."""
        body = self.body(request, stream=True)
        answer = await self._http.aopen("POST", self._stream_url, self._stream_headers, body)
        try:
            parser = ResponseParser(self._wire, request, answer.status, answer.headers)
            while (data := await answer.read()) is not None:
                for chunk in parser.feed(data) if data else (IDLE,):
                    yield chunk
                if parser.done:
                    await _adrain(answer)
                    break
            for chunk in parser.end():
                yield chunk
        finally:
            await answer.aclose()

    def classify(self, error: Exception) -> "Outcome":
        """What an exception of this backend means."""
        from hotspare import classify

        return classify(error)


def _drain(answer: "Stream") -> None:
    """Read to the end of the body, most of which is there already: only then can the connection be used again."""
    with contextlib.suppress(Exception):
        for _ in range(_DRAIN_READS):
            if answer.read() is None:
                return


async def _adrain(answer: "AsyncStream") -> None:
    import anyio

    with contextlib.suppress(Exception), anyio.move_on_after(_DRAIN):
        for _ in range(_DRAIN_READS):
            if await answer.read() is None:
                return
