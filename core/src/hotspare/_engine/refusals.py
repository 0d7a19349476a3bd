"""Answers that are not taken: refusals that carry words, where the policy lets them fail over (`failover_on` with CONTENT_FILTER),
and what the caller's `accept` rejects."""

from __future__ import annotations

from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._routing.acceptance import objection
from hotspare.errors import InBandError
from hotspare.messages import ChatChunk, ChatReply
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Policy


def refusal_in(answer: ChatReply | ChatChunk) -> InBandError | None:
    """The error that a refused answer means; None if it is none: by its finish reason, or by the model's own refusal."""
    if not answer.refusal and answer.finish_reason != "content_filter":
        return None
    message = answer.refusal or "the answer was cut by a content filter (finish_reason: content_filter)"
    return InBandError(message, code="content_filter")


def judged(call: Call, attempt: Attempt, outcome: Outcome) -> Outcome:
    """The outcome of an attempt; of an answer that is not taken, why. A stream is judged at its end (`StreamMonitor`)."""
    outcome = outcome_with_refusals(attempt, outcome, call.policy)
    reply = attempt.result
    if not outcome.ok or call.accept is None or not isinstance(reply, ChatReply) or call.emitted is not None:
        return outcome
    why = objection(reply, call.request, call.accept)
    return Outcome(Kind.REJECTED, why) if why else outcome


def outcome_with_refusals(attempt: Attempt, outcome: Outcome, policy: Policy) -> Outcome:
    """The outcome of an attempt; of one that was answered with a refusal, CONTENT_FILTER if the policy fails over on it.

    Of a stream only its first content is looked at: what comes later is handed out already.
    """
    if not outcome.ok or Kind.CONTENT_FILTER not in policy.failover_on or attempt.result is None:
        return outcome
    answer = attempt.result.first if isinstance(attempt.result, OpenStream) else attempt.result
    error = refusal_in(answer)
    return outcome if error is None else attempt.state.classify(error)
