"""The APIs of a target, each with its wire format, addresses and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hotspare._http.decoding import ACCEPTED
from hotspare._http.headers import Headers
from hotspare.embeddings import EmbedInput
from hotspare.errors import StatusError
from hotspare.messages import ChatRequest
from hotspare.providers.base import Wire
from hotspare.providers.presets import Preset
from hotspare.providers.urls import without_login
from hotspare.secret import HiddenStr, SecretUrl
from hotspare.target import Target


class _Sent(NamedTuple):
    """Request headers for whole and for streamed answers, and the key that they contain."""

    key: HiddenStr | None
    whole: Headers
    stream: Headers


class Endpoint:
    """One API of a target."""

    def __init__(
        self,
        wire: Wire,
        target: Target,
        preset: Preset,
        env: Mapping[str, str] | None = None,
        base_url: str | None = None,
    ) -> None:
        self.wire = wire
        address, login = without_login(base_url or preset.base_url_of(target, env))
        self.url = SecretUrl(wire.url(address, target, stream=False))
        self.stream_url = SecretUrl(wire.url(address, target, stream=True))
        self._login = login
        own = {name.lower(): value for name, value in target.headers.items()}
        self._own = preset.headers_of(target, env) | own
        self._sent = self._headers(None)

    def headers(self, key: HiddenStr | None, *, stream: bool) -> Headers:
        """The headers for this key; rebuilt only when the key has changed."""
        sent = self._sent
        if sent.key != key:
            sent = self._sent = self._headers(key)
        return sent.stream if stream else sent.whole

    def _headers(self, key: HiddenStr | None) -> _Sent:
        common = {"content-type": "application/json", "accept-encoding": ACCEPTED, "user-agent": "hotspare"}
        common |= self.wire.headers(key) | self._login | self._own
        whole = Headers({"accept": "application/json", **common})
        return _Sent(key, whole, Headers({"accept": "text/event-stream", **common}))


class _Route(NamedTuple):
    """A base URL (None: the target's own), and the `Endpoint` objects created for it so far."""

    base_url: str | None
    made: dict[str, Endpoint]


class Endpoints:
    """The APIs of one target, and the choice among them for a request.

    It learns from rejections that requests need the second API, or that the model is served at another base URL.
    """

    def __init__(self, target: Target, preset: Preset, env: Mapping[str, str] | None = None) -> None:
        self._target, self._preset, self._env = target, preset, env
        self._second = preset.second_api(target)
        self._route = _Route(None, {})

    @property
    def first(self) -> Endpoint:
        """The API for requests that do not need the second one."""
        return self._named("first")

    def of(self, request: ChatRequest) -> Endpoint:
        """The API for this request."""
        return self._named(self._name_for(request))

    def _name_for(self, request: ChatRequest) -> str:
        if request.native is not None and isinstance(request.native, EmbedInput):
            return "embeddings"
        return "second" if self._second is not None and self._second.serves(request) else "first"

    def _named(self, name: str) -> Endpoint:
        base_url, made = self._route  # read once: another thread may learn another route
        found = made.get(name)
        if found is None:
            found = made.setdefault(name, Endpoint(self._wire(name), self._target, self._preset, self._env, base_url))
        return found

    def _wire(self, name: str) -> Wire:
        if name == "second":
            return self._preset.second_wire()
        return self._preset.embeddings_wire() if name == "embeddings" else self._preset.wire(self._target)

    def learn(self, error: StatusError, request: ChatRequest, refused: Endpoint) -> bool:
        """Learn from a rejection by the API `refused`. Returns whether another API, or another base URL, serves the request."""
        route, name = (
            self._route,
            self._name_for(request),
        )  # read once: concurrent calls may learn the same from their rejections
        if route.made.get(name) is not refused:  # another call has already learnt it
            return error.status in (400, 404)
        if name == "first" and self._second is not None and self._second.learn(error, request):
            return True
        base_url = route.base_url or self._preset.base_url_of(self._target, self._env)
        other = self._preset.other_base_url(base_url, error)
        if other is not None and self._route is route:
            self._route = _Route(other, {})
        return other is not None
