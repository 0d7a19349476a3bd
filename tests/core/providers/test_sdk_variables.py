"""The environment variables that the official SDKs read: what hotspare sends with them is what the SDK sends."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from hotspare import CallError, ConfigError, Pool, Target
from hotspare.providers.presets import known_secrets, preset_of
from openai.providers import bedrock

from tests.support.header_server import header_server

ASK: Any = [{"role": "user", "content": "hi"}]
COMPARED = (
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "openai-organization",
    "openai-project",
    "x-team",
)
LINES = "X-Team: a\nno header\n"


def by_openai() -> None:
    with openai.OpenAI(max_retries=0) as client:
        client.chat.completions.create(model="gpt-4.1", messages=ASK)


def by_azure() -> None:
    with openai.AzureOpenAI(max_retries=0, api_version="2024-10-21") as client:
        client.chat.completions.create(model="gpt-4.1", messages=ASK)


def by_anthropic() -> None:
    with anthropic.Anthropic(max_retries=0) as client:
        client.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=ASK)


def by_gemini() -> None:
    client = genai.Client()
    client.models.generate_content(model="gemini-2.5-flash", contents="hi")
    client.close()


def by_bedrock_claude() -> None:
    with anthropic.AnthropicBedrockMantle(max_retries=0) as client:
        client.messages.create(model="anthropic.claude-sonnet-4-5", max_tokens=9, messages=ASK)


def by_bedrock_openai() -> None:
    with openai.OpenAI(provider=bedrock(), max_retries=0) as client:
        client.chat.completions.create(model="openai.gpt-oss-120b", messages=ASK)


KEY, OTHER = "test-1", "test-2"
ROWS: list[tuple[str, str, Callable[[], None], dict[str, str]]] = [
    ("openai/gpt-4.1", "/v1", by_openai, {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "here"}),
    ("openai/gpt-4.1", "/v1", by_openai,
     {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "here", "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj_1"}),
    ("openai/gpt-4.1", "/v1", by_openai,
     {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "here", "OPENAI_CUSTOM_HEADERS": LINES}),
    ("azure/gpt-4.1", "", by_azure,
     {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "here", "OPENAI_CUSTOM_HEADERS": LINES}),
    ("anthropic/claude-sonnet-4-5", "", by_anthropic,
     {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "here", "ANTHROPIC_CUSTOM_HEADERS": LINES}),
    ("bedrock/anthropic.claude-sonnet-4-5", "", by_bedrock_claude,
     {"AWS_BEARER_TOKEN_BEDROCK": KEY, "ANTHROPIC_BEDROCK_MANTLE_BASE_URL": "here", "AWS_REGION": "us-east-1",
      "ANTHROPIC_CUSTOM_HEADERS": LINES}),
    ("bedrock/anthropic.claude-sonnet-4-5", "", by_bedrock_claude,
     {"ANTHROPIC_AWS_API_KEY": KEY, "ANTHROPIC_BEDROCK_MANTLE_BASE_URL": "here", "AWS_REGION": "us-east-1"}),
    ("bedrock/openai.gpt-oss-120b", "/openai/v1", by_bedrock_openai,
     {"AWS_BEARER_TOKEN_BEDROCK": KEY, "AWS_BEDROCK_BASE_URL": "here", "AWS_REGION": "us-east-1",
      "OPENAI_CUSTOM_HEADERS": LINES, "ANTHROPIC_CUSTOM_HEADERS": LINES}),
    ("azure/gpt-4.1", "", by_azure, {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "here"}),
    ("azure/gpt-4.1", "", by_azure, {"AZURE_OPENAI_AD_TOKEN": KEY, "AZURE_OPENAI_ENDPOINT": "here"}),
    ("anthropic/claude-sonnet-4-5", "", by_anthropic, {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "here"}),
    ("anthropic/claude-sonnet-4-5", "", by_anthropic, {"ANTHROPIC_AUTH_TOKEN": KEY, "ANTHROPIC_BASE_URL": "here"}),
    ("anthropic/claude-sonnet-4-5", "", by_anthropic,
     {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": OTHER, "ANTHROPIC_BASE_URL": "here"}),
    ("gemini/gemini-2.5-flash", "", by_gemini, {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": "here"}),
    ("gemini/gemini-2.5-flash", "", by_gemini,
     {"GEMINI_API_KEY": OTHER, "GOOGLE_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": "here"}),
]  # fmt: skip


def sent(headers: dict[str, str]) -> set[str]:
    """The credentials and the organisation in these headers."""
    return {headers[name].removeprefix("Bearer ") for name in COMPARED if name in headers}


@contextmanager
def environment(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only these of the providers' variables."""
    with monkeypatch.context() as patch:
        for name in [
            name
            for name in os.environ
            if name.startswith(("OPENAI", "AZURE", "ANTHROPIC", "GEMINI", "GOOGLE", "AWS", "GROQ"))
        ]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.mark.parametrize(("id", "path", "by_sdk", "variables"), ROWS, ids=lambda value: "" if callable(value) else None)
def test_hotspare_sends_what_the_sdk_sends(
    id: str, path: str, by_sdk: Callable[[], None], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same headers, from the environment alone, to the address in it."""
    with header_server() as server:
        values = {name: server.url + path if value == "here" else value for name, value in variables.items()}
        with environment(values, monkeypatch):
            with pytest.raises(Exception, match="no"):
                by_sdk()
            with Pool(id, max_attempts=1, when_all_down="fail") as pool, pytest.raises(CallError):
                pool.chat("hi")
        theirs, ours = (sent(headers) for _, headers in server.seen)
    assert theirs == ours and KEY in ours
    if id.startswith(
        "anthropic"
    ):  # its newest SDK sends keys as bearer tokens too; its API documents x-api-key for them
        assert ("x-api-key" in server.seen[1][1]) == ("ANTHROPIC_API_KEY" in variables)


def test_a_key_of_its_own_goes_without_the_organisation_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two accounts in one pool: the variables belong to the key beside them."""
    variables = {"OPENAI_ORG_ID": "org-1", "OPENAI_CUSTOM_HEADERS": LINES}
    with header_server() as server, environment(variables, monkeypatch):
        target = Target("openai/gpt-4.1", base_url=server.url, api_key=KEY)
        with Pool(target, max_attempts=1, when_all_down="fail") as pool, pytest.raises(CallError):
            pool.chat("hi")
        assert not {"openai-organization", "x-team"} & set(server.seen[0][1])


@pytest.mark.parametrize(
    ("id", "variable", "given", "used"),
    [
        ("groq/m", "GROQ_BASE_URL", "https://proxy.test/groq", "https://proxy.test/groq/openai/v1"),
        ("groq/m", "GROQ_BASE_URL", "https://proxy.test/openai/v1/", "https://proxy.test/openai/v1"),
        ("fireworks/m", "FIREWORKS_BASE_URL", "https://proxy.test/inference", "https://proxy.test/inference/v1"),
        ("together/m", "TOGETHER_BASE_URL", "https://proxy.test/v1", "https://proxy.test/v1"),
        ("ollama/m", "OLLAMA_HOST", "box:11434", "http://box:11434/v1"),
    ],
)
def test_addresses_end_where_the_sdk_expects_it(id: str, variable: str, given: str, used: str) -> None:
    """groq 1.7 adds `/openai/v1/…` and fireworks-ai 1.2 `/v1/…` to whatever the variable holds."""
    target = Target(id, api_key=KEY)
    assert preset_of(target).base_url_of(target, {variable: given}) == used


def test_headers_that_cannot_be_sent_are_named_without_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pool is built. A header that looks like a secret is struck out of what comes back."""
    variables = {"GROQ_API_KEY": KEY, "GROQ_CUSTOM_HEADERS": "X Team: hidden-value"}
    with environment(variables, monkeypatch), pytest.raises(ConfigError, match="GROQ_CUSTOM_HEADERS") as caught:
        Pool("groq/m")
    assert "hidden-value" not in str(caught.value)
    assert "gateway-token" in known_secrets([], {"TOGETHER_CUSTOM_HEADERS": "X-Gateway-Token: gateway-token"})
