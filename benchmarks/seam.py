"""CPU and wall time of one call: bare aiohttp and bare httpcore, and hotspare, with the same server. Takes about a minute.

    python benchmarks/seam.py              # print the table
    python benchmarks/seam.py --rounds 9 --calls 400

The contenders take turns inside each round, in alternating order, so that a busy machine slows all of them, and each cell is a
median over the rounds. The first round, which opens the connections, does not count. The server runs in a separate process. Only
the ratios are comparable between machines.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

TOKENS = 50
MODEL = "gpt-4.1"
HEADERS = {"content-type": "application/json", "accept": "application/json", "authorization": "Bearer test"}
PAYLOAD = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}).encode()
STREAM_PAYLOAD = json.dumps(
    {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "stream": True}
).encode()
MESSAGE = {"role": "assistant", "content": "word " * TOKENS}
USAGE = {"prompt_tokens": 5, "completion_tokens": TOKENS, "total_tokens": TOKENS + 5}
WHOLE = json.dumps(
    {
        "id": "c1", "object": "chat.completion", "created": 1, "model": MODEL, "usage": USAGE,
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    }
).encode()  # fmt: skip


def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One chunk of a stream, as a chunk of HTTP."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice], **more}
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


EVENTS = [
    *(event({"content": "word "}) for _ in range(TOKENS)),
    event({}, "stop", usage=USAGE),
    b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
]
FIELDS = b"content-type: %b\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: bench\r\nx-request-id: req-1\r\n"


class Provider(asyncio.Protocol):
    """Answers a request as soon as it is complete: whole, or as a stream whose events are written one by one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; all of them carry their length."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return
        self._data = b""
        if b'"stream": true' not in body and b'"stream":true' not in body:
            fields = FIELDS % b"application/json"
            self._transport.write(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (fields, len(WHOLE), WHOLE))
            return
        self._transport.write(
            b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n" % (FIELDS % b"text/event-stream")
        )
        self._write_events(0)

    def _write_events(self, index: int) -> None:
        self._transport.write(EVENTS[index])
        if index + 1 < len(EVENTS):
            asyncio.get_running_loop().call_soon(self._write_events, index + 1)


def serve(ready: Connection) -> None:
    """The server's process."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def provider() -> Generator[str]:
    """The server's base URL."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=serve, args=(sender,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}/v1"
    finally:
        process.terminate()
        process.join(5)


Call = Callable[[], Awaitable[object]]
CallType = TypeVar("CallType")
Times = tuple[float, float]
"""CPU and wall seconds of one call."""


def pool_of(base: str) -> Any:
    """hotspare with its defaults and one target."""
    from hotspare import Pool, Target

    return Pool([Target(f"openai/{MODEL}", base_url=base, api_key="test")], deadline=60)


def in_turn(contenders: dict[str, CallType], round_: int) -> Iterator[tuple[str, CallType]]:
    """The contenders in the order of this round. Before each, garbage is collected, so that none pays for what another left behind."""
    for name, call in sorted(contenders.items(), reverse=round_ % 2 == 1):
        gc.collect()
        yield name, call


async def timed(call: Call, calls: int, concurrency: int) -> Times:
    """Seconds a call, of CPU and of the clock."""
    left = calls

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return (time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls


async def run_async(base: str, rounds: int, calls: int) -> dict[str, dict[str, list[Times]]]:
    """Times by column and contender."""
    import aiohttp

    pool, url = pool_of(base), base + "/chat/completions"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def bare_whole() -> None:
            async with session.post(url, data=PAYLOAD, headers=HEADERS) as response:
                assert json.loads(await response.read())["choices"][0]["message"]["content"]

        async def bare_stream() -> None:
            async with session.post(url, data=STREAM_PAYLOAD, headers=HEADERS) as response:
                count = 0
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        count += bool(json.loads(line[6:])["choices"])
                assert count == TOKENS + 1

        async def whole() -> None:
            assert (await pool.achat("hello", completion="wait")).text

        async def stream() -> None:
            count = 0
            async for chunk in pool.astream("hello"):
                count += bool(chunk.text)
            assert count

        plans: dict[str, tuple[int, int, dict[str, Call]]] = {
            "asyncio, whole, 1 at a time": (1, calls, {"aiohttp": bare_whole, "hotspare": whole}),
            "asyncio, whole, 100 at a time": (100, 10 * calls, {"aiohttp": bare_whole, "hotspare": whole}),
            "asyncio, 50 tokens, 1 at a time": (1, calls // 4, {"aiohttp": bare_stream, "hotspare": stream}),
            "asyncio, 50 tokens, 100 at a time": (100, calls // 2, {"aiohttp": bare_stream, "hotspare": stream}),
        }
        found: dict[str, dict[str, list[Times]]] = {}
        for round_ in range(rounds + 1):  # the first one warms up
            for column, (concurrency, count, contenders) in plans.items():
                for name, call in in_turn(contenders, round_):
                    times = await timed(call, count, concurrency)
                    if round_:
                        found.setdefault(column, {}).setdefault(name, []).append(times)
    await pool.aclose()
    return found


def run_threads(base: str, rounds: int, calls: int) -> dict[str, dict[str, list[Times]]]:
    """Times by column and contender."""
    import httpcore

    pool, url = pool_of(base), base + "/chat/completions"
    headers = list(HEADERS.items())
    with httpcore.ConnectionPool(max_connections=1000, max_keepalive_connections=100) as client, pool:

        def bare_whole() -> None:
            response = client.request("POST", url, headers=headers, content=PAYLOAD)
            assert json.loads(response.content)["choices"][0]["message"]["content"]

        def bare_stream() -> None:
            with client.stream("POST", url, headers=headers, content=STREAM_PAYLOAD) as response:
                count, rest = 0, b""
                for part in response.iter_stream():
                    *lines, rest = (rest + part).split(b"\n")
                    for line in lines:
                        if line.startswith(b"data: {"):
                            count += bool(json.loads(line[6:])["choices"])
                assert count == TOKENS + 1

        def whole() -> None:
            assert pool.chat("hello", completion="wait").text

        def stream() -> None:
            assert sum(bool(chunk.text) for chunk in pool.stream("hello"))

        plans: dict[str, tuple[int, int, dict[str, Callable[[], None]]]] = {
            "threads, whole, 1 at a time": (1, calls, {"httpcore": bare_whole, "hotspare": whole}),
            "threads, whole, 8 at a time": (8, calls, {"httpcore": bare_whole, "hotspare": whole}),
            "threads, 50 tokens, 1 at a time": (1, calls // 4, {"httpcore": bare_stream, "hotspare": stream}),
        }
        found: dict[str, dict[str, list[Times]]] = {}
        for round_ in range(rounds + 1):
            for column, (concurrency, count, contenders) in plans.items():
                for name, call in in_turn(contenders, round_):
                    cpu, wall = time.process_time(), time.perf_counter()
                    if concurrency == 1:
                        for _ in range(count):
                            call()
                    else:
                        with ThreadPoolExecutor(concurrency) as threads:
                            wait([threads.submit(call) for _ in range(count)])
                    spent = (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count
                    if round_:
                        found.setdefault(column, {}).setdefault(name, []).append(spent)
    return found


def table(found: dict[str, dict[str, list[Times]]]) -> str:
    """Markdown: the median CPU and wall time of each contender, and hotspare's ratio of CPU with its spread."""
    lines = ["| | bare, CPU / wall | hotspare, CPU / wall | ratio of CPU (lowest-highest) |", "|---|---|---|---|"]
    for column, contenders in found.items():
        (_, bare), (_, ours) = sorted(contenders.items(), key=lambda item: item[0] == "hotspare")
        ratios = sorted(b[0] / a[0] for a, b in zip(bare, ours, strict=True))
        cells = [
            " / ".join(f"{statistics.median(t[i] for t in times) * 1e6:.0f} µs" for i in (0, 1))
            for times in (bare, ours)
        ]
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        lines.append(f"| {column} | {cells[0]} | {cells[1]} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds after the first, which warms up (default 7)")
    parser.add_argument("--calls", type=int, default=200, help="calls of each contender in a round (default 200)")
    options = parser.parse_args()
    with provider() as base:
        found = asyncio.run(run_async(base, options.rounds, options.calls))
        found |= run_threads(base, options.rounds, options.calls)
    print(f"{os.cpu_count()} CPUs, Python {'.'.join(map(str, sys.version_info[:3]))}\n")
    print(table(found))


if __name__ == "__main__":
    main()
