"""What the end of an attempt teaches: about requests that break several targets, features, conversations, and how soon to probe again."""

from math import exp
from typing import Any

import pytest
from hotspare import Brownout, events
from hotspare._engine.attempts import FAST_PROBES, MAX_FAST_PROBES, alike_failures
from hotspare._engine.call import Attempt, Call
from hotspare._engine.decide import GiveUp
from hotspare._health.pace import TAU
from hotspare.messages import ChatReply, ChatRequest, Usage
from hotspare.outcome import AttemptReason, Kind, Outcome, Scope
from hotspare.policy import Policy

from tests.support.engine import CANCELLED, OK, SERVER, TIMEOUT, Engine, call_of, state_of

INVALID = Outcome(Kind.INVALID, "no", 400)
TOOLS = ChatRequest(
    messages=[{"role": "user", "content": "q"}], tools=[{"type": "function", "function": {"name": "f"}}]
)


def settled(engine: Engine, call: Call, name: str, outcome: Outcome, now: float = 1.0, **fields: Any) -> Attempt:
    attempt = engine.start(call, name, now, **fields)
    engine.settle(call, attempt, outcome, now)
    return attempt


@pytest.mark.parametrize(
    ("outcomes", "alike"),
    [
        ([], 0),
        ([SERVER], 1),
        ([SERVER, SERVER], 2),
        ([SERVER, Outcome(Kind.SERVER, "x", 503)], 1),
        ([Outcome(Kind.SERVER, "x"), Outcome(Kind.SERVER, "x")], 0),  # no status: the server has not read the request
        ([TIMEOUT, SERVER], 1),
        ([SERVER, TIMEOUT], 0),
        ([Outcome(Kind.QUOTA, "x", 500), SERVER], 1),
    ],
)
def test_failures_that_are_alike(outcomes: list[Outcome], alike: int) -> None:
    """Of different targets, with the same status of a server error as the latest."""
    engine = Engine("abc")
    call = engine.call()
    for name, outcome in zip("abc", outcomes, strict=False):
        settled(engine, call, name, outcome)
    assert len(alike_failures(call)) == alike


def test_a_request_that_breaks_several_targets() -> None:
    """If one of them answers another call later, none of these failures counts, and the request is named once."""
    engine = Engine("abc")
    call = engine.call(id="bad")
    settled(engine, call, "a", SERVER)
    assert not engine["a"].suspicions
    for name in "bc":
        settled(engine, call, name, SERVER)
    assert [len(engine[name].suspicions) for name in "abc"] == [1, 1, 1]
    assert [state.name for state, _ in engine["a"].suspicions[0].failures] == ["a", "b", "c"]
    assert [engine[name].breaker.recent for name in "abc"] == [(1, 1)] * 3
    engine.tracker.pending_events = [events.TargetEnabled("x")]
    settled(engine, engine.call(), "b", OK, 1.0)
    assert [engine[name].breaker.recent[1] for name in "abc"] == [1, 1, 1], "it began with the failures"
    settled(engine, engine.call(), "b", OK, 2.0)
    assert [engine[name].breaker.recent[1] for name in "abc"] == [0, 0, 0]
    found = engine.events
    assert found[0] == events.TargetEnabled("x")
    assert [one for one in found if isinstance(one, events.RequestAtFault)] == [
        events.RequestAtFault("bad", ("a", "b", "c"))
    ]
    settled(engine, engine.call(), "a", OK, 3.0)
    assert not [one for one in engine.events if isinstance(one, events.RequestAtFault)]


def test_suspicions_are_forgotten() -> None:
    """After ten seconds, when they are cleared, and for a call that is tried again; each is about one call."""
    engine = Engine("ab")
    for identity, now in (("one", 1.0), ("two", 5.0), ("two", 6.0), ("three", 11.0), ("four", 12.0)):
        call = engine.call(id=identity)
        for name in "ab":
            settled(engine, call, name, SERVER, now)
    assert [one.call_id for one in engine["a"].suspicions] == ["two", "three", "four"]
    engine["a"].suspicions[1].cleared = True
    call = engine.call(id="five")
    for name in "ab":
        settled(engine, call, name, SERVER, 13.0)
    assert [one.call_id for one in engine["a"].suspicions] == ["two", "four", "five"]


def test_a_success_remembers_the_conversation() -> None:
    """From its time on, for as long as the policy says; a call without one leaves nothing."""
    engine = Engine("ab")
    sessions = engine.shared.sessions
    settled(engine, engine.call(), "a", OK, 3.0)
    assert sessions.target_of("s", 4.0, 60.0) is None
    settled(engine, engine.call(session="s"), "b", OK, 5.0)
    assert sessions.target_of("s", 64.9, 60.0) is engine["b"]
    assert sessions.target_of("s", 65.1, 60.0) is None


@pytest.mark.parametrize("known", ["invalid_streaks", "refused", "accepted"])
def test_a_success_shows_what_is_supported(known: str) -> None:
    """Where there was any doubt, the time of the answer is remembered for its features."""
    engine = Engine("a")
    call = engine.call(request=TOOLS)
    settled(engine, call, "a", OK, 3.0)
    assert engine["a"].accepted == {}
    getattr(engine["a"], known)[call.features] = 1
    settled(engine, engine.call(request=TOOLS), "a", OK, 5.0)
    assert engine["a"].accepted == {call.features: 5.0}
    assert engine["a"].invalid_streaks == {} == engine["a"].refused


def test_other_targets_that_rejected_what_one_accepted() -> None:
    """Each does not support one of its features, for as long as the policy remembers; one whose error was about something else is not."""
    engine = Engine("abcd", refusal_memory=50.0)
    call = engine.call(request=TOOLS)
    for name, outcome in zip("abc", (INVALID, SERVER, INVALID), strict=True):
        settled(engine, call, name, outcome)
    settled(engine, call, "d", OK, 5.0)
    assert [engine[name].refused for name in "abcd"] == [{call.features: 55.0}, {}, {call.features: 55.0}, {}]
    two = Engine("ab", refusal_memory=50.0)
    call = two.call(request=TOOLS)
    settled(two, call, "a", INVALID)
    settled(two, call, "b", OK, 5.0)
    assert two["a"].refused == {call.features: 55.0}, "the first other target is enough"


@pytest.mark.parametrize(
    ("outcome", "streak", "refused"),
    [
        (INVALID, 2, False),
        (Outcome(Kind.INVALID, "tools are not supported", 400, scope=Scope.TARGET), 1, True),
        (Outcome(Kind.INVALID, "no", 400, scope=Scope.TARGET), 1, False),
        (Outcome(Kind.NOT_FOUND, "no endpoints found that support tools", 404, scope=Scope.REQUEST), 1, True),
        (Outcome(Kind.NOT_FOUND, "the model does not support tools", 404), 1, False),
        (Outcome(Kind.SERVER, "tools are broken", 500), 1, False),
    ],
)
def test_a_rejected_request(outcome: Outcome, streak: int, refused: bool) -> None:
    """Counted in a row by its features, or, if the error names one, remembered as not supported."""
    engine = Engine("a", refusal_memory=50.0)
    call = engine.call(request=TOOLS)
    engine["a"].invalid_streaks[call.features] = 1
    settled(engine, call, "a", outcome, 5.0)
    assert engine["a"].invalid_streaks[call.features] == streak
    assert list(engine["a"].refused.values()) == [55.0] * refused
    assert all("tools" in features for features in engine["a"].refused)


def test_only_requests_with_the_feature_go_elsewhere() -> None:
    """What a target does not support does not move it back for other requests."""
    engine = Engine("ab")
    tools, plain = engine.call(request=TOOLS), engine.call()
    engine["a"].refused[tools.features] = 99.0
    assert [engine.attempt(call, 1.0).state.name for call in (tools, plain)] == ["b", "a"]


@pytest.mark.parametrize(
    ("reason", "seconds", "is_fast"),
    [
        (AttemptReason.EARLY_PROBE, 0.5, True),
        (AttemptReason.EARLY_PROBE, 1.0, True),
        (AttemptReason.EARLY_PROBE, 1.1, False),
        (AttemptReason.PROBE, 0.5, False),
    ],
)
def test_fast_probes(reason: AttemptReason, seconds: float, is_fast: bool) -> None:
    """An early probe that fails fast lets the next one come sooner, so many times; a success gives all of them back."""
    engine = Engine("a", fast_failure=1.0, early_probe_interval=4.0)
    engine.shared.fast_probes, engine.shared.next_early_probe = 2, 99.0
    call = engine.call()
    attempt = engine.start(call, "a", 10.0, reason=reason)
    engine.settle(call, attempt, SERVER, 10.0 + seconds)
    assert engine.shared.fast_probes == (1 if is_fast else 2)
    assert engine.shared.next_early_probe == (10.0 + 4.0 / FAST_PROBES if is_fast else 99.0)
    settled(engine, engine.call(), "a", OK, 20.0)
    assert engine.shared.fast_probes == MAX_FAST_PROBES


@pytest.mark.parametrize(
    ("reply", "tokens"),
    [
        (ChatReply(text="x" * 400, usage=Usage(10, 50)), 50),
        (ChatReply(text="x" * 400), 100),  # at four characters a token
        (ChatReply(usage=Usage(10, 75)), 75),  # calls of tools
        (ChatReply(), None),
    ],
)
@pytest.mark.parametrize(
    ("streaming", "tracks_ttft", "is_whole"),
    [(False, True, True), (False, False, True), (True, True, True), (True, False, False)],
)
def test_a_long_answer_is_not_a_slow_one(
    reply: ChatReply, tokens: float | None, streaming: bool, tracks_ttft: bool, is_whole: bool
) -> None:
    """A whole answer is timed for each 25 tokens, and a twentieth of its length goes into the usual length of answers. A stream that
    a selector's caller reports is timed to its first token."""
    engine = Engine("a")
    engine.shared.output_tokens = 60.0
    call = engine.call(streaming=streaming, tracks_ttft=tracks_ttft)
    attempt = engine.start(call, "a", 1.0)
    attempt.result = reply
    engine.settle(call, attempt, OK, 7.0)
    counted = tokens if is_whole else None
    assert engine["a"].paces[attempt.unary, False].estimate(7.0) == pytest.approx(6.0 / (1 + (counted or 0) / 25))
    assert engine.shared.output_tokens == pytest.approx(60.0 if counted is None else 60.0 + (counted - 60.0) / 20)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_target_that_becomes_slow_is_an_event(streaming: bool) -> None:
    """With its time now and its usual one, for the kind of answers that are slow; and another one once it is back."""
    engine = Engine("a", brownout=Brownout(samples=4, window=1.0))
    for seconds, count, since in ((1.0, 10, 0.0), (4.0, 3, 10.0), (1.0, 3, 60.0)):
        for place in range(count):
            call = engine.call(streaming=streaming)
            attempt = engine.start(call, "a", since + place - seconds)
            engine.settle(call, attempt, OK, since + place)
    assert [one for one in engine.events if isinstance(one, events.SpeedChanged)] == [
        events.SpeedChanged("a", True, 4.0, 1.0, whole=not streaming),
        events.SpeedChanged("a", False, 1.0, 1.0, whole=not streaming),
    ]


@pytest.mark.parametrize(("outcome", "is_evidence"), [(TIMEOUT, True), (CANCELLED, True), (SERVER, False)])
@pytest.mark.parametrize(("streaming", "seconds"), [(True, 20.0), (False, 5.0)])
def test_an_attempt_that_was_given_up_shows_how_slow_a_target_is(
    outcome: Outcome, is_evidence: bool, streaming: bool, seconds: float
) -> None:
    """An answer would have taken longer than that, and a whole one would have had the usual length. An error says nothing about it."""
    engine = Engine("a")
    engine.shared.output_tokens = 75.0
    for end, now in ((OK, 2.0), (outcome, 21.0)):
        call = engine.call(streaming=streaming)
        engine.settle(call, engine.start(call, "a", 1.0), end, now)
    estimate = engine["a"].paces[not streaming, False].estimate(21.0)
    assert estimate == (seconds if is_evidence else pytest.approx(exp(-19 / TAU)))


def test_background_checks_are_counted() -> None:
    """Their answers are far shorter than others, and show nothing about the speed of a target."""
    engine = Engine("a")
    for now in (1.0, 2.0):
        settled(engine, engine.call(is_check=True), "a", OK, now)
    assert (engine["a"].checks, engine["a"].paces, len(engine["a"].first_token)) == (2, {}, 0)


def test_the_record_of_an_attempt() -> None:
    """It has everything of the outcome, and how its target was chosen."""
    engine = Engine("a")
    call = engine.call()
    attempt = engine.start(call, "a", 1.0)
    attempt.chosen_by, attempt.passed = "latency", (("b", "why"),)
    outcome = Outcome(Kind.SERVER, "m", 503, "c", retry_after=7.0, scope=Scope.REGION)
    engine.settle(call, attempt, outcome, 3.0)
    (record,) = call.records
    assert (record.number, record.target, record.kind, record.seconds, record.reason) == (
        1,
        "a",
        Kind.SERVER,
        2.0,
        AttemptReason.FIRST,
    )
    assert (record.status, record.code, record.message, record.retry_after, record.scope) == (
        503,
        "c",
        "m",
        7.0,
        Scope.REGION,
    )
    assert (record.chosen_by, record.passed, record.ttft) == ("latency", (("b", "why"),), None)


def test_a_request_that_is_too_long_waits_for_nothing() -> None:
    """Once a target has said so, the call ends with this reason, although another one may recover."""
    engine = Engine("ab", when_all_down="wait", retry_same_target="never")
    engine.open("b", seconds=20.0)
    call = engine.call()
    settled(engine, call, "a", Outcome(Kind.CONTEXT_LENGTH, "too long", 400))
    step = engine.step(call, 2.0)
    assert isinstance(step, GiveUp)
    assert step.reason == "the request is too long for the targets that are available"
    assert step.skipped == {"b": "circuit breaker open (failing), retry after 18.0 s"}
    assert step.retry_after is None or step.retry_after > 0


@pytest.mark.parametrize(
    ("fields", "native", "sent"),
    [
        ({}, None, ["user"]),
        ({"system": "Be brief."}, None, ["system", "user"]),
        ({"system": "Be brief."}, {"k": 1}, ["system", "user"]),
    ],
)
def test_the_system_message_of_a_target(fields: dict[str, Any], native: Any, sent: list[str]) -> None:
    """It comes first, unless an adapter's own request is sent as it is."""
    state = state_of("a", **fields)
    engine = Engine([state])
    call = call_of(
        state, request=ChatRequest(messages=[{"role": "user", "content": "q"}], native=native), policy=Policy()
    )
    assert [message["role"] for message in engine.start(call).request.messages] == sent
