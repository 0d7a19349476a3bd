"""The CPU time that hotspare itself adds to a call, without HTTP, and the memory of open streams. Takes about 20 seconds.

    python -m benchmarks.core             # print the table
    python -m benchmarks.core --write     # and write it into docs/benchmarks.md

The targets' backends answer immediately, from memory. Each row is the CPU time of the fastest of several rounds, so that
other load on the machine counts little. Memory is measured with real streams, which a server in a separate process leaves open.
"""

import argparse
import asyncio
import logging
import os
import platform
import resource
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from multiprocessing import get_context
from multiprocessing.connection import Connection

from hotspare import ChatChunk, ChatReply, ChatRequest, Kind, Outcome, Pool, Target, Usage

from benchmarks.page import write

CHUNKS = 50
STREAMS = 1000
_USAGE = Usage(1, CHUNKS)
_REPLY = ChatReply(text="word", usage=_USAGE)
_CHUNK = ChatChunk(text="word ")
_END = ChatChunk(finish_reason="stop", usage=_USAGE)


class AtOnce:
    """A backend that answers from memory, or fails."""

    prefill = False
    streaming = True

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """None."""
        return ()

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The same answer to everything."""
        if self.fails:
            raise ConnectionResetError
        return _REPLY

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The same answer to everything."""
        return self.send(request, timeout=timeout)

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The same answer to everything."""
        for _ in range(CHUNKS):
            yield _CHUNK
        yield _END

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The same answer to everything."""
        for _ in range(CHUNKS):
            yield _CHUNK
        yield _END

    def classify(self, error: Exception) -> Outcome:
        """A kind that is the request's fault, so that no breaker opens."""
        return Outcome(Kind.CONTENT_FILTER)


def pool_of(*backends: AtOnce) -> Pool:
    """A pool with a target for each backend."""
    targets = [Target(f"x/m{place}", name=f"t{place}", backend=one) for place, one in enumerate(backends)]
    return Pool(targets, completion="wait", failover_on={*Kind} - {Kind.OK})


def lowest(call: Callable[[], object], count: int = 300, rounds: int = 9) -> float:
    """Microseconds of CPU of one call, in the best round."""
    found: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(count):
            call()
        found.append((time.process_time() - started) / count * 1e6)
    return min(found)


def alowest(call: Callable[[], Awaitable[object]], count: int = 300, rounds: int = 9) -> float:
    """The same for async calls, in one event loop."""

    async def main() -> float:
        found: list[float] = []
        for _ in range(rounds):
            started = time.process_time()
            for _ in range(count):
                await call()
            found.append((time.process_time() - started) / count * 1e6)
        return min(found)

    return asyncio.run(main())


async def _aconsume(pool: Pool) -> None:
    async for _ in pool.astream("hello"):
        pass


def costs() -> dict[str, float]:
    """The microseconds of each measurement, by its name."""
    small, large = pool_of(*(AtOnce() for _ in range(4))), pool_of(*(AtOnce() for _ in range(1000)))
    failing = pool_of(AtOnce(fails=True), AtOnce())
    sync, asynchronous = lowest(lambda: small.chat("hello")), alowest(lambda: small.achat("hello"))
    request = ChatRequest(messages=[])
    backend = AtOnce()
    bare = lowest(lambda: list(backend.stream(request, timeout=1, stall=1)))

    async def abare() -> None:
        async for _ in backend.astream(request, timeout=1, stall=1):
            pass

    stream = lowest(lambda: list(small.stream("hello")), 60)
    astream = alowest(lambda: _aconsume(small), 60)
    return {
        "a call, sync": sync,
        "a call, async": asynchronous,
        "a call in a pool of 1,000 targets, sync": lowest(lambda: large.chat("hello")),
        "a call in a pool of 1,000 targets, async": alowest(lambda: large.achat("hello")),
        "a failover to the second target, beside the call, sync": lowest(lambda: failing.chat("hello")) - sync,
        "a failover to the second target, beside the call, async": alowest(lambda: failing.achat("hello"))
        - asynchronous,
        "a chunk of a stream, sync": (stream - sync - bare) / CHUNKS,
        "a chunk of a stream, async": (astream - asynchronous - alowest(abare)) / CHUNKS,
    }


# --- memory --------------------------------------------------------------------------------------------------------


def _serve(ready: Connection) -> None:
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": null}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"%x\r\n%b\r\n" % (len(event), event))
        await reader.read()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=STREAMS)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


async def memory(port: int) -> float:
    """The megabytes that `STREAMS` open streams take."""
    target = Target("openai/gpt-4.1", base_url=f"http://127.0.0.1:{port}/v1", api_key="test")
    async with Pool(target, max_attempts=1) as pool:
        streams: list[AsyncGenerator[ChatChunk]] = []

        async def opened() -> None:
            stream = pool.astream("hello")
            await anext(stream)
            streams.append(stream)

        await opened()
        before = _resident()
        for _ in range(STREAMS // 50):
            await asyncio.gather(*(opened() for _ in range(50)))
        after = _resident()
        for stream in streams:
            await stream.aclose()
    return after - before


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    options = parser.parse_args()
    logging.getLogger("hotspare").setLevel(logging.CRITICAL)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * STREAMS)), hard))
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(sender,), daemon=True)
    process.start()
    try:
        megabytes = asyncio.run(
            memory(receiver.recv())
        )  # first, because streams would reuse memory that other measurements freed
    finally:
        process.terminate()
        process.join(5)
    rows = {name: f"{value:.1f} µs" for name, value in costs().items()}
    rows[f"{STREAMS:,} open streams, asyncio"] = f"{megabytes:.1f} MB"
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    machine = f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}."
    text = f"| what | lowest of nine rounds |\n|---|---|\n{table}\n\n{machine}"
    print(text)
    if options.write:
        write("core", text)


if __name__ == "__main__":
    main()
