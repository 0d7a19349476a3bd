"""Fewer tokens: trimmed histories and compact prompts."""

import json
from typing import Any

import pytest
from hotspare import ChatRequest, Price, Usage, compact_prompt, trim_history
from hotspare._cost.tokens import prompt_tokens
from hotspare.events import CallEnded, Event
from hotspare.testing import ScriptedTarget, answer, scripted_pool

LONG = "word " * 100
"""A text of about 100 tokens."""


def message(role: str, content: Any = LONG, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HISTORY = [
    message("system"),
    message("user", "first " + LONG),
    message("assistant", None, tool_calls=[CALL]),
    message("tool", tool_call_id="1"),
    message("assistant"),
    message("user", "second " + LONG),
    message("assistant"),
    message("user", "third"),
]


def test_the_oldest_turns_go_first_and_whole() -> None:
    """No tool result loses its call; the system's message and the last turn stay, however small the bound."""
    assert trim_history(HISTORY, 10_000) == HISTORY
    assert trim_history(HISTORY, 350) == [HISTORY[0], *HISTORY[5:]]
    assert trim_history(HISTORY, 150) == [HISTORY[0], HISTORY[-1]]
    assert trim_history(HISTORY, 1) == [HISTORY[0], HISTORY[-1]]
    assert trim_history([], 1) == []


@pytest.mark.parametrize("model", ["", "llama-3.3-70b", "deepseek-v4", "gemini-3-pro"])
@pytest.mark.parametrize("most", [250, 350, 450])
def test_what_is_left_fits(model: str, most: int) -> None:
    """By the estimate for the whole request, whatever the model's family adds to one, and with thoughts that only the current turn has."""
    thought = {"type": "signature", "signature": "x" * 2000, "dialect": "gemini"}
    messages = [one | {"thinking_blocks": [thought]} if one["role"] == "assistant" else one for one in HISTORY]
    left = trim_history(messages, most, model=model)
    assert prompt_tokens(ChatRequest(messages=left), model) <= most
    assert len(left) < len(messages)


def test_a_pinned_turn_stays() -> None:
    """The next one goes in its place."""
    kept = trim_history(HISTORY, 150, pinned=lambda one: str(one.get("content")).startswith("first"))
    assert kept == [*HISTORY[:5], HISTORY[-1]]


@pytest.mark.parametrize(
    ("text", "compact"),
    [
        ("one   two \n\n\n\nthree\t\tfour", "one two\n\nthree four"),
        ("  indented\n    more", "  indented\n    more"),
        ("```python\nif x:\n\n\n\n    y   = 1\n```", "```python\nif x:\n\n\n\n    y   = 1\n```"),
        ('```json\n{\n  "a": [1,  2],\n  "b": "한국"\n}\n```', '```json\n{"a":[1,2],"b":"한국"}\n```'),
        ("```json\n{broken\n```", "```json\n{broken\n```"),
        (f"{'x' * 300}\n\nnew\n\n{'x' * 300}", f"{'x' * 300}\n\nnew\n\n[as above]"),
    ],
)
def test_compact_texts(text: str, compact: str) -> None:
    """White space, fenced JSON and repeated paragraphs; code is left as it is."""
    (made,) = compact_prompt(ChatRequest(messages=[message("user", text)])).messages
    assert made["content"] == compact


def test_what_is_not_the_prompts_is_left_alone() -> None:
    """Answers and results of tools are sent as they were; parts that are no text too; repetitions count over messages."""
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    history = [
        message("user", "p" * 300),
        message("assistant", "a   b"),
        message("tool", "c   d", tool_call_id="1"),
        message("user", [image, {"type": "text", "text": "p" * 300}, "e   f"]),
    ]
    made = compact_prompt(ChatRequest(messages=history)).messages
    assert made[:3] == history[:3]
    assert made[3]["content"] == [image, {"type": "text", "text": "[as above]"}, "e f"]


def test_what_was_saved_is_counted() -> None:
    """The event of a call has the tokens that were not sent; both ways together."""
    seen: list[Event] = []
    target = ScriptedTarget("a", answer("ok", usage=Usage(1, 1)), price=Price(1, 1))
    pool = scripted_pool(target, reduce=compact_prompt, max_prompt_tokens=300, listeners=[seen.append])
    rows = "```json\n" + json.dumps([{"key": n} for n in range(50)], indent=8) + "\n```"
    pool.chat([*HISTORY[:-1], message("user", rows)])
    (ended,) = [event for event in seen if isinstance(event, CallEnded)]
    assert ended.saved_tokens > 400
    assert len(target.requests[0].messages) == 2
    assert "\n        " not in str(target.requests[0].messages[-1]["content"])
