"""A run in which everything goes wrong at random: many callers of every kind, on one pool, in virtual time."""

import random
from collections.abc import Callable
from typing import Any

import anyio
import trio  # noqa: F401  - two threads that import it at the same time would meet half of it
from hotspare import Hedge, HotspareError, Kind, Limits, Outcome, Policy, Pool, RetryBudget, Scope
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, StepLike, VirtualClock, answer, break_after, fail, hang, scripted_pool

SECRET = "SECRET"
"""In every prompt, answer, error message and key of the run."""
WORDS = [SECRET, " two", " three"]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
FAILURES = [
    Outcome(Kind.SERVER, f"{SECRET} (broken) tools", 500), Outcome(Kind.SERVER, SECRET, 503, retry_after=3.0),
    Outcome(Kind.RATE_LIMITED, SECRET, 429), Outcome(Kind.RATE_LIMITED, SECRET, 429, retry_after=1.0),
    Outcome(Kind.TRANSPORT, SECRET, before_connect=True), Outcome(Kind.TRANSPORT, SECRET),
    Outcome(Kind.INVALID, f"{SECRET}: tools are not supported with stream", 400, scope=Scope.TARGET),
    Outcome(Kind.INVALID, SECRET, 400, code=f"{SECRET} in a code"), Outcome(Kind.CONTEXT_LENGTH, SECRET, 400),
    Outcome(Kind.AUTH, SECRET, 401), Outcome(Kind.QUOTA, SECRET, 402, retry_after=20.0), Outcome(Kind.NOT_FOUND, SECRET, 404),
]  # fmt: skip
RARE = len(FAILURES) - 3
"""From here on failures that open a target for minutes."""


def weather(name: str, clock: VirtualClock) -> Callable[[ChatRequest], StepLike]:
    """What a target does: well or badly for some seconds, then otherwise."""
    rng = random.Random(name)

    def step(_: ChatRequest) -> StepLike:
        is_bad = int(clock() / 20 + len(name)) % 3 == ord(name[-1]) % 3 or int(clock() / 45) % 4 == 3
        chance = rng.random()
        if chance > (0.85 if is_bad else 0.08):
            return answer(WORDS, delay=rng.random(), gap=rng.random() / 4)
        if chance < 0.004:
            return fail(rng.choice(FAILURES[RARE:]))
        if chance < 0.06:
            return rng.choice([hang(), break_after(2, WORDS), hang(2, WORDS)])
        return fail(rng.choice(FAILURES[:RARE]), delay=rng.choice([0.0, 0.0, 0.2, 2.0]))

    return step


def pool_of(clock: VirtualClock, **settings: Any) -> Pool:
    """Six targets at four providers, two of which share a key, and two have limits; hedging, a small retry budget, and a route with a
    policy of its own."""
    ids = {"a1": "a/m", "a2": "a/m", "b1": "b/m", "b2": "b/n", "c1": "c/m", "d1": "d/o"}
    limits = {"b1": Limits(concurrency=2), "c1": Limits(rpm=120, tpm=20_000)}
    targets = [
        ScriptedTarget(
            name, weather(name, clock), id=id, region=name, prefill=name < "b", tier=int(name > "c"), api_key=f"sk-{SECRET}",
            limits=limits.get(name, frozenset()),
        )
        for name, id in ids.items()
    ]  # fmt: skip
    policy: dict[str, Any] = {
        "deadline": 20.0, "hedge": Hedge(max_extra_calls=0.3, min_delay=0.2), "strategy": "weighted", "max_waiters": 12,
        "retry_budget": RetryBudget(tokens_per_call=0.02, tokens_per_minute=1, free_attempts_per_domain=1), "on_slow": "race",
    }  # fmt: skip
    routes: Any = {"careful": {"tiers": [["d1", "c1"], ["a1"]], "max_attempts": 2, "strategy": "latency"}}
    return scripted_pool(*targets, clock=clock, policy=Policy(**policy), routes=routes, **settings)


def options_of(rng: random.Random) -> dict[str, Any]:
    """Those of one call."""
    options: dict[str, Any] = {"tools": [TOOL]} if rng.random() < 0.2 else {}
    if rng.random() < 0.1:
        options["reasoning_effort"] = "high"
    if rng.random() < 0.2:
        options["session"] = f"{SECRET} {rng.randrange(9)}"
    if rng.random() < 0.1:
        options["model"] = "careful"
    if rng.random() < 0.1:
        options |= {"deadline": 2.0, "max_attempts": 2}
    return options


def sync_caller(pool: Pool, clock: VirtualClock, seed: int, calls: int) -> Callable[[], None]:
    """A number of calls of one thread, streams and whole answers; some streams are closed early."""

    def run() -> None:
        rng = random.Random(seed)
        for _ in range(calls):
            clock.sleep(rng.random() * 6)
            try:
                if rng.random() < 0.5:
                    pool.chat(SECRET, **options_of(rng))
                    continue
                stream = pool.stream(SECRET, **options_of(rng))
                for _ in stream:
                    if rng.random() < 0.05:
                        break
                stream.close()
            except HotspareError:
                continue

    return run


def async_callers(
    pool: Pool, clock: VirtualClock, seed: int, callers: int, calls: int, backend: str
) -> Callable[[], None]:
    """A number of callers in one event loop; some calls are cancelled."""

    async def one(number: int) -> None:
        rng = random.Random(seed + number)
        for _ in range(calls):
            await clock.asleep(rng.random() * 6)
            with clock.move_on_after(0.5 if rng.random() < 0.1 else 60.0):
                try:
                    if rng.random() < 0.5:
                        await pool.achat(SECRET, **options_of(rng))
                    else:
                        async for _ in pool.astream(SECRET, **options_of(rng)):
                            pass
                except HotspareError:
                    continue

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(callers):
                group.start_soon(one, number)

    return lambda: anyio.run(main, backend=backend)


def chaos(calls: int, **settings: Any) -> Pool:
    """So many calls: a tenth of them in threads, the others under asyncio and trio, all on one pool at the same time."""
    clock = VirtualClock(0)
    pool, each = pool_of(clock, **settings), 10
    clock.run_in_threads(
        *(sync_caller(pool, clock, seed, each) for seed in range(calls // 10 // each)),
        async_callers(pool, clock, 1000, calls // 2 // each, each, "asyncio"),
        async_callers(pool, clock, 2000, calls * 2 // 5 // each, each, "trio"),
    )
    return pool
