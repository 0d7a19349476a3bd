"""Counts of tokens as servers send them: of any size and type, in several events, or not at all."""

from typing import Any

import pytest
from hotspare import Pool, Price, Target, Usage
from hotspare.messages import ChatChunk, ChatReply
from hotspare.testing import ScriptedTarget, answer, break_after, scripted_pool

from tests.support.field_calls import PATHS, STREAMED, WHOLE, WIRES, Face, Wire, call, finish, start, text, whole
from tests.support.raw_server import Step, event, raw_server, response, sse

NAMES = {
    "openai": ("prompt_tokens", "completion_tokens", "usage"),
    "anthropic": ("input_tokens", "output_tokens", "usage"),
    "gemini": ("promptTokenCount", "candidatesTokenCount", "usageMetadata"),
}
MODELS = {
    "openai": "openai-compatible/m",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
}


def body(wire: Wire, inputs: Any, outputs: Any) -> dict[str, Any]:
    """A whole answer with these counts."""
    one, two, field = NAMES[wire]
    return {**whole(wire, "fine"), field: {one: inputs, two: outputs}}


def stream(wire: Wire, *usages: dict[str, Any]) -> list[Step]:
    """A stream whose counts come in several events, the last of them at its end."""
    events = [*start(wire, usages[0] if wire == "anthropic" else None), text(wire, "fine")]
    if wire == "anthropic":
        return sse(
            *events,
            *(finish(wire, usage=usage) for usage in usages[1:]),
            event({"type": "message_stop"}, "message_stop"),
        )
    field = "usage" if wire == "openai" else "usageMetadata"
    return sse(
        *events,
        finish(wire),
        *(event({"choices" if wire == "openai" else "candidates": [], field: one}) for one in usages),
    )


def used(wire: Wire, face: Face, data: bytes | list[Step]) -> tuple[Usage, float | None]:
    """The usage and the cost of an answer from a target with a price."""
    with raw_server(lambda _: data) as server:
        target = Target(MODELS[wire], base_url=server.url + PATHS[wire], api_key="k", price=Price(1.0, 2.0))
        with Pool([target], deadline=20) as pool:
            result = call(pool, face)
    assert (result.text, result.error) == ("fine", None)
    return result.reply.usage, (result.summary or result.reply).cost


COUNTS: list[tuple[Any, Any, Usage, float | None]] = [
    (7, 3, Usage(7, 3), 13e-6),
    (7.0, 3.0, Usage(7, 3), 13e-6),
    ("7", "3.0", Usage(7, 3), 13e-6),
    (7, None, Usage(7, 0), 7e-6),
    (7, -3, Usage(7, 0), 7e-6),
    (7, float("nan"), Usage(7, 0), 7e-6),
    (7, "many", Usage(7, 0), 7e-6),
    (7, True, Usage(7, 0), 7e-6),
    (7, [3], Usage(7, 0), 7e-6),
    (10**400, 1, Usage(), None),
    (7, 10**400, Usage(), None),
    (1e308, 1, Usage(), None),
    (float("inf"), 1, Usage(), None),
    (0, 0, Usage(), None),
    (None, None, Usage(), None),
]


@pytest.mark.parametrize(("inputs", "outputs", "usage", "cost"), COUNTS)
@pytest.mark.parametrize("wire", WIRES)
def test_any_count_is_read(wire: Wire, inputs: Any, outputs: Any, usage: Usage, cost: float | None) -> None:
    """Numbers in other spellings count; what is no number counts as none; with a number that no answer can have, nothing that
    the server says about tokens is believed, and the cost is unknown."""
    for face in WHOLE:
        assert used(wire, face, response(200, body(wire, inputs, outputs))) == (usage, pytest.approx(cost))


@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize("wire", WIRES)
def test_no_count_replaces_a_count(wire: Wire, face: Face) -> None:
    """Zeros, nulls and empty objects in a later event leave the real figures; later figures replace them."""
    one, two, _ = NAMES[wire]
    found, _ = used(wire, face, stream(wire, {one: 15, two: 1}, {one: 0, two: 3}, {one: None, two: 0}, {}))
    assert found == Usage(15, 3)


@pytest.mark.parametrize("face", [*WHOLE, *STREAMED])
@pytest.mark.parametrize("wire", WIRES)
def test_no_usage_is_no_cost_of_zero(wire: Wire, face: Face) -> None:
    """Neither in a reply nor in a stream's summary: the cost is unknown."""
    field = NAMES[wire][2]
    data: Any = response(200, {name: value for name, value in whole(wire, "fine").items() if name != field})
    if face in STREAMED:
        data = stream(wire, {}, {})
    found, cost = used(wire, face, data)
    assert (found, found.known, cost) == (Usage(), False, None)


def test_of_any_backend() -> None:
    """A framework's model that counts nothing, or more than a float holds: an answer of unknown cost, not an OverflowError."""
    for usage in (Usage(), Usage(10**400, 1), Usage(1, 10**400)):
        pool = scripted_pool(ScriptedTarget("a", answer("ok", usage=usage), price=Price(1.0, 2.0)))
        assert pool.chat("hi").cost is None
        last: ChatChunk = list(pool.stream("hi"))[-1]
        assert last.summary is not None and last.summary.cost is None


def test_a_broken_part_is_estimated_and_an_uncounted_rest_is_not() -> None:
    """What broke is estimated; with the last part's usage unknown, so is the cost of the whole."""
    for usage, known in ((Usage(5, 2), True), (Usage(), False)):
        targets = [
            ScriptedTarget("a", break_after(1, "one two"), price=Price(1.0, 2.0)),
            ScriptedTarget("b", answer("two", usage=usage), price=Price(1.0, 2.0)),
        ]
        last = list(scripted_pool(*targets).stream("hi"))[-1]
        assert last.summary is not None and (last.summary.cost is not None) is known


def test_known_usage() -> None:
    """`known` tells tokens that were counted from a usage that never came."""
    assert (ChatReply().usage.known, Usage(1).known, Usage(0, 1).known) == (False, True, True)
