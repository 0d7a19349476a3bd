"""Readers of request bodies, for the conformance tests: recorded bodies become ChatRequests."""

from collections.abc import Mapping
from typing import Any

from hotspare import ChatRequest
from hotspare.providers.base import Wire
from hotspare.providers.openai.wire import OpenAIWire

from tests.support.request_readers import anthropic, gemini, openai, responses


def read_request(wire: Wire, body: Mapping[str, Any], *, model: str | None = None) -> ChatRequest:
    """The reverse of `Wire.write`. `model`: where the body names none, because its URL does."""
    if isinstance(wire, OpenAIWire):
        return openai.parse_body(body, wire.flavor, model)
    readers = {"gemini": gemini.parse_body, "anthropic": anthropic.parse_body, "responses": responses.parse_body}
    return readers[wire.dialect](body, model)
