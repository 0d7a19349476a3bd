"""The environment variables that the official SDKs read: what hotspare sends with them is what the SDK sends."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from hotspare import CallError, Pool, Target

from tests.support.header_server import header_server

ASK: Any = [{"role": "user", "content": "hi"}]
COMPARED = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "openai-organization", "openai-project")


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


KEY, OTHER = "test-1", "test-2"
ROWS: list[tuple[str, str, Callable[[], None], dict[str, str]]] = [
    ("openai/gpt-4.1", "/v1", by_openai, {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "here"}),
    ("openai/gpt-4.1", "/v1", by_openai,
     {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "here", "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj_1"}),
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
            name for name in os.environ if name.startswith(("OPENAI", "AZURE", "ANTHROPIC", "GEMINI", "GOOGLE"))
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
    with header_server() as server, environment({"OPENAI_ORG_ID": "org-1"}, monkeypatch):
        target = Target("openai/gpt-4.1", base_url=server.url, api_key=KEY)
        with Pool(target, max_attempts=1, when_all_down="fail") as pool, pytest.raises(CallError):
            pool.chat("hi")
        assert "openai-organization" not in server.seen[0][1]
