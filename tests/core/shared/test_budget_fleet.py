"""A hard budget over eight processes that share a Redis, counted at the embedded provider and priced independently."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hotspare.drill.provider import Provider

from tests.support.redis_server import RedisServer

PROCESSES, CALLERS = 8, 4
"""Processes, and callers at one time in each of them: half in threads, half under asyncio."""
CHILD = """
import asyncio, json, os, sys, threading
import aiohttp, redis
import hotspare._cost.shares, hotspare._http, hotspare._http.asyncio_transport, hotspare._shared.joining, hotspare.providers.http_backend  # once, not in each child
from hotspare import Budget, BudgetExceeded, Pool, Price, Target

url, shared, count, callers, usd = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
tokens = []

def work(place):
    target = Target("openai/gpt-4.1", base_url=url, api_key="test-1", price=Price(1e5, 1e5))
    pool = Pool(target, budgets=[Budget(usd=usd, per="month")], shared=shared, deadline=60)

    def thread(number):
        for turn in range(30):
            try:
                tokens.append(pool.chat(f"q{place} {number} {turn}").usage.total_tokens)
            except BudgetExceeded:
                return

    async def task(number):
        for turn in range(30):
            try:
                tokens.append((await pool.achat(f"a{place} {number} {turn}")).usage.total_tokens)
            except BudgetExceeded:
                return

    async def tasks():
        await asyncio.gather(*map(task, range(callers // 2)))

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(callers // 2)]
    for one in threads:
        one.start()
    asyncio.run(tasks())
    for one in threads:
        one.join()
    pool.close()

readers = []
for place in range(count):
    reader, writer = os.pipe()
    if os.fork() == 0:
        work(place)
        os.write(writer, json.dumps(tokens).encode())
        os._exit(0)
    os.close(writer)
    readers.append(reader)
print(json.dumps([json.loads(os.fdopen(one).read()) for one in readers]))
"""


def _spend(provider: Provider, shared: str, usd: float) -> list[list[int]]:
    """The tokens that each process was answered."""
    words = [provider.base_url("a"), shared, str(PROCESSES), str(CALLERS), str(usd)]
    ended = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    found: list[list[int]] = json.loads(ended.stdout)
    return found


def _count(server: RedisServer) -> dict[str, Any]:
    with server.client() as client:
        (key,) = client.keys("*:budget:*")
        return dict(client.hgetall(key))


def test_eight_processes_pass_a_budget_by_what_is_under_way_only(provider: Provider, shared_redis: RedisServer) -> None:
    """They spend it, and at most a call of each caller more; the store has counted what the provider was paid, to the cent, and
    no process keeps a block when it has ended."""
    before = provider.stats("a").requests
    tokens = [count for process in _spend(provider, shared_redis.url, 300.0) for count in process]
    spent, dearest = sum(tokens) / 10, max(tokens) / 10
    assert provider.stats("a").requests - before == len(tokens)
    assert 300 - PROCESSES * dearest <= spent <= 300 + PROCESSES * CALLERS * dearest
    count = _count(shared_redis)
    assert float(count["spent"]) == pytest.approx(spent, abs=0.01)
    assert float(count["leased"]) == pytest.approx(0, abs=1e-6)  # the store rounds to a billionth
