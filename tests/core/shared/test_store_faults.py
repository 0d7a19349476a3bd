"""A real Redis that is killed, paused, flushed, made read-only, filled and restarted under load, with limits, budgets and breaks

shared. The figures of an idle machine, over longer times: `make fleet-faults`.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hotspare import Budget, Cache, Pool, Price, Shared, Usage
from hotspare.testing import ScriptedTarget, answer

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, newest, oldest, redis_server
from tests.support.store_faults import FAULTS, strike

LOST, BACK = "StoreLost", "StoreBack"


@pytest.mark.parametrize(("server", "name"), [*((oldest, name) for name in FAULTS), (newest, "filled")])
def test_no_call_notices_what_befalls_the_store(server: Callable[[], Path], name: str) -> None:
    """No call fails; a call waits little more than one of a pool that shares nothing, on the same machine in the same second; each process says
    once that the store is lost and once that it is back; and 3 s after that all know what one has found meanwhile."""
    with redis_server(server()) as redis:
        seen = strike(redis, FAULTS[name], down=0.9, threads=3, rate=30, refresh=0.3, timeout=0.2)
    assert seen.failed == 0 and len(seen.seconds["down"][0]) > 20
    (up, alone), (down, quiet) = seen.up, seen.percentile(90)
    assert (
        up < 0.015 + 3 * alone
    )  # threads wait for each other on a busy machine: 2 ms is measured by `make fleet-faults`
    assert down < 0.06 + 3 * quiet
    assert seen.converged < 3
    if FAULTS[name].loses:
        assert seen.news == [[LOST, BACK]] * 2
    else:
        assert all(news in ([], [LOST, BACK]) for news in seen.news)


def test_no_call_waits_for_a_store_that_was_lost(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one answer that did not come, the store is tried again and again, by calls that do not wait for it: here that would take ten
    seconds."""
    monkeypatch.setattr("hotspare._shared.worker.AWAY", 0.01)
    monkeypatch.setattr("hotspare._cache.remote.TIMEOUT", 15.0)
    monkeypatch.setattr("hotspare._cache.stores.SLOW", 10.0)  # how long a call would wait
    target = ScriptedTarget("a", answer("ok", usage=Usage(10, 10)), price=Price(1.0, 1.0))
    shared, cache = Shared(own_redis.url, timeout=15), Cache(url=own_redis.url)
    pool = Pool([target.target], cache=cache, budgets=[Budget(usd=1, per="month")], shared=shared)
    own_redis.kill()
    pool.chat("it is noticed")
    monkeypatch.setattr("hotspare._shared.spending.SLOW", 10.0)
    with silent(own_redis.port):
        began = time.monotonic()
        for number in range(5):
            assert pool.chat(f"q{number}").text == "ok"
            time.sleep(0.02)
        assert time.monotonic() - began < 10
    own_redis.start()
    eventually(lambda: pool.chat("q").cached == "hit")
    pool.close()


@contextmanager
def silent(port: int) -> Iterator[None]:
    """A server that takes connections at this port, and never answers."""
    with socket.create_server(("127.0.0.1", port)):
        yield
