"""Messages that are a text and nothing else are converted without LangChain's own conversion, to the same result."""

from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall
from langchain_hotspare import messages

TEXTS = st.sampled_from(["hello", "안녕", " "]) | st.just([{"type": "text", "text": "part"}])
EXTRAS = st.fixed_dictionaries({}, optional={"name": st.just("ann"), "additional_kwargs": st.just({"refusal": "no"})})
CALLS = st.lists(st.just(ToolCall(id="call_1", name="find", args={"q": 1}, type="tool_call")), max_size=1)
MESSAGE = st.one_of(
    st.builds(
        lambda cls, text, extra: cls(text, **extra), st.sampled_from([HumanMessage, SystemMessage]), TEXTS, EXTRAS
    ),
    st.builds(
        lambda text, extra, calls: AIMessage(text, tool_calls=calls, **extra), TEXTS | st.just(""), EXTRAS, CALLS
    ),
)


@given(st.lists(MESSAGE, max_size=4))
def test_plain_messages_are_converted_as_all_others(history: list[BaseMessage]) -> None:
    """Texts of each role, beside names, tool calls, refusals, parts and empty texts."""
    with mock.patch.object(messages, "_PLAIN_ROLES", {}):
        expected = messages.openai_messages(history)
    assert messages.openai_messages(history) == expected
