"""A pool's choice and memory, for callers who make the calls themselves: pick a target, say later how it ended.

::

    selector = Selector([Target("openai/whisper-1"), Target("groq/whisper-large-v3")])
    with selector.pick() as lease:  # what is raised inside is classified and settled, else it was answered
        text = transcribe(lease.target.model)
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from hotspare import events
from hotspare._classify.rules import classify
from hotspare._config.routes import target_problems
from hotspare._drivers import fork as forks
from hotspare._engine.call import Attempt, Call, TargetState
from hotspare._engine.flow import failed
from hotspare._engine.scheduler import GiveUp, Pause, Scheduler
from hotspare._health.breaker import CircuitBreaker
from hotspare._health.domains import domains_of
from hotspare.errors import ConfigError, Problem
from hotspare.messages import ChatRequest
from hotspare.outcome import CANCELLED, OK, AttemptReason, Kind, Outcome
from hotspare.policy import Policy, policy_of
from hotspare.status import PoolHealth, snapshot
from hotspare.target import Target

if TYPE_CHECKING:
    from hotspare.backend import Backend


class _ByCaller:
    """Stands where a pool has a backend: the caller makes the calls, and knows what it may ask."""

    prefill = False
    streaming = True

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        return ()


_BY_CALLER = cast("Backend", _ByCaller())
_NOTHING = ChatRequest(messages=())


class Selector:
    """Picks among targets by the health, the failure domains and the strategy of a pool, and makes no call.

    It never waits: of its policy, `retry_same_target`, `patience` and `when_all_down` are `never`, 0 and `fail`, and nothing runs side by side. It keeps no time:
    a timeout is the caller's, who settles it as `Outcome(Kind.TIMEOUT)`, or raises it inside the lease. And whether a call
    goes on after a failure is the caller's as well: whoever picks again wants another try.

    Args:
        targets: who may be picked; `add` takes more later. They need no key and no known provider.
        policy: as for a Pool; its fields may be given directly instead.
        listeners: called with every event; see `hotspare.events`.
        clock: seconds, monotonic. For tests.
        rng: for tests.

    Raises:
        ConfigError: naming every mistake.
    """

    def __init__(
        self,
        targets: Iterable[Target] = (),
        *,
        policy: Policy | None = None,
        listeners: Iterable[events.Listener] = (),
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        **policy_fields: Any,
    ) -> None:
        given = policy_of(policy, policy_fields)
        self.policy = replace(
            given,
            retry_same_target="never",
            max_retry_after_wait=0.0,
            when_all_down="fail",
            on_slow="abandon",
            hedge=None,
            failover_on=frozenset({Kind.CONTENT_FILTER, Kind.INVALID}),
        )
        self._gate = Scheduler((), self.policy, rng or random.Random())
        self._members: dict[str, TargetState] = {}
        self._open: dict[Lease, None] = {}
        self._listeners = tuple(listeners)
        self._clock = clock
        self._ids = itertools.count(1)
        forks.watch(self._gate)
        self.add(*targets)

    def add(self, *targets: Target) -> None:
        """Take on further targets. Raises ConfigError for a name that is taken."""
        problems = target_problems(enumerate([*(m.target for m in self._members.values()), *targets]), called=False)
        if problems:
            raise ConfigError(problems)
        members = [
            TargetState(target, _BY_CALLER, CircuitBreaker(self.policy.breaker), domains_of(target), position)
            for position, target in enumerate(targets, len(self._members))
        ]
        self._members |= {member.name: member for member in members}
        self._gate.add(members)

    def pick(
        self,
        *,
        among: Collection[str] | None = None,
        request: ChatRequest = _NOTHING,
        streaming: bool = False,
        after: Lease | None = None,
        last_resort: bool = True,
    ) -> Lease:
        """Who is to be asked now.

        Args:
            among: names of the targets that may be picked. None: all.
            request: what will be asked, as far as it is known.
            streaming: whether the answer will be streamed.
            after: the lease that the same call had before, and that failed: another target comes first, best one that
                shares no blamed domain with it, and `max_attempts` counts on. One that is still open is given back.
            last_resort: whether, with nobody admissible, somebody may be asked all the same, now and then, so that a
                recovery is always noticed. False where the caller has others to turn to.

        Raises:
            AllTargetsFailed: nobody may be asked now. `.skipped` says why, `.retry_after` when to come back.
        """
        now = self._clock()
        tiers = self._tiers(among)
        if after is None:
            call = Call(
                f"pick-{next(self._ids)}", request, tiers, streaming, now, now + self.policy.deadline,
                self.policy.max_attempts, watched=False,
            )  # fmt: skip
            self._gate.call_started(now)
        else:
            after.settle(CANCELLED)
            call = after.call
            call.tiers, call.deadline = tiers, now + self.policy.deadline
        call.panics = last_resort
        attempt = self._next(call)
        lease = Lease(self, call, attempt)
        self._open[lease] = None
        self._tell()
        return lease

    def health(self) -> PoolHealth:
        """A typed snapshot of every target's and domain's state; `attempts` counts open leases."""
        return snapshot(self._gate, self._clock())

    def __repr__(self) -> str:
        return f"Selector({', '.join(self._members)})"

    def _next(self, call: Call) -> Attempt:
        now = self._clock()
        step = self._gate.next_step(call, now)
        if isinstance(step, GiveUp) and any(
            self._gate.tracker.available_at(member, now) <= now for member in call.asked
        ):
            call.asked.clear()  # everybody was asked, and some are none the worse for it: begin anew
            step = self._gate.next_step(call, now)
        while isinstance(step, Pause):  # a Retry-After of nothing at all: the same target again, at once
            step = self._gate.next_step(call, self._clock())
        if isinstance(step, GiveUp):
            self._tell()
            raise failed(call, step)
        return step

    def _tiers(self, among: Collection[str] | None) -> tuple[tuple[TargetState, ...], ...]:
        members = list(self._members.values())
        if among is not None:
            missing = [name for name in among if name not in self._members]
            if missing:
                known = ", ".join(self._members) or "none yet"
                raise ConfigError([Problem.at("among", name, f"names no target; known: {known}") for name in missing])
            members = [member for member in members if member.name in among]
        levels = sorted({member.target.tier for member in members})
        return tuple(tuple(member for member in members if member.target.tier == level) for level in levels)

    def _settle(self, lease: Lease, outcome: Outcome, seconds: float | None) -> bool:
        if self._open.pop(lease, lease) is lease:  # popped already: settled by another thread, or before
            return False
        now, started = self._clock(), lease.attempt.permit.started
        self._gate.settle(lease.call, lease.attempt, outcome, now if seconds is None else min(now, started + seconds))
        self._tell()
        return True

    def _broke(self, lease: Lease, outcome: Outcome) -> None:
        self._gate.record_stream_break(lease.call, lease.attempt, outcome, "", self._clock())
        self._tell()

    def _tell(self) -> None:
        told, _ = self._gate.take_pending()
        if told:
            events.emit(told, self._listeners)


class Lease:
    """The right to ask one target once. Settled exactly once; the first word counts.

    As a context manager it settles itself: OK, or what the raised exception is classified as; given back as abandoned
    when the caller was cancelled. A probe that is never settled frees its place after `Breaker.lease` seconds.
    """

    __slots__ = ("_selector", "attempt", "call")

    def __init__(self, selector: Selector, call: Call, attempt: Attempt) -> None:
        self._selector, self.call, self.attempt = selector, call, attempt

    @property
    def target(self) -> Target:
        """Who is to be asked."""
        return self.attempt.target_state.target

    @property
    def why(self) -> AttemptReason:
        """How it came to this target: first, failover, probe, return or panic."""
        return self.attempt.reason

    @property
    def timeout(self) -> float:
        """Seconds that a pool would give this attempt: to the first token of a stream, or to a whole answer."""
        return self.attempt.timeout

    def settle(self, outcome: Outcome = OK, *, seconds: float | None = None) -> bool:
        """Say how it ended: for a stream at its first content, otherwise at the end of the answer.

        `seconds` is how long that took; give it if it is told later than it happened. Returns whether this word counted.
        """
        return self._selector._settle(self, outcome, seconds)  # pyright: ignore[reportPrivateUsage] - one module, two halves

    def broke(self, outcome: Outcome) -> None:
        """A second observation: the stream that had been settled OK broke afterwards."""
        self._selector._broke(self, outcome)  # pyright: ignore[reportPrivateUsage]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.settle(OK)
        else:
            self.settle(classify(error) if isinstance(error, Exception) else CANCELLED)

    def __repr__(self) -> str:
        return f"Lease({self.target.name!r}, {self.why!r})"
