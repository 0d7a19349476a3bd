"""The estimate of a prompt's tokens against the usage that providers recorded."""

import re

import pytest
from hotspare._cost.images import image_tokens
from hotspare._cost.tokens import prompt_tokens

from tests.conformance.traffic import ANSWERS, PRESET_OF_HOST, Recorded, needs_recordings
from tests.support.reference_reader import read_recording

pytestmark = needs_recordings
HIDDEN = {"tools", "mcp_servers", "container", "plugins", "models", "transforms", "cachedContent"}
"""Fields of a dialect whose text the provider writes itself (searches, advisors) or keeps (a cached prompt)."""
HIDDEN_PARTS = ("encrypted_content", "task_budget", "'type': 'image'")
"""The same inside of such fields. Images there are in the body of the dialect only."""
MISCOUNTED = {"huggingface/plain-text-3.yaml", "huggingface/plain-tool-call-1.yaml"}
"""A router counted 32 tokens for a history of 1,000, and none for tools."""


def kind(item: Recorded) -> str:
    """What the prompt holds: `code` (tools, schemas, tool calls: JSON), `image`, or `prose`; "" for what no estimate can know:
    media behind a URL or of unknown length, and prompts that the provider completes itself."""
    request = item.chat_request
    parts = [part for message in request.messages if not isinstance(message.get("content"), str)
             for part in message.get("content") or () if not isinstance(part, str)]  # fmt: skip
    images = [part for part in parts if part.get("type") != "text"]
    own = {name for fields in request.extra.values() for name in fields}
    if own & HIDDEN or item.name in MISCOUNTED or any(hidden in str(request.extra) for hidden in HIDDEN_PARTS):
        return ""
    if images:
        return "image" if all(image_tokens(image, item.model) for image in images) else ""
    called = any(message.get("tool_calls") for message in request.messages)
    return "code" if request.tools or request.response_format or called else "prose"


def provider(item: Recorded) -> str:
    """The provider by which a target at this host would be named; the host where it has no name."""
    if "aiplatform" in item.host:
        return "vertex"
    return next((name for host, name in PRESET_OF_HOST if re.fullmatch(host, item.host)), item.host)


def errors(items: list[Recorded]) -> list[tuple[float, int, int, str]]:
    """Relative error, recorded tokens, estimate, name: smallest error first."""
    found: list[tuple[float, int, int, str]] = []
    for item in items:
        recorded = read_recording(item.wire.dialect, item.text, stream=item.stream).tokens.input
        if recorded:
            estimate = prompt_tokens(item.chat_request, item.model, provider(item))
            found.append((abs(estimate - recorded) / recorded, recorded, estimate, item.name))
    return sorted(found)


@pytest.mark.parametrize("group", ["prose", "code", "image"])
def test_recorded_prompts(group: str) -> None:
    """Within 10 % at the median and 31 % at the 95th percentile of what providers counted, in each kind of prompt."""
    found = [error for error, *_ in errors([item for item in ANSWERS if kind(item) == group])]
    assert found
    assert found[len(found) // 2] <= 0.1
    assert found[int(len(found) * 0.95)] <= 0.31


def test_all_recorded_prompts() -> None:
    """Within 5 % at the median and 25 % at the 95th percentile, all of them together."""
    found = [error for error, *_ in errors([item for item in ANSWERS if kind(item)])]
    assert found
    assert found[len(found) // 2] <= 0.05
    assert found[int(len(found) * 0.95)] <= 0.25
