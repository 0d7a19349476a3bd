"""OpenAI's Chat Completions, and the APIs compatible with it (platform.openai.com/docs/api-reference/chat)."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from hotspare.messages import NATIVE_PART, ChatReply, ChatRequest, Dialect
from hotspare.providers.base import StreamReader
from hotspare.providers.content import part_types, parts_of
from hotspare.providers.history import HistoryRules
from hotspare.providers.json_access import Json, as_map, as_text, must_map
from hotspare.providers.openai.flavors import FLAVORS, Flavor, is_reasoning_model, nearest_effort, openai_effort_levels
from hotspare.providers.openai.request import effort_levels, write_body
from hotspare.providers.openai.response import read_answer
from hotspare.providers.openai.stream import OpenAIReader
from hotspare.providers.urls import segment, with_path
from hotspare.secret import BearerStr
from hotspare.target import RequestField, Target

_PATH = "/chat/completions"


class OpenAIWire:
    """The wire format of dialect `openai`, in one provider's flavor. Pure functions, no I/O."""

    dialect: Dialect = "openai"

    def __init__(self, flavor: Flavor = FLAVORS["openai"]) -> None:
        self.flavor = flavor

    @property
    def history(self) -> HistoryRules:
        """The rules for the histories that this flavor accepts."""
        return self.flavor.history

    def prefill(self, target: Target) -> bool:
        """Whether the target continues an assistant message at the end of the request: Mistral, vLLM, Ollama (and llama.cpp, which
        has no preset), some models at OpenRouter, DeepSeek at its beta URL. Others begin a new answer."""
        if self.flavor.name == "deepseek":
            return urlsplit(target.base_url or "").path.rstrip("/").endswith("/beta")
        models = self.flavor.prefilled_models
        return models is None or models.search(target.model) is not None

    def unsupported(self, request: ChatRequest, target: Target) -> tuple[RequestField, ...]:
        """The fields of the request that this wire format cannot carry for this target.

        Fields that a provider rejects or ignores are in its `Flavor`; those that OpenAI's reasoning models reject are added here.
        """
        flavor = self.flavor
        found: dict[RequestField, bool] = {name: _is_set(request, name) for name in flavor.unsupported}
        if request.response_format and not flavor.json_schema:
            found["response_format"] = as_map(request.response_format).get("type") == "json_schema"
        if request.tools and request.tool_choice not in (None, "auto"):
            named = as_map(request.tool_choice).get("type") == "allowed_tools"
            found["tool_choice"] = not flavor.forced_tool_choice or (named and not flavor.allowed_tools)
        if any(type(message.get("content")) is not str for message in request.messages):
            types = flavor.content_parts
            found["messages"] = (types is not None and not part_types(request.messages) <= types) or any(
                map(_is_foreign, _parts(request))
            )
        if request.reasoning_effort is not None and flavor.effort_field != "thinking":
            found["reasoning_effort"] = effort_unsupported(request.reasoning_effort, target, flavor)
        if flavor.openai_models and is_reasoning_model(target.model):
            found |= _reasoning_model_rejects(request, target)
        return tuple(name for name, unsupported in found.items() if unsupported)

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body of a request."""
        prefill = self.prefill(target) if target.prefill is None else target.prefill
        return write_body(request, target, self.flavor, stream=stream, prefill=prefill)

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """`<base_url>/chat/completions`; a base URL without a path gets `/v1` first.

        Azure: a base URL without a path gets `/openai/v1`; one with `?api-version=` is the classic API, whose path has the
        name of the deployment.
        """
        parts = urlsplit(base_url)
        path = parts.path.rstrip("/")
        if self.flavor.name == "azure" and "api-version=" in parts.query:
            if "/deployments/" not in path:
                path = f"{path.removesuffix('/openai')}/openai/deployments/{segment(target.model)}"
        elif self.flavor.name == "azure" and path in ("", "/openai"):
            path = "/openai/v1"
        elif not path:
            path = "/v1"
        path = path if path.endswith(_PATH) else path + _PATH
        return with_path(base_url, path)

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication: a bearer token; for Azure `api-key`, unless the key is an Entra token (a JWT)."""
        return auth_headers(key, self.flavor)

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """A whole answer. Raises InBandError, MalformedAnswer, EmptyAnswer or IncompleteAnswer."""
        return read_answer(must_map(body, "the answer"), request, self.flavor)

    def reader(self, request: ChatRequest) -> StreamReader:
        """A new reader for one streamed answer."""
        return OpenAIReader(self.flavor, request)


def auth_headers(key: str | None, flavor: Flavor) -> dict[str, str]:
    """A bearer token; for Azure `api-key`, unless the key is an Entra token (a JWT)."""
    if not key:
        return {}
    if flavor.name == "azure" and key.count(".") != 2 and not isinstance(key, BearerStr):
        return {"api-key": key}
    return {"authorization": f"Bearer {key}"}


def effort_unsupported(effort: str | None, target: Target, flavor: Flavor) -> bool:
    """Whether this target accepts neither this effort nor a near one."""
    if effort is None:
        return False
    levels = effort_levels(target, flavor)
    if effort == "none":
        return bool(levels) and "none" not in levels
    return nearest_effort(effort, levels) is None


def _parts(request: ChatRequest) -> Iterator[Json]:
    """The content parts of its messages. Contents that are a plain text are skipped, because every target accepts them."""
    contents = (message.get("content") for message in request.messages)
    return (part for content in contents if not isinstance(content, str) for part in parts_of(content))


def _is_foreign(part: Json) -> bool:
    """Whether no flavor accepts the part: content of a framework's own model, a file by URL, which only Anthropic and Gemini
    accept (OpenAI accepts data or the id of an upload), or a video."""
    file = as_map(part.get("file"))
    by_url = as_text(file.get("file_id")).startswith(("https://", "http://", "gs://"))
    return part.get("type") == NATIVE_PART or by_url or as_text(file.get("file_data")).startswith("data:video/")


def _is_set(request: ChatRequest, name: RequestField) -> bool:
    """Whether the request sets this field to something other than the provider's default."""
    value = getattr(request, name)
    if name == "parallel_tool_calls":
        return value is False and bool(request.tools)
    return value not in (None, ()) and not (name.endswith("_penalty") and value == 0)


def _reasoning_model_rejects(request: ChatRequest, target: Target) -> dict[RequestField, bool]:
    """The fields that OpenAI's reasoning models reject ("Unsupported parameter"): sampling, unless reasoning is off; stop
    sequences; and, in the o series, `parallel_tool_calls`."""
    none_known = "none" in openai_effort_levels(target.model)
    reasons = not (none_known and request.reasoning_effort in (None, "none"))
    return {
        "temperature": reasons and request.temperature not in (None, 1),
        "top_p": reasons and request.top_p not in (None, 1),
        "frequency_penalty": bool(request.frequency_penalty),
        "presence_penalty": bool(request.presence_penalty),
        "stop": bool(request.stop) and "o1" not in target.model,
        "parallel_tool_calls": request.parallel_tool_calls is not None
        and bool(request.tools)
        and "gpt-" not in target.model,
    }
