"""Every fault at every token of a 60-token answer, in each wire, sync and async, and under each rule for a break.

The caller gets the exact text once, or (where the safety ladder says so) the exact prefix in a StreamInterrupted. All
positions of one case run at once against one pool; the table of fault x wire x rule is printed at the end of the run.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hotspare import Pool, StreamInterrupted, Target, Timeouts
from hotspare.drill.answers import answer, tokenize
from hotspare.drill.provider import Provider
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.tables import Record, note

WIRES = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "reset": ("cut", {}),
    "closed early": ("cut", {"how": "close"}),
    "clean EOF": ("eof", {}),
    "error event": ("error_event", {"status": 529}),
    "malformed, then the end": ("malformed", {"ends": True}),
    "malformed, goes on": ("malformed", {}),
    "stall": ("stall", {}),
}
FACES = ("sync", "async")
PLACELESS: dict[str, tuple[str, dict[str, Any]]] = {
    "role chunk, then silence": ("silence", {}),
    "keep-alives only": ("keepalives", {"gap": 0.05}),
    "empty 200": ("empty", {}),
    "no choice in it": ("empty_choices", {}),
    "drip": ("drip", {"gap": 0.1}),
}
MANNERS = ("refuse", "overlap", "restart", "prose")
PROMPT = "a long one"
TEXT = answer(PROMPT)
PIECES = tokenize(TEXT)
POSITIONS = range(len(PIECES))
IMPATIENT = Timeouts(stall=0.5, stall_min=0.5)
JSON = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}  # fmt: skip
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}  # fmt: skip
RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "restart": ({"on_break": "restart"}, {}),
    "raise": ({"on_break": "raise"}, {}),
    "JSON": ({}, {"response_format": JSON}),
    "tools": ({}, {"tools": [TOOL]}),
}


def positions(fault: str) -> range:
    """Where a fault consecutive_failures: at each token. A stall before the first one is a silence, which has no place."""
    return POSITIONS[1:] if fault == "stall" else POSITIONS


def broken_pool(provider: Provider, wire: str, fault: str, **policy: Any) -> Pool:
    """For each position a route of two targets: one that breaks there, and a sound one of any wire."""
    kind, options = FAULTS[fault]
    targets: list[Target] = []
    routes: dict[str, list[list[str]]] = {}
    sound = [
        Target(f"{w}/{m}", name=w, region=f"sound-{w}", base_url=provider.base_url("b", w), api_key="test-1")
        for w, m in WIRES.items()
    ]
    for at in positions(fault):
        provider.fault("a", kind, at=at, model=f"at-{at:02}-", **options)
        name = f"at-{at:02}"
        targets.append(
            Target(
                f"{wire}/{WIRES[wire]}-at-{at:02}-", name=name, region=name,
                base_url=provider.base_url("a", wire), api_key="test-1",
            )
        )  # fmt: skip
        routes[name] = [[name], [sound[at % 3].name]]
    times = IMPATIENT if fault == "stall" else Timeouts()  # a busy machine is no stall
    return Pool([*targets, *sound], routes=routes, deadline=30, timeouts=times, **policy)


def told(chunks: list[Any], error: StreamInterrupted | None) -> tuple[str, str]:
    """What was handed out, and how it ended."""
    text = "".join(chunk.text for chunk in chunks)
    if error is not None:
        assert error.text == text
        return text, "interrupted"
    assert chunks[-1].finish_reason and chunks[-1].summary and chunks[-1].usage
    return text, "whole"


def sync_stream(pool: Pool, at: int, prompt: str = PROMPT, **request: Any) -> tuple[str, str]:
    chunks: list[Any] = []
    try:
        for chunk in pool.stream(prompt, model=f"at-{at:02}", **request):
            chunks.append(chunk)
    except StreamInterrupted as error:
        return told(chunks, error)
    return told(chunks, None)


async def async_stream(pool: Pool, at: int, prompt: str = PROMPT, **request: Any) -> tuple[str, str]:
    chunks: list[Any] = []
    try:
        async for chunk in pool.astream(prompt, model=f"at-{at:02}", **request):
            chunks.append(chunk)
    except StreamInterrupted as error:
        return told(chunks, error)
    return told(chunks, None)


def everywhere(pool: Pool, face: str, positions: range, **request: Any) -> dict[int, tuple[str, str]]:
    """The stream broken at each position, all at once."""
    if face == "sync":
        with ThreadPoolExecutor(16) as threads, pool:
            found = threads.map(lambda at: sync_stream(pool, at, **request), positions)
            return dict(zip(positions, found, strict=True))

    async def all_of_them() -> list[tuple[str, str]]:
        async with pool:
            return await asyncio.gather(*(async_stream(pool, at, **request) for at in positions))

    return dict(zip(positions, asyncio.run(all_of_them()), strict=True))


def note_cell(record: Record, wire: str, fault: str, rule: str, cell: str) -> None:
    """Note a cell of the wire's table."""
    columns = [*(f"resume, {face}" for face in FACES), *RULES]
    row, column = [*FAULTS, *PLACELESS].index(fault), columns.index(rule)
    title = f"{wire}: streams broken at each of 60 tokens, whole texts + exact prefixes"
    note(record, title, (row, fault), (column, rule), cell)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", FAULTS)
def test_plain_text_is_whole(fault: str, wire: str, face: str, provider: Provider, record_property: Record) -> None:
    """Whatever breaks, wherever: the exact text once, and no place is lost."""
    pool = broken_pool(provider, wire, fault)
    found = everywhere(pool, face, positions(fault))
    assert {at: end for at, end in found.items() if end != (TEXT, "whole")} == {}
    assert pool.health().in_flight == 0
    note_cell(record_property, wire, fault, f"resume, {face}", str(len(found)))


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", PLACELESS)
def test_what_has_no_place(fault: str, wire: str, face: str, provider: Provider, record_property: Record) -> None:
    """Silence behind a role chunk, keep-alives for ever, an empty 200, a drip: the exact text, from whoever can."""
    kind, options = PLACELESS[fault]
    provider.fault("a", kind, **options)
    targets = [
        Target(f"{w}/{WIRES[w]}", name=f"at-{at:02}", region=e, base_url=provider.base_url(e, w), api_key="test-1")
        for at, e, w in ((0, "a", wire), (1, "b", "openai"))
    ]
    times = Timeouts(first_token=0.3, throughput_window=0.3, min_throughput=500)
    found = everywhere(Pool(targets, deadline=30, timeouts=times), face, range(1))
    assert found == {0: (TEXT, "whole")}
    note_cell(record_property, wire, fault, f"resume, {face}", "1 of 1")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_ladder_holds(fault: str, wire: str, rule: str, provider: Provider, record_property: Record) -> None:
    """Begun anew by policy, or raised with the exact prefix: by policy, in JSON mode, behind a tool call."""
    policy, request = RULES[rule]
    prompt = {"JSON": "the city, please", "tools": "call weather"}.get(rule, PROMPT)
    pool = broken_pool(provider, wire, fault, **policy)
    found = everywhere(pool, "async", positions(fault), prompt=prompt, **request)
    whole = {"JSON": answered(provider, wire, prompt, **request), "tools": ""}.get(rule, TEXT)
    exact = [at for at, (text, end) in found.items() if end == "whole" and text == whole]
    prefix = [at for at, (text, end) in found.items() if end == "interrupted" and whole.startswith(text)]
    assert len(exact) + len(prefix) == len(found), {at: e for at, e in found.items() if at not in (*exact, *prefix)}
    if rule == "restart" or fault == "malformed, goes on":
        assert not prefix
    elif rule == "raise":
        assert exact == [at for at in positions(fault) if at == 0]
        if fault != "stall":  # a busy machine may stall before
            assert {len(tokenize(found[at][0])) for at in prefix} >= set(range(1, 58))
    note_cell(record_property, wire, fault, rule, f"{len(exact)} + {len(prefix)}")


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("wire", WIRES)
def test_however_the_next_one_goes_on(manner: str, wire: str, provider: Provider, record_property: Record) -> None:
    """A prefill refused, words repeated, all begun anew: nothing twice, nothing lost. Prose is detected."""
    told_how = "continue" if manner == "refuse" else manner
    provider.configure("b", prefill=manner, continuation=told_how)
    pool = broken_pool(provider, wire, "reset")
    found = everywhere(pool, "async", POSITIONS)
    exact = [at for at, end in found.items() if end == (TEXT, "whole")]
    prefix = [at for at, (text, end) in found.items() if end == "interrupted" and TEXT.startswith(text)]
    assert {at: end for at, end in found.items() if at not in (*exact, *prefix)} == {}
    if manner == "prose":
        assert exact == [0]
    else:
        assert len(exact) == len(POSITIONS)
    note(
        record_property, "how the next target goes on: whole texts + exact prefixes, of 60",
        (MANNERS.index(manner), manner), ([*WIRES].index(wire), f"after {wire}"), f"{len(exact)} + {len(prefix)}",
    )  # fmt: skip


def answered(provider: Provider, wire: str, prompt: str, **request: Any) -> str:
    """What a sound target of this wire says."""
    target = Target(f"{wire}/{WIRES[wire]}", base_url=provider.base_url("c", wire), api_key="test-1")
    with Pool([target]) as pool:
        return pool.chat(prompt, **request).text


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_breaks_after_breaks(data: st.DataObject, provider: Provider) -> None:
    """Two targets in a row break, anywhere and in any way, and the third still ends the text."""
    provider.reset()
    targets: list[Target] = []
    for endpoint in "abc":
        wire = data.draw(st.sampled_from(sorted(WIRES)))
        if endpoint != "c":
            kind, options = FAULTS[data.draw(st.sampled_from(sorted(FAULTS)))]
            provider.fault(endpoint, kind, at=data.draw(st.integers(0, 59)), **options)
        targets.append(
            Target(f"{wire}/{WIRES[wire]}", name=endpoint, region=endpoint, base_url=provider.base_url(endpoint, wire), api_key="test-1")
        )  # fmt: skip
    prompt = f"answer {data.draw(st.integers(0, 10_000))}"
    times = replace(IMPATIENT, first_token=1, completion=1)
    with Pool(targets, deadline=30, timeouts=times, completion=data.draw(st.sampled_from(["wait", "stream"]))) as pool:
        assert "".join(chunk.text for chunk in pool.stream(prompt)) == answer(prompt)
        assert pool.chat(prompt).text == answer(prompt)
        assert pool.health().in_flight == 0
