"""A hard budget over threads, event loops and processes, counted at the embedded provider and priced independently."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hotspare.drill.provider import Provider

CALLERS = 10
"""Callers at one time, in threads and again under asyncio, in each process."""
WORKER = """
import asyncio, json, sys, threading
from hotspare import Budget, BudgetExceeded, Pool, Price, Target

url, path, callers = sys.argv[1], sys.argv[2], int(sys.argv[3])
target = Target("openai/gpt-4.1", base_url=url, api_key="test-1", price=Price(1e5, 1e5))
pool = Pool(target, budgets=[Budget(usd=200, per="month")], spend_file=path, deadline=60)
tokens = []
print("ready", flush=True)
sys.stdin.readline()

def thread(number):
    for turn in range(3):
        try:
            tokens.append(pool.chat(f"q{number} {turn}").usage.total_tokens)
        except BudgetExceeded:
            pass

async def task(number):
    for turn in range(3):
        try:
            tokens.append((await pool.achat(f"a{number} {turn}")).usage.total_tokens)
        except BudgetExceeded:
            pass

async def tasks():
    await asyncio.gather(*map(task, range(callers)))

threads = [threading.Thread(target=thread, args=(number,)) for number in range(callers)]
for one in threads:
    one.start()
asyncio.run(tasks())
for one in threads:
    one.join()
print(json.dumps(tokens))
"""


def test_two_processes_pass_a_budget_by_what_is_under_way_only(provider: Provider, tmp_path: Path) -> None:
    """120 calls of forty callers: what the provider has answered costs at most the amount and forty calls more, and at least the
    amount."""
    words = [sys.executable, "-c", WORKER, provider.base_url("a"), str(tmp_path / "spent.db"), str(CALLERS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    workers = [subprocess.Popen(words, text=True, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    before = provider.stats("a").requests
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    tokens = [count for worker in workers for count in json.loads(worker.communicate(timeout=60)[0])]
    answered = provider.stats("a").requests - before
    spent, dearest = sum(tokens) * 1e5 / 1e6, max(tokens) * 1e5 / 1e6
    assert answered == len(tokens)
    assert 200 <= spent <= 200 + 4 * CALLERS * dearest
    assert answered < 120
    assert spent == pytest.approx(sum(tokens) / 10)
