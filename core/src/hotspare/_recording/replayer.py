"""Replays a recording: builds targets and policy from its first line, and repeats each further line on one scheduler."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import replace
from typing import Any, Literal

from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.commands import Wait
from hotspare._engine.decide import Step
from hotspare._engine.waiters import Waiter
from hotspare._health.breaker import CircuitBreaker
from hotspare._health.target_state import TargetState
from hotspare._recording import lines
from hotspare._recording.lines import JsonLine
from hotspare._recording.scheduler import RecordingScheduler
from hotspare._routing.candidates import Tier, Tiers
from hotspare._routing.explain import Exclusion, SkipReason
from hotspare._routing.limits import Need
from hotspare.errors import AllTargetsFailed, ConfigError, RecordingError, StreamInterrupted
from hotspare.events import CallResult
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Usage
from hotspare.outcome import CANCELLED, Outcome, RateLimit
from hotspare.policy import Policy
from hotspare.target import Domain, Limits, LongPrice, Price, Target

_TEXT = "text"
"""Stands for the text that was emitted before a break."""


class RecordedBackend:
    """The backend of a replayed target. It makes no call."""

    def __init__(self, *, prefill: bool, streaming: bool) -> None:
        self.prefill, self.streaming = prefill, streaming
        self.cannot: dict[int, tuple[str, ...]] = {}

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """The features of this call's request that the target does not support, according to the recording."""
        return self.cannot.get(id(request), ())

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """No call is made."""
        raise NotImplementedError("a recording makes no call")

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """No call is made."""
        raise NotImplementedError("a recording makes no call")

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """No call is made."""
        raise NotImplementedError("a recording makes no call")

    def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """No call is made."""
        raise NotImplementedError("a recording makes no call")

    def classify(self, error: Exception) -> Outcome:
        """No error occurs."""
        raise NotImplementedError("a recording makes no call")


class RecordedInputs(random.Random):
    """The recorded random numbers, line by line. If a line has too few of them, because another policy decides differently, further
    numbers come from a generator seeded with the line's number."""

    def __init__(self) -> None:
        super().__init__(0)
        self._drawn: list[float] = []
        self._waits: list[float] = []
        self._stops: list[bool] = []
        self._further = random.Random(0)

    def of(self, line: JsonLine, number: int) -> None:
        """Use the inputs of this line. `number`: its number in the file."""
        self._drawn = [*line.get("drawn", ())]
        self._waits, self._stops = [*line.get("wait", ())], [*line.get("stop", ())]
        self._number: int | None = number

    def random(self) -> float:
        """The next number drawn."""
        if self._drawn:
            return self._drawn.pop(0)
        if self._number is not None:
            self._further, self._number = random.Random(self._number), None
        return self._further.random()

    def wait(self, _: object) -> float:
        """The next recorded result of `Policy.wait`."""
        return self._waits.pop(0) if self._waits else 0.0

    def stop(self, _: object) -> bool:
        """The next recorded result of `Policy.stop`."""
        return self._stops.pop(0) if self._stops else False


class Replayer:
    """One scheduler that repeats a recording. `policy`: replaces the recorded policy, to see what it would decide; if it has no
    `wait` or `stop`, their recorded results are used.

    `sampled`: decides from the line of a call whether its decisions are written into `written`. Default: as recorded.
    Raises RecordingError for a line that does not follow from those before it.
    """

    def __init__(
        self, header: JsonLine, policy: Policy | None = None, *, sampled: Callable[[JsonLine], bool] | None = None
    ) -> None:
        self.recorded = _policy(header)
        self._inputs = RecordedInputs()
        self._has = [name for name in ("wait", "stop") if header["policy"].get(name)]
        self.policy = self._with_recorded(self.recorded if policy is None else policy)
        self.states = {state.name: state for state in _states(header, self.policy)}
        self.written: list[JsonLine] = []
        self._sampled = sampled
        self._sampled_here = True
        self.scheduler = RecordingScheduler(
            tuple(self.states.values()),
            self.policy,
            self._inputs,
            _ListSink(self.written),
            lambda _: self._sampled_here,
        )
        self.scheduler.observe(False)
        self.calls: dict[str, Call] = {}
        self._routes: dict[int, Tiers] = {}
        self._waiters: dict[str, Waiter] = {}
        self._handlers: dict[str, Callable[[JsonLine], Step | None]] = {
            "call": self._call, "next": self._next, "leave": self._leave, "settle": self._settle,
            "alternative": self._alternative, "stream": self._stream, "stream_end": self._stream_end,
            "stream_break": self._stream_break, "end": self._end, "reset": self._reset, "disable": self._disable, "enable": self._enable,
        }  # fmt: skip

    def _with_recorded(self, policy: Policy) -> Policy:
        """The policy; a `wait` or `stop` that it lacks returns the recorded results."""
        kept: dict[str, Any] = {
            name: getattr(self._inputs, name) for name in self._has if getattr(policy, name) is None
        }
        return replace(policy, **kept) if kept else policy

    def replay(self, line: JsonLine, number: int) -> Step | None:
        """Repeat one line. Returns the decision of a `next` line; the line as written again is appended to `written`."""
        self._inputs.of(line, number)
        try:
            return self._replay(line)
        except (KeyError, ValueError, IndexError, TypeError, AttributeError, AssertionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise RecordingError(
                f"line {number} cannot be replayed: it does not follow from those before it ({what})"
            ) from error

    def _replay(self, line: JsonLine) -> Step | None:
        handler = self._handlers[line["do"]]
        if line["do"] != "call" and "unsupported" in line:
            self._learn_unsupported(self.calls[line["call"]], line)
        step = handler(line)
        self.scheduler.take_pending()
        return step

    def follow(self, step: Step, call: Call, recorded: Call, now: float) -> None:
        """Undo a decision of this scheduler, and make the recorded one instead, so that the call continues as recorded.

        `recorded`: the same call in the replayer with the recorded policy, after its own decision.
        """
        if isinstance(step, Attempt):
            self.scheduler.settle(call, step, CANCELLED, now)
            call.attempts.remove(step)
        elif isinstance(step, Wait) and step.waiter is not None:
            self.scheduler.leave_queue(self._waiters.pop(call.id), for_good=True)
        call.retry_used, call.was_queued, call.hedged = recorded.retry_used, recorded.was_queued, recorded.hedged
        call.retry_target = None if recorded.retry_target is None else self.states[recorded.retry_target.name]
        for attempt in recorded.attempts[len(call.attempts) :]:
            self.scheduler.force(call, self.states[attempt.state.name], attempt.reason, now)
        self.written.clear()

    # --- one method for each kind of line ---------------------------------------------------------------------------------------------

    def _call(self, line: JsonLine) -> None:
        reasoning: Literal["high"] | None = "high" if line.get("reasoning") else None
        request = ChatRequest(messages=(), reasoning_effort=reasoning, max_tokens=line.get("max_tokens"))
        call = Call(
            line["call"], request, self._tiers(line), line["stream"], line["at"], line["deadline"], line["max_attempts"],
            self._policy_of(line), own_tiers=line.get("own_tiers", 0), session=line.get("session"), total_deadline=line["total_deadline"], completion=line.get("completion"),
            excluded={
                self.states[name]: Exclusion(SkipReason(why), "") for name, why in line.get("excluded", {}).items()
            },
            _features=frozenset(line["features"]), _need=Need(line["prompt_tokens"], line.get("max_tokens")),
            is_check=line.get("check", False),
        )  # fmt: skip
        call.time_budget = line["seconds"]
        self._follow_policy(call)
        self.calls[call.id] = call
        self._learn_unsupported(call, line)
        self._sampled_here = line["sampled"] if self._sampled is None else self._sampled(line)
        self.scheduler.call_started(call.started, call)

    def _tiers(self, line: JsonLine) -> Tiers:
        if "tiers" not in line:
            return self._routes[line["route"]]
        tiers = tuple(Tier(self.states[name] for name in tier) for tier in line["tiers"])
        if "route" in line:
            self._routes[line["route"]] = tiers
        return tiers

    def _policy_of(self, line: JsonLine) -> Policy:
        """The policy of the call's route, or the pool's."""
        if "policy" not in line:
            return self.policy
        return self._with_recorded(lines.policy_from(lines.merged(lines.policy_line(self.policy), line["policy"])))

    def _follow_policy(self, call: Call) -> None:
        """Apply the deadlines and the number of attempts of `policy` to a call that had no deadline or number of its own."""
        policy, recorded, started = self.policy, self.recorded, call.started
        if policy.total_deadline != recorded.total_deadline:
            call.total_deadline = None if policy.total_deadline is None else started + policy.total_deadline
            call.deadline = started + call.time_budget
        if policy.deadline != recorded.deadline and abs(call.time_budget - recorded.deadline) < 1e-6:
            call.time_budget, call.deadline = policy.deadline, started + policy.deadline
        if call.streaming and call.total_deadline is not None:
            call.deadline = min(call.deadline, call.total_deadline)
        if policy.max_attempts != recorded.max_attempts and call.max_attempts == recorded.max_attempts:
            call.max_attempts = policy.max_attempts

    def _learn_unsupported(self, call: Call, line: JsonLine) -> None:
        for name, fields in line.get("unsupported", {}).items():
            backend = self.states[name].backend
            assert isinstance(backend, RecordedBackend)
            backend.cannot[id(call.request)] = tuple(fields)

    def _next(self, line: JsonLine) -> Step:
        call = self.calls[line["call"]]
        step = self.scheduler.next_step(call, line["at"])
        if isinstance(step, Wait) and step.waiter is not None:
            self._waiters[call.id] = step.waiter
        return step

    def _leave(self, line: JsonLine) -> None:
        call = self.calls[line["call"]]
        waiter = self._waiters.pop(call.id) if call.id in self._waiters else Waiter(call, 0.0)
        self.scheduler.leave_queue(waiter, for_good=line.get("for_good", False))

    def _settle(self, line: JsonLine) -> None:
        call, attempt = self._attempt(line)
        answer: Literal["stream", "whole"] | None = line.get("answer")
        limits = tuple(RateLimit(*one) for one in line.get("limits", ()))
        if answer == "stream":
            attempt.result = OpenStream(ChatChunk(limits=limits), None)
        elif answer == "whole":
            usage = lines.usage_from(line["usage"]) or Usage()
            attempt.result = ChatReply(text=" " * line.get("characters", 0), usage=usage, limits=limits)
        self.scheduler.settle(call, attempt, lines.outcome_from(line["outcome"]), line["at"])

    def _alternative(self, line: JsonLine) -> None:
        self.scheduler.has_free_alternative(self.calls[line["call"]], line["at"])

    def _stream(self, line: JsonLine) -> None:
        self.scheduler.record_stream(*self._attempt(line), line["gap"], line["throughput"])

    def _stream_end(self, line: JsonLine) -> None:
        usage = lines.usage_from(line["usage"])
        self.scheduler.record_stream_end(*self._attempt(line), line["at"], usage, whole=line["whole"])

    def _stream_break(self, line: JsonLine) -> None:
        outcome = lines.outcome_from(line["outcome"])
        emitted = _TEXT if line["text"] else ""
        self.scheduler.record_stream_break(*self._attempt(line), outcome, emitted, line["at"])

    def _end(self, line: JsonLine) -> None:
        call = self.calls.pop(line["call"])
        for state in self.states.values():
            assert isinstance(state.backend, RecordedBackend)
            state.backend.cannot.pop(id(call.request), None)
        self.scheduler.record_call_end(call, line["at"], _ENDS[CallResult(line["result"])])

    def _disable(self, line: JsonLine) -> None:
        self.scheduler.disable(line["target"], "by hand")

    def _enable(self, line: JsonLine) -> None:
        self.scheduler.enable(line["target"])

    def _reset(self, line: JsonLine) -> None:
        self.scheduler.reset(line["target"], line["at"])

    def _attempt(self, line: JsonLine) -> tuple[Call, Attempt]:
        call, number = self.calls[line["call"]], int(line["attempt"])
        return call, call.attempts[number - 1]


class _ListSink:
    """Keeps lines in a list."""

    def __init__(self, written: list[JsonLine]) -> None:
        self._written = written

    def add(self, line: JsonLine) -> None:
        """Keep a line."""
        self._written.append(line)

    def flush(self) -> None:
        """Nothing is pending."""

    def end(self) -> None:
        """Nothing to do: the list accepts further lines."""

    def after_fork(self) -> None:
        """Nothing to do: the child has its own list."""


def _policy(header: JsonLine) -> Policy:
    try:
        return lines.policy_from(header["policy"])
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(f"the recording's policy cannot be read by this hotspare: {error}") from error


def _states(header: JsonLine, policy: Policy) -> list[TargetState]:
    try:
        found: list[TargetState] = []
        for place, line in enumerate(header["targets"]):
            backend = RecordedBackend(prefill=line["prefill"], streaming=line["streaming"])
            target = Target(
                line["id"], name=line["name"], weight=line["weight"], tier=line.get("tier", 0), context_window=line["context_window"],
                price=_price(line["price"]), completion=line["completion"],
                reasoning=line["reasoning"], limits=[Limits(**one) for one in line["limits"]], backend=backend,
            )  # fmt: skip
            domains = tuple(Domain(*one) for one in line["domains"])
            found.append(TargetState(target, backend, CircuitBreaker(policy.breaker), domains, place))
        return found
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(f"the recording's targets cannot be read by this hotspare: {error}") from error


def _price(line: list[Any] | None) -> Price | None:
    if line is None:
        return None
    return Price(line[0], line[1], line[2], line[3], None if line[4] is None else LongPrice(*line[4]))


_ENDS: dict[CallResult, BaseException | None] = {
    CallResult.ANSWERED: None, CallResult.FAILED: AllTargetsFailed(""), CallResult.INTERRUPTED: StreamInterrupted(""),
    CallResult.ABANDONED: GeneratorExit(),
}  # fmt: skip
"""The error that a call raised, by its result."""
