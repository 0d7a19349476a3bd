"""Recorded exchanges with real providers, and the wire format by which hotspare reads each of them."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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

PRESET_OF = {
    **{
        name: name
        for name in ("anthropic", "azure", "deepseek", "gemini", "groq", "mistral", "ollama", "openai", "openrouter")
    },
    "vertex": "gemini",
    "crusoe": "vllm",
    **dict.fromkeys(("cerebras", "heroku", "huggingface", "snowflake", "zai"), "openai-compatible"),
    **{f"{name}-responses": name for name in ("azure", "deepseek", "openai", "openrouter")},
}
"""The preset for each recorded provider. Crusoe runs vLLM. `-responses`: over the Responses API."""
NOT_SUPPORTED = {
    "bedrock": "Bedrock's Converse reaches hotspare through native members (boto3, LangChain, LiteLLM)",
}
"""Recorded providers whose API no built-in wire format covers, each with the reason."""

MALFORMED = "UNEXPECTED_TOOL_CALL"
"""The finish reason of an empty answer of Gemini's: the model called a tool that the request does not have."""
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
    def provider(self) -> str:
        """The name of the directory."""
        return self.name.partition("/")[0]

    @property
    def stream(self) -> bool:
        """Whether the request is for a stream."""
        return "/stream-" in self.name

    @property
    def features(self) -> list[str]:
        """The features in the name of the file."""
        return re.sub(r"^\w+-|-\d+\.yaml$", "", self.name.partition("/")[2]).split("+")

    @property
    def model(self) -> str:
        """The model: in the body, or in the URL (Gemini)."""
        return str(self.request.get("model") or self.url.rpartition("/models/")[2].partition(":")[0])

    @property
    def preset(self) -> Preset:
        """The provider's preset. Gemini also has an endpoint that is compatible with OpenAI's."""
        return PRESETS[
            "openai-compatible"
            if "/openai/chat/" in self.url and self.provider == "gemini"
            else PRESET_OF[self.provider]
        ]

    @property
    def wire(self) -> Wire:
        """The wire format by which it is read."""
        return self.preset.responses_wire() if self.provider.endswith("-responses") else self.preset.wire()

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
            f"{path.parent.name}/{path.name}",
            exchange["request"]["uri"],
            json.loads(exchange["request"]["body"]),
            exchange["response"]["status"]["code"],
            body if isinstance(body, str) else body.decode(),
        )


def _recorded(providers: Mapping[str, str], pattern: str = "*.yaml") -> list[Recorded]:
    files = sorted(path for provider in providers for path in Path(WIRE, provider).glob(pattern)) if WIRE else []
    return [item for path in files for item in _load(path)]


ALL = _recorded(PRESET_OF)
ANSWERS = [item for item in ALL if item.is_answer]
STREAMS = [item for item in ANSWERS if item.stream]
ERRORS = [item for item in ALL if item.status != 200]
FOREIGN_ERRORS = [item for item in _recorded(NOT_SUPPORTED, "*error-*.yaml") if item.status != 200]


def named(items: list[Recorded]) -> pytest.MarkDecorator:
    """A parametrization by these exchanges; the ids are their names."""
    return pytest.mark.parametrize("item", items, ids=[item.name for item in items])
