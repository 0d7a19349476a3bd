"""Readers of request bodies, for the conformance tests: recorded bodies become ChatRequests."""

from collections.abc import Mapping
from typing import Any

from hotspare import ChatRequest
from hotspare.providers.base import Wire
from hotspare.providers.openai.wire import OpenAIWire

from tests.support.request_readers import anthropic, gemini, openai


def read_request(wire: Wire, body: Mapping[str, Any], *, model: str | None = None) -> ChatRequest:
    """The reverse of `Wire.write`. `model`: where the body names none, because its URL does."""
    if isinstance(wire, OpenAIWire):
        return openai.parse_body(body, wire.flavor, model)
    return (gemini if wire.dialect == "gemini" else anthropic).parse_body(body, model)
