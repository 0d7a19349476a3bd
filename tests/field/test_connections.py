"""Connections that were kept: a broken one is replaced without a counted failure, and bytes after an answer are never the next answer."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from hotspare import AllTargetsFailed, Pool, Target
from hotspare._http.threads import MAX_IDLE
from hotspare.drill.provider import Provider, answer

from tests.support.eventually import aeventually, eventually
from tests.support.raw_server import RawRequest, RawServer, Step, event, raw_server, response, sse

MODES = ["threads", "asyncio", "trio"]
ENDS: list[Step] = ["close", "reset"]


def reply_with(text: str, request: RawRequest) -> list[Step]:
    """An answer of OpenAI's shape, streamed if a stream is requested."""
    if request.streaming:
        delta = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        return sse(event(delta), event("[DONE]"))
    message = {"role": "assistant", "content": text}
    return [response(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})]


def pool_of(server: RawServer, **options: float) -> Pool:
    """One target, tried once."""
    target = Target("openai/gpt-4.1", name="t", base_url=server.url + "/v1", api_key="test-1")
    return Pool([target], max_attempts=1, when_all_down="fail", **options)


async def atogether(pool: Pool, count: int) -> list[str]:
    """`count` concurrent calls, in async code."""
    texts: list[str] = []

    async def one() -> None:
        texts.append((await pool.achat("hello", completion="wait")).text)

    if count == 1:  # a task group would wrap an error
        await one()
        return texts
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(one)
    return texts


def twice(pool: Pool, mode: str, count: int, between: Callable[[], None]) -> list[str]:
    """This many concurrent calls, then `between`, then as many again over the connections that were kept."""
    if mode == "threads":
        with pool, ThreadPoolExecutor(count) as threads:
            first = list(threads.map(lambda _: pool.chat("hello", completion="wait").text, range(count)))
            between()
            return first + list(threads.map(lambda _: pool.chat("hello", completion="wait").text, range(count)))

    async def both() -> list[str]:
        async with pool:
            first = await atogether(pool, count)
            between()
            return first + await atogether(pool, count)

    return anyio.run(both, backend=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ENDS)
def test_kept_connections_that_die_are_replaced(mode: str, end: Step) -> None:
    """A server that closes, or resets, every kept connection at its next request: all calls are answered by fresh ones, and
    no failure is counted."""
    seen: dict[threading.Thread, int] = {}
    barrier, warm = threading.Barrier(12), threading.Event()

    def answer(request: RawRequest) -> list[Step]:
        here = threading.current_thread()  # one serves one connection
        seen[here] = seen.get(here, 0) + 1
        if warm.is_set() and seen[here] > 1:
            return [end]
        if not warm.is_set():
            barrier.wait(30)  # so that twelve calls need twelve connections
        return reply_with("fine", request)

    with raw_server(answer) as server:
        pool = pool_of(server, deadline=30)
        assert twice(pool, mode, 12, warm.set) == ["fine"] * 24
        health = pool.health()["t"]
        assert (str(health.state), health.failures) == ("closed", 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_fresh_connection_that_dies_is_a_failure(mode: str) -> None:
    """One replacement a request: a server that never answers is tried at most twice, and the failure is counted."""
    with raw_server(lambda request: ["close"]) as server:
        pool = pool_of(server, deadline=30)
        with pytest.raises(AllTargetsFailed, match="TRANSPORT"):
            twice(pool, mode, 1, lambda: None)
        assert len(server.requests) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_dies_within_a_response_is_a_failure(mode: str) -> None:
    """Once a byte of the response has come the request is not sent again."""
    count = 0

    def answer(request: RawRequest) -> list[Step]:
        nonlocal count
        count += 1
        return reply_with("fine", request) if count == 1 else [b"HTTP/1.1 200", "close"]

    with raw_server(answer) as server:
        with pytest.raises(AllTargetsFailed, match="TRANSPORT"):
            twice(pool_of(server, deadline=30), mode, 1, lambda: None)
        assert len(server.requests) == 2


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("mode", ["threads", "asyncio", "trio", "httpx threads", "httpx asyncio"])
def test_an_answer_that_no_request_asked_for_is_not_the_next_answer(mode: str, streamed: bool) -> None:
    """A server that sends two answers to one request: each caller gets their own, and the second one is never read."""

    def answer(request: RawRequest) -> list[Step]:
        return [
            b"".join(part for text in ("fine", "evil") for part in reply_with(text, request) if isinstance(part, bytes))
        ]

    with raw_server(answer) as server:
        target = Target("openai/gpt-4.1", base_url=server.url + "/v1", api_key="test-1")
        transport, _, face = mode.rpartition(" ")
        pool = Pool([target], max_attempts=1, transport="httpx" if transport else "auto", deadline=30)

        async def ask() -> list[str]:
            async with pool:
                return [
                    "".join([chunk.text async for chunk in pool.astream("hello")])
                    if streamed
                    else (await pool.achat("hello", completion="wait")).text
                    for _ in range(4)
                ]

        if face == "threads":
            texts = [
                "".join(chunk.text for chunk in pool.stream("hello"))
                if streamed
                else pool.chat("hello", completion="wait").text
                for _ in range(4)
            ]
            pool.close()
        else:
            texts = anyio.run(ask, backend=face)
    assert texts == ["fine"] * 4


def test_a_slow_host_does_not_starve_another() -> None:
    """While more calls wait for one host than idle connections are kept, calls to another host continue."""
    released = threading.Event()

    def slow(request: RawRequest) -> list[Step]:
        released.wait(60)
        return reply_with("slow", request)

    with raw_server(slow) as first, raw_server(lambda request: reply_with("fast", request)) as second:
        targets = [
            Target("openai/gpt-4.1", name=name, base_url=server.url + "/v1", api_key=f"test-{name}")
            for name, server in (("slow", first), ("fast", second))
        ]

        async def main() -> None:
            async with Pool(targets, deadline=60, completion="wait") as pool:
                waiting = [asyncio.create_task(pool.achat("hello", model="slow")) for _ in range(MAX_IDLE + 10)]
                await asyncio.sleep(0)
                assert (await pool.achat("hello", model="fast")).text == "fast"
                released.set()
                assert [(await task).text for task in waiting] == ["slow"] * (MAX_IDLE + 10)

        asyncio.run(main())


@pytest.fixture(scope="module")
def own_provider() -> Iterator[Provider]:
    """Connections that other tests left open do not count."""
    with Provider({"a": "openai/gpt-4.1"}) as running:
        yield running


@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_outlives_its_pool_leaves_no_connection(mode: str, own_provider: Provider) -> None:
    """The pool is closed while a call is under way, and stays referenced. The call is answered, and its connections are closed:
    the one that was open when the pool was closed, and the one that its next attempt opened."""
    provider = own_provider
    provider.fault("a", "delay", seconds=0.3, count=1)
    provider.fault("a", "status", status=503, count=1)
    target = Target("openai/gpt-4.1", base_url=provider.base_url("a"), api_key="test-1")
    pool = Pool([target], retry_same_target="always", completion="wait")
    if mode == "threads":
        with ThreadPoolExecutor(1) as threads:
            reply = threads.submit(pool.chat, "hello")
            eventually(lambda: provider.stats("a").in_flight == 1)
            pool.close()
            assert reply.result().text == answer("hello")
    else:
        anyio.run(_close_during_a_call, pool, provider, backend=mode)
    eventually(lambda: provider.stats("a").open_connections == 0, lambda: provider.stats("a"))


async def _close_during_a_call(pool: Pool, provider: Provider) -> None:
    texts: list[str] = []

    async def call() -> None:
        texts.append((await pool.achat("hello")).text)

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await aeventually(lambda: provider.stats("a").in_flight == 1)
        await pool.aclose()
    assert texts == [answer("hello")]
    await aeventually(lambda: provider.stats("a").open_connections == 0, lambda: provider.stats("a"))
