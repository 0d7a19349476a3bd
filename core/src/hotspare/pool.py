"""Pool, the main class of the library: one per process, with sync and async methods."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from math import inf
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import anyio

from hotspare import events
from hotspare._config import assembly
from hotspare._config.routes import route_policies, targets_of, tiers_of
from hotspare._cost.reduction import reduced
from hotspare._cost.tokens import tokens_upper_bound
from hotspare._drivers import event_loop, fork, threads
from hotspare._drivers.clock import Clock, clock_of
from hotspare._drivers.notifier import Notifier
from hotspare._embedding import Embedding
from hotspare._engine.call import Call
from hotspare._engine.commands import Flow
from hotspare._engine.flow import flow
from hotspare._engine.scheduler import Scheduler
from hotspare._operations import Operations
from hotspare._requests.options import fields_of, take_options
from hotspare._requests.unsendable import unsendable
from hotspare._requests.validation import request_of
from hotspare._routing.affinity import prompt_session
from hotspare._routing.constraints import RouteTable, Selection
from hotspare._routing.explain import Explanation
from hotspare._routing.strategies import by_function
from hotspare._routing.windows import too_small
from hotspare.errors import PoolClosed, Problem, RequestError
from hotspare.messages import CallOptions, ChatChunk, ChatReply, ChatRequest, Prompt
from hotspare.policy import Policy, PolicyFields, policy_of
from hotspare.recorder import Recorder, recorder_of
from hotspare.route import Routes
from hotspare.shared import Shared
from hotspare.status import BudgetStatus
from hotspare.target import Target

if TYPE_CHECKING:
    import ssl

    import httpx

    from hotspare.batch import BatchRequest, BatchResult, MapOptions


class Pool(Embedding, Operations):
    """Targets, a policy, and their shared health. Build one per process and share it between threads and event loops.

    Args:
        targets: in order of preference inside a tier (strategy `ordered`): ids like ``"openai/gpt-4.1"``, or `Target`s.
        policy: what a call may do; its fields may be given as keywords instead, e.g. ``Pool([...], deadline=30)``.
        routes: named lists of tiers, ``{"batch": [["a", "b"], ["c"]]}`` by target name; with its own policy
            ``{"batch": {"tiers": ["a", "b"], "deadline": 600}}``. Without a ``default`` route one is made of all targets by
            their `tier`.
        choose: called with the request of each call that names no model; returns the route or model to use, or None for
            the default route. The call raises its exceptions.
        transport: ``auto``, ``httpx`` (which vcrpy replays; a connection serves one request), or an httpx transport.
        verify: TLS verification: True, False, a CA bundle's path, or an `ssl.SSLContext`.
        cert: a client certificate: a PEM file with its key; or certificate, key, and the key's password.
        proxy: a proxy's URL (http, https; socks4, socks5 and socks5h with the extra `socks`); None: from HTTP_PROXY, HTTPS_PROXY,
            ALL_PROXY and NO_PROXY; False: no proxy.
        listeners: called with every event; see `hotspare.events`.
        clock: monotonic seconds; in tests a virtual one from `hotspare.testing`.
        calendar: seconds since 1970, for the hours, days and months of budgets; in tests a virtual one.
        rng: the source of jitter and of weighted choices; for tests.
        shared: the store through which processes share health and limits, ``"redis://…"`` or `Shared`; see
            docs/fleet.md. None: nothing is shared.
        record: a file to which every decision is written, or a `Recorder`; see docs/recordings.md. None: no recording.

    Raises:
        ConfigError: naming every mistake, before any network call.
    """

    def __init__(
        self,
        targets: Target | str | Iterable[Target | str],
        *more: Target | str,
        policy: Policy | None = None,
        routes: Routes | None = None,
        choose: Callable[[ChatRequest], str | None] | None = None,
        transport: Literal["auto", "httpx"] | httpx.BaseTransport | httpx.AsyncBaseTransport = "auto",
        verify: bool | str | ssl.SSLContext = True,
        cert: str | tuple[str, str] | tuple[str, str, str] | None = None,
        proxy: str | bool | None = None,
        listeners: Iterable[events.Listener] = (),
        clock: Clock | Callable[[], float] = time.monotonic,
        calendar: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        shared: str | Shared | None = None,
        record: str | os.PathLike[str] | Recorder | None = None,
        **policy_fields: Unpack[PolicyFields],
    ) -> None:
        from hotspare._http import Http

        found, self.policy = targets_of(targets, more), policy_of(policy, policy_fields)
        self.targets = assembly.with_prices(found, self.policy)
        tiers = tiers_of(self.targets, routes)
        self._http = Http(transport=transport, verify=verify, cert=cert, proxy=proxy)
        self._states = assembly.states_of(self.targets, self.policy, self._http)
        self._choose, policies = choose, route_policies(routes, self.policy)
        self._table = RouteTable(assembly.with_states(tiers, self._states), self._states, self.policy, policies)
        self._smallest_window, self._uses_http = assembly.window_and_http(self._states)
        budgets, recorder = assembly.budgets_of(self.policy, self.targets, tiers, calendar, shared), recorder_of(record)
        self._scheduler = assembly.scheduler_of(self._states, self.policy, rng, budgets, recorder, clock)
        self._notify = Notifier(self._scheduler, listeners)
        self._fleet = assembly.agent_of(self, shared, budgets, recorder, self._scheduler, self._notify, clock)
        self._spend_file = assembly.spend_file_of(self.policy.spend_file, budgets, self._scheduler)
        self._clock, self._caching = clock_of(clock), assembly.caching_of(self.policy, calendar, clock, self._notify)
        self._now: Callable[[], float] = clock  # read several times per chunk, so without the wrapper of `clock_of`
        self._ids, self._closed, self._rng = itertools.count(1), False, rng or random.Random()
        self._at_close = [x.close for x in (recorder, self._fleet, self._spend_file, self._caching) if x is not None]
        fork.watch(self._scheduler, self._notify, self._http)
        self._start_checks()

    @classmethod
    def from_config(cls, source: str | Path | Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> Self:
        """A pool from a TOML, YAML or JSON file, or from a mapping. `${NAME}` is read from `env` (default: os.environ).

        Raises ConfigError, which lists every mistake with the path of its field.
        """
        from hotspare._config.loader import load

        config = load(source, env)
        with config.reporting():
            pool = cls(
                config.targets,
                policy=config.policy,
                routes=config.routes,
                transport=config.transport,
                verify=config.verify,
                cert=config.cert,
                proxy=config.proxy,
                shared=config.shared,
                record=config.record,
            )
        if config.monitor is not None:
            config.monitor.start(pool)
        pool._source, pool._shared = None if isinstance(source, Mapping) else source, config.shared
        return pool

    # --- calls ---------------------------------------------------------------------------------------------------

    def chat(self, request: Prompt | None = None, **options: Unpack[CallOptions]) -> ChatReply:
        """A whole answer.

        Args:
            request: a question, OpenAI-shaped messages, or a ChatRequest. Messages may also be given as ``messages=``.
            options: `model` (a route, an alias or a target's name), `deadline` (seconds), `max_attempts`, `completion` (as
                in Policy), `labels` (for events and reports, e.g. ``{"team": "search"}``), `cache` (as in `Cache`), and any
                field of ChatRequest, e.g. ``temperature=0``. All options are in `hotspare.CallOptions`.

        Raises:
            RequestError: no target supports the request as written; nothing was sent.
            AllTargetsFailed: no target answered; `.attempts` lists every attempt.
            BudgetExceeded: a budget is used up; no target was called.
        """
        if self._uses_http and not self._closed:
            self._http.prepare()
        return threads.complete(self._flow(request, options, streaming=False), self._notify, self._clock)

    async def achat(self, request: Prompt | None = None, **options: Unpack[CallOptions]) -> ChatReply:
        """`chat`, for asyncio and trio."""
        if self._uses_http and not self._closed:
            self._http.aprepare()
        return await event_loop.complete(self._flow(request, options, streaming=False), self._notify, self._clock)

    def stream(self, request: Prompt | None = None, **options: Unpack[CallOptions]) -> Generator[ChatChunk]:
        """The answer piece by piece; the last chunk has `finish_reason`, `usage` and `summary`. Options as in `chat`.

        Failover before the first content is invisible to the caller. Closing the generator closes the connection.

        Raises (RequestError immediately, the others while it is read):
            RequestError, BudgetExceeded: as `chat`.
            AllTargetsFailed: no target began to answer.
            StreamInterrupted: the stream broke after its first content; `.text` is the text so far.
        """
        if self._uses_http and not self._closed:
            self._http.prepare()
        return threads.stream(self._flow(request, options, streaming=True), self._notify, self._clock, self)

    def astream(self, request: Prompt | None = None, **options: Unpack[CallOptions]) -> AsyncGenerator[ChatChunk]:
        """`stream`, for asyncio and trio."""
        if self._uses_http and not self._closed:
            self._http.aprepare()
        return event_loop.stream(self._flow(request, options, streaming=True), self._notify, self._clock, self)

    # --- many calls ----------------------------------------------------------------------------------------------

    def map(self, requests: Iterable[BatchRequest], **options: Unpack[MapOptions]) -> Generator[BatchResult]:
        """`chat` for each of these requests, several at a time, in threads. Failures are values (`BatchResult.error`).

        Args:
            requests: as for `chat`, or mappings of its keywords; read lazily.
            options: `concurrency`, `ordered` and `progress` (`hotspare.batch.MapOptions`); the others, as in `chat`, are
                defaults for every request, e.g. ``model="batch"``, a route.

        Closing the generator starts no further call, and waits for those in flight.
        """
        from hotspare.batch import map_requests

        return map_requests(self, requests, **options)

    def amap(
        self, requests: Iterable[BatchRequest], **options: Unpack[MapOptions]
    ) -> AbstractAsyncContextManager[AsyncGenerator[BatchResult]]:
        """`map`, for asyncio and trio: ``async with pool.amap(…) as results: async for result in results: …``.

        Leaving the block cancels the calls in flight.
        """
        from hotspare.batch import amap_requests

        return amap_requests(self, requests, **options)

    # --- before the first call ---------------------------------------------------------------------------------

    def warmup(self, timeout: float = 5.0) -> None:
        """Prepare the first call: load libraries and CAs, and open a connection to each provider.

        Connections that cannot be opened within `timeout` seconds are left to the first call; no failure is counted.
        """
        if self._uses_http and not self._closed:
            self._http.warm_up(timeout)

    async def awarmup(self, timeout: float = 5.0) -> None:
        """`warmup`, for the connections of the running event loop."""
        if self._uses_http and not self._closed:
            await self._http.awarm_up(timeout)

    # --- inspection ----------------------------------------------------------------------------------------------

    def explain(self, request: Prompt = "hello", **options: Unpack[CallOptions]) -> Explanation:
        """Which targets would be tried, in what order, with what score, and why the others are skipped. Options as in `chat`. No call
        is made."""
        call = self._call(request, options, streaming=False)
        return self._scheduler.explain(call, call.route, self._now())

    @property
    def routes(self) -> Mapping[str, tuple[tuple[Target, ...], ...]]:
        """The targets of every route, tier by tier. `default` is the route of calls that name no model."""
        return {
            name: tuple(tuple(state.target for state in tier) for tier in tiers)
            for name, tiers in self._table.routes.items()
        }

    def spent(self) -> Mapping[str, float]:
        """USD spent in the current hour, day and month, by budget."""
        return self._scheduler.spent()

    def budgets(self) -> Sequence[BudgetStatus]:
        """Each budget now: spent, limit, forecast, seconds until its next period."""
        return self._scheduler.budgets()

    # --- events -------------------------------------------------------------------------------------------------------------

    def subscribe(self, listener: events.Listener, *, inline: bool = False) -> Callable[[], None]:
        """Call `listener` with every event, in order. Returns a function that ends the subscription; it may be called again.

        It is called in a separate thread, so that it never delays a call; when 10,000 events wait for it, further ones are
        dropped, and the listener receives `EventsDropped`. `append` of a list or a deque, and `put` of a SimpleQueue, are called in the
        call's own thread. `inline`: call this listener in the call's thread too; it must then return within microseconds.
        """
        return self._notify.subscribe(listener, inline=inline)

    def publish(self, event: events.Event) -> None:
        """Send a custom event to the log and to every listener, as the ledger does when it cannot be written."""
        self._notify.publish(event)

    def flush(self, timeout: float = 1.0) -> bool:
        """Wait at most `timeout` seconds until the listeners have received all events so far. Returns
        whether they have. When the process exits it waits in the same way, for at most a second."""
        return self._notify.flush(timeout)

    # --- closing -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections of sync callers, and those of event loops that have ended. Calls after it raise
        PoolClosed."""
        self._closed = True
        self._http.close()
        self._end()

    async def aclose(self) -> None:
        """Close the connections of this event loop and of sync callers. Calls after it raise PoolClosed."""
        self._closed = True
        await self._http.aclose()
        await anyio.to_thread.run_sync(self._end)

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call `callback` once when the pool is closed, e.g. to write out what was recorded."""
        self._at_close.append(callback)

    def _end(self) -> None:
        while self._at_close:
            self._at_close.pop()()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Pool({', '.join(target.name for target in self.targets)})"

    # --- private -------------------------------------------------------------------------------------------------

    def _flow(self, request: Prompt | None, options: CallOptions, *, streaming: bool) -> Flow:
        call = self._call(request, options, f"call-{next(self._ids)}", streaming=streaming)
        if not any(map(call.may_use, call.states())):
            unsupported = {state: call.unsupported(state) for state in call.states()}
            raise RequestError(unsendable(call.request, unsupported, self._states))
        inner = flow(call, self._scheduler, call.policy, self._now)
        if self._fleet is not None or self._spend_file is not None:
            inner = assembly.budgeted(self._fleet, self._spend_file, call, inner)
        if self._caching is None or call.request.native is not None:
            return inner
        is_private, mode = call.pays_itself or options.get("targets") is not None, options.get("cache")
        return inner if mode == "off" or is_private else self._caching.flow(call, inner, refresh=mode == "refresh")

    def _call(self, request: Prompt | None, options: CallOptions, name: str = "", *, streaming: bool) -> Call:
        if self._closed:
            raise PoolClosed("this pool was closed: build a new one")
        fields = fields_of(options) if options else {}
        given = take_options(fields) if options else fields
        checked = request_of(request, **fields)
        model = checked.model
        if model is None and self._choose is not None and "targets" not in given:
            model = self._choose(checked)
        selected = self._selection(model, given)
        policy = selected.policy
        checked, saved_tokens = reduced(checked, policy)
        now, deadline = self._now(), given.get("deadline")
        call = Call(
            name,
            checked,
            selected.tiers,
            streaming,
            now,
            now + (policy.deadline if deadline is None else deadline),
            given.get("max_attempts") or policy.max_attempts,
            policy,
            own_tiers=selected.own_tiers,
            saved_tokens=saved_tokens,
            excluded=selected.excluded,
            session=given.get("session") or (prompt_session(checked) if policy.affinity == "prompt" else None),
            accept=given.get("accept") or policy.accept or None,
            total_deadline=None if policy.total_deadline is None else now + policy.total_deadline,
            completion=given.get("completion"),
            route=selected.route,
            labels=given.get("labels") or {},
            pays_itself="api_key" in given,
            context=copy_context() if self._scheduler.is_observed else None,
        )
        if (self._smallest_window < inf and tokens_upper_bound(checked) > self._smallest_window) or "targets" in given:
            call.excluded = {**call.excluded, **too_small(checked, tuple(call.supporting(call.states())))}
        if callable(policy.strategy):
            call.tiers = by_function(policy.strategy, self._scheduler.candidates(call, now))
        return call

    def _selection(self, model: str | None, given: Mapping[str, Any]) -> Selection:
        """The targets of a call. `reload` replaces the whole table in one step."""
        table, targets, key = self._table, given.get("targets"), given.get("api_key")
        if targets is None and key is None:
            return table.selection(model, given)
        if type(self._scheduler) is not Scheduler:
            raise RequestError(
                Problem("targets, api_key: cannot be given per call in a recorded pool: a replay would not have them")
            )
        if self._per_call is None:
            from hotspare._config.per_call import PerCall

            fork.watch(self.__dict__.setdefault("_per_call", PerCall(self._scheduler, self._http, self.policy)))
        assert self._per_call is not None
        if targets is not None:
            return self._per_call.on_targets(targets, model, given)
        return self._per_call.on_key(table.selection(model, given), key)
