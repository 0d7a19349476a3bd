"""Measures how late calls end after their deadline, with a server that breaks answers at random; in threads, asyncio and trio.

    python benchmarks/deadlines.py                          # 2,000 calls in each face, in about three minutes
    python benchmarks/deadlines.py --calls 200 --seed 7

Each call has a deadline of 1.5 s, to a whole answer or to the first content of a stream. Three targets share a server, in a separate
process, which draws one of `FAULTS` for each request: answers that never arrive, arrive slowly or break, and correct ones. Meanwhile
a thread only sleeps, 10 ms at a time; the delay of its wake-ups is that of the machine. The command fails if a call ends more than
0.2 s plus the largest such delay after its deadline, or with an unexpected type of error.
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice, repeat
from multiprocessing.connection import Connection
from typing import Literal

import anyio
from hotspare import AllTargetsFailed, Breaker, Pool, StreamInterrupted, Target, Timeouts

DEADLINE = 1.5
LATE = 0.2
AT_ONCE = 40
FACES = ("threads", "asyncio", "trio")
Face = Literal["threads", "asyncio", "trio"]

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": null}]}\n\n'
_END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
_WHOLE = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "word"}, "finish_reason": "stop"}]}'
_SIZED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

Step = bytes | float
"""Bytes to send, or seconds to wait."""


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _dripped(data: bytes, gap: float = 0.1) -> list[Step]:
    return [step for place in range(len(data)) for step in (data[place : place + 1], gap)]


def _good(streaming: bool) -> list[Step]:
    if streaming:
        return [_HEAD, _chunk(_EVENT), _chunk(_EVENT), _chunk(_END), b"0\r\n\r\n"]
    return [_SIZED % len(_WHOLE) + _WHOLE]


FAULTS: dict[str, Callable[[bool], list[Step]]] = {
    "sound": _good,
    "slow, but sound": lambda streaming: [0.6, *_good(streaming)],
    "too slow": lambda streaming: [5.0, *_good(streaming)],
    "silence": lambda streaming: [3600.0],
    "closed": lambda streaming: [],
    "no HTTP": lambda streaming: [b"SSH-2.0-OpenSSH_9.6\r\n"],
    "dripped head": lambda streaming: _dripped(_HEAD * 20),
    "1xx for ever": lambda streaming: [b"HTTP/1.1 102 Processing\r\n\r\n", 0.2] * 500,
    "head, then silence": lambda streaming: [_HEAD, 3600.0],
    "keep-alive comments": lambda streaming: [_HEAD, *[_chunk(b": ping\n\n"), 0.1] * 500],
    "dripped chunk header": lambda streaming: [_HEAD, *_dripped(b"5" + b";extension" * 100)],
    "dripped whole answer": lambda streaming: [_SIZED % len(_WHOLE), *_dripped(_WHOLE)],
    "empty gzip": lambda streaming: [_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n"), 3600.0],
    "half an answer": lambda streaming: [_good(streaming)[0], _chunk(_EVENT)[:20]],
    "500": lambda streaming: [b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"],
}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            steps = random.choice(list(FAULTS.values()))(b'"stream": true' in body)
            for step in steps:
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                else:
                    writer.write(step)
                    await writer.drain()
            if not steps or steps != _good(b'"stream": true' in body):
                return
    except (OSError, EOFError):  # the client has left
        pass
    finally:
        writer.close()


def _serve_forever(ready: Connection, seed: int) -> None:
    async def main() -> None:
        random.seed(seed)
        server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def server(seed: int) -> Generator[str]:
    """The base URL of a server in a separate process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve_forever, args=(sender, seed), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}/v1"
    finally:
        process.terminate()
        process.join(5)


def pool_of(url: str) -> Pool:
    """Three targets of one server, whose breakers never open, so that each call meets the faults until its deadline. Their models
    differ: of equal targets, one that fails far more often than another would be an outlier."""
    targets = [Target(f"openai/{name}", name=name, region=name, base_url=url, api_key="test") for name in "abc"]
    never = Breaker(consecutive_failures=1_000_000, minimum_throughput=1_000_000, stalled_calls=1_000_000)
    return Pool(targets, deadline=DEADLINE, breaker=never, timeouts=Timeouts(start_min=0.05))


Ended = tuple[float, str]
"""Seconds that a call took, to its answer, its first content or its error, and how it ended."""


def _call(pool: Pool, streaming: bool) -> Ended:
    started = time.monotonic()
    try:
        if streaming:
            chunks = pool.stream("hello")
            next(chunks)
            seconds = time.monotonic() - started
            chunks.close()
            return seconds, "answered"
        pool.chat("hello")
        return time.monotonic() - started, "answered"
    except (AllTargetsFailed, StreamInterrupted) as error:
        return time.monotonic() - started, type(error).__name__


async def _acall(pool: Pool, streaming: bool) -> Ended:
    started = time.monotonic()
    try:
        if streaming:
            chunks: AsyncGenerator[object] = pool.astream("hello")
            await anext(chunks)
            seconds = time.monotonic() - started
            await chunks.aclose()
            return seconds, "answered"
        await pool.achat("hello")
        return time.monotonic() - started, "answered"
    except (AllTargetsFailed, StreamInterrupted) as error:
        return time.monotonic() - started, type(error).__name__


def run(url: str, face: Face, calls: int) -> list[Ended]:
    """Make `calls` calls, every other one streamed, `AT_ONCE` at the same time."""
    if face == "threads":
        with pool_of(url) as pool, ThreadPoolExecutor(AT_ONCE) as threads:
            pool.warmup()
            return list(threads.map(_call, repeat(pool), islice(cycle((False, True)), calls)))
    ended: list[Ended] = []

    async def main() -> None:
        numbers = iter(range(calls))

        async def worker() -> None:
            for number in numbers:
                ended.append(await _acall(pool, bool(number % 2)))

        async with pool_of(url) as pool:
            await pool.awarmup()
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(worker)

    anyio.run(main, backend=face)
    return ended


@contextmanager
def sleeper() -> Generator[list[float]]:
    """Runs a thread that only sleeps. Yields a list whose last item is the largest delay of a wake-up so far, in seconds."""
    ended, latest = threading.Event(), [0.0]

    def sleep() -> None:
        while True:
            started = time.monotonic()
            if ended.wait(0.01):
                return
            latest.append(max(latest[-1], time.monotonic() - started - 0.01))

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    try:
        yield latest
    finally:
        ended.set()
        thread.join()


def main() -> None:
    """Measure, print a table, and fail if a call was late."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000, help="calls in each face (default 2000)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (default 1)")
    options = parser.parse_args()
    logging.getLogger("hotspare").setLevel(logging.CRITICAL)
    print(
        f"{os.cpu_count()} CPUs, Python {sys.version.split()[0]}, deadline {DEADLINE} s, {len(FAULTS)} kinds of answers\n"
    )
    print("| | calls | answered | median | latest end after the deadline | later than 0.2 s | latest sleeper |")
    print("|---|---|---|---|---|---|---|")
    failed = False
    with server(options.seed) as url:
        for face in FACES:
            with sleeper() as latest:
                ended = run(url, face, options.calls)
            late = [seconds - DEADLINE for seconds, _ in ended]
            failed |= max(late) > LATE + latest[-1]
            answered = Counter(how for _, how in ended)["answered"] / len(ended)
            median = statistics.median(seconds for seconds, _ in ended)
            print(
                f"| {face} | {len(ended)} | {answered:.1%} | {median:.2f} s | {max(late) * 1000:+.0f} ms "
                f"| {sum(one > LATE for one in late)} | {latest[-1] * 1000:+.0f} ms |"
            )
    sys.exit(failed)


if __name__ == "__main__":
    main()
