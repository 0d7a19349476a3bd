"""Tokens of Gemini's earlier thoughts."""

from typing import Any

import pytest
from hotspare._cost.thoughts import thought_tokens
from hotspare._cost.tokens import prompt_tokens
from hotspare.messages import ChatRequest

SIGNATURE = "x" * 1120
"""Stands for 200 tokens."""
CALL = {
    "id": "1",
    "function": {"name": "f", "arguments": "{}"},
    "extra_content": {"google": {"thought_signature": SIGNATURE}},
}
BLOCK = {"type": "signature", "signature": SIGNATURE, "dialect": "gemini"}


def history(*after: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """A question, an answer with these fields, and what follows."""
    return [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", **fields}, *after]


@pytest.mark.parametrize("fields", [{"tool_calls": [CALL]}, {"thinking_blocks": [BLOCK]}])
def test_thoughts_of_the_current_turn_count(fields: dict[str, Any]) -> None:
    """A tool's result continues a turn, a user's message ends it; earlier Geminis, Vertex AI and other models do not count them."""
    result = {"role": "tool", "tool_call_id": "1", "content": "r"}
    assert thought_tokens(history(result, **fields), "gemini-3-pro", "gemini") == 200
    assert thought_tokens(history({"role": "user", "content": "next"}, **fields), "gemini-3-pro", "gemini") == 0
    assert thought_tokens(history(result, **fields), "gemini-3-pro", "vertex") == 0
    assert thought_tokens(history(result, **fields), "gemini-2.5-pro", "gemini") == 0
    assert thought_tokens(history(result, **fields), "gpt-5", "openai") == 0


def test_thoughts_of_another_dialect_are_not_sent() -> None:
    """A signature of Claude's is left out of a request to Gemini."""
    assert thought_tokens(history(thinking_blocks=[BLOCK | {"dialect": "anthropic"}]), "gemini-3-pro", "gemini") == 0


def test_texts_of_thoughts_count_in_every_turn() -> None:
    """They are sent back as parts of the answer."""
    block = {"type": "thinking", "thinking": "one two three four", "dialect": "gemini"}
    messages = history({"role": "user", "content": "next"}, thinking_blocks=[block])
    assert thought_tokens(messages, "gemini-3-pro", "gemini") == pytest.approx(4, abs=1)
    without = ChatRequest(messages=history({"role": "user", "content": "next"}))
    more = prompt_tokens(ChatRequest(messages=messages), "gemini-3-pro", "gemini") - prompt_tokens(
        without, "gemini-3-pro", "gemini"
    )
    assert more == pytest.approx(4, abs=1)
