"""A soak test: rounds of random faults and load, after each of which no resource may be left over.

    python benchmarks/soak.py --minutes 30
    python benchmarks/soak.py --minutes 1 --seed 7    # rounds with the seeds 7, 8, …; a failed round prints its seed

In each round sync callers in threads, asyncio and trio call the same pools over real sockets, while the targets get random
faults, calls are cancelled and abandoned, floods arrive, children are forked, pools are reloaded with other targets and settings
and replaced by others. Every text must be right, and every error one of hotspare's. After a round no permit, waiter, task, thread, file
descriptor or connection may be left; after all rounds, memory must not have grown.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import trio
from hotspare import HotspareError, Pool
from hotspare.drill.answers import answer, tokenize
from hotspare.drill.faults import KINDS
from hotspare.drill.provider import KEY, Provider
from hotspare.errors import PoolClosed
from hotspare.messages import ChatChunk

IDS = {
    "a": "openai/gpt-4.1", "b": "anthropic/claude-sonnet-4-20250514", "c": "gemini/gemini-2.5-flash", "d": "openai/gpt-4.1",
    "e": "anthropic/claude-sonnet-4-20250514", "f": "openai/gpt-4.1-mini",
}  # fmt: skip
FAULTS = sorted(set(KINDS) - {"oversized", "null_reason"})
"""All kinds but two: answers of ten megabytes would take most of the time, and a whole answer of OpenAI's format needs no finish reason."""
ROUND = 20.0
"""Seconds of a round."""
_SYNC, _ASYNCIO, _TRIO, _FLOOD = 4, 6, 4, 60  # callers of each kind, calls of a flood
_POOLS, _CHILD = 8, 30  # pools of a round, and seconds for which a child may take
_MAX_WAIT = (
    60.0  # seconds in which callers must end and connections be closed; it takes milliseconds on an idle machine
)


class Round:
    """One round. `problems`: texts. `ends`: number of calls by their result. `failures`: attempts that met a fault."""

    def __init__(self, provider: Provider, seed: int) -> None:
        self.seed = seed
        self.problems: list[str] = []
        self.ends: Counter[str] = Counter()
        self.failures = 0
        self._provider = provider
        provider.reset()
        self._rng = random.Random(seed)
        self._stop = threading.Event()
        self._flood = threading.Event()
        self._names = list(IDS)[:3]
        self._pools = [self._new_pool()]

    def run(self, seconds: float) -> None:
        """Run the round, and check for resources that are left over."""
        threads, files = _threads(), _open_files()
        callers = [threading.Thread(target=self._sync, args=(number,)) for number in range(_SYNC)]
        callers += [threading.Thread(target=asyncio.run, args=(self._asyncio(),)), threading.Thread(target=trio.run, args=(self._trio,))]  # fmt: skip
        for thread in callers:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._rng.choice(
                (
                    self._fault,
                    self._fault,
                    self._heal,
                    self._switch,
                    self._start_flood,
                    self._fork,
                    self._reload,
                    self._replace,
                )
            )()
            time.sleep(self._rng.uniform(0.02, 0.3))
        self._stop.set()
        self._provider.clear()
        for thread in callers:
            thread.join(_MAX_WAIT)
        met = [self._provider.stats(end).outcomes for end in IDS]
        self.failures = sum(count for outcomes in met for kind, count in outcomes.items() if kind != "ok")
        for pool in self._pools:
            pool.close()
            health = pool.health()
            self._expect(
                f"permits of {pool}",
                lambda health=health: not (health.in_flight or health.waiting),
                lambda health=health: health,
            )
        self._expect("threads", lambda: _threads() <= threads, _threads)
        self._expect("connections", self._all_closed, lambda: [self._provider.stats(end) for end in IDS])
        self._pools.clear()
        self._expect("open files", lambda: gc.collect() >= 0 and _open_files() <= files, lambda: (files, _open_files()))

    def _expect(self, what: str, holds: Callable[[], bool], found: Callable[[], object]) -> None:
        """Wait until `holds` is true; add a problem if it stays false."""
        end = time.monotonic() + _MAX_WAIT
        while not holds():
            if time.monotonic() > end:
                self.problems.append(f"{what} left over: {found()}")
                return
            time.sleep(0.02)

    def _all_closed(self) -> bool:
        stats = [self._provider.stats(end) for end in IDS]
        return all(one.open_connections == one.in_flight == 0 for one in stats)

    # --- what happens to the pools and their targets -----------------------------------------------------------------

    def _new_pool(self) -> Pool:
        return Pool.from_config(self._config(), env={"KEY": KEY})

    def _config(self) -> dict[str, Any]:
        """The current targets, with settings that are partly random."""
        rng = self._rng
        targets = [
            {"id": IDS[name], "name": name, "region": name, "api_key": "${KEY}", "base_url": self._provider.base_url(name, IDS[name].partition("/")[0])}
            for name in self._names
        ]  # fmt: skip
        timeouts = {"first_token": 0.5, "first_token_min": 0.5, "completion": 1, "completion_min": 0.5, "stall": 0.5, "stall_min": 0.5, "after_finish": 0.2}  # fmt: skip
        policy: dict[str, Any] = {
            "total_deadline": 8, "strategy": rng.choice(("ordered", "weighted", "latency")), "completion": rng.choice(("wait", "stream", "auto")),
            "on_slow": rng.choice(("abandon", "race")), "on_break": rng.choice(("resume", "restart", "raise")), "timeouts": timeouts,
        }  # fmt: skip
        if rng.random() < 0.5:
            policy["hedge"] = {"min_delay": 0.05, "max_extra_calls": 0.2}
        return {"deadline": 4, "targets": targets, "policy": policy}

    def _fault(self) -> None:
        kind, rng = self._rng.choice(FAULTS), self._rng
        options = {"at": rng.randrange(8), "seconds": rng.random(), "status": rng.choice((400, 401, 404, 429, 500, 503, 529)), "retry_after": rng.choice((None, 0.2)), "probability": rng.random()}  # fmt: skip
        chosen = rng.choice(self._names)
        self._provider.fault(chosen, kind, **({} if kind == "refused" else options))  # pyright: ignore[reportArgumentType]

    def _heal(self) -> None:
        self._provider.clear(self._rng.choice(self._names))

    def _switch(self) -> None:
        name, pool = self._rng.choice(self._names), self._pools[-1]
        if name in {target.name for target in pool.targets}:
            self._rng.choice((lambda: pool.disable(name, "soak"), lambda: pool.enable(name)))()

    def _start_flood(self) -> None:
        self._flood.set()

    def _reload(self) -> None:
        """Reload the pool with other settings, and with one target more or less."""
        count = min(max(2, len(self._names) + self._rng.choice((-1, 1, 1))), len(IDS))
        self._names = list(IDS)[:count]
        self._pools[-1].reload(self._config(), env={"KEY": KEY})

    def _replace(self) -> None:
        """Add a new pool for further calls. Running calls keep the old one."""
        if len(self._pools) < _POOLS:
            self._pools.append(self._new_pool())

    def _fork(self) -> None:
        prompt, pool = self._prompt(self._rng), self._pools[-1]
        child = os.fork()
        if not child:
            signal.alarm(_CHILD)  # ends a child that waits for a lock forever
            try:
                os._exit(0 if pool.chat(prompt, deadline=1).text == answer(prompt) else 3)
            except HotspareError:
                os._exit(0)
            except BaseException:
                os._exit(4)
        if status := os.waitpid(child, 0)[1]:
            self.problems.append(f"a forked child ended with {os.waitstatus_to_exitcode(status)}")

    # --- the callers -------------------------------------------------------------------------------------------------

    def _prompt(self, rng: random.Random) -> str:
        return f"question {rng.random()} tokens=8"

    def _note(self, prompt: str, text: str, end: str, last: ChatChunk | None = None) -> None:
        """Check a text; only its beginning if the caller stopped reading ("left"). `last`: the last chunk of a stream."""
        expected = answer(prompt)
        right = expected.startswith(text) if end == "left" else text == expected
        if not right and last is not None and _looks_complete(text, expected, last):
            right, end = True, "undecidable"
        self.ends[end if right else "wrong"] += 1
        if not right:
            self.problems.append(f"wrong text ({end}): {text!r} instead of {expected!r}")

    def _failed(self, error: BaseException) -> None:
        self.ends[type(error).__name__] += 1
        if not isinstance(error, HotspareError) or (isinstance(error, PoolClosed) and not self._stop.is_set()):
            self.problems.append(f"an unexpected error: {error!r}")

    def _sync(self, number: int) -> None:
        rng = random.Random(f"{self.seed} sync {number}")
        while not self._stop.is_set():
            prompt, pool, most = self._prompt(rng), self._pools[-1], rng.choice((0, 3, 1000, 1000, 1000))
            try:
                if rng.random() < 0.5:
                    self._note(prompt, pool.chat(prompt).text, "whole")
                else:
                    self._note(prompt, *_read(pool.stream(prompt), most))
            except Exception as error:  # an error that is not one of hotspare's is a problem
                self._failed(error)

    async def _call(self, rng: random.Random) -> None:
        """One async call, in either kind of loop."""
        prompt, pool, most = self._prompt(rng), self._pools[-1], rng.choice((0, 3, 1000, 1000, 1000))
        try:
            if rng.random() < 0.5:
                self._note(prompt, (await pool.achat(prompt)).text, "whole")
            else:
                self._note(prompt, *await _aread(pool.astream(prompt), most))
        except Exception as error:  # a cancellation is not an Exception
            self._failed(error)

    async def _asyncio(self) -> None:
        async def caller(rng: random.Random, calls: int) -> None:
            while calls and not self._stop.is_set():
                calls -= 1
                task = asyncio.create_task(self._call(rng))
                done, _ = await asyncio.wait([task], timeout=rng.random() * 0.3 if rng.random() < 0.15 else None)
                if not done:
                    task.cancel()
                    await asyncio.wait([task])
                    self.ends["cancelled"] += 1

        async with asyncio.TaskGroup() as group:
            for number in range(_ASYNCIO):
                group.create_task(caller(random.Random(f"{self.seed} asyncio {number}"), -1))
            while not self._stop.is_set():
                await asyncio.sleep(0.05)
                if self._flood.is_set():
                    self._flood.clear()
                    for number in range(_FLOOD):
                        group.create_task(caller(random.Random(f"{self.seed} flood {number}"), 1))
        for pool in self._pools:
            await pool.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=5)
        if left := [task for task in left if not task.done()]:
            self.problems.append(f"tasks left over: {left}")

    async def _trio(self) -> None:
        async def caller(rng: random.Random) -> None:
            while not self._stop.is_set():
                with trio.move_on_after(rng.random() * 0.3 if rng.random() < 0.15 else float("inf")) as scope:
                    await self._call(rng)
                self.ends["cancelled"] += scope.cancelled_caught

        async with trio.open_nursery() as nursery:
            for number in range(_TRIO):
                nursery.start_soon(caller, random.Random(f"{self.seed} trio {number}"))
        for pool in self._pools:
            await pool.aclose()


def _looks_complete(text: str, expected: str, last: ChatChunk) -> bool:
    """Whether nobody could tell that a text is not complete: its stream broke up to three tokens before its end, and no target that
    could be asked for the rest sent anything but a regular end with a usage of up to three tokens, as a correct target does if
    nothing is missing. (The fault `empty_choices` of Anthropic's format looks like this.)"""
    summary, missing = last.summary, expected.removeprefix(text)
    if summary is None or missing == expected or last.usage is None:
        return False
    added_nothing = summary.splice_points[-1:] == (len(text),)
    return added_nothing and len(tokenize(missing)) <= 3 and 1 <= last.usage.output_tokens <= 3


def _read(stream: Generator[ChatChunk], most: int) -> tuple[str, str, ChatChunk | None]:
    text, chunk = "", None
    with closing(stream):
        for number, chunk in enumerate(stream):
            text += chunk.text
            if number >= most:
                return text, "left", None
    return text, "streamed", chunk


async def _aread(stream: AsyncGenerator[ChatChunk], most: int) -> tuple[str, str, ChatChunk | None]:
    text, number, chunk = "", 0, None
    async with aclosing(stream):
        async for chunk in stream:
            text += chunk.text
            number += 1
            if number > most:
                return text, "left", None
    return text, "streamed", chunk


def _threads() -> set[threading.Thread]:
    """The running threads, without trio's, which trio keeps for ten seconds after their last work."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}


def _open_files() -> int:
    """The number of file descriptors of this process; 0 if the system does not list them."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def _memory() -> tuple[float, int]:
    """Resident memory in MB (0 if the system does not report it), and the number of objects."""
    for _ in range(3):
        gc.collect()
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(gc.get_objects())


def soak(seconds: float, seed: int, *, length: float = ROUND) -> list[str]:
    """Run rounds of `length` seconds for `seconds`, at least three. Returns the problems, and prints each round."""
    found: list[str] = []
    sizes: list[tuple[float, int]] = []
    with Provider(IDS, seed=seed) as provider:
        for number in range(max(3, round(seconds / length))):
            one = Round(provider, seed + number)
            one.run(length)
            sizes.append(_memory())
            found += [f"round {one.seed}: {problem}" for problem in one.problems]
            print(f"round {one.seed}: {sum(one.ends.values())} calls {dict(one.ends)}, {one.failures} faults, {sizes[-1][0]:.0f} MB, {sizes[-1][1]:,} objects", flush=True)  # fmt: skip
            del one
    # The first third loads modules, and gives the allocator as much as the busiest rounds need.
    early, late = sizes[max(1, len(sizes) // 3)], sizes[-1]
    if late[0] > 1.1 * early[0] + 10 or late[1] > 1.02 * early[1] + 2_000:
        found.append(f"memory grew from {early[0]:.0f} to {late[0]:.0f} MB, from {early[1]:,} to {late[1]:,} objects")
    return found


def main() -> None:
    """Soak, and exit with 1 if there was a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(1_000_000),
        help="seed of the first round (default: random)",
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found = soak(60 * options.minutes, options.seed)
    print("\n".join(dict.fromkeys(found)) or "nothing is left over")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
