"""Time that our own process spends is not a target's: imports, a busy event loop, a suspended machine. And what is done ahead."""

import asyncio
import subprocess
import sys
import threading
import time

import anyio
import pytest
from hotspare import Pool, Target

from tests.support.raw_server import RawRequest, RawServer, Step, raw_server, response

MODES = ["threads", "asyncio", "trio"]
SECONDS = 60.0
"""What a busy machine may take for something that takes milliseconds."""


def reply_with(text: str) -> bytes:
    """An answer of OpenAI's shape."""
    message = {"role": "assistant", "content": text}
    return response(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def target(server: RawServer) -> Target:
    return Target("openai/gpt-4.1", name="t", base_url=server.url + "/v1", api_key="test-1")


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose time can jump."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def test_an_answer_that_came_while_the_loop_was_busy_is_an_answer() -> None:
    """Forty calls wait; the application blocks the loop for a minute, in which all answers arrive: none is a TIMEOUT."""
    loop, come, released, sent = JumpingLoop(), threading.Semaphore(0), threading.Event(), threading.Semaphore(0)

    def answer(request: RawRequest) -> list[Step]:
        come.release()
        released.wait(SECONDS)
        return [reply_with("fine")]

    def answered(request: RawRequest) -> list[Step]:
        steps = answer(request)
        threading.Timer(0, sent.release).start()
        return steps

    async def main() -> None:
        pool = Pool([target(server)], clock=lambda: time.monotonic() + loop.ahead, deadline=3, max_attempts=1)
        async with pool:
            calls = [asyncio.create_task(pool.achat("hello", completion="wait")) for _ in range(40)]
            for _ in calls:
                assert await asyncio.to_thread(come.acquire, True, SECONDS)
            released.set()
            for _ in calls:  # here the loop is blocked
                assert sent.acquire(timeout=SECONDS)
            loop.ahead += 60
            assert [(await call).text for call in calls] == ["fine"] * 40
            health = pool.health()["t"]
            assert (str(health.state), health.failures) == ("closed", 0)

    with raw_server(answered) as server, asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("mode", MODES)
def test_warmup_opens_a_connection_ahead(mode: str) -> None:
    """The first call uses it; a provider that cannot be reached is left to the first call, and is not blamed."""

    async def main() -> str:
        async with Pool(targets, deadline=SECONDS, completion="wait") as pool:
            await pool.awarmup()
            assert pool.health()["down"].calls == 0
            return (await pool.achat("hello", model="t")).text

    with raw_server(lambda request: [reply_with("fine")]) as server:
        targets = [
            target(server),
            Target("openai/gpt-4.1", name="down", base_url="http://127.0.0.1:9/v1", api_key="test-2"),
        ]
        if mode != "threads":
            assert anyio.run(main, backend=mode) == "fine"
        else:
            with Pool(targets, deadline=SECONDS, completion="wait") as pool:
                pool.warmup()
                assert pool.health()["down"].calls == 0
                assert pool.chat("hello", model="t").text == "fine"
        assert server.connections == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_was_opened_ahead_and_died_is_replaced(mode: str) -> None:
    """As one that was used before."""
    count = 0

    def answer(request: RawRequest) -> list[Step]:
        nonlocal count
        count += 1
        return ["close"] if count == 1 else [reply_with("fine")]

    async def main() -> str:
        async with Pool([target(server)], deadline=SECONDS, completion="wait", max_attempts=1) as pool:
            await pool.awarmup()
            return (await pool.achat("hello")).text

    with raw_server(answer) as server:
        if mode != "threads":
            assert anyio.run(main, backend=mode) == "fine"
        else:
            with Pool([target(server)], deadline=SECONDS, completion="wait", max_attempts=1) as pool:
                pool.warmup()
                assert pool.chat("hello").text == "fine"
    assert count == 2


SLOW_IMPORTS = """
import importlib.abc, sys, time
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in ("httpx", "aiohappyeyeballs", "httpcore", "ssl", "certifi"):
            now[0] += 20
now = [0.0]
from hotspare import Pool, Target
sys.meta_path.insert(0, Slow())
pool = Pool([Target("openai/gpt-4.1", name="t", base_url=sys.argv[1], api_key="test-1")],
            clock=lambda: time.monotonic() + now[0], deadline=10, max_attempts=1)
def sync():
    return pool.chat("hello", completion="wait")
async def go():
    return await pool.achat("hello", completion="wait")
import asyncio
reply = sync() if sys.argv[2] == "threads" else asyncio.run(go())
print(reply.text, pool.health()["t"].failures)
"""


@pytest.mark.parametrize("mode", ["threads", "asyncio"])
def test_imports_are_done_before_the_time_begins(mode: str) -> None:
    """A slow disk: each library takes twenty seconds to load, and the first call has ten."""
    with raw_server(lambda request: [reply_with("fine")]) as server:
        command = [sys.executable, "-c", SLOW_IMPORTS, server.url + "/v1", mode]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.stdout.split() == ["fine", "0"], done.stderr
