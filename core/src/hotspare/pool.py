"""The front door: one pool a process, with a sync and an async face."""

from __future__ import annotations

import dataclasses
import itertools
import random
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hotspare import events
from hotspare._config.routes import check_targets, tiers_of
from hotspare._drivers import event_loop as aio
from hotspare._drivers import fork as forks
from hotspare._drivers import threads as sync
from hotspare._engine.call import Attempt, Call, TargetState
from hotspare._engine.flow import Wait, flow
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.streaming import Watch, aread, cost_of, read
from hotspare._health.breaker import CircuitBreaker
from hotspare._health.domains import domains_of
from hotspare._requests.validation import request_of
from hotspare._routing import candidates as routing
from hotspare.errors import AllTargetsFailed, ConfigError, PoolClosed, Problem, RequestError
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Message
from hotspare.policy import Policy, policy_of
from hotspare.providers.folding import reply_of
from hotspare.status import PoolHealth, snapshot
from hotspare.target import Target


class Pool:
    """Targets, a policy, and one picture of their health. Build one a process and share it between threads and loops.

    Args:
        targets: who may be asked. Order is preference inside a tier (strategy `ordered`).
        policy: what a call may do; its fields may be given directly instead, e.g. ``Pool([...], deadline=30)``.
        routes: named orders of tiers, ``{"batch": [["a", "b"], ["c"]]}`` by target name. Without a ``default`` route one
            is made of all targets by their `tier`.
        transport: ``auto``, ``httpx`` (what vcrpy replays), ``aiohttp``, or an httpx transport.
        verify: TLS verification: True, a CA bundle's path, or an `ssl.SSLContext`.
        listeners: called with every event; see `hotspare.events`.
        clock: seconds, monotonic. For tests.
        rng: for tests.

    Raises:
        ConfigError: naming every mistake, before any network call.
    """

    def __init__(
        self,
        targets: Iterable[Target],
        *,
        policy: Policy | None = None,
        routes: Mapping[str, Sequence[Any]] | None = None,
        transport: Any = "auto",
        verify: Any = True,
        listeners: Iterable[events.Listener] = (),
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        **policy_fields: Any,
    ) -> None:
        self.targets = tuple(targets)
        self.policy = policy_of(policy, policy_fields)
        check_targets(self.targets)
        tiers = tiers_of(self.targets, routes)
        from hotspare._http import Http
        from hotspare.providers.http_backend import backend_for

        self._http = Http(transport=transport, verify=verify)
        members = {
            target.name: TargetState(
                target,
                backend_for(target, self._http),
                CircuitBreaker(self.policy.breaker),
                domains_of(target),
                position,
            )
            for position, target in enumerate(self.targets)
        }
        self._routes = {
            name: tuple(tuple(members[target.name] for target in tier) for tier in route)
            for name, route in tiers.items()
        }
        self._gate = Scheduler(tuple(members.values()), self.policy, rng or random.Random())
        self._listeners = [_heard(listener) for listener in listeners]
        self._clock = clock
        self._ids = itertools.count(1)
        self._closed = False
        forks.watch(self._gate)

    @classmethod
    def from_config(cls, source: str | Path | Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> Self:
        """A pool from a TOML, YAML or JSON file, or from a mapping. `${NAME}` is read from `env` (default: os.environ).

        Raises ConfigError naming every mistake with its place.
        """
        from hotspare._config.loader import load

        config = load(source, env)
        return cls(
            config.targets, policy=config.policy, routes=config.routes, transport=config.transport, verify=config.verify
        )

    # --- calls ---------------------------------------------------------------------------------------------------

    def chat(self, request: str | Sequence[Message] | ChatRequest, **options: Any) -> ChatReply:
        """A whole answer.

        Args:
            request: a question, OpenAI-shaped messages, or a ChatRequest.
            options: `model` (a route, an alias or a target's name), `deadline` (seconds), `max_attempts`, `whole` (as in
                Policy), and any field of ChatRequest, e.g. ``temperature=0``.

        Raises:
            RequestError: no target could take the request as written; nothing was sent.
            AllTargetsFailed: nobody answered; every attempt is inside.
        """
        call = self._call(request, options, streaming=False)
        with self._whole_call(call):
            winner = self._drive(call)
            if isinstance(winner.result, ChatReply):
                return self._reply(call, winner)
            watch = self._watch(call, winner)
            while True:
                with closing(read(watch)) as chunks:
                    pieces = list(chunks)
                if watch.done:
                    return _folded(pieces)
                watch.follow(self._drive(call))

    async def achat(self, request: str | Sequence[Message] | ChatRequest, **options: Any) -> ChatReply:
        """`chat`, for asyncio and trio."""
        call = self._call(request, options, streaming=False)
        with self._whole_call(call):
            winner = await self._adrive(call)
            if isinstance(winner.result, ChatReply):
                return self._reply(call, winner)
            watch = self._watch(call, winner)
            while True:
                async with aclosing(aread(watch)) as chunks:
                    pieces = [chunk async for chunk in chunks]
                if watch.done:
                    return _folded(pieces)
                watch.follow(await self._adrive(call))

    def stream(self, request: str | Sequence[Message] | ChatRequest, **options: Any) -> Generator[ChatChunk]:
        """The answer piece by piece; the last chunk has `finish_reason`, `usage` and `summary`. Options as in `chat`.

        Failover before the first content shows nothing to the caller. Closing the generator closes the connection.

        Raises (while it is read):
            AllTargetsFailed: nobody began to answer.
            StreamInterrupted: the stream broke after its first content; `.text` is what came.
        """
        return self._stream(self._call(request, options, streaming=True))

    def _stream(self, call: Call) -> Generator[ChatChunk]:
        with self._whole_call(call):
            yield from self._read(call, self._drive(call))

    def _read(self, call: Call, winner: Attempt) -> Generator[ChatChunk]:
        watch = self._watch(call, winner)
        while True:
            yield from read(watch)
            if watch.done:
                return
            try:
                winner = self._drive(call)
            except AllTargetsFailed as error:
                raise watch.unfinished(error) from watch.error
            watch.follow(winner)

    def astream(self, request: str | Sequence[Message] | ChatRequest, **options: Any) -> AsyncGenerator[ChatChunk]:
        """`stream`, for asyncio and trio."""
        return self._astream(self._call(request, options, streaming=True))

    async def _astream(self, call: Call) -> AsyncGenerator[ChatChunk]:
        with self._whole_call(call):
            async with aclosing(self._aread(call, await self._adrive(call))) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _aread(self, call: Call, winner: Attempt) -> AsyncGenerator[ChatChunk]:
        watch = self._watch(call, winner)
        while True:
            async with aclosing(aread(watch)) as chunks:
                async for chunk in chunks:
                    yield chunk
            if watch.done:
                return
            try:
                winner = await self._adrive(call)
            except AllTargetsFailed as error:
                raise watch.unfinished(error) from watch.error
            watch.follow(winner)

    # --- what one can look at ------------------------------------------------------------------------------------

    def explain(
        self, request: str | Sequence[Message] | ChatRequest = "hello", *, model: str | None = None
    ) -> routing.Explanation:
        """Who would be asked, in what order, who is skipped and why. No call is made."""
        call = self._call(request, {"model": model} if model else {}, streaming=False, check=False)
        return self._gate.explain(call, call.request.model or "default", self._clock())

    def health(self) -> PoolHealth:
        """A typed snapshot of every target's and domain's state."""
        return snapshot(self._gate, self._clock())

    def subscribe(self, listener: events.Listener) -> Callable[[], None]:
        """Have `listener` called with every event; returns how to stop that. It should return quickly."""
        self._listeners.append(_heard(listener))
        return lambda: self._listeners.remove(listener)

    # --- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close every connection of sync callers, and what async ones left. Calls after it raise PoolClosed."""
        self._closed = True
        self._http.close()

    async def aclose(self) -> None:
        """Close every connection of this event loop and of sync callers. Calls after it raise PoolClosed."""
        self._closed = True
        await self._http.aclose()

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

    # --- inside --------------------------------------------------------------------------------------------------

    def _call(
        self,
        request: str | Sequence[Message] | ChatRequest,
        options: dict[str, Any],
        *,
        streaming: bool,
        check: bool = True,
    ) -> Call:
        if self._closed:
            raise PoolClosed("this pool was closed: build a new one")
        deadline = options.pop("deadline", None)
        attempts = options.pop("max_attempts", None)
        for name, value, kind, word in (
            ("deadline", deadline, int | float, "number"),
            ("max_attempts", attempts, int, "whole number"),
        ):
            if value is not None and not (isinstance(value, kind) and value > 0):
                raise RequestError(Problem.at(name, value, f"must be a {word} above 0"))
        mode = options.pop("whole", None)
        if mode not in (None, "wait", "stream"):
            raise RequestError(Problem.at("whole", mode, "must be wait or stream"))
        asked = request_of(request, **options)
        _, tiers = routing.tiers_for(asked.model, self._routes, self._gate.members)
        now = self._clock()
        policy = self.policy
        call = Call(
            f"call-{next(self._ids)}", asked, tiers, streaming, now,
            now + (policy.deadline if deadline is None else deadline), attempts or policy.max_attempts,
        )  # fmt: skip
        call.mode = mode
        if check:
            routing.check_fit(call)
        return call

    def _drive(self, call: Call) -> Attempt:
        return sync.drive(flow(call, self._gate, self._clock), self._tell, self._rest, self._clock)

    async def _adrive(self, call: Call) -> Attempt:
        return await aio.drive(flow(call, self._gate, self._clock), self._tell, self._arest)

    @contextmanager
    def _whole_call(self, call: Call) -> Generator[None]:
        """From its first attempt to its end, which listeners hear of."""
        try:
            yield
        finally:
            self._gate.record_call_end(call, self._clock())
            self._tell()

    def _reply(self, call: Call, winner: Attempt) -> ChatReply:
        reply: ChatReply = winner.result
        target = winner.target_state.target
        cost = cost_of(call, [(target, reply.usage)])
        return dataclasses.replace(reply, target=target.name, attempts=tuple(call.records), cost=cost)

    def _watch(self, call: Call, winner: Attempt) -> Watch:
        self._tell()
        total = self.policy.total_deadline
        until = call.deadline if not call.streaming else None if total is None else call.started + total
        return Watch(call, winner, self._gate, self._clock, until)

    def _rest(self, command: Wait) -> None:
        sync.rest(command)

    async def _arest(self, command: Wait) -> None:
        await aio.rest(command)

    def _tell(self) -> None:
        told, rings = self._gate.take_pending()
        for ticket in rings:
            ticket.wake_up()
        if told:
            events.emit(told, tuple(self._listeners))


def _heard(listener: events.Listener) -> events.Listener:
    if not callable(listener):
        raise ConfigError(Problem.at("listener", listener, "must be callable: it is called with every event"))
    return listener


def _folded(chunks: list[ChatChunk]) -> ChatReply:
    """The whole answer that a stream made, with its trail."""
    reply, receipt = reply_of(chunks), chunks[-1].summary
    if receipt is None:
        raise AssertionError("a stream ends with a receipt")
    return dataclasses.replace(reply, target=receipt.target, attempts=receipt.attempts, cost=receipt.cost)
