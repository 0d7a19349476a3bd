"""What is recorded: the questions (cases), and the providers that they are sent to. `make record` records every pair.

Adapters' tests put the same questions through their framework: `CASES["tools"].request` holds messages and tools.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hotspare import ChatRequest, Target

SERVERS = {"aimock": "http://127.0.0.1:4010", "litellm": "http://127.0.0.1:4000"}
"""Where the recorded local servers stood, as far as a cassette is concerned: their real port is any free one."""
KEY = "test-key"
"""What replayed calls carry; a recording holds no key at all."""

_PIXELS = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
)
"""Eight by eight red pixels."""
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_CITY = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
            "required": ["city", "country"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True)
class Case:
    """One question. `stream`: asked as a stream. `status`: how the server refuses it, 200 if it does not."""

    name: str
    request: ChatRequest
    stream: bool = False
    status: int = 200


def _ask(text: str, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=[{"role": "user", "content": text}], **fields)


CAPITAL = _ask("What is the capital of South Korea?")
_WEATHER_IN = "What is the weather in Seoul?"
_ANSWERED = ChatRequest(
    messages=[
        {"role": "user", "content": _WEATHER_IN},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_seoul",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Seoul"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_seoul", "content": "21 degrees, clear"},
    ],
    tools=[_WEATHER],
)
_PICTURE = ChatRequest(
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Which colour is this picture?"},
                {"type": "image_url", "image_url": {"url": _PIXELS}},
            ],
        }
    ]
)
_BOTH = {
    "plain": CAPITAL,
    "tools": _ask(_WEATHER_IN, tools=[_WEATHER]),
    "parallel-tools": _ask("Compare the weather in Seoul with that in Busan.", tools=[_WEATHER]),
    "tool-result": _ANSWERED,
    "structured": _ask("Give me the capital of South Korea as JSON.", response_format=_CITY),
    "reasoning": _ask("How many r are in strawberry?", reasoning_effort="low"),
}
ERRORS = (400, 401, 404, 429, 500, 503, 529)
"""Statuses that are recorded of every provider. 400 is a prompt that is too long."""


def _cases() -> Iterator[Case]:
    for name, request in _BOTH.items():
        yield Case(name, request)
        yield Case("stream" if name == "plain" else f"{name}-stream", request, stream=True)
    yield Case("image", _PICTURE)
    for status in ERRORS:
        yield Case(f"error-{status}", CAPITAL, status=status)


CASES = {case.name: case for case in _cases()}
"""Every case by name."""


@dataclass(frozen=True)
class Recorded:
    """A provider that is recorded.

    `base` stands behind the server's address; `without` names cases it does not have; `preset`: hotspare's, if it is
    called otherwise.
    """

    name: str
    model: str
    base: str
    without: frozenset[str] = frozenset()
    reasoning_model: str | None = None
    server: str = "aimock"
    preset: str = ""

    def target(self, case: str, base_url: str | None, key: str = KEY) -> Target:
        """The target that this case asks, at a base URL (None: the provider's own)."""
        model = self.reasoning_model if case.startswith("reasoning") and self.reasoning_model else self.model
        return Target(f"{self.preset or self.name}/{model}", base_url=base_url, api_key=key)

    def cases(self) -> list[Case]:
        """The cases recorded of this provider, as it can take them."""
        return [self.case(name) for name in CASES if name not in self.without]

    def case(self, name: str) -> Case:
        """The case as this provider can take it: DeepSeek knows JSON mode only."""
        case = CASES[name]
        if self.name == "deepseek" and name.startswith("structured"):
            request = dataclasses.replace(case.request, response_format={"type": "json_object"})
            return dataclasses.replace(case, request=request)
        return case


_HIDES_REASONING = frozenset({"reasoning", "reasoning-stream"})
"""OpenAI's own chat completions bill reasoning and do not show it."""

PROVIDERS = {
    provider.name: provider
    for provider in (
        Recorded("openai", "gpt-4.1", "/v1", without=_HIDES_REASONING),
        Recorded("azure", "gpt-4.1", "?api-version=2024-10-21", without=_HIDES_REASONING),
        Recorded("anthropic", "claude-sonnet-4-5", ""),
        Recorded("gemini", "gemini-2.5-flash", "/v1beta"),
        Recorded("deepseek", "deepseek-chat", "/deepseek", reasoning_model="deepseek-reasoner"),
        Recorded("openrouter", "openai/gpt-4.1", "/api/v1", reasoning_model="deepseek/deepseek-r1"),
        Recorded(
            "litellm",
            "gpt-4.1",
            "/v1",
            reasoning_model="claude-sonnet-4-5",
            server="litellm",
            preset="openai-compatible",
        ),
    )
}
"""Every recorded provider by name."""
