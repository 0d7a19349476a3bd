"""The scheduler of a pool that is recorded: each method call that changes its state becomes a line, in the order of the lock.

A line holds the inputs of the engine (times, outcomes, random numbers) and its decision. The same class replays a file: it writes
each line again, and the two versions must be equal.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Protocol

import hotspare
from hotspare import events
from hotspare._cost.budgets import Budgets
from hotspare._engine import attempts, call_report
from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.decide import Step
from hotspare._engine.reasons import Trace
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.waiters import Waiter
from hotspare._health.target_state import TargetState
from hotspare._recording import lines
from hotspare._recording.input_recorders import RecordingRandom, with_recording_rules
from hotspare._recording.lines import JsonLine
from hotspare._routing.candidates import Tiers
from hotspare.messages import ChatReply, Usage
from hotspare.outcome import AttemptReason, Kind, Outcome
from hotspare.policy import Policy

_MAX_NAMED_ROUTES = 64
"""Routes whose targets are written once, and then referred to by a number. For further routes, the line of each call lists the targets."""


class Sink(Protocol):
    """Where lines go. `add` is called under the lock and does no I/O; `flush` is called after it."""

    def add(self, line: JsonLine) -> None:
        """Queue a line."""
        ...

    def flush(self) -> None:
        """Write the queued lines."""
        ...

    def end(self) -> None:
        """Accept no further lines."""
        ...

    def after_fork(self) -> None:
        """Stop in a child process: the file belongs to the parent."""
        ...


class RecordingScheduler(Scheduler):
    """A scheduler that records its inputs and its decisions.

    Its lock is taken before that of `Scheduler`, so that lines are in the order in which the state changed.
    `sampled`: whether the decisions of a call are written; its inputs always are. `names`: domain names and what is written instead.
    """

    def __init__(
        self,
        states: Sequence[TargetState],
        policy: Policy,
        rng: random.Random,
        sink: Sink,
        sampled: Callable[[Call], bool],
        *,
        names: dict[str, str] | None = None,
        budgets: Budgets | None = None,
        session_name: Callable[[str], str] = str,
    ) -> None:
        self._rng = RecordingRandom(rng)
        self._waits: list[float | bool] = []
        self._stops: list[float | bool] = []
        self._given, self._policy_line = policy, lines.policy_line(policy)
        super().__init__(states, with_recording_rules(policy, self._waits, self._stops), self._rng, budgets)
        self._trace = self._shared.trace = Trace()
        self._sink, self._is_sampled, self._names = sink, sampled, names or {}
        self._calls: dict[Call, bool] = {}
        self._unsendable: dict[Call, int] = {}
        self._routes: dict[int, tuple[int, Tiers]] = {}
        self._session_name = session_name
        self._order = threading.Lock()

    @classmethod
    def start_recording(
        cls,
        states: Sequence[TargetState],
        policy: Policy,
        rng: random.Random,
        sink: Sink,
        sampled: Callable[[Call], bool],
        *,
        clock: Callable[[], float],
        sample: float,
        budgets: Budgets | None,
    ) -> RecordingScheduler:
        """Write the first line, and return the scheduler. `clock`: the pool's clock; its time is written beside that of the wall clock."""
        shown = lines.anonymous_domains([(state.target, state.domains) for state in states])
        targets = [
            lines.target_line(
                state.target, tuple(shown.get(domain, domain) for domain in state.domains),
                prefill=state.prefill, streaming=state.streaming,
            )
            for state in states
        ]  # fmt: skip
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        sink.add(
            {
                "recording": "hotspare", "version": lines.VERSION, "hotspare": hotspare.__version__, "began": began,
                "at": clock(), "sample": sample, "policy": lines.policy_line(policy), "targets": targets,
            }
        )  # fmt: skip
        sink.flush()
        names = {str(domain): str(other) for domain, other in shown.items()}
        secret = random.SystemRandom().randbytes(16)

        def session_name(given: str) -> str:
            return blake2b(given.encode("utf-8", "surrogatepass"), digest_size=6, key=secret).hexdigest()

        return cls(states, policy, rng, sink, sampled, names=names, budgets=budgets, session_name=session_name)

    def after_fork(self) -> None:
        """As in `Scheduler`; the child does not write into the parent's file."""
        self._order = threading.Lock()
        self._sink.after_fork()
        super().after_fork()

    # --- writing a line --------------------------------------------------------------------------------------------------

    def _add(
        self, line: JsonLine, seen: int, woken: int, call: Call | None = None, decision: JsonLine | None = None
    ) -> None:
        """Complete a line with the random numbers, the decision, new events and newly woken calls, and queue it. `seen`, `woken`: how
        many events and woken calls there were before."""
        for name, noted in (("drawn", self._rng.noted), ("wait", self._waits), ("stop", self._stops)):
            if noted:
                line[name] = [*noted]
                noted.clear()
        if call is not None:
            self._add_unsendable(line, call)
        if decision and (call is None or self._calls.get(call, False)):
            line |= decision
        pending = self._shared.tracker.pending_events[seen:]
        new_events = [self._event(event, line) for event in pending if isinstance(event, lines.EVENTS)]
        if new_events:
            line["events"] = new_events
        if len(self._shared.queue.to_wake) > woken:
            line["wakes"] = [waiter.call.id for waiter in self._shared.queue.to_wake[woken:]]
        self._sink.add(lines.replaced(line, self._names) if self._names else line)

    def _add_unsendable(self, line: JsonLine, call: Call) -> None:
        """Add the targets that were found, since the last line, not to support the request."""
        found, known = call.unsendable, self._unsendable.get(call, 0)
        if len(found) > known:
            line["unsupported"] = {state.name: list(names) for state, names in list(found.items())[known:]}
            self._unsendable[call] = len(found)

    def _event(self, event: events.Event, line: JsonLine) -> JsonLine:
        written = lines.event_line(event)
        if written.get("call") == line.get("call"):
            written.pop("call", None)
        return written

    def _before(self) -> tuple[int, int]:
        return len(self._shared.tracker.pending_events), len(self._shared.queue.to_wake)

    def _record(self, line: JsonLine, call: Call | None, work: Callable[[], object]) -> None:
        """Call `work`, and write its line."""
        with self._order:
            before = self._before()
            work()
            self._add(line, *before, call)
        self._sink.flush()

    # --- what is recorded ----------------------------------------------------------------------------------------

    def call_started(self, now: float, call: Call | None = None) -> None:
        """As in `Scheduler`."""
        assert call is not None, "a selector is not recorded"
        line = lines.call_line(call, sampled=self._is_sampled(call))
        if call.policy is not self._given:
            line["policy"] = lines.changed_fields(lines.policy_line(call.policy), self._policy_line)
        if (
            call.session is not None
        ):  # a keyed hash: shows which calls belong together, not the caller's name for the session
            line["session"] = self._session_name(call.session)
        call.policy = (
            self._policy if call.policy is self._given else with_recording_rules(call.policy, self._waits, self._stops)
        )
        with self._order:
            line |= self._route(call.tiers)
            self._calls[call] = line["sampled"]
            before = self._before()
            try:
                super().call_started(now, call)
            finally:  # a call that an exhausted budget rejects is recorded too
                if call.excluded:
                    line["excluded"] = {state.name: str(why.skipped) for state, why in call.excluded.items()}
                self._add(line, *before, call)
        self._sink.flush()

    def _route(self, tiers: Tiers) -> JsonLine:
        known = self._routes.get(id(tiers))
        if known is not None:
            return {"route": known[0]}
        line: JsonLine = {"tiers": [[state.name for state in tier] for tier in tiers]}
        if len(self._routes) < _MAX_NAMED_ROUTES:
            line["route"] = len(self._routes)
            self._routes[id(tiers)] = (
                len(self._routes),
                tiers,
            )  # keeps a reference, so that no other object gets this id
        return line

    def next_step(self, call: Call, now: float) -> Step:
        """As in `Scheduler`."""
        with self._order:
            before = self._before()
            step = super().next_step(call, now)
            line: JsonLine = {"do": "next", "call": call.id, "at": now}
            decision = lines.step_line(step, call, self._trace) if self._calls.get(call) else None
            self._add(line, *before, call, decision)
        self._sink.flush()
        return step

    def leave_queue(self, waiter: Waiter, *, for_good: bool = False) -> None:
        """As in `Scheduler`."""
        line: JsonLine = {"do": "leave", "call": waiter.call.id} | ({"for_good": True} if for_good else {})
        self._record(line, waiter.call, lambda: Scheduler.leave_queue(self, waiter, for_good=for_good))

    def settle(self, call: Call, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """As in `Scheduler`."""
        line: JsonLine = {"do": "settle", "call": call.id, "at": now, "attempt": attempt.number}
        line["outcome"] = lines.outcome_line(outcome, call)
        if attempt.result is not None:
            line["answer"] = "stream" if isinstance(attempt.result, OpenStream) else "whole"
        if isinstance(attempt.result, ChatReply):
            line["usage"] = lines.usage_line(attempt.result.usage)
            if not attempt.result.usage.output_tokens:  # then the engine estimates the tokens from its length
                line["characters"] = len(attempt.result.text)
        found = attempt.result.first if isinstance(attempt.result, OpenStream) else attempt.result
        if found is not None and found.limits:
            line["limits"] = [list(one) for one in found.limits]
        self._record(line, call, lambda: Scheduler.settle(self, call, attempt, outcome, now))

    def has_free_alternative(self, call: Call, now: float) -> bool:
        """As in `Scheduler`. It changes no state, but a slow stream may be abandoned because of it."""
        with self._order:
            before = self._before()
            free = super().has_free_alternative(call, now)
            self._add({"do": "alternative", "call": call.id, "at": now}, *before, call, {"free": free})
        self._sink.flush()
        return free

    def record_stream(self, call: Call, attempt: Attempt, longest_gap: float, throughput: float) -> None:
        """As in `Scheduler`."""
        line = {
            "do": "stream", "call": call.id, "attempt": attempt.number, "gap": longest_gap, "throughput": throughput,
        }  # fmt: skip
        self._record(line, call, lambda: Scheduler.record_stream(self, call, attempt, longest_gap, throughput))

    def record_stream_end(
        self, call: Call, attempt: Attempt, now: float, usage: Usage | None = None, *, whole: bool = False
    ) -> None:
        """As in `Scheduler`."""
        line: JsonLine = {"do": "stream_end", "call": call.id, "at": now, "attempt": attempt.number, "whole": whole}
        line["usage"] = lines.usage_line(usage)
        self._record(line, call, lambda: Scheduler.record_stream_end(self, call, attempt, now, usage, whole=whole))

    def record_stream_break(self, call: Call, attempt: Attempt, outcome: Outcome, emitted: str, now: float) -> None:
        """As in `Scheduler`. The text itself is not written, only whether there is any."""
        line: JsonLine = {"do": "stream_break", "call": call.id, "at": now, "attempt": attempt.number}
        line |= {"outcome": lines.outcome_line(outcome, call), "text": bool(emitted.strip())}
        self._record(
            line,
            call,
            lambda: Scheduler.record_stream_break(self, call, attempt, outcome, emitted, now),
        )

    def record_call_end(self, call: Call, now: float, error: BaseException | None = None) -> None:
        """As in `Scheduler`."""
        line: JsonLine = {"do": "end", "call": call.id, "at": now, "result": str(call_report.result_of(call, error))}
        answered = [record.target for record in call.records if record.kind is Kind.OK]
        decision = {"attempts": len(call.attempts), "answered_by": answered[-1] if answered else None}
        with self._order:
            before = self._before()
            super().record_call_end(call, now, error)
            self._add(line, *before, call, decision)
            self._calls.pop(call, None)
            self._unsendable.pop(call, None)
        self._sink.flush()

    def disable(self, name: str, reason: str) -> None:
        """As in `Scheduler`. The operator's reason is not written."""
        self._record({"do": "disable", "target": name}, None, lambda: Scheduler.disable(self, name, reason))

    def enable(self, name: str) -> None:
        """As in `Scheduler`."""
        self._record({"do": "enable", "target": name}, None, lambda: Scheduler.enable(self, name))

    def reset(self, name: str, now: float) -> None:
        """As in `Scheduler`."""
        self._record({"do": "reset", "target": name, "at": now}, None, lambda: Scheduler.reset(self, name, now))

    def replace(self, states: Sequence[TargetState], policy: Policy) -> None:
        """As in `Scheduler`. The recording ends here: its first line holds the targets and the policy."""
        with self._order:
            super().replace(states, policy)
            self._sink.add({"do": "reload"})
            self._sink.end()
        self._sink.flush()

    def force(self, call: Call, state: TargetState, reason: AttemptReason, now: float) -> None:
        """Start an attempt that was recorded, but that another policy would not make. If the target is not available under that policy,
        the result of the attempt does not count for its breaker, like that of an attempt from before the breaker opened."""
        with self._order, self._lock:
            available = self._shared.tracker.available_at(state, now) <= now
            reason = reason if available else AttemptReason.LAST_RESORT
            attempt = attempts.start(call, state, self._shared, now, reason, others_in=0.0)
            if not available:
                attempt.permit.epoch = -1

    def take_pending(self) -> tuple[list[events.Event], list[Waiter]]:
        """As in `Scheduler`. Takes the lock, so that it never takes the events of an unfinished line."""
        with self._order:
            return super().take_pending()

    def take_to_wake(self) -> list[Waiter]:
        """As `take_pending`."""
        with self._order:
            return super().take_to_wake()
