"""Thousands of streams with random faults and random early exits: nothing is left over, counted at both ends."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing

import pytest
from hotspare import Breaker, Hedge, HotspareError, Pool, RetryBudget, Target, Timeouts
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.messages import ChatChunk

from tests.support.eventually import aeventually, eventually

ASYNC, SYNC = 2_400, 800
WIRES = {
    "a": "openai/gpt-4.1",
    "b": "anthropic/claude-sonnet-4-5",
    "c": "gemini/gemini-2.5-flash",
    "d": "openai/gpt-4.1",
}
FAULTS = {
    "cut": {"at": 3}, "eof": {"at": 4}, "error_event": {"at": 2, "status": 529}, "malformed": {"at": 3, "ends": True},
    "stall": {"at": 3}, "blackhole": {}, "reset": {}, "empty": {}, "status": {"status": 500}, "silence": {},
    "delay": {"seconds": 0.06},
}  # fmt: skip


@pytest.fixture
def provider() -> Iterator[Provider]:
    """One of its own: connections that other tests left open do not count."""
    with Provider(WIRES) as running:
        yield running


def failing_pool(provider: Provider) -> Pool:
    """Four targets in four regions; three of them fail one call in five, in every way."""
    for endpoint in "abc":
        for kind, options in FAULTS.items():
            provider.fault(endpoint, kind, probability=0.02, **options)
    targets = [
        Target(id, region=e, name=e, base_url=provider.base_url(e, id.partition("/")[0]), api_key="test-1")
        for e, id in WIRES.items()
    ]
    never = 1_000_000  # every call is to meet the faults
    return Pool(
        targets, deadline=60, strategy="weighted", on_slow="race", hedge=Hedge(min_delay=0.03, max_extra_calls=0.2),
        timeouts=Timeouts(first_token=0.5, first_token_min=0.5, stall=0.5, stall_min=0.5),
        breaker=Breaker(consecutive_failures=never, minimum_throughput=never, stalled_calls=never), retry_budget=RetryBudget(tokens_per_call=9, max_tokens=never),
    )  # fmt: skip


def leaves_after(rng: random.Random) -> int:
    """Chunks after which the caller leaves; mostly never."""
    return rng.randrange(6) if rng.random() < 0.3 else 1_000


def read_some(stream: Generator[ChatChunk], chunks: int, prompt: str) -> str:
    """Read a stream, at most so many chunks of it."""
    text = ""
    with closing(stream):
        for number, chunk in enumerate(stream):
            text += chunk.text
            if number >= chunks:
                assert answer(prompt).startswith(text)
                return "left"
    assert text == answer(prompt)
    return "whole"


async def aread_some(stream: AsyncGenerator[ChatChunk], chunks: int, prompt: str) -> str:
    """The same, async."""
    text = ""
    async with aclosing(stream):
        async for chunk in stream:
            text += chunk.text
            chunks -= 1
            if chunks < 0:
                assert answer(prompt).startswith(text)
                return "left"
    assert text == answer(prompt)
    return "whole"


async def one(pool: Pool, rng: random.Random, number: int) -> str:
    """One async caller, that may stop to read, or be cancelled."""
    prompt = f"q{number} tokens=8"
    try:
        async with asyncio.timeout(rng.random() * 0.2 if rng.random() < 0.1 else None):
            return await aread_some(pool.astream(prompt), leaves_after(rng), prompt)
    except TimeoutError:
        return "cancelled"
    except HotspareError as error:
        return type(error).__name__


async def all_callers(pool: Pool) -> Counter[str]:
    """All async callers, fifty at a time."""
    rng = random.Random(8)
    ends: Counter[str] = Counter()
    numbers = iter(range(ASYNC))

    async def caller() -> None:
        for number in numbers:
            ends[await one(pool, rng, number)] += 1

    async with pool:
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(caller())
        assert pool.health().in_flight == pool.health().waiting == 0
    # httpx leaves its inner generators to be closed by the loop, in its next turns.
    await aeventually(lambda: asyncio.all_tasks() == {asyncio.current_task()}, asyncio.all_tasks)
    return ends


def no_connection_is_left(provider: Provider) -> None:
    """At the provider's end, which sees the end of a connection a moment later."""
    eventually(
        lambda: all(provider.stats(e).in_flight == provider.stats(e).open_connections == 0 for e in WIRES),
        lambda: [(e, provider.stats(e)) for e in WIRES],
    )


def test_nothing_is_left_of_async_streams(provider: Provider) -> None:
    """No permit, no task, no connection at either end."""
    ends = asyncio.run(all_callers(failing_pool(provider)))
    print(dict(ends))
    assert sum(ends.values()) == ASYNC
    assert ends["whole"] > ASYNC / 2 and ends["left"] > ASYNC / 20 and ends["cancelled"] > ASYNC / 200
    assert ends["whole"] + ends["left"] + ends["cancelled"] >= 0.999 * ASYNC
    no_connection_is_left(provider)


def test_nothing_is_left_of_sync_streams(provider: Provider) -> None:
    """No permit, no thread, no connection at either end."""
    before = set(threading.enumerate())
    rng = random.Random(9)

    def caller(number: int) -> str:
        prompt = f"q{number} tokens=8"
        try:
            return read_some(pool.stream(prompt), leaves_after(rng), prompt)
        except HotspareError as error:
            return type(error).__name__

    with failing_pool(provider) as pool, ThreadPoolExecutor(16) as threads:
        ends = Counter(threads.map(caller, range(SYNC)))
        assert pool.health().in_flight == pool.health().waiting == 0
    print(dict(ends))
    assert ends["whole"] > SYNC / 2 and ends["left"] > SYNC / 20
    assert ends["whole"] + ends["left"] >= 0.999 * SYNC
    no_connection_is_left(provider)
    eventually(lambda: set(threading.enumerate()) <= before, threading.enumerate)
