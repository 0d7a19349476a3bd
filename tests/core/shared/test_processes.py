"""Eight processes, a real Redis and the embedded provider: what is counted there.

The clocks of two processes are ten minutes off, in every test.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hotspare.drill.provider import Provider

from tests.support.eventually import eventually
from tests.support.fleet import Worker, build, load, workers
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the workers are forked")
COUNT = 8
SKEWS = [0.0, 600.0, -600.0, *[0.0] * (COUNT - 3)]


@pytest.fixture(scope="module")
def processes() -> Iterator[list[Worker]]:
    """The processes; each test gives them pools of its own."""
    with workers(COUNT) as found:
        yield found


def fleet(processes: list[Worker], provider: Provider, redis: RedisServer | None, **settings: Any) -> list[Worker]:
    """Eight pools over two endpoints, that share the server or nothing."""
    urls = [provider.base_url("a"), provider.base_url("b")]
    build(processes, urls, None if redis is None else redis.url, skew=SKEWS, **settings)
    return processes


def sent(provider: Provider) -> int:
    """The requests that reached the first endpoint."""
    return provider.stats("a").requests


def test_one_process_finds_an_outage_for_all(
    processes: list[Worker], provider: Provider, shared_redis: RedisServer
) -> None:
    """When the first target fails, processes that never called it skip it within 2 s, and all together send it at most a fifth of what eight
    send that share nothing. When it is back, exactly one probe reaches it, and then all of them are let in together, gradually."""
    alone = fleet(processes, provider, None)
    provider.fault("a", "status", status=503)
    load(alone, 20)
    time.sleep(1.2)
    load(alone, 0)
    isolated = sent(provider)
    first, *others = fleet(processes, provider, shared_redis)
    before = sent(provider)
    first.do("load", rate=20)
    eventually(lambda: first.state() == "open")
    began = time.monotonic()
    eventually(lambda: all(worker.state() == "open" for worker in others))
    assert time.monotonic() - began < 2
    load(others, 20)
    time.sleep(1.2)
    assert isolated >= 40
    assert sent(provider) - before <= 0.2 * isolated

    provider.clear("a")
    provider.fault("a", "latency", seconds=0.9)
    before = sent(provider)
    eventually(lambda: sent(provider) > before)
    probed = time.monotonic()
    time.sleep(0.3)
    found = sent(provider)
    assert found == before + 1 or time.monotonic() - probed > 0.8, "the probe is answered after 0.9 s"
    eventually(lambda: all(worker.state() == "recovering" for worker in processes))
    assert sent(provider) - before <= 8, "160 calls a second are there for it"


def test_a_file_does_as_well_on_one_host(processes: list[Worker], provider: Provider, tmp_path: Path) -> None:
    """Eight processes that start together with a file that does not exist yet. One finds that the first target is down; the others, which
    never called it, know within 2 s, and all together send it one probe a second at most."""
    urls = [provider.base_url("a"), provider.base_url("b")]
    build(processes, urls, f"sqlite://{tmp_path}/fleet.db", skew=SKEWS)
    provider.fault("a", "status", status=503)
    first, *others = processes
    first.do("load", rate=20)
    eventually(lambda: first.state() == "open")
    began = time.monotonic()
    eventually(lambda: all(worker.state() == "open" for worker in others))
    assert time.monotonic() - began < 2
    before, began = sent(provider), time.monotonic()
    load(others, 20)
    eventually(lambda: provider.stats("b").requests > 100)
    assert sent(provider) - before <= 1 + time.monotonic() - began
    load(processes, 0)


def test_a_limit_is_one_for_all(processes: list[Worker], provider: Provider, shared_redis: RedisServer) -> None:
    """Eight processes with more calls than a limit admits: together they pass it by no more than 2 %, and use it. (On a quiet machine to 99 %:
    `make fleet`; to at least 95 % on a virtual time, see `test_pools`.)"""
    found = fleet(processes, provider, shared_redis, limits={"rpm": 2400, "burst": 0.5}, learn_limits=False)
    eventually(lambda: shared_redis.client().zcard("fleet:v1:members") == COUNT)
    before, began = sent(provider), time.monotonic()
    load(found, 15)
    time.sleep(0.8)  # the burst is used up
    steady, steadily = sent(provider), time.monotonic()
    time.sleep(2.0)
    used, ended = sent(provider), time.monotonic()
    assert used - before <= 1.02 * (20 + 40 * (ended - began)) + 1
    assert used - steady >= 0.8 * 40 * (ended - steadily)


def test_a_process_that_is_killed_keeps_the_lease_until_it_ends(
    processes: list[Worker], provider: Provider, shared_redis: RedisServer
) -> None:
    """The process whose probe is under way is killed: another one probes after the lease (1 s here), and not before."""
    found = fleet(processes, provider, shared_redis, breaker={"probe_lease": 1.0})
    provider.fault("a", "status", status=503)
    load(found, 20)
    eventually(lambda: found[0].state() == "open")
    provider.clear("a")
    provider.fault("a", "blackhole")
    before = sent(provider)
    eventually(lambda: sent(provider) > before)
    prober = next(worker for worker in found if worker.state() == "half-open")
    prober.kill()
    processes.remove(prober)
    killed, before = time.monotonic(), sent(provider)
    provider.clear("a")
    eventually(lambda: sent(provider) > before)
    assert 0.5 < time.monotonic() - killed < 10  # a busy machine has breakers opened meanwhile, for up to 5 s
    eventually(lambda: all(worker.state() == "recovering" for worker in processes))
