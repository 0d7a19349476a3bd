"""Many concurrent requests: `Pool.map` and `Pool.amap`. A failure is returned as a value, and does not end the other requests."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from hotspare.errors import MissingExtra, Problem, RequestError
from hotspare.messages import CallOptions, ChatReply, Prompt

if TYPE_CHECKING:
    from hotspare.pool import Pool

BatchRequest = Prompt | Mapping[str, Any]
"""One request of a batch: what `Pool.chat` takes, or its keywords, e.g. ``{"messages": […], "temperature": 0}``."""
Progress = bool | Callable[[int, int | None], object]
"""True: a bar on stderr (extra `cli`). A function is called with the number of finished requests and the total (None: not known)."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of one request. `index`: its place in the batch, from 0. Either `reply` or `error` is set."""

    index: int
    request: BatchRequest
    reply: ChatReply | None = None
    error: Exception | None = None

    def result(self) -> ChatReply:
        """The reply. Raises `error` if the request failed."""
        if self.reply is None:
            assert self.error is not None
            raise self.error
        return self.reply


class MapOptions(CallOptions, total=False):
    """What `Pool.map` takes beside the options of a call.

    concurrency: most calls in flight at the same time. 8: what the limits of new accounts allow.
    ordered: results in the order of the requests (the default); False: each as soon as it is there.
    progress: a bar, or a function (`Progress`). Default: neither.
    """

    concurrency: int
    ordered: bool
    progress: Progress


def map_requests(
    pool: Pool,
    requests: Iterable[BatchRequest],
    *,
    concurrency: int = 8,
    ordered: bool = True,
    progress: Progress = False,
    **options: Any,
) -> Generator[BatchResult]:
    """See `Pool.map`."""
    _check(concurrency)
    source, report, order = enumerate(requests), _reporter(progress, requests), _Order(ordered)

    def one(index: int, request: BatchRequest) -> BatchResult:
        try:
            return BatchResult(index, request, pool.chat(**_keywords(request, options)))
        except Exception as error:
            return BatchResult(index, request, error=error)

    with report, ThreadPoolExecutor(concurrency, "hotspare-batch") as executor:
        running: set[Future[BatchResult]] = set()
        try:
            while True:
                while len(running) < concurrency and (following := next(source, None)) is not None:
                    running.add(executor.submit(one, *following))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    report.advance()
                    yield from order.add(future.result())
        finally:
            for future in running:
                future.cancel()


@asynccontextmanager
async def amap_requests(
    pool: Pool,
    requests: Iterable[BatchRequest],
    *,
    concurrency: int = 8,
    ordered: bool = True,
    progress: Progress = False,
    **options: Any,
) -> AsyncGenerator[AsyncGenerator[BatchResult]]:
    """See `Pool.amap`."""
    _check(concurrency)
    source, report, order = enumerate(requests), _reporter(progress, requests), _Order(ordered)
    send, receive = anyio.create_memory_object_stream[BatchResult](concurrency)

    async def work(results: MemoryObjectSendStream[BatchResult]) -> None:
        async with results:
            for index, request in source:  # the workers share one iterator
                try:
                    result = BatchResult(index, request, await pool.achat(**_keywords(request, options)))
                except Exception as error:
                    result = BatchResult(index, request, error=error)
                await results.send(result)

    async def in_order() -> AsyncGenerator[BatchResult]:
        async for result in receive:
            report.advance()
            for ready in order.add(result):
                yield ready

    with report, receive:
        async with anyio.create_task_group() as group:
            for _ in range(concurrency):
                group.start_soon(work, send.clone())
            send.close()
            yield in_order()
            group.cancel_scope.cancel()


def _check(concurrency: object) -> None:
    if type(concurrency) is not int or concurrency < 1:
        raise RequestError(Problem.at("concurrency", concurrency, "must be an integer above 0"))


def _keywords(request: BatchRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(request, Mapping):
        return {**options, **request}
    return {**options, "request": request}


class _Order:
    """Buffers results until all earlier ones have arrived."""

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._next = 0
        self._early: dict[int, BatchResult] = {}

    def add(self, result: BatchResult) -> Iterator[BatchResult]:
        """The results that can be returned now, because all earlier ones have been."""
        if not self._ordered:
            yield result
            return
        self._early[result.index] = result
        while self._next in self._early:
            self._next += 1
            yield self._early.pop(self._next - 1)


class _Reporter:
    """Counts finished requests. `close` is called at the end, also after an error."""

    def __init__(
        self, total: int | None, report: Callable[[int, int | None], object], close: Callable[[], object]
    ) -> None:
        self._total, self._report, self._close, self._done = total, report, close, 0

    def advance(self) -> None:
        """Count one more finished request."""
        self._done += 1
        self._report(self._done, self._total)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._close()


def _reporter(progress: Progress, requests: Iterable[BatchRequest]) -> _Reporter:
    total = len(requests) if isinstance(requests, Sized) else None
    if callable(progress):
        return _Reporter(total, progress, lambda: None)
    if not progress:
        return _Reporter(total, lambda done, total: None, lambda: None)
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError:
        raise MissingExtra("a progress bar", "cli") from None
    columns = (TextColumn("requests"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Bar(*columns, console=Console(file=sys.stderr))
    task = bar.add_task("requests", total=total)
    bar.start()
    return _Reporter(total, lambda done, _: bar.update(task, completed=done), bar.stop)
