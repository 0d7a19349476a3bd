"""Where a target's requests go: the APIs that it is served by, each with its wire format, addresses and headers."""

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
from hotspare.providers.responses import models
from hotspare.providers.urls import without_login
from hotspare.secret import HiddenStr, SecretUrl
from hotspare.target import Target


class _Sent(NamedTuple):
    """Headers, and the key that they were made for."""

    key: HiddenStr | None
    whole: Headers
    stream: Headers


class Endpoint:
    """One API of a target."""

    def __init__(self, wire: Wire, target: Target, preset: Preset, env: Mapping[str, str] | None = None) -> None:
        self.wire = wire
        address, login = without_login(preset.base_url_of(target, env))
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


class Endpoints:
    """The APIs of one target, and which of them a request is for: the target's own choice, else the one that its model needs.

    OpenAI's models have two. Chat Completions refuses what it does not serve and names the other API: that is remembered, for
    requests with tools or for all.
    """

    def __init__(self, target: Target, preset: Preset, env: Mapping[str, str] | None = None) -> None:
        self._target, self._preset, self._env = target, preset, env
        self.first = Endpoint(preset.wire(target), target, preset, env)
        self._other: Endpoint | None = None
        self._embeddings: Endpoint | None = None
        self._always = self._with_tools = False
        if preset.has_responses and target.api is None:
            own = preset.name == "openai" and preset.is_own_host(target)
            self._always = own and models.only_responses(target.model)
            self._with_tools = own and models.tools_by_responses(target.model)

    def of(self, request: ChatRequest) -> Endpoint:
        """The API for this request."""
        if request.native is not None and isinstance(request.native, EmbedInput):
            return self._for_embeddings()
        if self._always or (self._with_tools and models.uses_tools(request)):
            return self._responses()
        return self.first

    def learn(self, error: StatusError, request: ChatRequest) -> bool:
        """Whether the refusal showed that another API serves this request."""
        if self._target.api is not None or not self._preset.has_responses or not models.names_responses(error):
            return False
        if self.of(request) is not self.first:
            return False
        if models.uses_tools(request):
            self._with_tools = True
        else:
            self._always = True
        return True

    def _for_embeddings(self) -> Endpoint:
        if self._embeddings is None:
            self._embeddings = Endpoint(self._preset.embeddings_wire(), self._target, self._preset, self._env)
        return self._embeddings

    def _responses(self) -> Endpoint:
        if self._other is None:
            self._other = Endpoint(self._preset.responses_wire(), self._target, self._preset, self._env)
        return self._other
