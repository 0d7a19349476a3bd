"""Any body and any stream of the OpenAI wire gives an answer or an error of a backend: properties."""

import pytest
from hotspare.errors import BackendError
from hotspare.providers.openai.flavors import FLAVORS
from hotspare.providers.openai.wire import OpenAIWire
from hypothesis import given
from hypothesis import strategies as st

from tests.core.providers.readers import almost, feed, survives_body, survives_stream
from tests.core.providers.test_openai_read import DONE, END, OPENAI, event, streamed

NAMES = [
    "choices", "message", "delta", "content", "tool_calls", "function", "function_call", "name", "arguments", "id",
    "index", "finish_reason", "error", "usage", "prompt_tokens", "prompt_tokens_details", "cached_tokens", "refusal",
    "reasoning", "reasoning_content", "reasoning_details", "type", "text", "thinking", "x_groq", "extra_content",
    "google", "object", "detail", "custom", "input", "signature", "total_tokens",
]  # fmt: skip
WORDS = ["stop", "length", "tool_calls", "error", "f", "{}", '{"a": 1}', "thinking", "text", "assistant"]
VALUES = almost(NAMES, WORDS)
CHOICES = st.fixed_dictionaries({"choices": st.lists(almost(NAMES, WORDS), max_size=2)})


@given(VALUES | CHOICES, st.sampled_from(["openai", "openrouter", "openai-compatible"]))
def test_any_body_gives_a_reply_or_a_backend_error(value: object, flavor: str) -> None:
    """No JSON body raises another exception."""
    survives_body(OpenAIWire(FLAVORS[flavor]), value)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["message", "error", "ping"]),
        VALUES | CHOICES | st.text(max_size=10) | st.sampled_from([DONE[1], END[1], event({"content": "x"})[1]]),
    ),
    max_size=8,
)


@given(EVENTS, st.sampled_from(["openai", "openrouter", "openai-compatible"]))
def test_any_stream_gives_a_reply_or_a_backend_error(events: list[tuple[str, object]], flavor: str) -> None:
    """No stream of events raises another exception."""
    survives_stream(OpenAIWire(FLAVORS[flavor]), events)


@given(st.text(min_size=1, max_size=20), st.integers(0, 30))
def test_a_truncated_stream_is_never_an_answer(text: str, cut: int) -> None:
    """A stream of single characters that ends before its finish reason is incomplete."""
    events = [event({"content": letter}) for letter in text]
    with pytest.raises(BackendError):
        feed(OPENAI, events[:cut])
    assert streamed(*events, END).text == text
