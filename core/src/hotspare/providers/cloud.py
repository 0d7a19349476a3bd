"""Amazon Bedrock and Google's Vertex AI: base URLs made from region and project, and the differences of their APIs from the wire formats
on which they are based.

Sources: the anthropic 2.12 SDK (`lib/bedrock/_mantle.py`, `lib/vertex`), the openai 2.54 SDK (`providers/bedrock.py`), and
google-genai 3.4 (`_api_client.py`).
"""

import os
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from hotspare._classify.rules import classify
from hotspare.errors import ConfigError, Problem, StatusError
from hotspare.messages import ChatRequest
from hotspare.providers.anthropic.wire import AnthropicWire
from hotspare.providers.base import Wire
from hotspare.providers.gemini.wire import GeminiWire
from hotspare.providers.json_access import without
from hotspare.providers.urls import segment, with_path
from hotspare.secret import Secret, is_key_function, reveal
from hotspare.target import Target

_ONLY_CONVERSE = ("amazon.", "ai21.", "cohere.")
"""Models that Bedrock serves through its own Converse API only."""
_OPENAI_PATH = ("openai.gpt-5", "google.gemma-4", "xai.")
"""Models that Bedrock serves under `/openai/v1`; all others of OpenAI's APIs are under `/v1`. The source is "Programmatic access" in
AWS's card of each model (docs.aws.amazon.com/bedrock/latest/userguide/model-card-….html; models-api-compatibility.html says which
API a model has). For other models the path is learnt from a rejection, see `other_route`."""
_ROUTES = ("/openai/v1", "/v1")
_WRONG_ROUTE = re.compile(r"n['’]t supported on this route|not support the '\S+' api\b", re.I)
"""Errors for a model under the wrong path, with status 400: "model `xai.grok-4.3` isn't supported on this route"; "The model
'nvidia.nemotron-nano-9b-v2' does not support the '/openai/v1/responses' API"."""
_MULTI_REGION = {
    "global": "aiplatform.googleapis.com",
    "us": "aiplatform.us.rep.googleapis.com",
    "eu": "aiplatform.eu.rep.googleapis.com",
}


class BedrockMessagesWire(AnthropicWire):
    """Anthropic's Messages at Bedrock: a Bedrock API key is a bearer token."""

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication and version headers."""
        return {**super().headers(None), **_bearer(key)}


class VertexMessagesWire(AnthropicWire):
    """Anthropic's Messages at Vertex AI: the model and whether it streams are in the URL, the version is in the body."""

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body of a request."""
        body = super().write(request, target, stream=stream)
        return {"anthropic_version": "vertex-2023-10-16", **without(body, ["model"])}

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """`…/publishers/anthropic/models/<model>:rawPredict` or `:streamRawPredict`."""
        verb = "streamRawPredict" if stream else "rawPredict"
        path = urlsplit(base_url).path.rstrip("/")
        return with_path(base_url, f"{path}/publishers/anthropic/models/{segment(target.model)}:{verb}")

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication."""
        return _bearer(key)


class VertexGeminiWire(GeminiWire):
    """Gemini at Vertex AI: an access token, or an API key of its express mode."""

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication."""
        return {"x-goog-api-key": key} if key and _is_api_key(key) else _bearer(key)


def _is_api_key(key: str) -> bool:
    """Whether it is a key of Vertex AI's express mode, whose addresses have no project and no region."""
    return key.startswith(("AIza", "AQ."))


def _plain_key(target: Target) -> str:
    """The target's own key; "-" for a function, whose key is not known yet and is an access token."""
    key = target.api_key
    return "-" if is_key_function(key) else reveal(cast("Secret | str | None", key))


def _bearer(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def is_claude(model: str) -> bool:
    """Whether a model is Anthropic's, by its name at Vertex AI or Bedrock."""
    return model.startswith("claude-") or "anthropic." in model


def cloud_wire(target: Target | None, provider: str) -> Wire | None:
    """The wire format of a target in a cloud; None: that of OpenAI's APIs. Raises ConfigError for a model without a wire format."""
    model = "" if target is None else target.model
    if (
        target is not None
        and provider == "bedrock"
        and model.split(":", 1)[0].removeprefix("us.").startswith(_ONLY_CONVERSE)
    ):
        hint = f"is served through Converse only: pip install litellm-hotspare and write 'litellm/bedrock/{model}'"
        raise ConfigError(Problem.at(f"target {target.name!r}: id", target.id, hint))
    if provider == "vertex":
        return VertexMessagesWire() if is_claude(model) else VertexGeminiWire()
    return BedrockMessagesWire() if is_claude(model) else None


def cloud_url(target: Target, provider: str, env: Mapping[str, str] | None = None) -> str:
    """The base URL, made from region and project: the target's own (`account` is the project), else those in the environment.

    Raises ConfigError naming what is missing.
    """
    variables = os.environ if env is None else env
    claude = is_claude(target.model)
    if provider == "bedrock":
        if base := variables.get("ANTHROPIC_BEDROCK_MANTLE_BASE_URL" if claude else "AWS_BEDROCK_BASE_URL"):
            return base
        region = target.region or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION")
        if not region:
            raise _missing(target, "region", "us-east-1", "AWS_REGION")
        path = "anthropic" if claude else "openai/v1" if target.model.startswith(_OPENAI_PATH) else "v1"
        return f"https://bedrock-mantle.{region}.api.aws/{path}"
    regions, projects = ["GOOGLE_CLOUD_LOCATION"], ["GOOGLE_CLOUD_PROJECT"]
    if claude:  # the variables that Anthropic's client reads
        regions, projects = ["CLOUD_ML_REGION", *regions], ["ANTHROPIC_VERTEX_PROJECT_ID", *projects]
    region = target.region or _first(variables, regions) or "global"
    if not (claude or target.account) and _is_api_key(_plain_key(target) or variables.get("GOOGLE_API_KEY", "")):
        express = variables.get("GOOGLE_VERTEX_BASE_URL") or "https://aiplatform.googleapis.com"
        return f"{express.rstrip('/').removesuffix('/v1')}/v1/publishers/google"
    project = target.account or _first(variables, projects)
    if not project:
        raise _missing(target, "account", "my-project", "GOOGLE_CLOUD_PROJECT")
    host = _MULTI_REGION.get(region, f"{region}-aiplatform.googleapis.com")
    base = variables.get("ANTHROPIC_VERTEX_BASE_URL" if claude else "GOOGLE_VERTEX_BASE_URL") or f"https://{host}"
    return f"{base.rstrip('/').removesuffix('/v1')}/v1/projects/{project}/locations/{region}"


def other_route(base_url: str, error: StatusError) -> str | None:
    """Bedrock's other base URL for OpenAI's APIs, if the rejection states that this one does not serve the model; else None."""
    if error.status not in (400, 404) or not _WRONG_ROUTE.search(classify(error).message):
        return None
    path = urlsplit(base_url).path.rstrip("/")
    return with_path(base_url, _ROUTES[1 - _ROUTES.index(path)]) if path in _ROUTES else None


def _first(variables: Mapping[str, str], names: list[str]) -> str:
    return next((value for name in names if (value := variables.get(name))), "")


def _missing(target: Target, field: str, example: str, variable: str) -> ConfigError:
    hint = f"is required, e.g. {field}={example!r}, or set the environment variable {variable}, or base_url"
    return ConfigError(Problem.at(f"target {target.name!r}: {field}", None, hint))
