"""Recorded exchanges with real providers, and the wire format by which hotspare reads each of them."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from hotspare.messages import ChatRequest
from hotspare.providers.base import Wire
from hotspare.providers.presets import PRESETS, Preset

from tests.support.request_readers import read_request

WIRE = os.environ.get("HOTSPARE_WIRE", "")
needs_recordings = pytest.mark.skipif(
    not WIRE, reason="set HOTSPARE_WIRE to a directory of recorded provider traffic (see cassettes/README.md)"
)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

PRESET_OF_HOST = (
    (r"api\.openai\.com", "openai"),
    (r"[\w-]+\.openai\.azure\.com", "azure"),
    (r"api\.anthropic\.com", "anthropic"),
    (r"generativelanguage\.googleapis\.com|(?:[\w-]+-)?aiplatform\.googleapis\.com", "gemini"),
    (r"api\.deepseek\.com", "deepseek"),
    (r"api\.groq\.com", "groq"),
    (r"api\.mistral\.ai", "mistral"),
    (r"openrouter\.ai", "openrouter"),
    (r"ollama\.com|localhost:11434", "ollama"),
    (r"api\.inference\.crusoecloud\.com", "vllm"),  # Crusoe runs vLLM
)
"""The preset for each host; any other one is a server compatible with OpenAI's API."""
_CONVERSE = re.compile(r"/model/[^/]+/(?:converse|invoke)")
NOT_SUPPORTED = "Bedrock's Converse reaches hotspare through native members (boto3, LangChain, LiteLLM)"
"""Why no built-in wire format reads it."""

MALFORMED = "UNEXPECTED_TOOL_CALL"
"""The finish reason of an empty answer of Gemini's: the model called a tool that the request does not have."""
_FEATURES = {
    "tool-result": r'"role": "tool"|tool_result|function_call_output|functionResponse',
    "tools": r'"(?:tools|functionDeclarations)": \[\{|"function_declarations"',
    "image": r'image_url|"type": "(?:input_)?image"|"mimeType": "image|image/',
    "schema": r"json_schema|responseJsonSchema|responseSchema|output_config",
    "reasoning": r"reasoning|thinking",
}
_BLOCKED = re.compile(r'"blockReason": ?"|"finishReason": ?"(?:SAFETY|PROHIBITED_CONTENT|BLOCKLIST|RECITATION|SPII)"')
_ERROR_EVENT = re.compile(r'^(?:event: error|data: \{"error")', re.MULTILINE)


@dataclass(frozen=True)
class Recorded:
    """One recorded exchange."""

    name: str
    url: str
    request: Mapping[str, Any]
    status: int
    text: str

    @property
    def host(self) -> str:
        """The server."""
        return urlsplit(self.url).netloc

    @property
    def stream(self) -> bool:
        """Whether the request is for a stream."""
        return bool(self.request.get("stream")) or ":streamGenerateContent" in self.url

    @property
    def features(self) -> list[str]:
        """What the request uses, by words in it."""
        text = json.dumps(self.request)
        return [name for name, pattern in _FEATURES.items() if re.search(pattern, text)] or ["text"]

    @property
    def model(self) -> str:
        """The model: in the body, or in the URL (Gemini)."""
        return str(self.request.get("model") or self.url.rpartition("/models/")[2].partition(":")[0])

    @property
    def is_supported(self) -> bool:
        """Whether a built-in wire format reads it."""
        return _CONVERSE.search(self.url) is None

    @property
    def preset(self) -> Preset:
        """The host's preset. Gemini also has an endpoint that is compatible with OpenAI's."""
        found = next((name for host, name in PRESET_OF_HOST if re.fullmatch(host, self.host)), "openai-compatible")
        return PRESETS["openai-compatible" if found == "gemini" and "/openai/" in self.url else found]

    @property
    def wire(self) -> Wire:
        """The wire format by which it is read."""
        is_responses = urlsplit(self.url).path.endswith("/responses")
        return self.preset.second_wire() if is_responses else self.preset.wire()

    @cached_property
    def chat_request(self) -> ChatRequest:
        """The recorded request as a ChatRequest."""
        return read_request(self.wire, self.request)

    @property
    def is_blocked(self) -> bool:
        """Whether a filter blocked the answer before its first content."""
        return self.status == 200 and bool(_BLOCKED.search(self.text)) and '"parts"' not in self.text

    @property
    def is_broken(self) -> bool:
        """Whether the provider itself ended the stream with an error event."""
        return self.status == 200 and self.stream and bool(_ERROR_EVENT.search(self.text))

    @property
    def is_malformed(self) -> bool:
        """Whether the provider could not read what the model wrote."""
        return self.status == 200 and MALFORMED in self.text

    @property
    def is_answer(self) -> bool:
        """Whether it holds an answer: not an error, not blocked, not broken."""
        return self.status == 200 and not (self.is_blocked or self.is_broken or self.is_malformed)


def _load(path: Path) -> Iterator[Recorded]:
    for exchange in yaml.load(path.read_text(encoding="utf-8"), _LOADER)["interactions"]:
        body = exchange["response"]["body"]["string"]
        yield Recorded(
            str(path.relative_to(WIRE)),
            exchange["request"]["uri"],
            json.loads(exchange["request"]["body"]),
            exchange["response"]["status"]["code"],
            body if isinstance(body, str) else body.decode(errors="replace"),
        )


FILES = sorted(Path(WIRE).rglob("*.yaml")) if WIRE else []
_ALL = [item for path in FILES for item in _load(path)]
ALL = [item for item in _ALL if item.is_supported]
ANSWERS = [item for item in ALL if item.is_answer]
STREAMS = [item for item in ANSWERS if item.stream]
ERRORS = [item for item in ALL if item.status != 200]
FOREIGN = [item for item in _ALL if not item.is_supported]
FOREIGN_ERRORS = [item for item in FOREIGN if item.status != 200]


def named(items: list[Recorded]) -> pytest.MarkDecorator:
    """A parametrization by these exchanges; the ids are their names."""
    return pytest.mark.parametrize("item", items, ids=[item.name for item in items])
