"""Compares HTTP transports behind httpx's transport interface, on loopback. Takes about a minute.

    python benchmarks/transport.py                 # all transports that are installed
    python benchmarks/transport.py --only aiohttp  # one of httpx, aiohttp, pyreqwest, auto

A server in a separate process answers `/json` after 50 ms with about 1 kB, and `/sse` with 60 events. Each transport
runs in a new process. Columns:

* `calls/s`: closed loop, 100 concurrent calls, whole bodies (sync: 100 threads)
* `streams/s`: closed loop, 50 concurrent streams, read to the end
* `surge`: open loop, 400 calls/s for 3 s from one async process; calls answered within 5 s, and their latency, p50 / p99

`via` is how the transport is used: `client` through httpx.Client.send(stream=True), `direct` by calling
transport.handle_request, `hotspare` through hotspare._http.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

BODY = json.dumps({"choices": [{"message": {"role": "assistant", "content": "word " * 200}}]}).encode()
EVENT = b'data: {"choices": [{"delta": {"content": "word "}}]}\n\n'
EVENTS = 60
PAYLOAD = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello " * 40}]}).encode()
HEADERS = {"content-type": "application/json", "authorization": "Bearer none"}
Work = Callable[[str], Any]


class Server(asyncio.Protocol):
    """A minimal keep-alive HTTP/1.1 server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            lines = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
            length = int(lines.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            answer = self.stream if b"/sse " in head else self.json
            asyncio.get_running_loop().call_later(0.05, answer)

    def json(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
        self.transport.write(head + BODY)

    def stream(self, sent: int = 0) -> None:
        if self.transport.is_closing():
            return
        if not sent:
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
        self.transport.write(b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
        if sent + 1 == EVENTS:
            self.transport.write(b"0\r\n\r\n")
        else:
            asyncio.get_running_loop().call_later(0.005, self.stream, sent + 1)


def serve(port: Any) -> None:
    """Run the server until its process ends. Its port is sent through the pipe `port`."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=2048)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


def make_transport(name: str, is_async: bool) -> Any:
    """The transport of this name. Raises ImportError if it is not installed."""
    import httpx

    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    if name == "httpx":
        return httpx.AsyncHTTPTransport(limits=limits) if is_async else httpx.HTTPTransport(limits=limits)
    if name == "aiohttp" and is_async:
        import httpx_aiohttp

        return httpx_aiohttp.AiohttpTransport(limits=limits)
    if name == "pyreqwest":
        from pyreqwest.compatibility import httpx as compatible

        return compatible.HttpxTransport() if is_async else compatible.SyncHttpxTransport()
    raise ImportError(name)


def async_work(name: str, via: str) -> tuple[Work, Callable[[], Awaitable[None]]]:
    """A coroutine function that makes one call and returns the length of the body, and a function that closes the client."""
    import httpx

    if via == "hotspare":
        from hotspare._http import Http

        http = Http(transport=name)

        async def through_hotspare(url: str) -> int:
            if url.endswith("/json"):
                return len((await http.asend("POST", url, HEADERS, PAYLOAD)).body)
            async with await http.aopen("POST", url, HEADERS, PAYLOAD) as stream:
                size = 0
                while (part := await stream.read()) is not None:
                    size += len(part)
                return size

        return through_hotspare, http.aclose
    transport = make_transport(name, is_async=True)
    client = httpx.AsyncClient(transport=transport, timeout=30)

    async def work(url: str) -> int:
        if via == "client":
            response = await client.send(
                client.build_request("POST", url, headers=HEADERS, content=PAYLOAD), stream=True
            )
        else:
            response = await transport.handle_async_request(
                httpx.Request("POST", url, headers=HEADERS, content=PAYLOAD)
            )
        try:
            return sum([len(part) async for part in response.aiter_bytes()])
        finally:
            await response.aclose()

    return work, client.aclose


def sync_work(name: str, via: str) -> tuple[Work, Callable[[], None]]:
    """A function that makes one call and returns the length of the body, and a function that closes the client."""
    import httpx

    if via == "hotspare":
        from hotspare._http import Http

        http = Http(transport=name)

        def through_hotspare(url: str) -> int:
            if url.endswith("/json"):
                return len(http.send("POST", url, HEADERS, PAYLOAD, timeout=30).body)
            with http.open("POST", url, HEADERS, PAYLOAD, timeout=30) as stream:
                return sum(map(len, iter(stream.read, None)))

        return through_hotspare, http.close
    transport = make_transport(name, is_async=False)
    client = httpx.Client(transport=transport, timeout=30)

    def work(url: str) -> int:
        if via == "client":
            response = client.send(client.build_request("POST", url, headers=HEADERS, content=PAYLOAD), stream=True)
        else:
            response = transport.handle_request(httpx.Request("POST", url, headers=HEADERS, content=PAYLOAD))
        try:
            return sum(map(len, response.iter_bytes()))
        finally:
            response.close()

    return work, client.close


def check(url: str, length: int) -> None:
    """Raise AssertionError if the body is not complete."""
    expected = len(BODY) if url.endswith("/json") else len(EVENT) * EVENTS
    if length != expected:
        raise AssertionError(f"{url}: {length} bytes instead of {expected}")


async def async_rate(work: Work, url: str, concurrency: int, seconds: float) -> float:
    """Calls per second of `concurrency` concurrent loops."""
    end = time.perf_counter() + seconds

    async def loop() -> int:
        done = 0
        while time.perf_counter() < end:
            check(url, await work(url))
            done += 1
        return done

    start = time.perf_counter()
    done = sum(await asyncio.gather(*(loop() for _ in range(concurrency))))
    return done / (time.perf_counter() - start)


def sync_rate(work: Work, url: str, concurrency: int, seconds: float) -> float:
    """Calls per second of `concurrency` threads."""
    end = time.perf_counter() + seconds

    def loop(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            check(url, work(url))
            done += 1
        return done

    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as threads:
        done = sum(threads.map(loop, range(concurrency)))
    return done / (time.perf_counter() - start)


async def surge(work: Work, url: str, rate: int = 400, seconds: float = 3, limit: float = 5) -> str:
    """Start `rate` calls per second whether or not earlier ones have been answered (open loop)."""
    loop, latencies = asyncio.get_running_loop(), list[float]()

    async def one(due: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due + limit):
                check(url, await work(url))
                latencies.append(loop.time() - due)

    start, count, tasks = loop.time() + 0.01, int(rate * seconds), list[asyncio.Task[None]]()
    for index in range(count):
        due = start + index / rate
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * q)] if latencies else float("nan") for q in (0.5, 0.99))
    return f"{100 * len(latencies) / count:.0f} %  {p50 * 1e3:.0f} / {p99 * 1e3:.0f} ms"


def measure(mode: str, name: str, via: str, base: str, seconds: float) -> list[str]:
    """Measure one row of the table in this process."""
    if mode == "sync":
        work, close = sync_work(name, via)
        rates = [sync_rate(work, base + "/json", 100, seconds), sync_rate(work, base + "/sse", 50, seconds)]
        close()
        return [*(f"{rate:.0f}" for rate in rates), "-"]

    async def main() -> list[str]:
        work, aclose = async_work(name, via)
        surged = await surge(work, base + "/json")
        json_rate = await async_rate(work, base + "/json", 100, seconds)
        sse_rate = await async_rate(work, base + "/sse", 50, seconds)
        await aclose()
        return [f"{json_rate:.0f}", f"{sse_rate:.0f}", surged]

    return asyncio.run(main())


@contextlib.contextmanager
def server() -> Generator[str]:
    """Run the server in a separate process; yields its base URL."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=serve, args=(sender,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}"
    finally:
        process.terminate()
        process.join(5)


def child(mode: str, name: str, via: str, base: str, seconds: float) -> list[str]:
    """Run `measure` in a new interpreter, with a time limit. On failure the row holds the last line of the error."""
    command = [sys.executable, __file__, "--measure", mode, name, via, base, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 4 * seconds, check=False)
    if done.returncode:
        return [(done.stderr.strip().splitlines() or ["failed"])[-1][:60], "", ""]
    row: list[str] = json.loads(done.stdout.splitlines()[-1])
    return row


def show(rows: list[list[str]]) -> None:
    """Print the table, with rich if it is installed."""
    head = ["mode", "transport", "via", "calls/s", "streams/s", "surge (within 5 s, p50 / p99)"]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        for row in [head, *rows]:
            print("  ".join(cell.ljust(12) for cell in row))
        return
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)


def main() -> None:
    """Measure the selected combinations and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="seconds for each closed loop (default 3)")
    parser.add_argument("--only", choices=["httpx", "aiohttp", "pyreqwest", "auto"], help="only this transport")
    parser.add_argument("--mode", choices=["async", "sync"], help="only sync or only async")
    parser.add_argument("--via", choices=["client", "direct", "hotspare"], help="only this way of using it")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        mode, name, via, base = options.measure
        print(json.dumps(measure(mode, name, via, base, options.seconds)))
        return
    plans = [
        (mode, name, via)
        for mode in ("async", "sync")
        for name in ("httpx", "aiohttp", "pyreqwest", "auto")
        for via in ("client", "direct", "hotspare")
        if (mode, name) != ("sync", "aiohttp")
        and (name, via) != ("pyreqwest", "hotspare")
        and (name != "auto" or via == "hotspare")
        if options.only in (None, name) and options.mode in (None, mode) and options.via in (None, via)
    ]
    with server() as base:
        show([[mode, name, via, *child(mode, name, via, base, options.seconds)] for mode, name, via in plans])


if __name__ == "__main__":
    main()
