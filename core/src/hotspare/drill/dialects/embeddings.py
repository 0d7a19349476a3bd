# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Embeddings, as OpenAI, Azure and Gemini serve them. Texts with common words have similar vectors."""

import re
from hashlib import sha256
from math import sqrt
from typing import Any, Final

from hotspare.drill.dialects import openai_errors as errors
from hotspare.drill.dialects.base import Headers
from hotspare.drill.dialects.gemini import GeminiDialect
from hotspare.drill.dialects.gemini_validation import invalid
from hotspare.drill.dialects.openai import OpenAIDialect, api_key
from hotspare.drill.messages import Answer, Json, Request, Turn

DIMENSIONS: Final = 256
"""Length of a vector if the request does not state it."""
_WORD: Final = re.compile(r"\w+")
_GEMINI_PATH: Final = re.compile(r"/models/([^:]+):batchEmbedContents")


def vector(text: str, dimensions: int) -> list[float]:
    """A vector of norm 1 that counts each word at one index, so that texts with common words are near each other."""
    counts = [0.0] * dimensions
    for word in _WORD.findall(text.lower()) or [text]:
        counts[int.from_bytes(sha256(word.encode()).digest()[:4]) % dimensions] += 1
    length = sqrt(sum(count * count for count in counts))
    return [count / length for count in counts]


def _vectors(request: Request) -> list[list[float]]:
    return [vector(turn.text, request.dimensions or DIMENSIONS) for turn in request.turns]


class OpenAIEmbeddingsDialect(OpenAIDialect):
    """`POST /v1/embeddings` and the paths of Azure."""

    def read(self, path: str, headers: Headers, body: Any) -> Request:
        api_key(path, headers)
        model, texts = self.model_of(path, body), body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            raise errors.invalid("'$.input' is invalid. Please check the API reference.", "input")
        return Request(model, [Turn("user", text) for text in texts], dimensions=body.get("dimensions"))

    def body(self, request: Request, answer: Answer) -> Json:
        rows = [
            {"object": "embedding", "index": place, "embedding": numbers}
            for place, numbers in enumerate(_vectors(request))
        ]
        usage = {"prompt_tokens": request.prompt_tokens, "total_tokens": request.prompt_tokens}
        return {"object": "list", "data": rows, "model": request.model, "usage": usage}


class GeminiEmbeddingsDialect(GeminiDialect):
    """`POST /v1beta/models/<model>:batchEmbedContents`."""

    def read(self, path: str, headers: Headers, body: Any) -> Request:
        model = self.model_of(path, headers, _GEMINI_PATH)[1]
        requests = body.get("requests") if isinstance(body, dict) else None
        if not isinstance(requests, list) or not 0 < len(requests) <= 100:
            raise invalid("* BatchEmbedContentsRequest.requests: at least one and at most 100 requests")
        try:
            turns = [Turn("user", "".join(part["text"] for part in one["content"]["parts"])) for one in requests]
            return Request(model, turns, dimensions=requests[0].get("outputDimensionality"))
        except (KeyError, TypeError, AttributeError):
            raise invalid("* EmbedContentRequest.content: contents is not specified") from None

    def body(self, request: Request, answer: Answer) -> Json:
        return {"embeddings": [{"values": numbers} for numbers in _vectors(request)]}
