"""The estimate of a prompt's tokens against the usage that providers recorded."""

from hotspare._cost.tokens import prompt_tokens

from tests.conformance.traffic import ANSWERS, Recorded, needs_recordings
from tests.support.reference_reader import read_recording

pytestmark = needs_recordings
HIDDEN = {"tools", "mcp_servers", "container", "messages", "plugins", "models", "transforms", "system", "output_config"}
"""Fields of a dialect whose text the provider writes itself, or that hotspare does not read."""


def countable(item: Recorded) -> bool:
    """Whether all that was counted stands in the request: no media, no tools of the provider's own."""
    request = item.chat_request
    texts = all(
        isinstance(part, str) or part.get("type") == "text"
        for message in request.messages if not isinstance(message.get("content"), str)
        for part in message.get("content") or ()
    )  # fmt: skip
    return texts and not {name for fields in request.extra.values() for name in fields} & HIDDEN


def errors(items: list[Recorded]) -> list[tuple[float, int, int, str]]:
    """Relative error, recorded tokens, estimate, name: smallest error first."""
    found: list[tuple[float, int, int, str]] = []
    for item in items:
        recorded = read_recording(item.wire.dialect, item.text, stream=item.stream).tokens.input
        if recorded:
            estimate = prompt_tokens(item.chat_request, item.model)
            found.append((abs(estimate - recorded) / recorded, recorded, estimate, item.name))
    return sorted(found)


def test_recorded_prompts() -> None:
    """At the median within 15 % of all prompts whose text is known, most of which are shorter than 100 tokens."""
    found = errors([item for item in ANSWERS if countable(item)])
    assert len(found) > 150
    assert found[len(found) // 2][0] <= 0.15
