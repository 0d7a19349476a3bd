"""Every fault at every token of an answer, in each wire format, over real HTTP.

All positions of one case run concurrently against one pool; the table of fault x format x rule is printed at the end of the run.
`test_break_rules` has every rule after every piece in virtual time; here is what depends on a wire format.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hotspare import Pool, StreamInterrupted, Target, Timeouts
from hotspare.drill.answers import answer, tokenize
from hotspare.drill.provider import Provider
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.methods import WIRES, target
from tests.support.tables import Record, note

FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "reset": ("cut", {}),
    "closed early": ("cut", {"how": "close"}),
    "clean EOF": ("eof", {}),
    "error event": ("error_event", {"status": 529}),
    "malformed, then the end": ("malformed", {"ends": True}),
    "malformed, continues": ("malformed", {}),
    "stall": ("stall", {}),
}
FACES = ("sync", "async")
WITHOUT_POSITION: dict[str, tuple[str, dict[str, Any]]] = {
    "role chunk, then silence": ("silence", {}),
    "keep-alives only": ("keepalives", {"gap": 0.05}),
    "empty 200": ("empty", {}),
    "no choice in it": ("empty_choices", {}),
    "slow tokens": ("drip", {"gap": 0.1}),
}
CONTINUATIONS = ("refuse", "overlap", "restart", "prose")
"""How the next target goes on: it rejects a prefill, repeats words, starts again, or talks about the continuation."""
TOKENS = 20
PROMPT = f"a long one tokens={TOKENS}"
TEXT = answer(PROMPT)
POSITIONS = range(TOKENS)
SHORT_STALL = Timeouts(stall=0.5, stall_min=0.5)
JSON = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}  # fmt: skip
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}  # fmt: skip
RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "restart": ({"on_break": "restart"}, {}),
    "raise": ({"on_break": "raise"}, {}),
    "JSON": ({}, {"response_format": JSON}),
    "tools": ({}, {"tools": [TOOL]}),
}
"""Policy and request of each rule."""


def positions_of(fault: str) -> range:
    """Where a fault occurs. A stall before the first token is a silence, which has no position."""
    return POSITIONS[1:] if fault == "stall" else POSITIONS


def broken_pool(provider: Provider, wire: str, fault: str, positions: Sequence[int], **policy: Any) -> Pool:
    """For each position a route of two targets: one that breaks there, and a sound one of any wire format."""
    kind, options = FAULTS[fault]
    sound = [target(provider, "b", w, name=w, region=f"sound-{w}") for w in WIRES]
    broken: list[Target] = []
    routes: dict[str, list[list[str]]] = {}
    for at in positions:
        name = f"at-{at:02}"
        provider.fault("a", kind, at=at, model=f"{name}-", **options)
        broken.append(target(provider, "a", wire, model=f"-{name}-", name=name, region=name))
        routes[name] = [[name], [sound[at % 3].name]]
    times = SHORT_STALL if fault == "stall" else Timeouts()  # a busy machine is no stall
    return Pool([*broken, *sound], routes=routes, deadline=60, timeouts=times, **policy)


def ending(chunks: list[Any], error: StreamInterrupted | None) -> tuple[str, str]:
    """What was handed out, and how it ended."""
    text = "".join(chunk.text for chunk in chunks)
    if error is not None:
        assert error.text == text
        return text, "interrupted"
    assert chunks[-1].finish_reason and chunks[-1].summary and chunks[-1].usage
    return text, "whole"


def sync_stream(pool: Pool, at: int, prompt: str = PROMPT, **request: Any) -> tuple[str, str]:
    """One stream in a thread."""
    chunks: list[Any] = []
    try:
        for chunk in pool.stream(prompt, model=f"at-{at:02}", **request):
            chunks.append(chunk)
    except StreamInterrupted as error:
        return ending(chunks, error)
    return ending(chunks, None)


async def async_stream(pool: Pool, at: int, prompt: str = PROMPT, **request: Any) -> tuple[str, str]:
    """One stream in a task."""
    chunks: list[Any] = []
    try:
        async for chunk in pool.astream(prompt, model=f"at-{at:02}", **request):
            chunks.append(chunk)
    except StreamInterrupted as error:
        return ending(chunks, error)
    return ending(chunks, None)


def everywhere(pool: Pool, face: str, positions: Sequence[int], **request: Any) -> dict[int, tuple[str, str]]:
    """The stream broken at each position, all concurrently."""
    if face == "sync":
        with ThreadPoolExecutor(16) as threads, pool:
            found = threads.map(lambda at: sync_stream(pool, at, **request), positions)
            return dict(zip(positions, found, strict=True))

    async def all_of_them() -> list[tuple[str, str]]:
        async with pool:
            return await asyncio.gather(*(async_stream(pool, at, **request) for at in positions))

    return dict(zip(positions, asyncio.run(all_of_them()), strict=True))


def note_cell(record: Record, wire: str, fault: str, rule: str, cell: str) -> None:
    """Note a cell of the wire format's table."""
    columns = [*(f"resume, {face}" for face in FACES), *RULES]
    row, column = [*FAULTS, *WITHOUT_POSITION].index(fault), columns.index(rule)
    title = f"{wire}: streams broken at each of {TOKENS} tokens, whole texts + exact beginnings"
    note(record, title, (row, fault), (column, rule), cell)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", FAULTS)
def test_plain_text_is_whole(fault: str, wire: str, provider: Provider, record_property: Record) -> None:
    """Whatever breaks, at any token: the exact text once, and no permit is lost."""
    positions = positions_of(fault)
    pool = broken_pool(provider, wire, fault, positions)
    found = everywhere(pool, "async", positions)
    assert {at: end for at, end in found.items() if end != (TEXT, "whole")} == {}
    assert pool.health().in_flight == 0
    note_cell(record_property, wire, fault, "resume, async", str(len(found)))


@pytest.mark.parametrize("wire", WIRES)
def test_a_longer_text_is_whole(wire: str, provider: Provider) -> None:
    """With code, emoji and Korean in it: a reset at every second one of its 60 tokens."""
    prompt = "a long one"
    text = answer(prompt)
    positions = range(0, len(tokenize(text)), 2)
    found = everywhere(broken_pool(provider, wire, "reset", positions), "async", positions, prompt=prompt)
    assert {at: end for at, end in found.items() if end != (text, "whole")} == {}


@pytest.mark.parametrize(("fault", "wire"), zip(FAULTS, [*WIRES] * 3, strict=False))
def test_plain_text_is_whole_in_threads(fault: str, wire: str, provider: Provider, record_property: Record) -> None:
    """The same in sync code, where both faces read the formats with the same code: each fault in one of them."""
    positions = positions_of(fault)
    pool = broken_pool(provider, wire, fault, positions)
    found = everywhere(pool, "sync", positions)
    assert {at: end for at, end in found.items() if end != (TEXT, "whole")} == {}
    assert pool.health().in_flight == 0
    note_cell(record_property, wire, fault, "resume, sync", str(len(found)))


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("wire", WIRES)
def test_faults_without_a_position(wire: str, face: str, provider: Provider, record_property: Record) -> None:
    """A role chunk and silence, keep-alives without end, an empty 200, slow tokens: the exact text, from the next target."""
    failing: list[Target] = []
    for at, (kind, options) in enumerate(WITHOUT_POSITION.values()):
        provider.fault("a", kind, model=f"-at-{at:02}-", **options)
        failing.append(target(provider, "a", wire, model=f"-at-{at:02}-", name=f"at-{at:02}", region=f"r{at}"))
    routes = {one.name: [[one.name], ["b"]] for one in failing}
    times = Timeouts(first_token=0.5, throughput_window=0.5, min_throughput=500)
    pool = Pool([*failing, target(provider, "b", "openai")], routes=routes, deadline=60, timeouts=times)
    found = everywhere(pool, face, range(len(failing)))
    assert {at: end for at, end in found.items() if end != (TEXT, "whole")} == {}
    for fault in WITHOUT_POSITION:
        note_cell(record_property, wire, fault, f"resume, {face}", "1 of 1")


@pytest.mark.parametrize(
    ("rule", "fault", "wire"),
    [
        *((rule, "reset", wire) for rule in RULES for wire in WIRES),
        *(("raise", fault, wire) for fault, wire in zip([*FAULTS][1:], [*WIRES] * 2, strict=True)),
    ],
)
def test_each_rule_for_breaks_holds(
    fault: str, wire: str, rule: str, provider: Provider, record_property: Record
) -> None:
    """Started again by policy, or raised with the exact text so far: by policy, in JSON mode, after a part of a tool call."""
    policy, request = RULES[rule]
    prompt = {"JSON": "the city, please", "tools": "call weather"}.get(rule, PROMPT)
    positions = positions_of(fault)
    pool = broken_pool(provider, wire, fault, positions, **policy)
    found = everywhere(pool, "async", positions, prompt=prompt, **request)
    whole = {"JSON": answered(provider, wire, prompt, **request), "tools": ""}.get(rule, TEXT)
    exact = [at for at, (text, end) in found.items() if end == "whole" and text == whole]
    prefix = [at for at, (text, end) in found.items() if end == "interrupted" and whole.startswith(text)]
    assert len(exact) + len(prefix) == len(found), {at: e for at, e in found.items() if at not in (*exact, *prefix)}
    if rule == "restart":
        assert not prefix
    elif rule == "raise":
        assert exact == [at for at in positions if at == 0]
        if fault != "stall":  # a busy machine may stall before
            lengths = {at: len(tokenize(found[at][0])) for at in prefix}
            assert all(abs(length - at) <= 1 for at, length in lengths.items()), lengths
    note_cell(record_property, wire, fault, rule, f"{len(exact)} + {len(prefix)}")


@pytest.mark.parametrize("how", CONTINUATIONS)
@pytest.mark.parametrize("wire", WIRES)
def test_however_the_next_target_goes_on(how: str, wire: str, provider: Provider, record_property: Record) -> None:
    """A prefill rejected, words repeated, started again: nothing twice, nothing lost. Words about the continuation are
    detected."""
    provider.configure("b", prefill=how, continuation="continue" if how == "refuse" else how)
    pool = broken_pool(provider, wire, "reset", POSITIONS)
    found = everywhere(pool, "async", POSITIONS)
    exact = [at for at, end in found.items() if end == (TEXT, "whole")]
    prefix = [at for at, (text, end) in found.items() if end == "interrupted" and TEXT.startswith(text)]
    assert {at: end for at, end in found.items() if at not in (*exact, *prefix)} == {}
    assert exact == ([0] if how == "prose" else [*POSITIONS])
    note(
        record_property, f"how the next target goes on: whole texts + exact beginnings, of {TOKENS}",
        (CONTINUATIONS.index(how), how), ([*WIRES].index(wire), f"after {wire}"), f"{len(exact)} + {len(prefix)}",
    )  # fmt: skip


def answered(provider: Provider, wire: str, prompt: str, **request: Any) -> str:
    """What a sound target of this wire format answers."""
    with Pool([target(provider, "c", wire)]) as pool:
        return pool.chat(prompt, **request).text


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_breaks_after_breaks(data: st.DataObject, provider: Provider) -> None:
    """Two targets in a row break, anywhere and in any way, and the third still ends the text."""
    provider.reset()
    targets: list[Target] = []
    for endpoint in "abc":
        if endpoint != "c":
            kind, options = FAULTS[data.draw(st.sampled_from(sorted(FAULTS)))]
            provider.fault(endpoint, kind, at=data.draw(st.integers(0, TOKENS - 1)), **options)
        targets.append(target(provider, endpoint, data.draw(st.sampled_from(sorted(WIRES)))))
    prompt = f"answer {data.draw(st.integers(0, 10_000))} tokens={TOKENS}"
    times = replace(SHORT_STALL, first_token=1, completion=1)
    with Pool(targets, deadline=60, timeouts=times, completion=data.draw(st.sampled_from(["wait", "stream"]))) as pool:
        assert "".join(chunk.text for chunk in pool.stream(prompt)) == answer(prompt)
        assert pool.chat(prompt).text == answer(prompt)
        assert pool.health().in_flight == 0
