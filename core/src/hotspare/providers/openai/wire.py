"""OpenAI's chat completions, as OpenAI and its kin speak them (docs: platform.openai.com/docs/api-reference/chat)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from hotspare.messages import ChatReply, ChatRequest
from hotspare.providers.base import StreamReader
from hotspare.providers.content import missing_capabilities, part_kinds, parts_of
from hotspare.providers.json_access import as_map, as_text, must_map
from hotspare.providers.openai.flavors import FLAVORS, Flavor, nearest_effort, openai_efforts, reasons
from hotspare.providers.openai.request import efforts_of, write_body
from hotspare.providers.openai.response import read_answer
from hotspare.providers.openai.stream import OpenAIReader
from hotspare.target import Target

_CALL = "/chat/completions"


class OpenAIWire:
    """The Wire of dialect `openai`, in one provider's flavor: pure functions, no I/O."""

    dialect: str = "openai"

    def __init__(self, flavor: Flavor = FLAVORS["openai"]) -> None:
        self.flavor = flavor

    def prefill(self, target: Target) -> bool:
        """Whether the model continues an assistant message that ends the request: no."""
        return False

    def unsupported(self, request: ChatRequest, target: Target) -> tuple[str, ...]:
        """Names of the request's fields that this wire cannot carry for this target.

        What a provider rejects or ignores stands in its `Flavor`; what OpenAI's reasoning models reject is added here.
        """
        flavor = self.flavor
        choice = request.tool_choice if request.tools else None
        found = {
            **{name: _is_set(request, name) for name in flavor.unsupported},
            "response_format": not flavor.json_schema and as_map(request.response_format).get("type") == "json_schema",
            "tool_choice": (not flavor.allowed_tools and as_map(choice).get("type") == "allowed_tools")
            or (not flavor.forced_tools and choice not in (None, "auto")),
            "messages": (flavor.parts is not None and not part_kinds(request.messages) <= flavor.parts)
            or _links_a_file(request),
            "reasoning_effort": self._no_effort(request.reasoning_effort, target),
        }
        if flavor.openai_models and reasons(target.model):
            found |= _thinking_takes_no(request, target)
        return tuple(
            dict.fromkeys([name for name, missing in found.items() if missing] + missing_capabilities(request, target))
        )

    def _no_effort(self, effort: str | None, target: Target) -> bool:
        if effort is None or self.flavor.effort == "thinking":
            return False
        known = efforts_of(target, self.flavor)
        if effort == "none":
            return bool(known) and "none" not in known
        return nearest_effort(effort, known) is None

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body of a request."""
        return write_body(request, target, self.flavor, stream=stream)

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """Where to post it: `<base_url>/chat/completions`; a base URL that is a host only gets `/v1`.

        Azure: a bare resource gets `/openai/v1`; a base URL with `?api-version=` is the classic API, whose path names
        the deployment.
        """
        parts = urlsplit(base_url)
        path = parts.path.rstrip("/")
        if self.flavor.name == "azure" and "api-version=" in parts.query:
            if "/deployments/" not in path:
                path = f"{path.removesuffix('/openai')}/openai/deployments/{target.model}"
        elif self.flavor.name == "azure" and path in ("", "/openai"):
            path = "/openai/v1"
        elif not path:
            path = "/v1"
        path = path if path.endswith(_CALL) else path + _CALL
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication: a bearer; for Azure `api-key`, unless the key is an Entra token (a JWT)."""
        if not key:
            return {}
        if self.flavor.name == "azure" and key.count(".") != 2:
            return {"api-key": key}
        return {"authorization": f"Bearer {key}"}

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """A whole answer. Raises InBandError, MalformedAnswer, EmptyAnswer or IncompleteAnswer."""
        return read_answer(must_map(body, "the answer"), request, self.flavor.signer)

    def reader(self, request: ChatRequest) -> StreamReader:
        """A fresh reader for one streamed answer."""
        return OpenAIReader(self.flavor, request)


def _links_a_file(request: ChatRequest) -> bool:
    """Files come as data or by the id of an upload; by URL only Anthropic and Gemini take them."""
    parts = (part for message in request.messages for part in parts_of(message.get("content")))
    return any(as_text(as_map(part.get("file")).get("file_id")).startswith(("https://", "http://")) for part in parts)


def _is_set(request: ChatRequest, name: str) -> bool:
    value = getattr(request, name)
    if name == "parallel_tool_calls":
        return value is False and bool(request.tools)
    return value not in (None, ()) and not (name.endswith("_penalty") and value == 0)


def _thinking_takes_no(request: ChatRequest, target: Target) -> dict[str, bool]:
    """What OpenAI's reasoning models reject ("Unsupported parameter"): sampling, unless reasoning is off; stop texts;
    and, in the o series, a word on parallel calls."""
    none_known = "none" in openai_efforts(target.model)
    fixed = not (none_known and request.reasoning_effort in (None, "none"))
    return {
        "temperature": fixed and request.temperature not in (None, 1),
        "top_p": fixed and request.top_p not in (None, 1),
        "frequency_penalty": bool(request.frequency_penalty),
        "presence_penalty": bool(request.presence_penalty),
        "stop": bool(request.stop) and "o1" not in target.model,
        "parallel_tool_calls": request.parallel_tool_calls is not None
        and bool(request.tools)
        and "gpt-" not in target.model,
    }
