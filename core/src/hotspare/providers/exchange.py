"""The request of one attempt, and how its answer is read. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from hotspare._classify.rules import classify
from hotspare._http.headers import Headers
from hotspare.errors import RequestError, StatusError
from hotspare.messages import ChatReply, ChatRequest
from hotspare.providers.endpoint import Endpoints
from hotspare.providers.history import without_signatures
from hotspare.providers.response import ResponseParser, read_response
from hotspare.secret import HiddenStr, SecretUrl
from hotspare.target import Target

_encode = json.JSONEncoder(allow_nan=False).encode  # `json.dumps` would create an encoder for each request


_ABOUT_SIGNATURES = re.compile(
    r"signature|encrypted[ _]content|thinking.{0,20}blocks?|of type .?reasoning|\brs_\w{8}", re.I
)
"""Anthropic: "Invalid `signature` in `thinking` block", "`thinking` or `redacted_thinking` blocks … cannot be modified"; Gemini:
"Corrupted thought signature"; OpenAI: "The encrypted content … could not be verified", or only its code; of a reasoning item "Item
'rs_…' of type 'reasoning' was provided without its required following item" and, as a 404, "Item with id 'rs_…' not found"."""


def _is_about_signatures(error: StatusError) -> bool:
    """Whether a rejection is about signatures or encrypted reasoning of earlier turns."""
    if error.status not in (400, 404):
        return False
    outcome = classify(error)
    return _ABOUT_SIGNATURES.search(f"{outcome.code} {outcome.message}") is not None


class Exchange:
    """The request of one attempt. `adapt` changes it after the provider has rejected its form; the same form is never sent twice."""

    _refused: frozenset[tuple[str, bytes]] = frozenset()

    def __init__(
        self, endpoints: Endpoints, target: Target, request: ChatRequest, key: HiddenStr | None, *, stream: bool
    ) -> None:
        self._endpoints, self._target, self._request, self._key = endpoints, target, request, key
        self._is_stream, self._rotated, self._signed = stream, False, True
        self._endpoint = endpoints.of(request)
        self.body = self._body()

    def _body(self) -> bytes:
        """The request's JSON. Raises RequestError for a value that JSON cannot express."""
        try:
            fields = self._endpoint.wire.write(self._request, self._target, stream=self._is_stream)
            return _encode(fields).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError(f"request: cannot be sent as JSON: {error}") from error

    @property
    def url(self) -> SecretUrl:
        """The URL to post it to."""
        return self._endpoint.stream_url if self._is_stream else self._endpoint.url

    @property
    def headers(self) -> Headers:
        """The headers, with the key."""
        return self._endpoint.headers(self._key, stream=self._is_stream)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> ChatReply:
        """The whole answer. Raises a BackendError."""
        return read_response(self._endpoint.wire, self._request, status, headers, body)

    def parser(self, status: int, headers: Mapping[str, str]) -> ResponseParser:
        """The reader of a streamed answer."""
        return ResponseParser(self._endpoint.wire, self._request, status, headers)

    def adapt(self, error: StatusError, key: HiddenStr | None) -> bool:
        """Remove the cause of a rejection. Returns whether the request can be sent again immediately. Handles a key that
        has been replaced (`key`: the current one); rejected signatures of reasoning, which are then left out; and a wrong API or base
        URL, if the rejection shows the right one."""
        if key is not None and key != self._key and not self._rotated:
            self._key, self._rotated = key, True
            return True
        if self._signed and _is_about_signatures(error):
            self._signed, self._request = (
                False,
                replace(self._request, messages=without_signatures(self._request.messages)),
            )
        elif not self._endpoints.learn(error, self._request, self._endpoint):
            return False
        self._refused |= {(self.url.get_secret_value(), self.body)}
        self._endpoint = self._endpoints.of(self._request)
        self.body = self._body()
        return (self.url.get_secret_value(), self.body) not in self._refused
