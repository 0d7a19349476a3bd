"""Histories in OpenAI's shape, written by any provider, for property tests."""

import json
from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
CALL_IDS = st.one_of(
    st.sampled_from(["", "a", "call_1", "chatcmpl-tool:" + "x" * 60, "호출-1", "toolu_01A", "hs_0123", "D681PevKs"]),
    st.text(st.characters(codec="utf-8"), max_size=80),
)
NAMES = st.sampled_from(["get_weather", "lookup", "final-result"])
ARGUMENTS = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers() | TEXT, max_size=2).map(json.dumps),
    st.sampled_from(["", "{}", '{"a": ', "[1]", "null"]),
)
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
PARTS = st.lists(
    st.one_of(
        TEXT.map(lambda text: {"type": "text", "text": text}),
        st.just({"type": "image_url", "image_url": {"url": PNG}}),
        st.just({"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}),
        TEXT.map(lambda text: {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}),
    ),
    max_size=3,
)
CONTENT = st.one_of(TEXT, PARTS)
THINKING = st.lists(
    st.sampled_from(
        [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln", "dialect": "anthropic"},
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "xx", "dialect": "anthropic"},
            {"type": "thinking", "thinking": "so", "signature": "Z2Vt", "dialect": "gemini"},
            {"type": "signature", "signature": "Z2Vt", "dialect": "gemini"},
            {"type": "reasoning", "encrypted_content": "xx", "dialect": "openai"},
        ]
    ),
    max_size=2,
)


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """One tool call, signed by Gemini or not."""
    function = {"name": draw(NAMES), "arguments": draw(ARGUMENTS)}
    call: dict[str, Any] = {"id": draw(CALL_IDS), "type": "function", "function": function}
    if draw(st.booleans()):
        call["extra_content"] = {"google": {"thought_signature": "Z2Vt"}}
    return call


@st.composite
def assistants(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An assistant message and the results of some of its calls, in any order, some without a call."""
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | TEXT | PARTS.map(texts_only))}
    tool_calls = draw(st.lists(calls(), max_size=3))
    if tool_calls:
        message["tool_calls"] = tool_calls
    if draw(st.booleans()):
        message |= {"thinking_blocks": draw(THINKING), "reasoning_content": "hm"}
    answered = draw(st.permutations([call["id"] for call in tool_calls])) if tool_calls else []
    answered = answered[: draw(st.integers(0, len(answered)))] + draw(st.lists(CALL_IDS, max_size=1))
    results = [
        {"role": "tool", "tool_call_id": call_id, "content": draw(CONTENT), "is_error": draw(st.booleans())}
        for call_id in answered
    ]
    return [message, *results]


def texts_only(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An assistant's parts: text only."""
    return [part for part in parts if part["type"] == "text"]


SINGLE = st.builds(
    lambda role, content: [{"role": role, "content": content}], st.sampled_from(["system", "developer"]), TEXT
) | CONTENT.map(lambda content: [{"role": "user", "content": content}])
HISTORIES = st.lists(SINGLE | assistants(), min_size=1, max_size=6).map(lambda groups: [m for g in groups for m in g])
"""Any mixture of turns, with the ids, signatures, orphans and images of every dialect."""
