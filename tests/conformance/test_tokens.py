"""The estimate of a prompt's tokens against the usage that providers recorded."""

import re
from collections import Counter

import pytest
from hotspare._cost.thoughts import thought_tokens
from hotspare._cost.tokens import prompt_tokens
from hotspare._cost.unknowns import uncounted

from tests.conformance.traffic import ANSWERS, PRESET_OF_HOST, Recorded, needs_recordings
from tests.support.reference_reader import read_recording

pytestmark = needs_recordings
UNCOUNTED = {
    "media of unknown size": 28,
    "tools of the provider's own": 24,
    "a recursive schema": 2,
    "a budget that the provider states in the prompt": 1,
    "a prompt that the provider keeps": 1,
    "another model, which the provider chooses": 1,
    "encrypted reasoning": 1,
}
"""How many recorded prompts have a part that only the provider can count. docs/cost.md says why for each group."""
MISCOUNTED = {"huggingface/plain-text-3.yaml", "huggingface/plain-tool-call-1.yaml"}
"""A router counted 32 tokens for a history of 1,000, and none for tools."""


def kind(item: Recorded) -> str:
    """What the prompt holds: `code` (tools, schemas, tool calls: JSON), `media` (images, files), `prose`, or `open`: it cannot be counted as a whole."""
    request = item.chat_request
    if uncounted(request, item.model):
        return "open"
    if any(
        not isinstance(message.get("content"), str)
        and any(part.get("type") != "text" for part in message.get("content") or () if not isinstance(part, str))
        for message in request.messages
    ):
        return "media"
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


@pytest.mark.parametrize("group", ["prose", "code", "media"])
def test_recorded_prompts(group: str) -> None:
    """Within 10 % at the median and 25 % at the 95th percentile of what providers counted, in each kind of prompt."""
    found = [error for error, *_ in errors([item for item in ANSWERS if kind(item) == group])]
    assert len(found) > 10
    assert found[len(found) // 2] <= 0.1
    assert found[int(len(found) * 0.95)] <= 0.25


def test_all_recorded_prompts() -> None:
    """Within 3 % at the median and 20 % at the 95th percentile, all of them together."""
    found = [error for error, *_ in errors([item for item in ANSWERS if kind(item) != "open"])]
    assert len(found) > 220
    assert found[len(found) // 2] <= 0.03
    assert found[int(len(found) * 0.95)] <= 0.2


def test_only_these_groups_cannot_be_counted() -> None:
    """Even with their lower bounds, all recorded prompts are within 10 % at the median; their 95th percentile is one of these groups."""
    items = [item for item in ANSWERS if recorded_tokens(item)]
    groups = Counter(uncounted(item.chat_request, item.model) for item in items)
    del groups[""]
    assert groups == UNCOUNTED
    found = [error for error, *_ in errors(items)]
    assert found[len(found) // 2] <= 0.1


def test_signatures_of_thoughts() -> None:
    """The length of a signature tells how many thoughts it stands for: in answers of Gemini 3, which contain both."""
    found: list[float] = []
    for item in ANSWERS:
        signatures = re.findall(r'"thoughtSignature": ?"([^"]+)"', item.text)
        counted = re.findall(r'"thoughtsTokenCount": ?(\d+)', item.text)
        if "gemini-3" in item.model and len(signatures) == 1 and counted:
            block = {"type": "signature", "signature": signatures[0], "dialect": "gemini"}
            estimate = thought_tokens([{"role": "assistant", "thinking_blocks": [block]}], item.model, "gemini")
            found.append(abs(estimate - int(counted[-1])) / int(counted[-1]))
    found.sort()
    assert len(found) > 25
    assert found[len(found) // 2] <= 0.1
    assert found[-1] <= 0.3


def test_a_prompt_that_cannot_be_counted_as_a_whole_has_at_least_so_many_tokens() -> None:
    """Searches, stored prompts, media behind a URL, encrypted reasoning: the estimate is a lower bound, and said to be one."""
    found = errors([item for item in ANSWERS if kind(item) == "open"])
    assert len(found) > 50
    assert [name for _, recorded, estimate, name in found if estimate > 1.15 * recorded] == []
