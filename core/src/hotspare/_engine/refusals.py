"""Refusals that carry words: answers, unless the policy lets them fail over (`failover_on` with CONTENT_FILTER)."""

from __future__ import annotations

from hotspare._engine.call import Attempt, OpenStream
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


def outcome_with_refusals(attempt: Attempt, outcome: Outcome, policy: Policy) -> Outcome:
    """The outcome of an attempt; of one that was answered with a refusal, CONTENT_FILTER if the policy fails over on it.

    Of a stream only its first content is looked at: what comes later is handed out already.
    """
    if not outcome.ok or Kind.CONTENT_FILTER not in policy.failover_on or attempt.result is None:
        return outcome
    answer = attempt.result.first if isinstance(attempt.result, OpenStream) else attempt.result
    error = refusal_in(answer)
    return outcome if error is None else attempt.state.classify(error)
