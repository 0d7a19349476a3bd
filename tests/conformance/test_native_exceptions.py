"""Exceptions of the official SDKs, raised by them for real against a server that answers with provider-shaped errors."""

import socket

import anthropic
import openai
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from google import genai
from google.genai import types
from hotspare.classification import classify
from hotspare.drill.provider import Provider
from hotspare.outcome import Kind

STATUSES = [
    (401, Kind.DENIED), (404, Kind.GONE), (429, Kind.THROTTLED), (500, Kind.SERVER), (503, Kind.SERVER),
]  # fmt: skip


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask_openai(url: str, timeout: float = 5) -> None:
    with openai.OpenAI(base_url=url, api_key="test-1", max_retries=0, timeout=timeout) as client:
        client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "q"}])


def ask_anthropic(url: str, timeout: float = 5) -> None:
    with anthropic.Anthropic(base_url=url, api_key="test-1", max_retries=0, timeout=timeout) as client:
        client.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=[{"role": "user", "content": "q"}])


def ask_gemini(url: str, timeout: float = 5) -> None:
    client = genai.Client(api_key="test-1", http_options=types.HttpOptions(base_url=url, timeout=int(timeout * 1000)))
    try:
        client.models.generate_content(model="gemini-2.5-flash", contents="q")
    finally:
        client.close()


SDKS = {"openai": ask_openai, "anthropic": ask_anthropic, "gemini": ask_gemini}


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize("sdk", SDKS)
def test_statuses(sdk: str, status: int, kind: Kind, provider: Provider) -> None:
    """The status and the provider's words are found in each SDK's own exception."""
    provider.fault("a", "status", status=status)
    with pytest.raises(Exception) as caught:
        SDKS[sdk](provider.base_url("a", sdk))
    found = classify(caught.value, dialect=sdk)
    assert (found.kind, found.status) == (kind, status)
    assert found.message


@pytest.mark.parametrize("sdk", SDKS)
def test_connections(sdk: str) -> None:
    """A refused connection is a transport failure of the region, before anything was sent."""
    with pytest.raises(Exception) as caught:
        SDKS[sdk](f"http://127.0.0.1:{closed_port()}")
    found = classify(caught.value)
    assert (found.kind, found.unconnected) == (Kind.TRANSPORT, True)


@pytest.mark.parametrize("sdk", SDKS)
def test_timeouts(sdk: str, provider: Provider) -> None:
    """A server that never answers is a timeout."""
    provider.fault("a", "blackhole")
    with pytest.raises(Exception) as caught:
        SDKS[sdk](provider.base_url("a", sdk), 0.2)
    assert classify(caught.value).kind is Kind.TIMEOUT


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("ThrottlingException", "Too many requests", Kind.THROTTLED),
        ("ServiceQuotaExceededException", "quota", Kind.EXHAUSTED),
        ("ModelNotReadyException", "wait", Kind.SERVER),
        ("InternalServerException", "oops", Kind.SERVER),
        ("AccessDeniedException", "no", Kind.DENIED),
        ("ResourceNotFoundException", "no model", Kind.GONE),
        ("ValidationException", "Input is too long for requested model.", Kind.TOO_LONG),
        ("ValidationException", "bad field", Kind.INVALID),
    ],
)
def test_bedrock(code: str, message: str, kind: Kind) -> None:
    """botocore's ClientError names a code."""
    status = {"ThrottlingException": 429, "InternalServerException": 500}.get(code, 400)
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert classify(ClientError(response, "Converse")).kind is kind  # type: ignore[arg-type]


def test_bedrock_connection() -> None:
    """An endpoint that cannot be reached."""
    found = classify(EndpointConnectionError(endpoint_url="https://bedrock"))
    assert (found.kind, found.unconnected) == (Kind.TRANSPORT, True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ContextWindowExceededError", Kind.TOO_LONG),
        ("ContentPolicyViolationError", Kind.REFUSED),
        ("AuthenticationError", Kind.DENIED),
        ("RateLimitError", Kind.THROTTLED),
        ("ServiceUnavailableError", Kind.SERVER),
        ("InternalServerError", Kind.SERVER),
        ("Timeout", Kind.TIMEOUT),
        ("APIConnectionError", Kind.TRANSPORT),
        ("NotFoundError", Kind.GONE),
        ("BadRequestError", Kind.INVALID),
    ],
)
def test_litellm(name: str, kind: Kind) -> None:
    """LiteLLM's own classes."""
    import litellm

    error = getattr(litellm, name)("words", model="m", llm_provider="openai")
    assert classify(error).kind is kind
