"""The estimate of a prompt's tokens against the usage that providers recorded."""

import re

import pytest
from hotspare._cost.tokens import prompt_tokens
from hotspare._cost.unknowns import uncounted

from tests.conformance.traffic import ANSWERS, PRESET_OF_HOST, Recorded, needs_recordings
from tests.support.reference_reader import read_recording

pytestmark = needs_recordings
MISCOUNTED = {"huggingface/plain-text-3.yaml", "huggingface/plain-tool-call-1.yaml"}
"""A router counted 32 tokens for a history of 1,000, and none for tools."""


def kind(item: Recorded) -> str:
    """What the prompt holds: `code` (tools, schemas, tool calls: JSON), `image`, `prose`, or `open`: it cannot be counted as a whole."""
    request = item.chat_request
    if uncounted(request, item.model, provider(item)):
        return "open"
    if any(
        not isinstance(message.get("content"), str)
        and any(part.get("type") != "text" for part in message.get("content") or () if not isinstance(part, str))
        for message in request.messages
    ):
        return "image"
    called = any(message.get("tool_calls") for message in request.messages)
    return "code" if request.tools or request.response_format or called else "prose"


def provider(item: Recorded) -> str:
    """The provider by which a target at this host would be named; the host where it has no name."""
    if "aiplatform" in item.host:
        return "vertex"
    return next((name for host, name in PRESET_OF_HOST if re.fullmatch(host, item.host)), item.host)


def recorded_tokens(item: Recorded) -> int:
    """What the provider counted; 0: it did not say, or it miscounted."""
    counted = read_recording(item.wire.dialect, item.text, stream=item.stream).tokens.input
    return 0 if item.name in MISCOUNTED else counted


def errors(items: list[Recorded]) -> list[tuple[float, int, int, str]]:
    """Relative error, recorded tokens, estimate, name: smallest error first."""
    found: list[tuple[float, int, int, str]] = []
    for item in items:
        if recorded := recorded_tokens(item):
            estimate = prompt_tokens(item.chat_request, item.model, provider(item))
            found.append((abs(estimate - recorded) / recorded, recorded, estimate, item.name))
    return sorted(found)


@pytest.mark.parametrize("group", ["prose", "code", "image"])
def test_recorded_prompts(group: str) -> None:
    """Within 10 % at the median and 25 % at the 95th percentile of what providers counted, in each kind of prompt."""
    found = [error for error, *_ in errors([item for item in ANSWERS if kind(item) == group])]
    assert len(found) > 10
    assert found[len(found) // 2] <= 0.1
    assert found[int(len(found) * 0.95)] <= 0.25


def test_all_recorded_prompts() -> None:
    """Within 3 % at the median and 20 % at the 95th percentile, all of them together."""
    found = [error for error, *_ in errors([item for item in ANSWERS if kind(item) != "open"])]
    assert len(found) > 200
    assert found[len(found) // 2] <= 0.03
    assert found[int(len(found) * 0.95)] <= 0.2


def test_a_prompt_that_cannot_be_counted_as_a_whole_has_at_least_so_many_tokens() -> None:
    """Searches, stored prompts, media behind a URL, encrypted reasoning: the estimate is a lower bound, and said to be one."""
    found = errors([item for item in ANSWERS if kind(item) == "open"])
    assert len(found) > 50
    assert [name for _, recorded, estimate, name in found if estimate > 1.15 * recorded] == []
