"""Values that are made without their constructor are those that it makes."""

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from hotspare._values import changed, made
from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.outcome import AttemptRecord, Kind

MESSAGES = [{"role": "user", "content": "hello"}]
PAIRS: list[tuple[Any, Any]] = [
    (changed(ChatChunk(text="word ", id="1"), id="2"), ChatChunk(text="word ", id="2")),
    (made(ChatRequest, messages=MESSAGES, extra={}), ChatRequest(messages=MESSAGES)),
    (made(AttemptRecord, number=1, target="a", kind=Kind.OK, seconds=0.5), AttemptRecord(1, "a", Kind.OK, 0.5)),
    (changed(ChatReply(text="a", model="m"), target="t"), ChatReply(text="a", model="m", target="t")),
]


@pytest.mark.parametrize(("quick", "usual"), PAIRS, ids=[type(usual).__name__ for _, usual in PAIRS])
def test_they_are_equal(quick: Any, usual: Any) -> None:
    """In each field, printed, copied, replaced and pickled; and frozen."""
    assert type(quick) is type(usual) and quick == usual and repr(quick) == repr(usual)
    assert dataclasses.asdict(quick) == dataclasses.asdict(usual)
    for copied in (
        copy.copy(quick),
        copy.deepcopy(quick),
        dataclasses.replace(quick),
        pickle.loads(pickle.dumps(quick)),
    ):
        assert copied == usual
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(quick, dataclasses.fields(usual)[0].name, None)


def test_a_copy_leaves_the_original_alone() -> None:
    """As one backend may answer two calls with the same object."""
    reply = ChatReply(text="a")
    assert (changed(reply, target="t").target, reply.target) == ("t", "")
