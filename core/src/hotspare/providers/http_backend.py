"""The Backend that speaks a provider's wire format over HTTP."""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from hotspare.backend import Backend
from hotspare.errors import AttemptTimeout, RequestError
from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.providers.base import Wire
from hotspare.providers.content import parts_of
from hotspare.providers.entry_points import backend_maker, has_entry_point
from hotspare.providers.presets import PRESETS, Preset, preset_of
from hotspare.providers.response import Incoming, read_whole
from hotspare.target import Target

if TYPE_CHECKING:
    from hotspare._http import Http
    from hotspare.outcome import Outcome


def _never(target: Target) -> bool:
    """Most wires do not continue an assistant message."""
    return False


_UNSET = ChatRequest(messages=())
_DRAIN = 0.1
"""Seconds to wait for the end of a body behind the wire's last event."""
_DRAINED = 16
"""Reads at most behind the wire's last event."""


def backend_for(target: Target, http: "Http", env: Mapping[str, str] = os.environ) -> Backend:
    """The target's own backend, one that another distribution brings, or one that speaks its preset's wire.

    Raises ConfigError for an unknown provider, a missing base URL or a missing key, naming the variable.
    """
    if target.backend is not None:
        return target.backend
    if target.provider not in PRESETS and has_entry_point(target.provider):
        return backend_maker(target.provider)(target)
    preset = preset_of(target)
    return WireBackend(target, preset.wire(), preset, http, key=preset.key_of(target, env))


class WireBackend:
    """Makes one attempt's HTTP call. It never retries and keeps no health."""

    def __init__(self, target: Target, wire: Wire, preset: Preset, http: "Http", *, key: str | None = None) -> None:
        self._target = target
        self._wire = wire
        self._preset = preset
        self._http = http
        base_url = preset.base_url_of(target)
        self._url = wire.url(base_url, target, stream=False)
        self._stream_url = wire.url(base_url, target, stream=True)
        common = {"content-type": "application/json", "user-agent": "hotspare", **wire.headers(key)}
        common |= {name.lower(): value for name, value in target.headers.items()}
        self.streaming = True
        self.prefill: bool = getattr(wire, "prefills", _never)(target)
        self._headers = {"accept": "application/json", **common}
        self._stream_headers = {"accept": "text/event-stream", **common}

    def __repr__(self) -> str:
        return f"WireBackend({self._target.name!r}, {self._wire.dialect!r})"

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that this target cannot carry and may not leave out."""
        found = self._wire.unsupported(request, self._target)
        return tuple(name for name in found if name not in self._target.droppable) if found else ()

    def body(self, request: ChatRequest, *, stream: bool) -> bytes:
        """The request's JSON. Fields that the target may drop and its wire cannot carry are left out.

        Raises RequestError for what JSON has no words for.
        """
        if self._target.droppable:
            request = self._without_dropped(request)
        try:
            return json.dumps(self._wire.write(request, self._target, stream=stream), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError(f"request: cannot be sent as JSON: {error}") from error

    def _without_dropped(self, request: ChatRequest) -> ChatRequest:
        names = self._target.droppable.intersection(self._wire.unsupported(request, self._target))
        if not names:
            return request
        values: dict[str, Any] = {name: getattr(_UNSET, name) for name in names if name != "messages"}
        if "messages" in names:  # images and files: the texts remain
            values["messages"] = [{**m, "content": _texts(m.get("content"))} for m in request.messages]
        return dataclasses.replace(request, **values)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer. Raises a BackendError, or what the transport raises."""
        body = self.body(request, stream=False)
        with _read_timeout_named():
            answer = self._http.send("POST", self._url, self._headers, body, timeout=timeout)
        return read_whole(self._wire, request, answer.status, answer.headers, answer.body)

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for async callers."""
        body = self.body(request, stream=False)
        with _read_timeout_named():
            answer = await self._http.asend("POST", self._url, self._headers, body, timeout=timeout)
        return read_whole(self._wire, request, answer.status, answer.headers, answer.body)

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer piece by piece. Raises AttemptTimeout without content for `timeout`, later for `stall` seconds."""
        until = time.monotonic() + timeout
        body = self.body(request, stream=True)
        with (
            _read_timeout_named(),
            self._http.open(
                "POST", self._stream_url, self._stream_headers, body, timeout=timeout, read_timeout=timeout
            ) as answer,
        ):
            incoming = Incoming(self._wire, request, answer.status, answer.headers)
            reads = answer.iter_bytes()
            for data in reads:
                content = False
                for chunk in incoming.feed(data):
                    content = content or chunk.is_content
                    yield chunk
                if incoming.done:
                    answer.line.read_timeout = _DRAIN
                    _drain(reads)
                    break
                now = time.monotonic()
                until = now + stall if content else until
                if now >= until:
                    raise AttemptTimeout("no content came in time")
                answer.line.read_timeout = until - now
            yield from incoming.end()

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer piece by piece, for async callers, who keep the time themselves."""
        body = self.body(request, stream=True)
        with _read_timeout_named():
            answer = await self._http.aopen(
                "POST", self._stream_url, self._stream_headers, body, timeout=timeout, read_timeout=max(timeout, stall)
            )
            try:
                incoming = Incoming(self._wire, request, answer.status, answer.headers)
                reads = answer.aiter_bytes()
                async for data in reads:
                    for chunk in incoming.feed(data):
                        yield chunk
                    if incoming.done:
                        await _adrain(reads)
                        break
                for chunk in incoming.end():
                    yield chunk
            finally:
                await answer.aclose()

    def classify(self, error: Exception) -> "Outcome":
        """What an exception of this backend means."""
        from hotspare._classify.rules import classify

        return classify(error, dialect=self._preset.dialect, now=time.time())


def _texts(content: object) -> object:
    if content is None or isinstance(content, str):
        return content
    return [part for part in parts_of(content) if part.get("type") in ("text", "refusal")]


@contextlib.contextmanager
def _read_timeout_named() -> Generator[None]:
    """The transport's own read timeout as hotspare's error, whichever HTTP library stands behind it."""
    try:
        yield
    except Exception as error:
        if any(parent.__name__.startswith("ReadTimeout") for parent in type(error).__mro__):
            raise AttemptTimeout("no answer came in time") from error
        raise


def _drain(reads: Iterator[bytes]) -> None:
    """Reads to the end of the body, which is mostly there already: only then the connection can be used again."""
    with contextlib.suppress(Exception):
        for _ in islice(reads, _DRAINED):
            pass


async def _adrain(reads: AsyncIterator[bytes]) -> None:
    import anyio

    with contextlib.suppress(Exception), anyio.move_on_after(_DRAIN):
        for _ in range(_DRAINED):
            await anext(reads)
