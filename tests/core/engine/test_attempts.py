"""The beginning and the end of an attempt: its bounds, its permit, its record, and what it shows the pool."""

from typing import Any

import pytest
from hotspare import events
from hotspare._engine import attempts
from hotspare._health.admission import AFTER_PROBE
from hotspare.messages import ChatReply, ChatRequest
from hotspare.outcome import AttemptReason, AttemptRecord, Kind, Outcome
from hotspare.policy import Breaker, Policy

from tests.support.engine import CANCELLED, OK, SERVER, TIMEOUT, Engine, NoBackend, state_of

INVALID = Outcome(Kind.INVALID, "bad field", status=400)


def test_start() -> None:
    """An attempt has a number, a permit of this moment, the caller's request, and bounds by the target's record."""
    engine = Engine()
    call = engine.call()
    engine["a"].breaker.epoch = 4
    first = engine.start(call, "a", 10.0)
    assert (first.number, first.state, first.request, first.reason) == (
        1,
        engine["a"],
        call.request,
        AttemptReason.FIRST,
    )
    assert (first.permit.started, first.permit.epoch, first.permit.last_resort) == (10.0, 4, False)
    assert (first.timeout, first.stall, first.unary, first.race_after, first.is_continuation) == (
        10.0, 30.0, False, None, False,
    )  # fmt: skip
    second = engine.start(call, "b", 11.0, others=False, reason=AttemptReason.HEDGE)
    assert (second.number, second.timeout, second.reason) == (2, 89.0, AttemptReason.HEDGE)
    assert (call.attempts, engine.shared.in_flight) == ([first, second], 2)
    assert engine.events == []


def test_the_bound_of_a_whole_answer() -> None:
    """A whole answer has the time of whole answers, by the target's record of them once there is one, and so has its evidence of a
    stall. The gaps of streams do not concern it."""
    engine = Engine()
    attempt = engine.start(engine.call(streaming=False, deadline=1000.0))
    assert (attempt.unary, attempt.timeout, attempt.permit.stall_after) == (True, 60.0, 60.0)
    for _ in range(8):
        engine["a"].completion.add(4.0)
        engine["a"].gaps.add(2.0)
    attempt = engine.start(engine.call(streaming=False, deadline=1000.0))
    assert (attempt.timeout, attempt.permit.stall_after, attempt.stall) == (16.0, 20.0, 30.0)


def test_the_stall_follows_the_record() -> None:
    """The longest silence inside the stream is bounded by what is usual for this target."""
    engine = Engine()
    for _ in range(8):
        engine["a"].gaps.add(2.0)
    assert engine.start(engine.call()).stall == 10.0


@pytest.mark.parametrize(
    ("streaming", "tracks", "in_flight"), [(True, True, 1), (True, False, 0), (False, True, 1), (False, False, 0)]
)
def test_which_attempts_are_watched_for_stalls(streaming: bool, tracks: bool, in_flight: int) -> None:
    """Streams and whole answers, but not where the caller reports their first token late."""
    engine = Engine()
    attempt = engine.start(engine.call(streaming=streaming, tracks_ttft=tracks))
    assert attempt.unary is not streaming
    assert len(engine["a"].breaker.in_flight) == in_flight


def test_a_last_resort() -> None:
    """An attempt of last resort is no probe, although the breaker is open."""
    engine = Engine()
    engine.open("a")
    attempt = engine.start(engine.call(), reason=AttemptReason.LAST_RESORT)
    assert (attempt.permit.last_resort, attempt.permit.probe, attempt.reason) == (
        True,
        False,
        AttemptReason.LAST_RESORT,
    )


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        (AttemptReason.FIRST, AttemptReason.PROBE),
        (AttemptReason.FAILOVER, AttemptReason.PROBE),
        (AttemptReason.RETRY, AttemptReason.RETRY),
        (AttemptReason.AFTER_WAIT, AttemptReason.AFTER_WAIT),
    ],
)
@pytest.mark.parametrize(("others", "timeout"), [(True, 5.0), (False, 96.0)])
def test_a_probe(reason: AttemptReason, shown: AttemptReason, others: bool, timeout: float) -> None:
    """A probe has the least time while another target is left, all of it otherwise, and names itself."""
    engine = Engine()
    engine.open("a")
    attempt = engine.start(engine.call(), now=4.0, reason=reason, others=others)
    assert (attempt.permit.probe, attempt.reason, attempt.timeout) == (True, shown, timeout)
    assert engine.start(engine.call(), "b", 4.0, reason=reason).reason is reason


@pytest.mark.parametrize(
    ("on_slow", "others", "timeout", "race_after"),
    [("race", True, 90.0, 10.0), ("race", False, 90.0, None), ("abandon", True, 10.0, None)],
)
def test_racing(on_slow: Any, others: bool, timeout: float, race_after: float | None) -> None:
    """With `race` an attempt has all the time that is left, and after its own timeout the call continues beside it."""
    engine = Engine(on_slow=on_slow)
    attempt = engine.start(engine.call(), now=10.0, others=others)
    assert (attempt.timeout, attempt.race_after) == (timeout, race_after)


def test_no_race_with_a_target_that_is_not_available_yet() -> None:
    """An attempt races with another target only if that one is available now."""
    engine = Engine(on_slow="race")
    engine["b"].breaker.rate_limited_until = 10.5
    assert [engine.attempt(engine.call(), now).race_after for now in (10.0, 10.5)] == [None, 10.0]


def test_failing_over_is_an_event() -> None:
    """Going to another target after a failure is an event with its kind; the same target again is none."""
    engine = Engine()
    call = engine.call()
    engine.settle(call, engine.start(call), SERVER, 1.0)
    _ = engine.events
    again = engine.start(call, now=2.0)
    assert engine.events == []
    engine.settle(call, again, TIMEOUT, 3.0)
    _ = engine.events
    engine.start(call, "b", 4.0)
    assert engine.events == [events.FailedOver("call-1", "a", "b", Kind.TIMEOUT)]


def test_what_a_target_may_drop() -> None:
    """Fields that the target cannot be sent are left out if it may drop them; otherwise the request stays as it is."""
    request = ChatRequest(messages=[], seed=3, top_k=5, user="me")
    drops = state_of("a", backend=NoBackend("seed", "top_k"), droppable={"seed", "user"})
    keeps = state_of("b", backend=NoBackend("seed"))
    carries = state_of("c", droppable={"seed"})
    lacks = state_of("d", missing={"seed"}, droppable={"seed"})
    engine = Engine([drops, keeps, carries, lacks])
    call = engine.call(request=request)
    sent = engine.start(call, "a").request
    assert (sent.seed, sent.top_k, sent.user) == (None, 5, "me")
    assert engine.start(call, "b").request is request
    assert engine.start(call, "c").request is request
    assert engine.start(call, "d").request.seed is None
    assert [call.unsupported(state) for state in (drops, keeps, carries, lacks)] == [("top_k",), ("seed",), (), ()]


def test_a_preference_is_left_out() -> None:
    """Whether tools may be called in parallel is only a preference: a target that cannot be told so is called without it."""
    engine = Engine([state_of("a", backend=NoBackend("parallel_tool_calls")), state_of("b")])
    call = engine.call(request=ChatRequest(messages=[], parallel_tool_calls=False))
    assert [engine.start(call, name).request.parallel_tool_calls for name in "ab"] == [None, False]


def test_a_prompt_and_parameters_of_its_own() -> None:
    """A target's system message comes before the request's messages, and what it drops is never sent to it, nor keeps it from being
    called. A framework's own model has its own prompt."""
    question: Any = {"role": "user", "content": "q"}
    request = ChatRequest(messages=[question], temperature=0.5, seed=3)
    a = state_of("a", system="Be brief.", drop={"temperature", "seed"}, missing={"seed"})
    engine = Engine([a])
    call = engine.call(request=request)
    assert call.unsupported(a) == ()
    sent = engine.start(call, "a").request
    assert list(sent.messages) == [{"role": "system", "content": "Be brief."}, question]
    assert (sent.temperature, sent.seed) == (None, None)
    framework = Engine([state_of("a", system="Be brief.")])
    own = ChatRequest(messages=[question], native="the framework's request")
    object.__setattr__(framework["a"].target, "backend", NoBackend())
    assert framework.start(framework.call(request=own), "a").request is own


def test_a_continuation() -> None:
    """After a break the next attempt requests the rest."""
    engine = Engine()
    call = engine.call(emitted="said")
    attempt = engine.start(call, "b")
    assert attempt.is_continuation
    assert attempt.request.messages[1] == {"role": "assistant", "content": "said"}


# --- the end ------------------------------------------------------------------------------------------------------


def test_the_record() -> None:
    """It has everything about the attempt that users see; only a stream's success has a time to the first token."""
    outcome = Outcome(Kind.RATE_LIMITED, "slow down", status=429, code="rpm", retry_after=7.0)
    engine = Engine()
    call = engine.call()
    first = engine.start(call, now=10.0)
    engine.settle(call, first, outcome, 11.5)
    expected = AttemptRecord(1, "a", Kind.RATE_LIMITED, 1.5, AttemptReason.FIRST, 429, "rpm", "slow down", None, 7.0)
    assert first.record == expected
    assert engine.events == [events.AttemptEnded("call-1", expected), events.RateLimited("a", 7.0, 7.0)]
    second = engine.start(call, "b", 12.0, reason=AttemptReason.FAILOVER)
    engine.settle(call, second, OK, 14.0)
    assert second.record == AttemptRecord(2, "b", Kind.OK, 2.0, AttemptReason.FAILOVER, ttft=2.0)
    whole = engine.call(streaming=False)
    third = engine.start(whole, now=20.0)
    engine.settle(whole, third, OK, 23.0)
    assert third.record == AttemptRecord(1, "a", Kind.OK, 3.0)


def test_exactly_once() -> None:
    """A permit that was taken back is not taken back again."""
    engine = Engine()
    call = engine.call()
    attempt = engine.start(call)
    assert engine.shared.in_flight == 1
    engine.settle(call, attempt, OK, 1.0)
    assert (attempt.permit.settled, engine.shared.in_flight) == (True, 0)
    with pytest.raises(AssertionError, match=r"^a permit must be settled exactly once$"):
        engine.settle(call, attempt, OK, 1.0)
    assert engine.shared.in_flight == 0


def test_what_an_end_shows_its_call() -> None:
    """The outcome, the time and the latest attempt; a cancelled one shows nothing."""
    engine = Engine()
    call = engine.call()
    first = engine.start(call, now=10.0)
    engine.settle(call, first, SERVER, 11.0)
    assert (first.outcome, first.ended, first.seconds, first.lost, first.superseded) == (
        SERVER,
        11.0,
        1.0,
        False,
        False,
    )
    assert call.last is first
    second = engine.start(call, "b", 12.0)
    engine.settle(call, second, CANCELLED, 13.0)
    assert (second.outcome, second.lost, call.last) == (None, True, first)
    assert engine.shared.client_throttle.rejection_probability(13.0) == pytest.approx(0.5, abs=0.01)


def test_an_overdue_attempt_that_never_answered_is_lost() -> None:
    """Its outcome is the one it was marked with; one that ends otherwise after all has not lost."""
    engine = Engine()
    call = engine.call()
    first, second = engine.start(call), engine.start(call, "b")
    for attempt in (first, second):
        attempt.end(TIMEOUT, 10.0)
    engine.settle(call, first, TIMEOUT, 12.0)
    engine.settle(call, second, SERVER, 12.0)
    assert (first.lost, second.lost) == (True, False)


@pytest.mark.parametrize("streaming", [True, False])
def test_successes_are_samples(streaming: bool) -> None:
    """The seconds of a success are a sample of its kind of answer; those of a failure are not."""
    engine = Engine()
    for outcome, now in ((OK, 2.0), (SERVER, 5.0)):
        call = engine.call(streaming=streaming)
        engine.settle(call, engine.start(call, now=1.0), outcome, now)
    first, whole = engine["a"].first_token, engine["a"].completion
    assert (len(first), len(whole)) == ((1, 0) if streaming else (0, 1))
    assert (first if streaming else whole).quantile(0.5) == 1.0


def test_each_end_changes_the_health() -> None:
    """The tracker gets the outcome and the permit back, and the client throttle counts each verdict."""
    engine = Engine()
    call = engine.call()
    attempt = engine.start(call)
    engine.settle(call, attempt, SERVER, 1.0)
    assert engine["a"].breaker.recent == (1, 1)
    assert not engine["a"].breaker.in_flight
    assert engine.shared.client_throttle.rejection_probability(1.0) == 0.5
    engine.settle(call, engine.start(call, "b", 1.0), OK, 1.0)
    assert engine["b"].breaker.recent == (1, 0)
    assert engine.shared.client_throttle.rejection_probability(1.0) == 0.0


def test_ends_wake_waiting_calls() -> None:
    """A success wakes all that the target admits, anything else the oldest one only."""
    for outcome, all_of_them in ((OK, True), (SERVER, False), (CANCELLED, False)):
        engine = Engine()
        call = engine.call()
        attempt = engine.start(call)
        leader, other = (engine.shared.queue.enter(engine.call(), 50.0) for _ in range(2))
        engine.settle(call, attempt, outcome, 7.0)
        assert engine.shared.queue.to_wake == ([leader, other] if all_of_them else [leader])


def test_a_recovery_wakes_a_call_for_each_probe() -> None:
    """Besides as many as the target admits: the others that fail fast may be probed now, unless they named a time to wait. The next
    recovery wakes no second call for a probe for which one was woken already."""
    engine = Engine("abcd")
    engine.open("a", "b", "c", "d", seconds=30.0)
    for name in "bcd":
        engine[name].fails_fast = True
    engine["d"].breaker.rate_limited_until = 20.0
    probe = engine.start(engine.call(), "a", 5.0, reason=AttemptReason.EARLY_PROBE)
    for _ in range(40):
        engine.step(engine.call(), 5.0)
    assert len(engine.shared.queue) == 40
    probe.unary, probe.result = True, ChatReply(text="x")
    engine.settle(engine.call(), probe, OK, 5.1)
    assert len(engine.shared.queue.to_wake) == AFTER_PROBE + 2
    probe = engine.start(engine.call(), "b", 5.2, reason=AttemptReason.EARLY_PROBE)
    engine.settle(engine.call(), probe, OK, 5.3)
    assert len(engine.shared.queue.to_wake) == 2 * AFTER_PROBE + 1, (
        "one of those for b, and the one for c, are woken already"
    )


def test_an_answer_contradicts_an_invalid() -> None:
    """A target whose INVALID another one refuted has failed; other kinds of outcomes are not touched by an answer."""
    engine = Engine("abc", policy=Policy(breaker=Breaker(consecutive_failures=1, failure_span=2.0)))
    call = engine.call(started=5.0)
    for name, outcome in (("a", INVALID), ("b", Outcome(Kind.CONTEXT_LENGTH))):
        engine.settle(call, engine.start(call, name, 6.0), outcome, 7.0)
    _ = engine.events
    engine.settle(call, engine.start(call, "c", 7.0), OK, 7.0)
    assert [engine[name].breaker.recent for name in "bc"] == [(0, 0), (1, 0)]
    changed = [event for event in engine.events if isinstance(event, events.StateChanged)]
    assert [(event.subject, event.reason) for event in changed] == [("a", "1 consecutive failures")], (
        "5 to 7 is the span"
    )
    engine["a"].breaker.recover(7.0)
    engine.settle(call, engine.start(call, "b", 8.0), OK, 8.0)
    assert engine["a"].breaker.reason == "invalid: bad field"


def settled(engine: Engine, outcome: Outcome, **fields: Any) -> Any:
    call = engine.call(**fields)
    attempt = engine.start(call)
    engine.settle(call, attempt, outcome, 1.0)
    return attempt


def test_a_refused_prefill_is_learnt() -> None:
    """A 400 to a continuation by prefill: the target may be tried again, without prefill from then on."""
    prefilling = Engine([state_of(backend=NoBackend(prefill=True))])
    assert settled(prefilling, INVALID, emitted="said").superseded
    assert prefilling["a"].prefill is False
    for fields, outcome in (({"emitted": "said"}, SERVER), ({}, INVALID)):
        engine = Engine([state_of(backend=NoBackend(prefill=True))])
        assert not settled(engine, outcome, **fields).superseded
        assert engine["a"].prefill
    instructed = Engine()
    assert not settled(instructed, INVALID, emitted="said").superseded
    assistant = ChatRequest(messages=[{"role": "assistant", "content": "own"}])
    engine = Engine([state_of(backend=NoBackend(prefill=True))])
    assert not settled(engine, INVALID, request=assistant).superseded, "the caller's own prefill was refused"
    assert engine["a"].prefill
    odd = Engine([state_of(backend=NoBackend(prefill=True))])
    call = odd.call(emitted="said")
    attempt = odd.start(call)
    attempt.request = ChatRequest(messages=[{}])
    odd.settle(call, attempt, INVALID, 1.0)
    assert not attempt.superseded


def test_a_refusal_to_stream_is_learnt() -> None:
    """A 400 about streaming to a whole answer that is streamed underneath: the target gets requests for whole answers from then on."""
    refused = Outcome(Kind.INVALID, "Stream must be false")
    engine = Engine(completion="stream")
    assert settled(engine, refused, streaming=False).superseded
    assert engine["a"].streaming is False
    others: list[tuple[Any, bool, Outcome]] = [
        ("stream", True, refused),
        ("wait", False, refused),
        ("stream", False, INVALID),
    ]
    for completion, streaming, outcome in others:
        engine = Engine(policy=Policy(completion=completion))
        assert not settled(engine, outcome, streaming=streaming).superseded
        assert engine["a"].streaming


def test_shared_state_starts_idle() -> None:
    """No attempt is under way in a new pool."""
    shared = Engine().shared
    assert isinstance(shared, attempts.SharedState)
    assert shared.in_flight == 0
