"""Messages that are a text and nothing else are converted without LangChain's own conversion, to the same result."""

from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall
from langchain_hotspare import messages

TEXTS: list[Any] = ["hello", "안녕", " ", "", [{"type": "text", "text": "part"}]]
EXTRAS: list[dict[str, Any]] = [{}, {}, {}, {"name": "ann"}, {"additional_kwargs": {"refusal": "no"}}]
CALL = ToolCall(id="call_1", name="find", args={"q": 1}, type="tool_call")


@st.composite
def message(draw: st.DrawFn) -> BaseMessage:
    """A message of any role."""
    text, extra = draw(st.sampled_from(TEXTS)), draw(st.sampled_from(EXTRAS))
    if draw(st.booleans()):
        return AIMessage(text, tool_calls=[CALL] if draw(st.booleans()) else [], **extra)
    return (HumanMessage if draw(st.booleans()) else SystemMessage)(text, **extra)


@given(st.lists(message(), max_size=4))
def test_plain_messages_are_converted_as_all_others(history: list[BaseMessage]) -> None:
    """Texts of each role, beside names, tool calls, refusals, parts and empty texts."""
    with mock.patch.object(messages, "_PLAIN_ROLES", dict[type[BaseMessage], str]()):
        expected = messages.openai_messages(history)
    assert messages.openai_messages(history) == expected
