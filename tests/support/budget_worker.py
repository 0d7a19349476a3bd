"""Callers in two processes that share a budget's file; run as `python budget_worker.py fork|spawn URL FILE USD CALLERS TURNS`.

Prints the tokens of every answer. Half of each process's callers are threads, half are tasks. `fork`: the children use the pool that
their parent has made and called. `spawn`: each child makes its own.
"""

import asyncio
import json
import multiprocessing
import sys
import threading
from typing import Any

from hotspare import Budget, BudgetExceeded, Pool, Price, Target

PRICE = 1e5
"""USD for a million tokens."""


def pool_of(url: str, path: str, usd: float) -> Pool:
    """A pool with one hard budget."""
    target = Target("openai/gpt-4.1", base_url=url, api_key="test-1", price=Price(PRICE, PRICE))
    return Pool(target, budgets=[Budget(usd=usd, per="month")], spend_file=path, deadline=120, max_attempts=1)


def work(pool: Pool, callers: int, turns: int, start: Any, answers: Any) -> None:
    """Call with so many callers until the budget is spent; put each caller's tokens into the queue."""
    tokens: list[int] = []

    def thread(number: int) -> None:
        for turn in range(turns):
            try:
                tokens.append(pool.chat(f"q{number} {turn}").usage.total_tokens)
            except BudgetExceeded:
                return

    async def task(number: int) -> None:
        for turn in range(turns):
            try:
                tokens.append((await pool.achat(f"a{number} {turn}")).usage.total_tokens)
            except BudgetExceeded:
                return

    async def tasks() -> None:
        await asyncio.gather(*map(task, range(callers // 2)))

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(callers - callers // 2)]
    start.wait()
    for one in threads:
        one.start()
    asyncio.run(tasks())
    for one in threads:
        one.join()
    answers.put(tokens)


def spawned(url: str, path: str, usd: float, callers: int, turns: int, start: Any, answers: Any) -> None:
    """A child that has nothing of its parent."""
    work(pool_of(url, path, usd), callers, turns, start, answers)


def main(method: str, url: str, path: str, usd: float, callers: int, turns: int) -> None:
    """Two children at one time; `fork` after a call of the parent's."""
    context: Any = multiprocessing.get_context(method)
    start, answers, tokens = context.Barrier(2), context.Queue(), list[int]()
    arguments: tuple[Any, ...] = (url, path, usd, callers // 2, turns, start, answers)
    target: Any = spawned
    if method == "fork":
        pool = pool_of(url, path, usd)
        tokens.append(pool.chat("before the fork").usage.total_tokens)
        target, arguments = work, (pool, callers // 2, turns, start, answers)
    children = [context.Process(target=target, args=arguments) for _ in range(2)]
    for child in children:
        child.start()
    for _ in children:
        tokens += answers.get()
    for child in children:
        child.join()
    print(json.dumps(tokens))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
