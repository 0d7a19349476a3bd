"""Helpers for the wires' readers: bodies and events with real field names and arbitrary values."""

import json
from contextlib import suppress

import pytest
from hotspare.errors import BackendError
from hotspare.messages import ChatRequest
from hotspare.providers.base import Wire
from hypothesis import strategies as st

REQUEST = ChatRequest(messages=[{"role": "user", "content": "hi"}])


def almost(names: list[str], words: list[str]) -> st.SearchStrategy[object]:
    """JSON values whose objects have these names, and whose strings are often these words."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(words) | st.text(max_size=5)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=5),
        max_leaves=25,
    )


def feed(wire: Wire, events: list[tuple[str, object]]) -> None:
    """Feed a stream to a new reader; a str unchanged, anything else as JSON."""
    reader = wire.reader(REQUEST)
    for name, value in events:
        reader.event(name, value if isinstance(value, str) else json.dumps(value))
    reader.finish()


def survives_body(wire: Wire, body: object) -> None:
    """Reading gives a reply or a BackendError; any other exception fails the test."""
    with suppress(BackendError):
        wire.read(body, REQUEST)  # type: ignore[arg-type]  # what a server sends need not be an object


def survives_stream(wire: Wire, events: list[tuple[str, object]]) -> None:
    """The same for a stream of events."""
    with suppress(BackendError):
        feed(wire, events)


def fails_as(wire: Wire, events: list[tuple[str, object]], error: type[BackendError]) -> BackendError:
    """The error that a stream ends in."""
    with pytest.raises(error) as caught:
        feed(wire, events)
    return caught.value
