"""Errors between processes and in copies, and listeners that are taken away twice."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import hotspare.errors
import hotspare.testing
import httpx
import langchain_hotspare.errors
import pytest
from hotspare import AllTargetsFailed, ConfigError, HotspareError, Kind, StreamInterrupted
from hotspare.errors import BackendError, BudgetExceeded, EmptyAnswer, MissingExtra, StatusError
from hotspare.events import Event
from hotspare.outcome import AttemptRecord
from hotspare.testing import scripted_pool

RECORD = AttemptRecord(1, "a", Kind.SERVER, 0.5, status=503, message="down")
COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)),
]


def classes(base: type[HotspareError] = HotspareError) -> Iterator[type[HotspareError]]:
    """The class and all that derive from it, those of the adapters too."""
    yield base
    for derived in base.__subclasses__():
        yield from classes(derived)


def made(cls: type[HotspareError]) -> HotspareError:
    """An instance with a value in every attribute."""
    error: HotspareError
    if issubclass(cls, AllTargetsFailed):
        error = cls("failed", [RECORD], skipped={"b": "open"}, retry_after=1.5)
    elif issubclass(cls, BudgetExceeded):
        error = cls("spent", budget="10 USD a day", retry_after=60.0)
    elif issubclass(cls, StreamInterrupted):
        error = cls("broke", [RECORD], text="so far")
    elif issubclass(cls, EmptyAnswer):
        error = cls("empty", proven=True, body=b"{}")
    elif issubclass(cls, MissingExtra):
        error = cls("the command", "cli")
    elif issubclass(cls, BackendError):
        try:
            error = cls("HTTP 503", status=503, headers=httpx.Headers({"retry-after": "1"}), body=b"down")
        except TypeError:  # an adapter's own, with parameters of its own
            error = cls.__new__(cls, "HTTP 503")
            error.__dict__.update(status=503, body=b"down")
    else:
        error = cls("a mistake")
    error.add_note("a note")
    if isinstance(error, ConfigError):
        error.source = "hotspare.toml"
    return error


@pytest.mark.parametrize("cls", list(dict.fromkeys(classes())), ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("copied", COPIES, ids=lambda copied: getattr(copied, "__name__", ""))
def test_every_error_can_be_pickled_and_copied(cls: type[HotspareError], copied: Callable[[Any], Any]) -> None:
    """Its class, its text, its attributes and its notes stay the same."""
    error = made(cls)
    same = copied(error)
    assert type(same) is cls
    assert (str(same), repr(same), same.args) == (str(error), repr(error), error.args)
    assert vars(same) == vars(error)
    if isinstance(error, BackendError):
        assert (same.status, dict(same.headers), same.body) == (error.status, dict(error.headers), error.body)


def test_the_list_of_classes_is_not_empty() -> None:
    """Core's tree and LangChain's."""
    found = set(classes())
    assert {AllTargetsFailed, StatusError, MissingExtra, langchain_hotspare.errors.TargetsTimedOut} <= found
    assert {
        value
        for value in vars(hotspare.errors).values()
        if isinstance(value, type) and issubclass(value, HotspareError)
    } <= found


def test_an_error_of_a_call_travels_with_its_attempts() -> None:
    """As it is raised by a pool."""
    pool = scripted_pool(hotspare.testing.ScriptedTarget("a", Kind.AUTH), when_all_down="fail")
    with pytest.raises(AllTargetsFailed) as caught:
        pool.chat("hi")
    same = pickle.loads(pickle.dumps(caught.value))
    assert same.attempts == caught.value.attempts
    assert same.skipped == caught.value.skipped
    assert str(same) == str(caught.value)


def test_unsubscribing_twice() -> None:
    """It is harmless, also in another order, and does not take away the same listener's other subscription."""
    pool = scripted_pool("a")
    events: list[Event] = []
    first, second = pool.subscribe(events.append), pool.subscribe(events.append)
    pool.chat("hi")
    once = len(events) // 2
    assert once
    first()
    first()
    events.clear()
    pool.chat("hi")
    assert len(events) == once
    second()
    second()
    first()
    events.clear()
    pool.chat("hi")
    assert not events
