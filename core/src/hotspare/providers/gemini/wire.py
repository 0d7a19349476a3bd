"""Gemini's generateContent, of the Gemini API and of Vertex AI (ai.google.dev/api/generate-content)."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hotspare.messages import ChatReply, ChatRequest, Dialect
from hotspare.providers.base import StreamReader
from hotspare.providers.content import parts_of
from hotspare.providers.gemini.request import HISTORY, generation, part_of, write_body
from hotspare.providers.gemini.response import GeminiReader, read_answer
from hotspare.providers.json_access import as_map, must_map
from hotspare.providers.urls import segment, with_path
from hotspare.target import RequestField, Target

_VERSIONED = re.compile(r"/v\d\w*(/|$)")


class GeminiWire:
    """The wire format of dialect `gemini`. Pure functions, no I/O."""

    dialect: Dialect = "gemini"
    history = HISTORY

    def prefill(self, target: Target) -> bool:
        """True: a turn of the model at the end is continued."""
        return True

    def unsupported(self, request: ChatRequest, target: Target) -> tuple[RequestField, ...]:
        """The fields of the request that this wire format cannot carry for this target.

        `user` and `parallel_tool_calls=False` do not exist; there are at most five `stop` sequences; models before 2.5 do not
        reason; reasoning cannot be switched off in 2.5 Pro and from 3 on.
        """
        found: dict[RequestField, bool] = {
            "user": request.user is not None,
            "parallel_tool_calls": request.parallel_tool_calls is False and bool(request.tools),
            "stop": len(request.stop) > 5,
            "reasoning_effort": _effort_unsupported(request.reasoning_effort, target.model),
            "messages": any(part_of(p, target) is None for m in request.messages for p in parts_of(m.get("content"))),
            "response_format": as_map(request.response_format).get("type")
            not in (None, "text", "json_object", "json_schema"),
        }
        return tuple(name for name, unsupported in found.items() if unsupported)

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body of a request; whether it is a stream is in the URL."""
        return write_body(request, target)

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """`…/models/<model>:generateContent` or `:streamGenerateContent`.

        `base_url`: the Gemini API's (``…/v1beta`` is added if it has no version) or, on Vertex AI,
        ``…/projects/P/locations/L``.
        """
        path = urlsplit(base_url).path.rstrip("/")
        if not _VERSIONED.search(path):
            path += "/v1beta"
        if re.search(r"/locations/[^/]+$", path):
            path += "/publishers/google"
        path += f"/models/{segment(target.model.removeprefix('models/'))}:"
        if stream:
            return with_path(base_url, path + "streamGenerateContent", "alt=sse")
        return with_path(base_url, path + "generateContent")

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication: an OAuth access token (Vertex AI) as a bearer token, an API key as `x-goog-api-key`."""
        if not key:
            return {}
        is_token = key.startswith("ya29.") or key.count(".") == 2
        return {"authorization": f"Bearer {key}"} if is_token else {"x-goog-api-key": key}

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """A whole answer. Raises InBandError, MalformedAnswer, EmptyAnswer or IncompleteAnswer."""
        return read_answer(must_map(body, "the answer"), request)

    def reader(self, request: ChatRequest) -> StreamReader:
        """A new reader for one streamed answer."""
        return GeminiReader(request)


def _effort_unsupported(effort: str | None, model: str) -> bool:
    if effort is None:
        return False
    version = generation(model)
    if effort == "none":
        return version >= (3, 0) or (version == (2, 5) and "pro" in model)
    return version < (2, 5)
