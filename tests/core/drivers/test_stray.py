"""asyncio's CancelledError and GeneratorExit, raised where nothing was cancelled or closed: a failure like any other."""

import asyncio
import threading
from typing import Any

import anyio
import pytest
from hotspare import AllTargetsFailed, Pool
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.events import CallEnded, CallStarted, Event
from hotspare.testing import ScriptedTarget, VirtualClock, scripted_pool

from tests.support.methods import METHODS, run, target, text_of


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["sync", "async"])
def test_a_key_function_that_is_cancelled_by_itself(method: str, form: str, provider: Provider) -> None:
    """Another target answers, in each face: no caller has cancelled the call."""

    def token() -> str:
        raise asyncio.CancelledError

    async def later() -> str:
        return token()

    pool = Pool(
        [target(provider, "a", api_key=token if form == "sync" else later), target(provider, "b")],
        retry_same_target="never",
    )

    async def use(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == answer("q")
        assert "raised CancelledError" in pool.health()["a"].last_error

    run(method, pool, use)


@pytest.mark.parametrize("method", METHODS)
def test_a_backend_that_is_cancelled_by_itself(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a library raises it whose own task was cancelled: the next target answers, and nothing is left in flight."""
    first = ScriptedTarget("a")

    def broken(*_: Any, **__: Any) -> Any:
        raise asyncio.CancelledError

    for name in ("send", "asend", "stream", "astream"):
        monkeypatch.setattr(first, name, broken)
    pool = Pool([first.target, ScriptedTarget("b").target])

    async def use(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == "ok"
        assert pool.health()["a"].in_flight == 0

    run(method, pool, use)


@pytest.mark.parametrize("by", ["task", "scope"])
def test_a_caller_that_is_cancelled(by: str, provider: Provider) -> None:
    """A real cancellation while an async key function waits ends the call, and no other target is tried."""

    async def main() -> None:
        started = asyncio.Event()

        async def key() -> str:
            started.set()
            await anyio.sleep_forever()
            return ""

        async def call() -> None:
            with scope:
                await pool.achat("q")

        scope = anyio.CancelScope()
        pool = Pool([target(provider, "a", api_key=key), target(provider, "b")])
        task = asyncio.create_task(call())
        await started.wait()
        if by == "task":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            scope.cancel()
            await task
        assert provider.stats("b").requests == 0

    asyncio.run(main())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("method", METHODS)
def test_a_judge(method: str, error: BaseException) -> None:
    """What `accept` raises reaches the caller, as an ordinary exception."""

    def accept(reply: object) -> bool:
        raise error

    async def use(pool: Pool, name: str) -> None:
        with pytest.raises((RuntimeError, AllTargetsFailed)) as caught:
            await text_of(pool, name, "q")
        assert caught.value.__cause__ is error

    run(method, Pool([ScriptedTarget("a").target], accept=accept), use)


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, SystemExit, KeyboardInterrupt, StopIteration])
def test_a_listener_in_its_thread(error: type[BaseException]) -> None:
    """Whatever it raises, the call is answered, and the listener is called with the later events."""
    seen: list[Event] = []

    def listen(event: Event) -> None:
        seen.append(event)
        if isinstance(event, CallStarted):
            raise error

    pool = Pool([ScriptedTarget("a").target], listeners=[listen])
    assert pool.chat("q").text == pool.chat("q").text == "ok"
    assert pool.flush(60)
    assert len([event for event in seen if isinstance(event, CallEnded)]) == 2


def test_what_ends_the_program_in_an_attempt_beside_another() -> None:
    """Raised in the attempt's thread, it reaches the caller, who does not wait for the deadline."""
    clock = VirtualClock(0)
    first, threads = ScriptedTarget("a"), list[str]()

    def end(*_: Any, **__: Any) -> Any:
        threads.append(threading.current_thread().name)
        raise SystemExit(3)

    first.send = first.stream = end  # type: ignore[method-assign]
    pool = scripted_pool(first, "b", clock=clock, on_slow="race")
    with pytest.raises(SystemExit):
        pool.chat("q")
    assert threads == ["hotspare-a"]
    assert (clock(), pool.health()["a"].in_flight) == (0, 0)
