"""Which event loop runs: asyncio's or trio's."""

import asyncio
import sys
import threading
from types import ModuleType

import anyio
import pytest
from hotspare._http.loops import running_loop


@pytest.mark.anyio
async def test_the_running_loop(anyio_backend: str) -> None:
    """asyncio's loop itself, trio's token; the same in every task of it, another one in another run."""
    found = running_loop()
    assert hasattr(found, "call_soon") == (anyio_backend == "asyncio")
    seen: list[object] = []

    async def task() -> None:
        seen.append(running_loop())

    async with anyio.create_task_group() as group:
        group.start_soon(task)
    assert seen == [found]

    def elsewhere() -> None:
        anyio.run(task, backend=anyio_backend)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen[1] is not found


def test_asyncio_does_not_need_a_whole_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be importing it."""
    monkeypatch.setitem(sys.modules, "trio", ModuleType("trio"))
    monkeypatch.delitem(sys.modules, "trio.lowlevel", raising=False)

    async def main() -> None:
        assert running_loop() is asyncio.get_running_loop()

    asyncio.run(main())


def test_outside_of_a_loop_it_is_an_error() -> None:
    """asyncio's own, whether trio is imported or not."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        running_loop()
