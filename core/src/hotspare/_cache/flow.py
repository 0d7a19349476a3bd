"""The flow of a call with a cache: it wraps the flow of the engine, and is run by the same drivers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Literal, cast

from hotspare import events
from hotspare._cache.flights import Flight, Flights
from hotspare._cache.keys import key_of
from hotspare._cache.stores import MemoryStore, store_of
from hotspare._engine.call import Call
from hotspare._engine.commands import Event, Flow, Wait
from hotspare._engine.folding import chunks_of, reply_of
from hotspare._engine.waiters import Waiter
from hotspare._routing.acceptance import objection
from hotspare.cache import Cache, CacheEntry
from hotspare.errors import AllTargetsFailed
from hotspare.messages import ChatChunk, ChatReply, StreamSummary

MAX_WAIT_FRACTION = 0.5
"""Fraction of its remaining time for which a call waits for an identical one before it makes its own request."""
Source = Literal["hit", "shared", "stale"]


class Caching:
    """The cache of a pool. `calendar`: seconds since 1970. `clock`: the pool's clock. `publish`: passes an event to listeners."""

    def __init__(
        self,
        config: Cache,
        calendar: Callable[[], float],
        clock: Callable[[], float],
        publish: Callable[[events.Event], object],
    ) -> None:
        self.flights = Flights()
        self._config, self._calendar, self._clock, self._publish = config, calendar, clock, publish
        self._store = store_of(config, calendar)

    def close(self) -> None:
        """Write the pending answers."""
        if not isinstance(self._store, MemoryStore):
            self._store.close()

    def flow(self, call: Call, inner: Flow, *, refresh: bool) -> Flow:
        """The call's answer from the cache, from an identical call in flight, or from `inner`, the flow without a cache."""
        key = key_of(call)
        if refresh:
            return (yield from self._call_targets(call, inner, key, None, None))
        while True:
            entry = yield from self._get(call, key)
            age = self._calendar() - entry.stored if entry is not None else 0.0
            if entry is not None and not _is_accepted(call, entry.reply):
                entry = None
            if entry is not None and age <= self._config.ttl:
                return (yield from self._serve(call, entry.reply, "hit"))
            stale = entry if entry is not None and age <= self._config.ttl + self._config.stale else None
            waiter = Waiter(call, call.deadline)
            flight, leads = self.flights.join(key, waiter)
            if leads:
                return (yield from self._call_targets(call, inner, key, flight, stale))
            yield Wait(max(0.0, MAX_WAIT_FRACTION * call.time_left(self._clock())), waiter)
            if flight.reply is not None and _is_accepted(call, flight.reply):
                return (yield from self._serve(call, flight.reply, "shared"))
            if flight.private or flight.reply is not None or not waiter.woken:
                return (yield from self._call_targets(call, inner, key, None, stale))

    def _call_targets(self, call: Call, inner: Flow, key: str, flight: Flight | None, stale: CacheEntry | None) -> Flow:
        if stale is not None:
            call.policy = replace(call.policy, when_all_down="fail")
        chunks: list[ChatChunk] = []
        answer: ChatReply | None = None
        cacheable = False
        try:
            reply = yield from _watched(inner, chunks)
            answer = reply if reply is not None else _whole(chunks)
            cacheable = _is_cacheable(answer)
            if cacheable:
                self._put(key, answer)
            return reply
        except AllTargetsFailed:
            if stale is None:
                raise
        finally:
            if flight is not None:
                self.flights.end(key, flight, answer, cacheable=cacheable)
        return (yield from self._serve(call, stale.reply, "stale"))

    def _serve(self, call: Call, reply: ChatReply, source: Source) -> Flow:
        """Return a cached answer, as a stream if the caller requested a stream."""
        self._publish(events.CacheServed(source, call.route, call.labels, reply.target, reply.cost))
        if not call.streaming:
            return replace(reply, cost=0.0, attempts=(), cached=source)
        content, end = chunks_of(reply)
        yield content
        yield replace(end, summary=StreamSummary(reply.target, cost=0.0, targets=(reply.target,), cached=source))
        return None

    def _get(self, call: Call, key: str) -> Generator[Wait, object, CacheEntry | None]:
        if isinstance(self._store, MemoryStore):
            return self._store.get(key)
        waiter = Waiter(call, call.deadline)
        lookup = self._store.look_up(key, waiter.wake_up)
        if lookup is None:
            return None
        yield Wait(min(self._store.max_wait, max(0.0, call.time_left(self._clock()))), waiter)
        return lookup.entry

    def _put(self, key: str, reply: ChatReply) -> None:
        entry = CacheEntry(replace(reply, attempts=(), raw=None, native=None), self._calendar())
        self._store.put(key, entry, self._config.ttl + self._config.stale)


def _watched(inner: Flow, chunks: list[ChatChunk]) -> Flow:
    """The flow `inner`, whose streamed chunks are also collected in `chunks`."""
    event: Event = None
    try:
        while True:
            try:
                command = inner.send(event)
            except StopIteration as end:
                return cast("ChatReply | None", end.value)
            if isinstance(command, ChatChunk):
                chunks.append(command)
            event = yield command
    finally:
        inner.close()


def _whole(chunks: list[ChatChunk]) -> ChatReply:
    summary = chunks[-1].summary
    assert summary is not None
    return replace(reply_of(chunks), target=summary.target, cost=summary.cost)


def _is_accepted(call: Call, reply: ChatReply) -> bool:
    """Whether this call's `accept` rules accept the answer, which may come from a call with other rules."""
    return call.accept is None or not objection(reply, call.request, call.accept)


def _is_cacheable(reply: ChatReply) -> bool:
    """Whether an answer may be cached: a complete text without tool calls, refusal, media or thinking."""
    return (
        reply.finish_reason == "stop"
        and bool(reply.text)
        and not (reply.tool_calls or reply.refusal or reply.media or reply.thinking)
    )
