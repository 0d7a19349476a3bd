"""The beginning and the end of an attempt: its permit, its bounds, its record. The scheduler holds the lock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from math import inf
from random import Random

from hotspare import events
from hotspare._engine import call_report, continuation, limiting, timeouts
from hotspare._engine.budgets import ClientThrottle, HedgeTokens, RetryTokens
from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.reasons import Trace
from hotspare._engine.waiters import WaitQueue
from hotspare._health.breaker import State
from hotspare._health.failures import suspect
from hotspare._health.pace import TOKENS
from hotspare._health.percentiles import Percentiles
from hotspare._health.target_state import TargetState
from hotspare._health.tracker import HealthTracker
from hotspare._routing.affinity import Sessions
from hotspare._routing.capabilities import named_features, required_fields, unsupported_fields, without_fields
from hotspare._values import made
from hotspare.messages import ChatReply, ChatRequest, Usage
from hotspare.outcome import AttemptReason, AttemptRecord, Kind, Outcome, Scope
from hotspare.policy import Policy

MAX_TOKENS = 1e7
"""No answer has more tokens: a server that reports more is wrong, and its figure must not distort the average length of answers."""
OUTPUT_SAMPLES = 20.0
"""The usual length of an answer is an exponential moving average over this many answers."""


_ANSWERED = (Kind.OK, Kind.REJECTED, Kind.CONTENT_FILTER)
"""The target has answered, and bills the attempt. Such an attempt always counts against `max_attempts`: otherwise a call whose
streams always break, or whose answers are always rejected, would never end during an outage."""
_OK, _CANCELLED = Kind.OK, Kind.CANCELLED
_WHILE_UNAVAILABLE = (AttemptReason.LAST_RESORT, AttemptReason.EARLY_PROBE)
"""Attempts at targets that are not available: their permits are of last resort."""
FAST_PROBES = 7
"""Early probes per interval while they fail fast: they cost their caller little time, and a recovery is noticed sooner."""
MAX_FAST_PROBES = 28
"""Upper bound of fast early probes since the last success: four seconds of them. A long outage must not cause more load."""


@dataclass(slots=True)
class SharedState:
    """Everything that the calls of one pool share. Changed under the scheduler's lock only.

    `output_tokens`: the usual length of an answer. `is_observed`: there are listeners; without listeners no events of calls are
    created. `reports_late`, `answered`: see `call_report`. `trace`: filled by each decision while the pool is recorded; else None.
    """

    policy: Policy
    rng: Random
    tracker: HealthTracker
    retry_tokens: RetryTokens
    hedge_tokens: HedgeTokens
    client_throttle: ClientThrottle
    queue: WaitQueue
    in_flight: int = 0
    is_observed: bool = True
    reports_late: bool = False
    answered: deque[tuple[Call, float]] = field(default_factory=deque[tuple[Call, float]])
    next_early_probe: float = -inf
    fast_probes: int = MAX_FAST_PROBES
    first_token: Percentiles = field(default_factory=lambda: Percentiles(is_seldom_read=True))
    completion: Percentiles = field(default_factory=lambda: Percentiles(is_seldom_read=True))
    output_tokens: float = 0.0
    sessions: Sessions = field(default_factory=Sessions)
    trace: Trace | None = None


def start(
    call: Call, state: TargetState, shared: SharedState, now: float, reason: AttemptReason, *, others_in: float
) -> Attempt:
    """Take a permit and set the bounds of a new attempt. `others_in`: seconds until another target can be tried after it."""
    if call.is_reported_late and call.attempts:
        call_report.catch_up(call, shared)
    policy = call.policy
    unary = timeouts.wants_unary(call, state, policy)
    p95, stall_after = timeouts.p95_of(state, policy, unary=unary), None
    if call.tracks_ttft:
        usual = shared.completion if unary else shared.first_token
        stall_after = timeouts.stalled_after(call, state, policy, usual, p95=p95, unary=unary)
    permit = shared.tracker.acquire(state, now, stall_after=stall_after, last_resort=reason in _WHILE_UNAVAILABLE)
    others = others_in <= 0
    timeout = timeouts.attempt_timeout(
        call, state, policy, now, p95=p95, unary=unary, others_in=others_in, probe=permit.probe and others
    )
    race_after = None
    if others and policy.on_slow == "race":
        race_after, timeout = timeout, call.time_left(now)
    last = call.last
    if last is not None and last.outcome is not None and last.state is not state:
        shared.tracker.pending_events.append(events.FailedOver(call.id, last.state.name, state.name, last.outcome.kind))
    if permit.probe and reason in (AttemptReason.FIRST, AttemptReason.FAILOVER):
        reason = AttemptReason.PROBE
    request = call.request if call.emitted is None else continuation.request_for(call, state, policy)
    is_continuation = request is not call.request
    if state.changes_requests or request.parallel_tool_calls is not None:
        request = _sendable(request, state)
    stall = policy.timeouts.stall if unary else timeouts.stall_timeout(state, policy)
    attempt = Attempt(
        len(call.attempts) + 1, state, permit, request, reason, timeout, stall, unary, is_continuation, race_after
    )
    if state.limits is not None:
        limiting.take(call, attempt, state.limits, shared, now)
    call.attempts.append(attempt)
    shared.in_flight += 1
    return attempt


def settle(call: Call, attempt: Attempt, outcome: Outcome, shared: SharedState, now: float) -> None:
    """Release a permit with the outcome of its attempt, and record what the outcome shows. Exactly once per attempt."""
    permit, state, tracker = attempt.permit, attempt.state, shared.tracker
    if permit.settled:
        raise AssertionError("a permit must be settled exactly once")
    permit.settled, ok = True, outcome.kind is _OK
    is_recovery = ok and bool(shared.queue.waiting) and state.is_broken
    has_begun = ok and isinstance(attempt.result, OpenStream)
    shared.in_flight -= 1
    seconds = now - permit.started
    attempt.record = made(
        AttemptRecord, number=attempt.number, target=state.name, kind=outcome.kind, seconds=seconds, reason=attempt.reason,
        status=outcome.status, code=outcome.code, message=outcome.message, ttft=seconds if ok and not attempt.unary else None,
        retry_after=outcome.retry_after, scope=outcome.scope, chosen_by=attempt.chosen_by, passed=attempt.passed,
    )  # fmt: skip
    if call.is_check:
        state.checks += 1
    elif shared.is_observed:
        call_report.attempt_ended(call, attempt, shared)
    if has_begun:
        attempt.is_streaming = True
        state.breaker.streams += 1
        tracker.record_first_content(state, permit, now)
    else:
        tracker.record_outcome(state, permit, outcome, now)
    tracker.release(state, permit)
    state.record_end(outcome, now)
    if not call.is_check:  # the answer to a check is far shorter than other answers
        _record_pace(call, attempt, outcome, seconds, shared, now)
    limiting.settle_answered(attempt, outcome, shared, now)
    if ok:
        _learn_from_success(call, state, shared, now)
    _end(call, attempt, outcome, shared, now)
    if shared.queue.waiting:
        shared.queue.wake(limiting.free(state, now) if ok else 1, at=state if ok else None)
        if is_recovery:
            _wake_probes(state, shared, now)


def _wake_probes(recovered: TargetState, shared: SharedState, now: float) -> None:
    """Wake a call for each target that may now be probed because another one has recovered."""
    tracker = shared.tracker
    for state in (*tracker.states, *tracker.guests):
        if state is not recovered and state.breaker.state is State.OPEN and tracker.available_at(state, now) <= now:
            shared.queue.wake(1, at=state)


def _end(call: Call, attempt: Attempt, outcome: Outcome, shared: SharedState, now: float) -> None:
    """Make the attempt the call's latest, unless it was cancelled. An extra attempt counts as soon as the target has answered it."""
    if outcome.kind is _CANCELLED:
        attempt.lost = True
        return
    ok = outcome.kind is _OK
    attempt.lost = outcome is attempt.outcome  # overdue, and never answered
    shared.client_throttle.record(now, accepted=ok)
    attempt.end(outcome, now)
    call.last = attempt
    if attempt.extra and outcome.kind in _ANSWERED:
        attempt.extra, call.max_attempts = False, call.max_attempts - 1
    if not ok:
        _learn_from_failure(call, attempt, outcome, shared, now)


def end_stream(attempt: Attempt, outcome: Outcome, usage: Usage | None, shared: SharedState, now: float) -> None:
    """A stream that had begun is over, for any reason. May be called more than once."""
    breaker = attempt.state.breaker
    breaker.streams = max(0, breaker.streams - attempt.is_streaming)  # after a fork, the parent's are not counted
    attempt.is_streaming = False
    limiting.settle(attempt, outcome, usage, shared, now)


def take_retry_token(call: Call, shared: SharedState, now: float) -> bool:
    """Take one retry token. The first time that none is left emits `BudgetExhausted`."""
    was_exhausted = shared.retry_tokens.exhausted
    if shared.retry_tokens.withdraw(now):
        return True
    if not was_exhausted:
        shared.tracker.pending_events.append(events.BudgetExhausted(call.id))
    return False


def _record_pace(
    call: Call, attempt: Attempt, outcome: Outcome, seconds: float, shared: SharedState, now: float
) -> None:
    """Record how fast the target was. After a timeout or a cancellation: that an answer would have taken at least as long."""
    reply, state, answer_kind = attempt.result, attempt.state, (attempt.unary, call.reasons)
    if outcome.kind is _OK:
        if attempt.unary:
            state.completion.add(seconds)
            shared.completion.add(seconds)
        else:
            state.first_token.add(seconds)
            shared.first_token.add(seconds)
        is_whole = attempt.unary or call.tracks_ttft  # a selector's stream is timed to its first token
        if is_whole and isinstance(reply, ChatReply) and (reply.text or reply.usage.output_tokens):
            tokens = min(reply.usage.output_tokens or len(reply.text) / 4, MAX_TOKENS)
            shared.output_tokens += (tokens - shared.output_tokens) / OUTPUT_SAMPLES
            seconds /= 1 + tokens / TOKENS
        pace = state.record_pace(answer_kind, seconds, now, shared.policy.brownout)
        if pace is not None:
            changed = events.SpeedChanged(
                state.name, pace.slow, pace.slow_seconds, pace.usual or 0.0, whole=attempt.unary
            )
            shared.tracker.pending_events.append(changed)
    elif outcome.kind in (Kind.TIMEOUT, Kind.CANCELLED):
        if attempt.unary:
            seconds /= 1 + shared.output_tokens / TOKENS
        state.record_pace_at_least(answer_kind, seconds, now)


def _learn_from_failure(call: Call, attempt: Attempt, outcome: Outcome, shared: SharedState, now: float) -> None:
    alike = alike_failures(call)
    if len(alike) > 1 and attempt in alike:
        suspect([(one.state, one.permit) for one in alike], now, call.id)
    attempt.superseded = outcome.kind is Kind.INVALID and _learn_capability(call, attempt, outcome)
    if not attempt.superseded:
        _learn_refusal(call, attempt.state, outcome, shared.policy, now)
    started = attempt.permit.started
    is_fast = attempt.reason is AttemptReason.EARLY_PROBE and now - started <= call.policy.fast_failure
    if is_fast and shared.fast_probes > 0:
        shared.fast_probes -= 1
        shared.next_early_probe = min(shared.next_early_probe, started + call.policy.early_probe_interval / FAST_PROBES)


def alike_failures(call: Call) -> list[Attempt]:
    """The attempts of a call at different targets that ended with the same server error as the latest one."""
    last = call.last.outcome if call.last is not None else None
    if last is None or last.kind is not Kind.SERVER or last.status is None:
        return []
    by_target = {
        attempt.state: attempt
        for attempt in call.attempts
        if attempt.outcome is not None and (attempt.outcome.kind, attempt.outcome.status) == (Kind.SERVER, last.status)
    }
    return list(by_target.values())


def _learn_from_success(call: Call, state: TargetState, shared: SharedState, now: float) -> None:
    """Remember the target for the conversation. If another target had rejected the same request as INVALID: it does not support
    one of the request's features, or, if the request uses none, it is failing."""
    shared.fast_probes = MAX_FAST_PROBES
    if call.session is not None:
        shared.sessions.record(call.session, state, now)
    if state.invalid_streaks or state.refused or state.accepted:
        state.record_accepted(call.features, now)
    if len(call.attempts) == 1:
        return
    for other, result in call.results.items():
        outcome = result.outcome
        if outcome is None or outcome.kind is not Kind.INVALID or outcome.fault_scope is not Scope.REQUEST:
            continue
        if call.features - {"stream"}:
            other.refused[call.features] = now + shared.policy.refusal_memory
        else:
            shared.tracker.record_contradicted_invalid(other, outcome, call.started, now)


def _learn_refusal(call: Call, state: TargetState, outcome: Outcome, policy: Policy, now: float) -> None:
    """Remember the features of the request that the target does not support, if its error names them; else count its INVALID outcomes."""
    if outcome.kind is Kind.INVALID and outcome.fault_scope is Scope.REQUEST:
        state.invalid_streaks[call.features] = state.invalid_streaks.get(call.features, 0) + 1
    elif (outcome.kind, outcome.fault_scope) in ((Kind.INVALID, Scope.TARGET), (Kind.NOT_FOUND, Scope.REQUEST)):
        named = named_features(call.features, outcome)
        if named:
            state.refused[named] = now + policy.refusal_memory


def _learn_capability(call: Call, attempt: Attempt, outcome: Outcome) -> bool:
    """Whether a 400 showed that the target supports no prefill, or no streaming. Then the same call may try it again without."""
    state = attempt.state
    if attempt.is_continuation and attempt.request.messages[-1].get("role") == "assistant":
        state.prefill = False
        return True
    if not call.streaming and not attempt.unary and "stream" in outcome.message.lower():
        state.streaming = False
        return True
    return False


def _sendable(request: ChatRequest, state: TargetState) -> ChatRequest:
    """The request for this target: with the target's own system message, without unsupported fields that may be dropped."""
    target = state.target
    if target.system and not (target.backend is not None and request.native is not None):
        request = replace(request, messages=[{"role": "system", "content": target.system}, *request.messages])
    if target.drop:
        request = without_fields(request, target.drop)
    if not target.droppable and request.parallel_tool_calls is None:
        return request
    names = unsupported_fields(request, target, state.backend)
    dropped = set(names).difference(required_fields(names, target))
    return without_fields(request, dropped) if dropped else request
