"""The wire formats of embeddings: OpenAI's, which most providers speak, and Gemini's. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from hotspare.embeddings import EmbedInput, Vector
from hotspare.errors import EmptyAnswer, MalformedAnswer
from hotspare.messages import ChatReply, ChatRequest, Dialect, Usage
from hotspare.providers.base import StreamReader, Wire
from hotspare.providers.json_access import as_count, as_list, as_map, as_text
from hotspare.providers.urls import with_path
from hotspare.target import RequestField, Target


class _EmbeddingWire:
    """The base class of both. URLs and authentication are derived from the provider's chat API (`chat`)."""

    dialect: Dialect
    _chat_path: re.Pattern[str]
    _path: str

    def __init__(self, chat: Wire) -> None:
        self._chat = chat
        self.history = chat.history

    def prefill(self, target: Target) -> bool:
        """False: embeddings are not continued."""
        return False

    def unsupported(self, request: ChatRequest, target: Target) -> tuple[RequestField, ...]:
        """None: every field of an embeddings request is carried."""
        return ()

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """The chat API's URL with another last segment."""
        url = self._chat.url(base_url, target, stream=False)
        return with_path(url, self._chat_path.sub(self._path, urlsplit(url).path))

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication, as for chat."""
        return self._chat.headers(key)

    def reader(self, request: ChatRequest) -> StreamReader:
        """Vectors are not streamed. Raises MalformedAnswer."""
        raise MalformedAnswer("embeddings cannot be streamed")


class OpenAIEmbeddings(_EmbeddingWire):
    """`POST …/embeddings` (platform.openai.com/docs/api-reference/embeddings)."""

    dialect: Dialect = "openai"
    _chat_path = re.compile(r"/chat/completions$")
    _path = "/embeddings"

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body."""
        given = cast("EmbedInput", request.native)
        fields: dict[str, Any] = {"model": target.model, "input": list(given.texts), "encoding_format": "float"}
        if given.dimensions is not None:
            fields["dimensions"] = given.dimensions
        if request.user is not None:
            fields["user"] = request.user
        return fields | {**request.extra.get(self.dialect, {})} | {**target.extra}

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """The vectors, in the order of the texts. Raises EmptyAnswer or MalformedAnswer."""
        rows = sorted((as_map(row) for row in as_list(body.get("data"))), key=lambda row: as_count(row.get("index")))
        vectors = _vectors([row.get("embedding") for row in rows], request)
        tokens = as_count(as_map(body.get("usage")).get("prompt_tokens"))
        return ChatReply(native=vectors, usage=Usage(tokens), model=as_text(body.get("model")))


class GeminiEmbeddings(_EmbeddingWire):
    """`POST …/models/<model>:batchEmbedContents` (ai.google.dev/api/embeddings)."""

    dialect: Dialect = "gemini"
    _chat_path = re.compile(r":generateContent$")
    _path = ":batchEmbedContents"

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body: one request for each text."""
        given = cast("EmbedInput", request.native)
        common: dict[str, Any] = {"model": f"models/{target.model.removeprefix('models/')}"}
        if given.dimensions is not None:
            common["outputDimensionality"] = given.dimensions
        common |= {**request.extra.get(self.dialect, {})} | {**target.extra}
        return {"requests": [{**common, "content": {"parts": [{"text": text}]}} for text in given.texts]}

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """The vectors, in the order of the texts. Raises EmptyAnswer or MalformedAnswer."""
        vectors = _vectors([as_map(row).get("values") for row in as_list(body.get("embeddings"))], request)
        tokens = as_count(as_map(body.get("usageMetadata")).get("promptTokenCount"))
        return ChatReply(native=vectors, usage=Usage(tokens))


def _vectors(found: list[object], request: ChatRequest) -> list[Vector]:
    """One vector for each text, all of them numbers."""
    texts = cast("EmbedInput", request.native).texts
    if not found:
        raise EmptyAnswer("the answer has no vectors")
    if len(found) != len(texts):
        raise MalformedAnswer(f"the answer has {len(found)} vectors for {len(texts)} texts")
    for vector in found:
        numbers = as_list(vector)
        if not numbers or not {*map(type, numbers)} <= {float, int}:
            raise MalformedAnswer("the answer has a vector that is not a list of numbers")
    return cast("list[Vector]", found)
