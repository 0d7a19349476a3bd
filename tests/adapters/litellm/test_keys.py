"""`api_key` of LiteLLM's models: the forms in which a function gives it, and functions that give none, or hang."""

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from hotspare import Kind, Pool, Scope, SecretStr, Target, Timeouts
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider

from tests.support.methods import run, text_of

METHODS = pytest.mark.parametrize("method", ["chat", "stream", "asyncio achat", "asyncio astream"])


def targets(provider: Provider, key: Callable[[], Any] | SecretStr) -> list[Target]:
    """One target whose key is a function, and another one."""
    found = Target("litellm/openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=key)
    return [found, Target("openai/gpt-4.1", name="b", base_url=provider.base_url("b"), api_key=KEY)]


@METHODS
@pytest.mark.parametrize("form", ["sync", "async", "object"])
def test_a_key_that_rotates(method: str, form: str, provider: Provider) -> None:
    """It is read for each request, sync and async."""
    keys = iter(["test-1", "test-2"])

    async def later() -> str:
        return next(keys)

    class Held(SecretStr):
        def get_secret_value(self) -> str:
            return next(keys, "test-3")

    forms = {"sync": lambda: next(keys), "async": later, "object": Held("")}

    async def calls(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == await text_of(pool, name, "q") == answer("q")

    run(method, Pool(targets(provider, forms[form])[0], max_attempts=1), calls)
    assert provider.stats("a").outcomes == {"ok": 2}
    assert next(keys, None) is None


@METHODS
@pytest.mark.parametrize(
    ("given", "words"),
    [(7, "gave int, which is not a key"), ("", "gave no key"), ("test\n1", "must be printable ASCII"), ("MY_API_KEY", "is the name of")],
)  # fmt: skip
def test_a_function_that_gives_no_key(method: str, given: Any, words: str, provider: Provider) -> None:
    """The attempt is AUTH of this target alone, LiteLLM's own variable is not used, and another target answers."""

    def token() -> Any:
        return given

    seen: list[Any] = []

    async def calls(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == answer("q")
        seen.append(pool.health()["a"])

    pool = Pool(targets(provider, token), listeners=[seen.append])
    run(method, pool, calls)
    (failed,) = [one.attempt for one in seen if type(one).__name__ == "AttemptEnded" and one.attempt.target == "a"]
    assert (failed.kind, failed.scope) == (Kind.AUTH, Scope.TARGET)
    assert failed.message.startswith(f"target 'a': the function 'token' of api_key {words}")
    assert provider.stats("a").requests == 0


def test_a_function_that_hangs_holds_up_no_event_loop(provider: Provider) -> None:
    """Other tasks continue meanwhile, and another target answers once the attempt's time is over."""
    free = threading.Event()
    watchdog = threading.Timer(5, free.set)
    watchdog.start()

    def token() -> str:
        free.wait()
        return KEY

    async def ticks() -> AsyncIterator[None]:
        while True:
            yield await anyio.sleep(0.01)

    async def calls(pool: Pool, name: str) -> None:
        count = 0

        async def count_ticks() -> None:
            nonlocal count
            async for _ in ticks():
                count += 1

        async with anyio.create_task_group() as group:
            group.start_soon(count_ticks)
            assert await text_of(pool, name, "q") == answer("q")
            group.cancel_scope.cancel()
        assert count >= 5
        assert not free.is_set()
        assert pool.health()["a"].in_flight == 0

    run("asyncio achat", Pool(targets(provider, token), timeouts=Timeouts(first_token=0.3, completion=0.3)), calls)
    watchdog.cancel()
    free.set()
