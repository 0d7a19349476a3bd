"""OpenAI's Responses API (platform.openai.com/docs/api-reference/responses), and the servers that speak it too: Azure, Bedrock,
OpenRouter, DeepSeek, Ollama, vLLM, llama.cpp."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hotspare.messages import ChatReply, ChatRequest, Dialect
from hotspare.providers.base import StreamReader
from hotspare.providers.content import parts_of
from hotspare.providers.history import HistoryRules
from hotspare.providers.json_access import as_map, must_map
from hotspare.providers.openai.flavors import FLAVORS, Flavor, is_reasoning_model, openai_effort_levels
from hotspare.providers.openai.wire import auth_headers, effort_unsupported
from hotspare.providers.responses.request import history_rules, input_part, write_body
from hotspare.providers.responses.response import read_answer
from hotspare.providers.responses.stream import ResponsesReader
from hotspare.providers.urls import with_path
from hotspare.target import RequestField, Target

_MIN_OUTPUT_TOKENS = 16
"""OpenAI: "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16"."""


class ResponsesWire:
    """The wire format of dialect `responses`, in one provider's flavor. Pure functions, no I/O."""

    dialect: Dialect = "responses"

    def __init__(self, flavor: Flavor = FLAVORS["openai"]) -> None:
        self.flavor = flavor

    @property
    def history(self) -> HistoryRules:
        """The rules for the histories that this flavor accepts."""
        return history_rules(self.flavor)

    def prefill(self, target: Target) -> bool:
        """False: after an assistant message at the end, the model begins a new answer."""
        return False

    def unsupported(self, request: ChatRequest, target: Target) -> tuple[RequestField, ...]:
        """The fields of the request that this wire format cannot carry for this target.

        `stop`, `seed`, `top_k` and the penalties do not exist; OpenAI's models require `max_tokens` of at least 16, and its
        reasoning models reject sampling.
        """
        own = self.flavor.openai_models
        fixed = own and is_reasoning_model(target.model) and _reasons(request, target)
        found: dict[RequestField, bool] = {
            "stop": bool(request.stop),
            "seed": request.seed is not None,
            "top_k": request.top_k is not None,
            "frequency_penalty": bool(request.frequency_penalty),
            "presence_penalty": bool(request.presence_penalty),
            "temperature": fixed and request.temperature not in (None, 1),
            "top_p": fixed and request.top_p not in (None, 1),
            "max_tokens": own and request.max_tokens is not None and request.max_tokens < _MIN_OUTPUT_TOKENS,
            "tool_choice": not self.flavor.allowed_tools
            and bool(request.tools)
            and as_map(request.tool_choice).get("type") == "allowed_tools",
            "messages": any(input_part(part) is None for m in request.messages for part in parts_of(m.get("content"))),
            "reasoning_effort": effort_unsupported(request.reasoning_effort, target, self.flavor),
        }
        return tuple(name for name, unsupported in found.items() if unsupported)

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body of a request."""
        return write_body(request, target, self.flavor, stream=stream)

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """`<base_url>/responses`; a base URL without a path gets `/v1` first, on Azure `/openai/v1`, or `/openai` for the
        classic API (`?api-version=`). A base URL with `/chat/completions` or a deployment is accepted too."""
        parts = urlsplit(base_url)
        path = parts.path.rstrip("/").removesuffix("/responses").removesuffix("/chat/completions")
        if self.flavor.name == "azure":
            path = path.partition("/deployments/")[0]
            if path in ("", "/openai"):
                path = "/openai" if "api-version=" in parts.query else "/openai/v1"
        return with_path(base_url, f"{path or '/v1'}/responses")

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication, as for Chat Completions."""
        return auth_headers(key, self.flavor)

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """A whole answer. Raises InBandError, MalformedAnswer, EmptyAnswer or IncompleteAnswer."""
        return read_answer(must_map(body, "the answer"), request)

    def reader(self, request: ChatRequest) -> StreamReader:
        """A new reader for one streamed answer."""
        return ResponsesReader(request)


def _reasons(request: ChatRequest, target: Target) -> bool:
    none_known = "none" in openai_effort_levels(target.model)
    return not (none_known and request.reasoning_effort in (None, "none"))
