"""Anthropic's Messages API, version 2023-06-01 (platform.claude.com/docs/en/api/messages)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hotspare.messages import ChatReply, ChatRequest, Dialect
from hotspare.providers.anthropic.models import traits_of
from hotspare.providers.anthropic.request import (
    HISTORY,
    block_of,
    forces_tool,
    thinking_budget,
    write_body,
)
from hotspare.providers.anthropic.response import read_message
from hotspare.providers.anthropic.stream import AnthropicReader
from hotspare.providers.base import StreamReader
from hotspare.providers.content import parts_of
from hotspare.providers.json_access import Json, as_map, must_map
from hotspare.providers.urls import with_path
from hotspare.secret import BearerStr
from hotspare.target import RequestField, Target


class AnthropicWire:
    """The wire format of dialect `anthropic`. Pure functions, no I/O."""

    dialect: Dialect = "anthropic"
    history = HISTORY

    def prefill(self, target: Target) -> bool:
        """Whether the model continues an assistant message at the end of the request: Claude up to 4.5 does."""
        return traits_of(target.model).prefill

    def unsupported(self, request: ChatRequest, target: Target) -> tuple[RequestField, ...]:
        """The fields of the request that this wire format cannot carry for this target.

        `seed`, the penalties, JSON mode (`response_format` of type `json_object`) and tool choices over several tools do
        not exist; the maximum temperature is 1; features that depend on the model are in `models.traits_of`.
        """
        own = request.extra.get("anthropic", {})
        thinking = request.reasoning_effort not in (None, "none") and "thinking" not in own
        found: dict[RequestField, bool] = {
            "seed": request.seed is not None,
            "frequency_penalty": bool(request.frequency_penalty),
            "presence_penalty": bool(request.presence_penalty),
            "response_format": _format_unsupported(request, target),
            "tool_choice": as_map(request.tool_choice).get("type") not in (None, "function"),
            "stop": any(not text.strip() for text in request.stop),
            "reasoning_effort": _effort_unsupported(request, target, thinking=thinking),
            "messages": any(block_of(p) is None for m in request.messages for p in _media_parts(m)),
            **_sampling_unsupported(request, target, thinking=thinking),
        }
        return tuple(name for name, unsupported in found.items() if unsupported)

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body of a request."""
        return write_body(request, target, stream=stream)

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """`…/v1/messages`, whether or not the base URL ends with `/v1`."""
        path = urlsplit(base_url).path.rstrip("/").removesuffix("/messages")
        return with_path(base_url, f"{path}/messages" if path.endswith("/v1") else f"{path}/v1/messages")

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication and version headers. An OAuth token, and the value of ANTHROPIC_AUTH_TOKEN, are sent as a bearer token, a key as
        `x-api-key`."""
        version = {"anthropic-version": "2023-06-01"}
        if not key:
            return version
        if isinstance(key, BearerStr) or key.startswith("sk-ant-oat"):
            return {**version, "authorization": f"Bearer {key}"}
        return {**version, "x-api-key": key}

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """A whole answer. Raises InBandError, MalformedAnswer, EmptyAnswer or IncompleteAnswer."""
        return read_message(must_map(body, "the answer"), request)

    def reader(self, request: ChatRequest) -> StreamReader:
        """A new reader for one streamed answer."""
        return AnthropicReader(request)


def _media_parts(message: Mapping[str, Any]) -> list[Json]:
    return [part for part in parts_of(message.get("content")) if part.get("type") not in ("text", "refusal")]


def _format_unsupported(request: ChatRequest, target: Target) -> bool:
    kind = as_map(request.response_format).get("type")
    return kind == "json_object" or (kind == "json_schema" and not traits_of(target.model).json_schema)


def _effort_unsupported(request: ChatRequest, target: Target, *, thinking: bool) -> bool:
    traits = traits_of(target.model)
    if not thinking:
        return request.reasoning_effort == "none" and traits.always_reasoning
    if not traits.reasoning:
        return True
    return not traits.adaptive and (forces_tool(request) or not thinking_budget(request))


def _sampling_unsupported(request: ChatRequest, target: Target, *, thinking: bool) -> dict[RequestField, bool]:
    """Temperature, top_p and top_k: not for the newest models, and not together with thinking."""
    traits = traits_of(target.model)
    fixed = not traits.sampling or (thinking and traits.reasoning)
    return {
        "temperature": request.temperature is not None
        and (request.temperature > 1 or (fixed and request.temperature != 1)),
        "top_p": request.top_p not in (None, 1) and fixed,
        "top_k": request.top_k is not None and fixed,
    }
