"""Which answers count as rejected: refusals with a text, and answers that the caller's `accept` does not take; and background checks."""

from typing import Any

import pytest
from hotspare import ChatChunk, ChatReply, Kind, Outcome
from hotspare._engine.call import OpenStream
from hotspare._engine.checking import check_of
from hotspare._engine.refusals import judged, refusal_in
from hotspare._routing.candidates import Tier
from hotspare.errors import InBandError
from hotspare.messages import ChatRequest
from hotspare.policy import Hedge, Policy, Timeouts

from tests.support.engine import CANCELLED, OK, SERVER, Engine, NoBackend, state_of

REFUSED = ChatReply(text="", refusal="I cannot")
CUT = "the answer was cut by a content filter (finish_reason: content_filter)"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (REFUSED, "I cannot"),
        (ChatReply(text="so f", finish_reason="content_filter"), CUT),
        (ChatChunk(refusal="I can"), "I can"),
        (ChatChunk(finish_reason="content_filter"), CUT),
        (ChatReply(text="a", finish_reason="stop"), None),
    ],
)
def test_what_is_a_refusal(answer: Any, message: str | None) -> None:
    """The model's text of it, or the finish reason of a filter."""
    found = refusal_in(answer)
    assert (None if found is None else str(found)) == message
    assert found is None or (isinstance(found, InBandError) and found.code == "content_filter")


class Judge(NoBackend):
    """A backend that names the class of each error."""

    def classify(self, error: Exception) -> Outcome:
        return Outcome(Kind.CONTENT_FILTER, f"{type(error).__name__}: {error}")


def take_long(reply: ChatReply) -> bool | str:
    """Accepts long answers only."""
    return len(reply.text) > 3 or "it is too short"


FILTERED = Outcome(Kind.CONTENT_FILTER, "InBandError: I cannot")
SHORT = Outcome(Kind.REJECTED, "it is too short")
OPENED = OpenStream(ChatChunk(refusal="I cannot"), None)


@pytest.mark.parametrize(
    ("result", "refusals", "accept", "outcome", "found"),
    [
        (REFUSED, True, None, OK, FILTERED),
        (REFUSED, False, None, OK, OK),
        (REFUSED, True, None, SERVER, SERVER),
        (OPENED, True, None, OK, FILTERED),
        (OPENED, False, take_long, OK, OK),
        (OpenStream(ChatChunk(text="a"), None), True, take_long, OK, OK),
        (ChatReply(text="long enough"), True, None, OK, OK),
        (ChatReply(text="no"), False, take_long, OK, SHORT),
        (ChatReply(text="no"), True, take_long, OK, SHORT),
        (ChatReply(text="no"), False, take_long, SERVER, SERVER),
        (ChatReply(text="long enough"), False, take_long, OK, OK),
        (REFUSED, True, take_long, OK, FILTERED),
        (REFUSED, False, take_long, OK, SHORT),
        (None, True, take_long, OK, OK),
    ],
)
def test_the_outcome_of_an_answer(result: Any, refusals: bool, accept: Any, outcome: Outcome, found: Outcome) -> None:
    """A refusal that is to fail over, else what `accept` says; of a stream only the first content is looked at here."""
    engine = Engine([state_of(backend=Judge())], failover_on={Kind.CONTENT_FILTER} if refusals else frozenset())
    call = engine.call(accept=accept)
    attempt = engine.start(call)
    attempt.result = result
    assert judged(call, attempt, outcome) == found


def test_an_answer_that_continues_another_one() -> None:
    """It is judged with the first part, at the end of the stream."""
    engine = Engine([state_of()])
    call = engine.call(accept=take_long)
    attempt = engine.start(call)
    attempt.result, call.emitted = ChatReply(text="no"), "so far"
    assert judged(call, attempt, OK) is OK


def test_a_continuation_that_was_cancelled() -> None:
    """It is not judged: its empty first chunk does not show that text was lost."""
    engine = Engine([state_of()])
    call = engine.call()
    attempt = engine.start(call)
    attempt.result, call.emitted = ChatReply(text="", finish_reason="stop"), "so far"
    assert judged(call, attempt, CANCELLED) is CANCELLED
    assert "the continuation is empty" in judged(call, attempt, OK).message


def test_a_rule_that_reads_the_request() -> None:
    """A built-in rule compares the answer with the schema that the request asked for."""
    engine = Engine([state_of()])
    fields: dict[str, Any] = {
        "messages": [{"role": "user", "content": "q"}],
        "response_format": {"type": "json_object"},
    }
    call = engine.call(accept=frozenset({"schema"}), request=ChatRequest(**fields))
    attempt = engine.start(call)
    attempt.result = ChatReply(text="no JSON")
    assert judged(call, attempt, OK) == Outcome(Kind.REJECTED, "its text is not JSON")


@pytest.mark.parametrize(("reasoning", "seconds"), [(False, 20.0), (True, 40.0), (None, 50.0)])
def test_a_background_check(reasoning: bool | None, seconds: float) -> None:
    """One attempt at one target with a tiny request, whatever the policy says of waiting, hedging and judging; with its own deadline."""
    state = state_of(reasoning=bool(reasoning))
    times = Timeouts(first_token=20.0, first_token_reasoning=40.0, start_min=50.0 if reasoning is None else 1.0)
    policy = Policy(
        timeouts=times, when_all_down="wait", on_slow="race", completion="stream", accept=take_long, hedge=Hedge()
    )
    call = check_of(state, policy, 7, 100.0)
    assert (call.id, call.route, call.is_check, call.streaming) == ("check-7", "check", True, False)
    assert (call.tiers, call.max_attempts, call.allow_last_resort) == ((Tier((state,)),), 1, False)
    assert (call.started, call.deadline) == (100.0, 100.0 + seconds)
    assert call.request == ChatRequest(messages=({"role": "user", "content": "Say ok."},), max_tokens=16)
    found = call.policy
    assert (found.when_all_down, found.hedge, found.on_slow, found.completion, found.accept) == (
        "fail", None, "abandon", "wait", None,
    )  # fmt: skip
    assert found.timeouts == times, "everything else is the pool's"
