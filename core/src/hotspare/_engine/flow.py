"""The flow of one call: one generator from the first attempt to the last chunk, breaks and continuations included.

It yields commands and is sent events (`commands`); it does no I/O and does not sleep. The drivers for threads and for event
loops run the same flow, so that both faces share every decision.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.commands import Command, Event, Finished, Flow, Read, Start
from hotspare._engine.decide import GiveUp
from hotspare._engine.folding import chunks_of
from hotspare._engine.refusals import judged
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.spending import call_cost
from hotspare._engine.streaming import StreamMonitor
from hotspare._engine.waiters import Waiter
from hotspare._values import changed
from hotspare.errors import AllTargetsFailed, LimitExceeded
from hotspare.messages import ChatReply
from hotspare.outcome import CANCELLED, Kind
from hotspare.policy import Policy

_OK = Kind.OK


def flow(call: Call, scheduler: Scheduler, policy: Policy, clock: Callable[[], float]) -> Flow:
    """One call. Yields the chunks of a stream; returns the whole answer of a call that does not stream.

    Raises AllTargetsFailed with every attempt inside, StreamInterrupted once content was delivered, or BudgetExceeded.
    """
    failure: BaseException | None = None
    try:
        scheduler.call_started(call.started, call)
        attempt = yield from _answer(call, scheduler, clock)
        if attempt.unary and isinstance(attempt.result, ChatReply):
            return _with_attempts(call, attempt, attempt.result)
        monitor = StreamMonitor(call, scheduler, policy, clock)
        while not (yield from _read(call, monitor, attempt, scheduler, clock)):
            try:
                attempt = yield from _answer(call, scheduler, clock)
            except AllTargetsFailed as error:
                if not call.streaming:
                    raise
                end = monitor.unconfirmed_end()
                if end is not None:
                    yield end
                    return None
                raise monitor.not_continued(error) from monitor.error
        return None if call.streaming else monitor.reply()
    except BaseException as error:
        failure = error
        raise
    finally:
        scheduler.record_call_end(call, clock(), failure)


def _answer(call: Call, scheduler: Scheduler, clock: Callable[[], float]) -> Generator[Command, Event, Attempt]:
    """Make attempts until one has an answer: a whole one, or the first content of a stream."""
    waiter: Waiter | None = None
    try:
        while True:
            step = scheduler.next_step(call, clock())
            if isinstance(step, GiveUp):
                raise all_targets_failed(call, step)
            if isinstance(step, Attempt):
                is_only = (
                    len(call.attempts) == 1 or len(call.running) == 1
                )  # the first is cheaper, and nearly always true
                event = yield Start(step, is_only and step.race_after is None and call.policy.hedge is None)
            else:
                waiter, idle_from = step.waiter, None if call.running else clock()
                event = yield step
                if idle_from is not None:
                    call.idle_seconds += clock() - idle_from
                if waiter is not None:
                    scheduler.leave_queue(waiter)
                    waiter = None
            if isinstance(event, Finished):
                outcome = judged(call, event.attempt, event.outcome)
                scheduler.settle(call, event.attempt, outcome, clock())
                if outcome.kind is _OK:
                    return event.attempt
    finally:
        for attempt in call.attempts:
            if attempt.record is None:  # another attempt was faster, or the caller cancelled
                scheduler.settle(call, attempt, attempt.outcome or CANCELLED, clock())
        if waiter is not None:
            scheduler.leave_queue(waiter, for_good=True)


def _read(
    call: Call, monitor: StreamMonitor, attempt: Attempt, scheduler: Scheduler, clock: Callable[[], float]
) -> Generator[Command, Event, bool]:
    """Read the stream of one attempt, to its end (returns True) or to a break that can be recovered from (False)."""
    monitor.attach(attempt)
    result, read, emit = attempt.result, Read(attempt), call.streaming
    try:
        if isinstance(result, OpenStream):
            event: Event = result.first
            while True:
                chunk = monitor.process(event)
                if emit and chunk is not None:
                    yield chunk
                if monitor.done:
                    break
                read.within = monitor.next_wait()
                event = yield read
        elif result is not None:  # a whole answer where a stream was requested
            for chunk in map(monitor.process, chunks_of(result)):
                if emit and chunk is not None:
                    yield chunk
    except Exception as error:
        monitor.record_break(error)
        return False
    except GeneratorExit:
        monitor.record_left()
        if monitor.is_flowing():  # a silent stream that its caller closes is no success
            scheduler.record_stream_end(call, attempt, clock())
        raise
    scheduler.record_stream_end(call, attempt, clock(), monitor.usage, whole=not call.streaming)
    return True


def _with_attempts(call: Call, attempt: Attempt, reply: ChatReply) -> ChatReply:
    call.parts.append((attempt, reply.usage))
    call.usage, call.cost = reply.usage, call_cost(call)
    state = attempt.state
    return changed(reply, target=state.name, attempts=call.records, cost=call.cost, signed_by=state.signer)


def all_targets_failed(call: Call, step: GiveUp) -> AllTargetsFailed:
    """The exception of a call that no target answered."""
    records = call.records
    count = f"{len(records)} attempt{'s' * (len(records) != 1)} failed" if records else "no attempt was possible"
    error = LimitExceeded if step.is_limited else AllTargetsFailed
    return error(f"{count}: {step.reason}", records, skipped=step.skipped, retry_after=step.retry_after)
