"""Bedrock and Vertex AI: addresses, headers and bodies as the official SDKs send them, and addresses from the environment."""

from typing import Any

import anthropic
import httpx2
import pytest
from hotspare.errors import ConfigError
from hotspare.messages import ChatRequest
from hotspare.providers.endpoint import Endpoints
from hotspare.providers.gemini.request import on_vertex
from hotspare.providers.presets import PRESETS, preset_of
from hotspare.secret import HiddenStr
from hotspare.target import Target

ASK = ChatRequest(messages=[{"role": "user", "content": "hi"}], max_tokens=9)


def sent(target: Target, *, stream: bool = False) -> tuple[str, dict[str, str], dict[str, Any]]:
    """URL, headers and body of a request."""
    endpoint = Endpoints(target, preset_of(target)).of(ASK)
    url = endpoint.stream_url if stream else endpoint.url
    headers = dict(endpoint.headers(HiddenStr("k"), stream=stream).items())
    return url.get_secret_value(), headers, endpoint.wire.write(ASK, target, stream=stream)


@pytest.mark.parametrize(
    ("model", "api", "url"),
    [
        ("anthropic.claude-sonnet-4-5", None, "https://bedrock-mantle.eu-west-1.api.aws/anthropic/v1/messages"),
        ("eu.anthropic.claude-sonnet-4-5", None, "https://bedrock-mantle.eu-west-1.api.aws/anthropic/v1/messages"),
        ("openai.gpt-oss-120b", None, "https://bedrock-mantle.eu-west-1.api.aws/v1/chat/completions"),
        ("qwen.qwen3-32b", "responses", "https://bedrock-mantle.eu-west-1.api.aws/v1/responses"),
        ("google.gemma-4-31b", None, "https://bedrock-mantle.eu-west-1.api.aws/openai/v1/chat/completions"),
        ("xai.grok-4.3", None, "https://bedrock-mantle.eu-west-1.api.aws/openai/v1/chat/completions"),
        ("openai.gpt-5.6", "responses", "https://bedrock-mantle.eu-west-1.api.aws/openai/v1/responses"),
    ],
)
def test_bedrock(model: str, api: Any, url: str) -> None:
    """Three APIs at one host, all with a bearer token."""
    found, headers, body = sent(Target(f"bedrock/{model}", region="eu-west-1", api=api))
    assert (found, headers["authorization"], body["model"]) == (url, "Bearer k", model)
    assert ("anthropic-version" in headers) == ("anthropic" in model)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("region", ["global", "eu", "europe-west4"])
def test_claude_on_vertex(stream: bool, region: str) -> None:
    """The same request as Anthropic's own client sends."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(500)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    ask: Any = [{"role": "user", "content": "hi"}]
    client = anthropic.AnthropicVertex(region=region, project_id="p", access_token="k", max_retries=0, http_client=http)
    with client, pytest.raises(anthropic.InternalServerError):
        client.messages.create(model="claude-x@1", max_tokens=9, messages=ask, stream=stream)
    url, headers, body = sent(Target("vertex/claude-x@1", region=region, account="p"), stream=stream)
    assert url == str(seen[0].url)
    assert headers["authorization"] == seen[0].headers["authorization"] == "Bearer k"
    assert (body["anthropic_version"], "model" in body, body.get("stream", False)) == (
        "vertex-2023-10-16",
        False,
        stream,
    )


def test_gemini_on_vertex() -> None:
    """A token is a bearer token whatever it looks like; an API key of the express mode is none."""
    url, headers, _ = sent(Target("vertex/gemini-2.5-pro", region="us-central1", account="p"))
    place = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
    assert url == f"{place}/publishers/google/models/gemini-2.5-pro:generateContent"
    assert headers["authorization"] == "Bearer k"
    wire = PRESETS["vertex"].wire()
    assert wire.headers("AIzaKey") == {"x-goog-api-key": "AIzaKey"}
    for base in (
        place,
        "https://ep.europe-west4-1.p.example/v1/projects/p/locations/europe-west4",
        "https://aiplatform.eu.rep.googleapis.com",
    ):
        assert on_vertex(Target("gemini/gemini-2.5-pro", base_url=base))
    assert not on_vertex(Target("gemini/gemini-2.5-pro"))


def test_express_mode_of_vertex() -> None:
    """An API key has no project in its address, as google-genai sends it; a token and a stated project have."""
    express = "https://aiplatform.googleapis.com/v1/publishers/google"
    preset, env = PRESETS["vertex"], {"GOOGLE_CLOUD_PROJECT": "p"}
    own = Target("vertex/gemini-2.5-pro", api_key="AIza-key")
    assert preset.base_url_of(own, env) == express
    assert sent(own)[0] == f"{express}/models/gemini-2.5-pro:generateContent"
    assert preset.base_url_of(Target("vertex/gemini-2.5-pro"), {"GOOGLE_API_KEY": "AQ.key"}) == express
    for other in (
        Target("vertex/gemini-2.5-pro", api_key="AIza-key", account="p"),
        Target("vertex/gemini-2.5-pro", api_key=lambda: "ya29.token"),
    ):
        assert preset.base_url_of(other, {**env, "GOOGLE_API_KEY": "AQ.key"}).endswith(
            "/v1/projects/p/locations/global"
        )


@pytest.mark.parametrize(
    ("id", "env", "url"),
    [
        ("openai/m", {"OPENAI_BASE_URL": "https://relay.example/v1"}, "https://relay.example/v1"),
        ("azure/m", {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"}, "https://r.openai.azure.com"),
        ("anthropic/m", {"ANTHROPIC_BASE_URL": "https://relay.example"}, "https://relay.example"),
        ("gemini/m", {"GOOGLE_GEMINI_BASE_URL": "https://relay.example"}, "https://relay.example"),
        ("together/m", {"TOGETHER_BASE_URL": "https://relay.example"}, "https://relay.example"),
        ("ollama/m", {"OLLAMA_HOST": "10.0.0.7:11434"}, "http://10.0.0.7:11434/v1"),
        ("ollama/m", {"OLLAMA_HOST": "https://gpu.example/v1"}, "https://gpu.example/v1"),
        ("groq/m", {"GROQ_BASE_URL": "https://relay.example"}, "https://relay.example/openai/v1"),
        ("bedrock/m", {"AWS_BEDROCK_BASE_URL": "https://relay.example/openai/v1"}, "https://relay.example/openai/v1"),
        (
            "bedrock/anthropic.claude-x",
            {"ANTHROPIC_BEDROCK_MANTLE_BASE_URL": "https://relay.example"},
            "https://relay.example",
        ),
        (
            "vertex/m",
            {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_VERTEX_BASE_URL": "https://relay.example/"},
            "https://relay.example/v1/projects/p/locations/global",
        ),
        (
            "vertex/claude-x",
            {"ANTHROPIC_VERTEX_PROJECT_ID": "p", "CLOUD_ML_REGION": "us-east5", "GOOGLE_CLOUD_PROJECT": "q"},
            "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5",
        ),
        (
            "vertex/claude-x",
            {"ANTHROPIC_VERTEX_PROJECT_ID": "p", "ANTHROPIC_VERTEX_BASE_URL": "https://relay.example/v1"},
            "https://relay.example/v1/projects/p/locations/global",
        ),
        ("openai/m", {"OPENAI_BASE_URL": " "}, "https://api.openai.com/v1"),
        ("bedrock/m", {"AWS_REGION": "us-west-2"}, "https://bedrock-mantle.us-west-2.api.aws/v1"),
        ("bedrock/m", {"AWS_DEFAULT_REGION": "us-west-2"}, "https://bedrock-mantle.us-west-2.api.aws/v1"),
        (
            "vertex/m",
            {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "us"},
            "https://aiplatform.us.rep.googleapis.com/v1/projects/p/locations/us",
        ),
    ],
)
def test_addresses_from_the_environment(id: str, env: dict[str, str], url: str) -> None:
    """The variables that the providers' own SDKs read; the target's own `base_url` takes precedence."""
    target = Target(id)
    assert preset_of(target).base_url_of(target, env) == url
    own = Target(id, base_url="https://own.example")
    assert preset_of(own).base_url_of(own, env) == "https://own.example"


@pytest.mark.parametrize(
    ("id", "fields", "words"),
    [
        (
            "bedrock/m",
            {},
            "region: None is required, e.g. region='us-east-1', or set the environment variable AWS_REGION",
        ),
        ("vertex/m", {"region": "us"}, "account: None is required"),
        ("anthropic/m", {"api": "responses"}, "api: 'responses' cannot be set"),
        (
            "bedrock/anthropic.claude",
            {"api": "chat", "region": "r"},
            "cannot be set: bedrock has an API of its own for anthropic.claude",
        ),
        ("bedrock/amazon.nova-pro", {"region": "r"}, "'litellm/bedrock/amazon.nova-pro'"),
    ],
)
def test_what_is_missing_is_named(id: str, fields: dict[str, Any], words: str) -> None:
    """The field, its value, and the way out."""
    target = Target(id, **fields)
    with pytest.raises(ConfigError) as caught:
        preset_of(target).wire(target)
        preset_of(target).base_url_of(target, {})
    assert words in str(caught.value)
