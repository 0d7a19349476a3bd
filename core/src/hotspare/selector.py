"""A pool's health and routing for callers who make the calls themselves: pick a target, report later how the call ended.

::

    selector = Selector([Target("openai/whisper-1"), Target("groq/whisper-large-v3")])
    with selector.pick() as lease:  # an exception inside is classified; without one the outcome is OK
        text = transcribe(lease.target.model)
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self, Unpack

from hotspare import events
from hotspare._classify.rate_limits import rate_limits
from hotspare._classify.rules import classify
from hotspare._config.routes import target_problems
from hotspare._drivers import fork
from hotspare._drivers.notifier import Notifier
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare._engine.decide import GiveUp
from hotspare._engine.flow import all_targets_failed
from hotspare._engine.scheduler import Scheduler
from hotspare._health.breaker import CircuitBreaker
from hotspare._health.domains import domains_of
from hotspare._health.target_state import TargetState
from hotspare._routing.candidates import Tier, Tiers
from hotspare.errors import ConfigError, Problem
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Usage
from hotspare.outcome import CANCELLED, OK, AttemptReason, Kind, Outcome
from hotspare.policy import Policy, PolicyFields, policy_of
from hotspare.providers.presets import known_secrets
from hotspare.secret import Redactor
from hotspare.status import PoolHealth
from hotspare.target import Target


class _CallerMakesTheCall:
    """The backend of a selector's targets: it supports every request, and makes no call.

    A selector never starts an attempt, so the four methods that would make one are never called. They are here because a
    target's state needs a complete backend; only its `classify` is used.
    """

    prefill = False
    streaming = True

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        return ()

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        raise NotImplementedError("a selector makes no call")

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        raise NotImplementedError("a selector makes no call")

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        raise NotImplementedError("a selector makes no call")

    def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        raise NotImplementedError("a selector makes no call")

    def classify(self, error: Exception) -> Outcome:
        return classify(error)


_NOTHING = ChatRequest(messages=())


class Selector:
    """Picks among targets by the health, the failure domains and the strategy of a pool, and makes no call.

    It never waits: its policy has ``retry_same_target="never"``, ``max_retry_after_wait=0``, ``when_all_down="fail"``, and
    neither races nor hedges. It measures no time: the caller reports timeouts, as `Outcome(Kind.TIMEOUT)` or by
    raising inside the lease. The caller also decides whether a call continues after a failure: to try again, pick
    again.

    Args:
        targets: the targets to pick from; `add` adds more later. They need no key and no known provider.
        policy: as for a Pool; its fields may be given as keywords instead.
        listeners: called with every event; see `hotspare.events`.
        clock: monotonic seconds; for tests.
        rng: the source of jitter and of weighted choices; for tests.

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
        **policy_fields: Unpack[PolicyFields],
    ) -> None:
        self.policy = replace(
            policy_of(policy, policy_fields),
            retry_same_target="never",
            max_retry_after_wait=0.0,
            when_all_down="fail",
            on_slow="abandon",
            hedge=None,
            failover_on=frozenset({Kind.CONTENT_FILTER, Kind.INVALID}),
        )
        self._scheduler = Scheduler((), self.policy, rng or random.Random())
        self._states: dict[str, TargetState] = {}
        self._open: dict[Lease, None] = {}
        self._notify = Notifier(self._scheduler, listeners)
        self._clock = clock
        self._ids = itertools.count(1)
        fork.watch(self._scheduler, self._notify)
        self.add(*targets)

    def add(self, *targets: Target) -> None:
        """Add targets. Raises ConfigError for a name that is taken."""
        known = [state.target for state in self._states.values()]
        problems = target_problems(enumerate([*known, *targets]), check_provider=False)
        if problems:
            raise ConfigError(problems)
        redactor = Redactor(known_secrets([*known, *targets]))
        for state in self._states.values():
            state.redactor = redactor
        states = [
            TargetState(
                target,
                _CallerMakesTheCall(),
                CircuitBreaker(self.policy.breaker),
                domains_of(target),
                position,
                redactor=redactor,
            )
            for position, target in enumerate(targets, len(self._states))
        ]
        self._states |= {state.name: state for state in states}
        self._scheduler.add(states)

    def pick(
        self,
        *,
        among: Collection[str] | None = None,
        request: ChatRequest = _NOTHING,
        streaming: bool = False,
        after: Lease | None = None,
        last_resort: bool = True,
    ) -> Lease:
        """The target to call now.

        Args:
            among: names of the targets that may be picked. None: all.
            request: what will be sent, as far as it is known.
            streaming: whether the answer will be streamed.
            after: the failed lease of the same call: another target comes first, if possible one outside of the failure
                domain at fault, and `max_attempts` continues to count. A lease that is still open is settled as cancelled.
            last_resort: whether an occasional attempt may be made when no target is available, so that a recovery is
                always noticed. False if the caller has another way to get an answer.

        Raises:
            AllTargetsFailed: no target is available. `.skipped` has the reasons, `.retry_after` when to try again.
        """
        tiers = self._tiers(among)
        if after is None:
            call = self._new_call(request, tiers, streaming)
        else:
            after.settle(CANCELLED)
            call = after.call
            call.tiers, call.deadline = tiers, self._clock() + self.policy.deadline
        call.allow_last_resort = last_resort
        lease = Lease(self, call, self._next(call))
        self._open[lease] = None
        self._notify()
        return lease

    def _new_call(self, request: ChatRequest, tiers: Tiers, streaming: bool) -> Call:
        now = self._clock()
        self._scheduler.call_started(now)
        return Call(
            f"pick-{next(self._ids)}",
            request,
            tiers,
            streaming,
            now,
            now + self.policy.deadline,
            self.policy.max_attempts,
            self.policy,
            tracks_ttft=False,
        )

    def health(self) -> PoolHealth:
        """A typed snapshot of the state of every target and domain; `in_flight` counts open leases."""
        return self._scheduler.health(self._clock())

    def __repr__(self) -> str:
        return f"Selector({', '.join(self._states)})"

    def _next(self, call: Call) -> Attempt:
        now = self._clock()
        step = self._scheduler.next_step(call, now)
        if isinstance(step, GiveUp) and any(self._scheduler.is_available(state, now) for state in call.results):
            # All targets were tried, but some are available: start again with all of them.
            for attempt in call.attempts:
                attempt.superseded = True
            step = self._scheduler.next_step(call, now)
        while isinstance(step, Wait):  # a Retry-After of 0: the same target again, immediately
            step = self._scheduler.next_step(call, self._clock())
        if isinstance(step, GiveUp):
            self._notify()
            raise all_targets_failed(call, step)
        return step

    def _tiers(self, among: Collection[str] | None) -> Tiers:
        states = list(self._states.values())
        if among is not None:
            missing = [name for name in among if name not in self._states]
            if missing:
                known = ", ".join(self._states) or "none yet"
                raise ConfigError([Problem.at("among", name, f"names no target; known: {known}") for name in missing])
            states = [state for state in states if state.name in among]
        levels = sorted({state.target.tier for state in states})
        return tuple(Tier(state for state in states if state.target.tier == level) for level in levels)

    def _settle(
        self,
        lease: Lease,
        outcome: Outcome,
        seconds: float | None,
        usage: Usage | None,
        headers: Mapping[str, str] | None,
    ) -> bool:
        if self._open.pop(lease, lease) is lease:  # already popped: settled earlier, or by another thread
            return False
        if headers is not None and not outcome.limits:
            named = {name.lower(): value for name, value in headers.items()}
            outcome = replace(outcome, limits=rate_limits(named, time.time()))
        if outcome.ok:
            lease.attempt.result = ChatReply(usage=usage or Usage(), limits=outcome.limits)
        now, started = self._clock(), lease.attempt.permit.started
        ended = now if seconds is None else min(now, started + seconds)
        self._scheduler.settle(lease.call, lease.attempt, lease.attempt.state.redacted(outcome), ended)
        self._notify()
        return True

    def _record_break(self, lease: Lease, outcome: Outcome) -> None:
        redacted = lease.attempt.state.redacted(outcome)
        self._scheduler.record_stream_break(lease.call, lease.attempt, redacted, "", self._clock())
        self._notify()


class Lease:
    """The right to call one target once. Settled exactly once; the first report counts.

    As a context manager it settles itself: OK, or the classified exception; cancelled when the
    caller was cancelled. A probe that is never settled frees its place after `Breaker.probe_lease` seconds.
    """

    __slots__ = ("_selector", "attempt", "call")

    def __init__(self, selector: Selector, call: Call, attempt: Attempt) -> None:
        self._selector, self.call, self.attempt = selector, call, attempt

    @property
    def target(self) -> Target:
        """The target to call."""
        return self.attempt.target

    @property
    def reason(self) -> AttemptReason:
        """Why this target was picked."""
        return self.attempt.reason

    @property
    def timeout(self) -> float:
        """The timeout in seconds that a pool would set for this attempt: to the first token of a stream, or to a whole answer."""
        return self.attempt.timeout

    def settle(
        self,
        outcome: Outcome = OK,
        *,
        seconds: float | None = None,
        usage: Usage | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bool:
        """Report how the call ended: for a stream at its first content, otherwise at the end of the answer.

        `seconds`: how long it took; needed if it is reported later than it ended. `usage`: its tokens, so that unused
        reserved tokens of the target's limits are returned. `headers`: of the response, so that limits stated there are learnt
        (`Policy.learn_limits`). Returns whether this report counted.
        """
        return self._selector._settle(self, outcome, seconds, usage, headers)  # pyright: ignore[reportPrivateUsage] - both classes are parts of one module

    def record_break(self, outcome: Outcome) -> None:
        """Report that the stream, settled as OK before, broke afterwards."""
        self._selector._record_break(self, outcome)  # pyright: ignore[reportPrivateUsage]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.settle(OK)
        else:
            self.settle(self.attempt.state.classify(error) if isinstance(error, Exception) else CANCELLED)

    def __repr__(self) -> str:
        return f"Lease({self.target.name!r}, {str(self.reason)!r})"
