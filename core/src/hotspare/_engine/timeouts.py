"""The timeouts of an attempt. Pure functions of a call, a target's record and the policy; all times in seconds."""

from __future__ import annotations

from itertools import islice

from hotspare._engine.call import Call
from hotspare._health.percentiles import Percentiles
from hotspare._health.target_state import TargetState
from hotspare.policy import Policy

_NO_RECORD_FACTOR = 2.0
"""Factor on the p95 of other targets, for a target without a record: the same model is not equally fast everywhere."""
_MAX_EQUALS = 8
"""How many targets are compared at most, so that the work per attempt does not grow with the pool."""
_LEAST_FACTOR = 3.0
"""Factor on a target's own p95 for its shortest timeout: a fixed timeout below that would cut healthy calls to slow models."""


def wants_unary(call: Call, state: TargetState, policy: Policy) -> bool:
    """Whether a whole answer is requested, not a stream. Never for a call that streams; else always if the target cannot stream;
    else as set by the caller, the target or the policy, in this order; with `auto`, if the target has a good record."""
    if call.streaming:
        return False
    setting = call.completion or state.target.completion or policy.completion
    if setting != "auto" or not state.streaming:
        return setting == "wait" or not state.streaming
    if not state.prefers_streaming or call.request.extra:
        return True
    return len(state.completion) >= policy.timeouts.min_samples and not state.breaker.is_suspect


def attempt_timeout(
    call: Call, state: TargetState, policy: Policy, now: float, *, p95: float | None, unary: bool, others_in: float,
    probe: bool,
) -> float:  # fmt: skip
    """The timeout of an attempt: to its first token, or (unary) to a whole answer. `p95`: from the target's record.

    While others can still be tried, it follows the target's own record, or twice that of an equal target, and never
    exceeds a fraction of the time left; the last target gets all the time left. `others_in`: seconds until another target is
    available; if it is above 0, only the target's record limits the attempt. A `probe` gets the shortest timeout, since another
    target could answer instead.
    """
    left, timeouts = call.deadline - now, policy.timeouts
    if others_in > timeouts.max_deadline_fraction * left:
        return left
    reasoning = call.reasons or state.target.reasoning
    if p95 is None and not reasoning:
        p95 = _p95_of_equals(call, state, policy, unary=unary)
    if p95 is None and others_in > 0:
        return left
    if unary:
        bound = (
            timeouts.completion
            if p95 is None
            else max(
                timeouts.factor * p95, min(timeouts.completion_min, timeouts.min_factor * p95 + timeouts.min_margin)
            )
        )
    elif p95 is None:
        bound = timeouts.first_token_reasoning if reasoning else timeouts.first_token
    else:
        longest = max(timeouts.first_token_max, _LEAST_FACTOR * p95)
        bound = min(max(timeouts.factor * p95, timeouts.first_token_min), longest)
    if probe:
        bound = min(bound, timeouts.completion_min if unary else timeouts.first_token_min)
    return min(bound, timeouts.max_deadline_fraction * left)


def stalled_after(
    call: Call, state: TargetState, policy: Policy, usual: Percentiles, *, p95: float | None, unary: bool
) -> float:
    """Seconds after which an unanswered attempt is evidence of a stall, together with others: from the target's own record (`p95`),
    else twice the pool's p95 (`usual`)."""
    timeouts = policy.timeouts
    if p95 is None:
        p95 = usual.quantile(0.95, min_samples=timeouts.min_samples)
        p95 = None if p95 is None else _NO_RECORD_FACTOR * p95
    fixed = timeouts.completion if unary else timeouts.first_token
    bound = fixed if p95 is None else max(timeouts.stalled_factor * p95, timeouts.stalled_min)
    reasons = call.reasons or state.target.reasoning
    return max(bound, timeouts.first_token_reasoning) if reasons else bound


def p95_of(state: TargetState, policy: Policy, *, unary: bool) -> float | None:
    """The p95 of a target's record: of its whole answers (unary), or of first tokens. None while the record is too short."""
    samples = state.completion if unary else state.first_token
    return samples.quantile(0.95, min_samples=policy.timeouts.min_samples)


def _p95_of_equals(call: Call, state: TargetState, policy: Policy, *, unary: bool) -> float | None:
    """The p95 to assume for a target without a record: from the slowest of the call's first targets with the same model."""
    records = (
        p95_of(other, policy, unary=unary) or 0.0
        for other in islice(call.states(), _MAX_EQUALS)
        if other.target.model == state.target.model
    )
    return _NO_RECORD_FACTOR * max(records) or None


def stall_timeout(state: TargetState, policy: Policy) -> float:
    """Seconds of silence after which a running stream counts as stalled: from the target's own gaps, once they are known."""
    timeouts = policy.timeouts
    p95 = state.gaps.quantile(0.95, min_samples=timeouts.min_samples)
    return timeouts.stall if p95 is None else min(max(timeouts.stall_factor * p95, timeouts.stall_min), timeouts.stall)


def min_throughput(state: TargetState, policy: Policy) -> float:
    """Bytes a second below which a stream is too slow: from the target's own throughput, once it is known."""
    timeouts = policy.timeouts
    p50 = state.throughput.quantile(0.5, min_samples=timeouts.min_samples)
    return max(timeouts.min_throughput, timeouts.min_throughput_ratio * (p50 or 0.0))


def min_useful_time(call: Call, state: TargetState, policy: Policy) -> float:
    """No attempt is started with less than this many seconds left: 1 s, or the target's median."""
    samples = state.completion if wants_unary(call, state, policy) else state.first_token
    return max(policy.timeouts.start_min, samples.quantile(0.5) or 0.0)
