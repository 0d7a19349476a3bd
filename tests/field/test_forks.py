"""Processes that fork while calls are under way: a child has connections and locks of its own, and its calls are answered."""

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hotspare import Pool, Target

from tests.support.raw_server import raw_server, response

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
FORKS = 40
SECONDS = 60
"""What a busy machine may take for something that takes milliseconds."""
GOOD = response(
    200, {"choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}]}
)


def in_child(pool: Pool, *, in_loop: bool) -> int:
    """Fork; the child makes one call. Returns its process id."""
    child = os.fork()
    if child:
        return child
    signal.alarm(SECONDS)  # a lock that nothing releases
    code = 2
    try:
        reply = asyncio.run(pool.achat("hello")) if in_loop else pool.chat("hello")
        code = 0 if reply.text == "fine" else 1
    finally:
        os._exit(code)


@pytest.mark.parametrize("in_loop", [False, True], ids=["threads", "asyncio"])
def test_forks_under_load(in_loop: bool) -> None:
    """Four threads call without a pause; each child, forked at a random point of theirs, gets an answer, and so do they."""
    stopped = threading.Event()
    with raw_server(lambda request: GOOD) as server:
        target = Target("openai/gpt-4.1", base_url=server.url + "/v1", api_key="test-1")
        with Pool([target], completion="wait", deadline=SECONDS) as pool, ThreadPoolExecutor(4) as threads:

            def load() -> set[str]:
                texts: set[str] = set()
                while not stopped.is_set():
                    texts.add(pool.chat("hello").text)
                return texts

            loads = [threads.submit(load) for _ in range(4)]
            try:
                codes = [os.waitpid(in_child(pool, in_loop=in_loop), 0)[1] for _ in range(FORKS)]
            finally:
                stopped.set()
            assert codes == [0] * FORKS
            assert [done.result(SECONDS) for done in loads] == [{"fine"}] * 4


def test_a_child_that_is_forked_while_the_libraries_load() -> None:
    """The thread that holds the HTTP client's lock does not exist in the child."""
    with raw_server(lambda request: GOOD) as server:
        target = Target("openai/gpt-4.1", base_url=server.url + "/v1", api_key="test-1")
        with Pool([target], completion="wait", deadline=SECONDS) as pool:
            for lock in (pool._http._lock, pool._http._tls_lock, pool._http._resolver._lock):
                lock.acquire()
            child = in_child(pool, in_loop=False)
            for lock in (pool._http._lock, pool._http._tls_lock, pool._http._resolver._lock):
                lock.release()
            assert os.waitpid(child, 0)[1] == 0
            assert pool.chat("hello").text == "fine"
