"""What the tests with a real engine share: two servers that stay, the unbroken answer, and what the engine gives for a prefix."""

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import anyio
from hotspare import ChatChunk, Pool, Target, Timeouts

from tests.real.engines import Engine

CHUNKS = int(os.environ.get("HOTSPARE_REAL_CHUNKS", "60"))
TOKENS = int(os.environ.get("HOTSPARE_REAL_TOKENS", "12"))
"""How long a continuation may be: as much as shows the seam, since a token costs a core 50 ms."""
STALL = float(os.environ.get("HOTSPARE_REAL_STALL", "5"))
"""Seconds of silence that are a stall, in tests of stalls: more than an engine needs for a token on a loaded machine."""
AT_ONCE = 4
"""Places tested at the same time; an engine computes one answer at a time, and further requests wait for it."""
ASK = [{"role": "user", "content": "Write about the sea, the wind and an old ship."}]
WHOLE = {"max_tokens": 64}
PENALTY = {"repeat_penalty": 1.4, "repeat_last_n": 256, "cache_prompt": False}
"""Without the penalty this base model repeats itself without end, and a repetition that is meant cannot be told from one that a seam
makes. With a cached prompt two equal requests may differ in the last bit, and so in a word."""
T = TypeVar("T")


class World:
    """Two engines that stay, those that are killed, and the unbroken answer."""

    def __init__(self) -> None:
        self.engines, self.victims = [Engine(), Engine()], list[Engine]()
        for engine in self.engines:
            engine.wait()
        self.events = self.engines[0].stream(ASK, **WHOLE, **PENALTY)
        self.texts = [_text(event) for event in self.events]
        self.whole = "".join(self.texts)
        self._direct: dict[str, str] = {}
        self._turns = itertools.count()

    @property
    def places(self) -> list[int]:
        """How many events come before each break: behind each piece of text, or behind CHUNKS of them."""
        found = [number for number, text in enumerate(self.texts[:-2], 1) if text]
        return found[:: max(1, len(found) // CHUNKS)][:CHUNKS]

    def direct(self, prefix: str) -> str:
        """The prefix, and what the engine gives when it is asked directly to continue it; asked once."""
        if prefix not in self._direct:
            asked = prefix.rstrip()
            messages = [*ASK, {"role": "assistant", "content": asked}]
            events = self._in_turn()[0].stream(messages, max_tokens=TOKENS, **PENALTY)
            rest = "".join(map(_text, events))  # a stream does not repeat what it continues; a whole answer does
            while rest and prefix.startswith(asked + rest[0]):  # white space that was not sent and comes again
                asked, rest = asked + rest[0], rest[1:]
            self._direct[prefix] = prefix + rest
        return self._direct[prefix]

    def differs(self, text: str) -> bool:
        """Whether a text is not that of the unbroken answer. Its prefix may tokenise otherwise than it was generated; else the engine,
        which computes a prompt's tokens together, has rounded them otherwise than one by one."""
        return not (self.whole.startswith(text) or text.startswith(self.whole))

    def tokenises_otherwise(self, place: int) -> bool:
        """Whether the prefix that is sent has other tokens than those that were generated."""
        parts = self.texts[:place]
        prefix = "".join(parts).rstrip()
        while len("".join(parts[:-1])) >= len(prefix):
            parts = parts[:-1]  # white space alone, which is not sent
        return self.engines[0].pieces(prefix) != [part for part in parts if part]

    def pool(self, first: str, *, prefill: bool = True, stall: float = 300) -> Pool:
        """The target that breaks, and the two engines that stay, in turn. Slowness is no fault here, except in tests of stalls."""
        second, third = self._in_turn()
        targets = [
            Target("openai-compatible/gemma", name=name, region=name, base_url=url, prefill=prefill, extra=extra)
            for name, url, extra in (
                ("first", first, PENALTY | WHOLE),
                ("second", second.url, PENALTY),
                ("third", third.url, PENALTY),
            )
        ]
        slow = Timeouts(
            first_token=300, first_token_min=300, first_token_max=300, stall=stall, stall_min=stall, throughput_window=0
        )
        return Pool(targets, timeouts=slow, deadline=600, retry_same_target="never")

    def _in_turn(self) -> list[Engine]:
        return self.engines[:: 1 if next(self._turns) % 2 else -1]

    def close(self) -> None:
        """End every process."""
        for engine in [*self.engines, *self.victims]:
            engine.kill()


def _text(event: bytes) -> str:
    data = event.removeprefix(b"data: ").strip()
    choices = [] if data == b"[DONE]" else json.loads(data)["choices"]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def read(pool: Pool, face: str, each: Callable[[ChatChunk], Any]) -> None:
    """Give each chunk of one stream to a function, and close the pool."""

    async def read_async() -> None:
        async with pool:
            async for chunk in pool.astream(ASK, temperature=0, max_tokens=TOKENS):
                each(chunk)

    if face == "asyncio":
        anyio.run(read_async)
        return
    with pool:
        for chunk in pool.stream(ASK, temperature=0, max_tokens=TOKENS):
            each(chunk)


def at_every_place(world: World, title: str, run: Callable[[int], T], *, at_once: int = AT_ONCE) -> Iterator[T]:
    """The result of `run` at each place, several of them at the same time, with a progress bar."""
    places = world.places
    with ThreadPoolExecutor(at_once) as threads:
        for number, result in enumerate(threads.map(run, places), 1):
            bar = "#" * (30 * number // len(places))
            print(f"\r{title:20} [{bar:30}] {number}/{len(places)}", end="", file=sys.__stderr__, flush=True)
            yield result
    print(file=sys.__stderr__)
