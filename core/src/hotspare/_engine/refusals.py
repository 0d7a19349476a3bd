"""Rejected answers: refusals with a text, if the policy lets them fail over (`failover_on` with CONTENT_FILTER), answers that
the caller's `accept` rejects, and continuations whose text was lost."""

from __future__ import annotations

from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.continuation import lost_in
from hotspare._engine.folding import chunks_of
from hotspare._routing.acceptance import objection
from hotspare.errors import InBandError
from hotspare.messages import ChatChunk, ChatReply
from hotspare.outcome import Kind, Outcome

_OK, _CONTENT_FILTER = Kind.OK, Kind.CONTENT_FILTER


def refusal_in(answer: ChatReply | ChatChunk) -> InBandError | None:
    """The error for a refusal, recognised by the finish reason or by the model's refusal text; None if the answer is no refusal."""
    if not answer.refusal and answer.finish_reason != "content_filter":
        return None
    message = answer.refusal or "the answer was cut by a content filter (finish_reason: content_filter)"
    return InBandError(message, code="content_filter")


def judged(call: Call, attempt: Attempt, outcome: Outcome) -> Outcome:
    """The outcome of an attempt; for a rejected answer, the outcome that says why. A stream is judged at its end (`StreamMonitor`)."""
    result, accept, failover_on = attempt.result, call.accept, call.policy.failover_on
    if result is None or outcome.kind is not _OK:
        return outcome
    if call.emitted:
        first, end = (result.first,) * 2 if isinstance(result, OpenStream) else chunks_of(result)
        lost = None if first.is_content else lost_in(end, call.policy)
        if lost is not None:
            return attempt.state.classify(lost)
    if _CONTENT_FILTER in failover_on:
        # Of a stream only the first content is checked: later content has already been delivered.
        error = refusal_in(result.first if isinstance(result, OpenStream) else result)
        outcome = outcome if error is None else attempt.state.classify(error)
    if accept is None or not isinstance(result, ChatReply) or call.emitted is not None or not outcome.ok:
        return outcome
    why = objection(result, call.request, accept)
    return Outcome(Kind.REJECTED, why) if why else outcome
