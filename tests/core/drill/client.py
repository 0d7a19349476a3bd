"""Plain HTTP requests to the embedded provider, for its own tests."""

from typing import Any

import httpx
from hotspare import Outcome, classify
from hotspare.drill.provider import KEY, Provider
from hotspare.errors import StatusError

PATHS = {
    "openai": "/v1/chat/completions", "responses": "/v1/responses", "azure": "/openai/v1/chat/completions", "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/gemini-2.5-flash:generateContent",
}  # fmt: skip
KEYS = {
    "openai": {"authorization": f"Bearer {KEY}"}, "responses": {"authorization": f"Bearer {KEY}"}, "azure": {"api-key": KEY}, "gemini": {"x-goog-api-key": KEY},
    "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "openai": {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]},
    "responses": {"model": "gpt-4.1", "input": "hello"},
    "azure": {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]},
    "anthropic": {"model": "claude-x", "max_tokens": 500, "messages": [{"role": "user", "content": "hello"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
}


def send(
    provider: Provider, dialect: str, change: Any = None, *, path: str = "", headers: dict[str, str] | None = None
) -> httpx.Response:
    """One request to endpoint `a`. A dict changes the usual body (None removes a field), anything else replaces it."""
    body = change
    if change is None or isinstance(change, dict):
        body = {k: v for k, v in {**BODIES[dialect], **(change or {})}.items() if v is not None}
    url = provider.url("a") + (path or PATHS[dialect])
    return httpx.post(url, json=body, headers=KEYS[dialect] if headers is None else headers, timeout=10)


def outcome(response: httpx.Response, dialect: str) -> Outcome:
    """How hotspare classifies an error response."""
    error = StatusError("rejected", status=response.status_code, headers=response.headers, body=response.content)
    return classify(error)


def text_of(dialect: str, response: httpx.Response) -> str:
    """The answer's text."""
    found = response.json()
    if dialect == "responses":
        return "".join(part["text"] for item in found["output"] for part in item.get("content", []))
    if dialect == "anthropic":
        return "".join(block.get("text", "") for block in found["content"])
    if dialect == "gemini":
        return "".join(part["text"] for part in found["candidates"][0]["content"]["parts"])
    return str(found["choices"][0]["message"]["content"])
