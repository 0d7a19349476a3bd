"""The backend that speaks a provider's wire format over HTTP."""

import contextlib
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import TYPE_CHECKING

from hotspare.backend import Backend
from hotspare.errors import AttemptTimeout, StatusError
from hotspare.messages import IDLE, ChatChunk, ChatReply, ChatRequest
from hotspare.providers.endpoint import Endpoints
from hotspare.providers.entry_points import backend_factory, has_entry_point
from hotspare.providers.exchange import Exchange
from hotspare.providers.keys import Keys
from hotspare.providers.presets import PRESETS, Preset, preset_of
from hotspare.secret import HiddenStr
from hotspare.target import Target

if TYPE_CHECKING:
    from hotspare._http.client import AsyncStream, Http, Stream
    from hotspare.outcome import Outcome

_DRAIN = 0.1
"""Seconds to wait for the end of a body after the last event of the wire format."""
_DRAIN_READS = 16
"""Maximum number of reads after that event."""


def backend_for(target: Target, http: "Http", env: Mapping[str, str] | None = None) -> Backend:
    """The target's own backend, one from another distribution, or one that speaks its preset's wire format.

    Raises ConfigError for an unknown provider, a missing base URL or a missing key, naming the variable.
    """
    if target.backend is not None:
        return target.backend
    if target.provider not in PRESETS and has_entry_point(target.provider):
        return backend_factory(target.provider)(target)
    return HttpBackend(target, preset_of(target), http, env)


class HttpBackend:
    """Makes HTTP calls to one target. It keeps no health and does not retry failures. A request whose form was rejected is
    sent again in another form, within the same attempt (see `Exchange`)."""

    streaming: bool = True
    prefers_streaming: bool = True

    def __init__(self, target: Target, preset: Preset, http: "Http", env: Mapping[str, str] | None = None) -> None:
        self._target = target
        self._http = http
        self._endpoints = Endpoints(target, preset, env)
        self.embeds = preset.has_embeddings
        self._keys = Keys(target, preset, env)
        http.expect(self._endpoints.first.url)
        self.prefill: bool = self._endpoints.first.wire.prefill(target)

    def __repr__(self) -> str:
        return f"HttpBackend({self._target.name!r}, {self._endpoints.first.wire.dialect!r})"

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that the wire format cannot carry."""
        return self._endpoints.of(request).wire.unsupported(request, self._target)

    def _exchange(self, request: ChatRequest, key: HiddenStr | None, *, stream: bool) -> Exchange:
        return Exchange(self._endpoints, self._target, request, key, stream=stream)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer. Raises a BackendError."""
        exchange = self._exchange(request, self._keys.get(timeout), stream=False)
        while True:
            answer = self._http.send("POST", exchange.url, exchange.headers, exchange.body, timeout=timeout)
            try:
                return exchange.read(answer.status, answer.headers, answer.body)
            except StatusError as error:
                if not exchange.adapt(error, self._keys.get(timeout) if error.status == 401 else None):
                    raise

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for async callers, which bound its time by cancelling it."""
        exchange = self._exchange(request, await self._keys.aget(timeout), stream=False)
        while True:
            answer = await self._http.asend("POST", exchange.url, exchange.headers, exchange.body)
            try:
                return exchange.read(answer.status, answer.headers, answer.body)
            except StatusError as error:
                if not exchange.adapt(error, await self._keys.aget(timeout) if error.status == 401 else None):
                    raise

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer chunk by chunk. Raises AttemptTimeout if the first content takes more than `timeout` seconds, or later content more
        than `stall` seconds."""
        exchange = self._exchange(request, self._keys.get(timeout), stream=True)
        while True:
            with self._http.open("POST", exchange.url, exchange.headers, exchange.body, timeout=timeout) as answer:
                parser = exchange.parser(answer.status, answer.headers)
                try:
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
                    return
                except StatusError as error:
                    if not exchange.adapt(error, self._keys.get(timeout) if error.status == 401 else None):
                        raise

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer chunk by chunk, for async callers, which bound each wait by cancelling it."""
        exchange = self._exchange(request, await self._keys.aget(timeout), stream=True)
        while True:
            answer = await self._http.aopen("POST", exchange.url, exchange.headers, exchange.body)
            try:
                parser = exchange.parser(answer.status, answer.headers)
                while (data := await answer.read()) is not None:
                    for chunk in parser.feed(data) if data else (IDLE,):
                        yield chunk
                    if parser.done:
                        await _adrain(answer)
                        break
                for chunk in parser.end():
                    yield chunk
                return
            except StatusError as error:
                if not exchange.adapt(error, await self._keys.aget(timeout) if error.status == 401 else None):
                    raise
            finally:
                await answer.aclose()

    def classify(self, error: Exception) -> "Outcome":
        """The outcome for an exception of this backend."""
        from hotspare import classify

        self._keys.redactor.error(error)
        return classify(error)


def _drain(answer: "Stream") -> None:
    """Read to the end of the body, because only then can the connection be reused. Usually all of it was received already."""
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
