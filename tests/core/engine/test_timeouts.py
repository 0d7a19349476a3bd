"""How long an attempt may take, by the call, the target's record and the policy."""

from math import inf
from typing import Any

import pytest
from hotspare._engine.timeouts import (
    attempt_timeout,
    min_throughput,
    min_useful_time,
    p95_of,
    stall_timeout,
    stalled_after,
    wants_unary,
)
from hotspare._health.percentiles import Percentiles
from hotspare.messages import ChatRequest
from hotspare.policy import Policy, Timeouts

from tests.support.engine import NoBackend, call_of, state_of

POLICY = Policy()


def fill(samples: Percentiles, seconds: float, times: int = 8) -> None:
    for _ in range(times):
        samples.add(seconds)


@pytest.mark.parametrize(
    ("streaming", "call", "target", "policy", "can_stream", "unary"),
    [
        (True, "wait", "wait", "wait", False, False),
        (False, None, None, "wait", True, True),
        (False, None, None, "stream", True, False),
        (False, None, "wait", "stream", True, True),
        (False, None, "stream", "wait", True, False),
        (False, "stream", "wait", "wait", True, False),
        (False, "wait", "stream", "stream", True, True),
        (False, "stream", "stream", "stream", False, True),
    ],
)
def test_whole_or_streamed(streaming: bool, call: Any, target: Any, policy: Any, can_stream: bool, unary: bool) -> None:
    """The call's own choice comes first, then the target's, then the policy's; a target that cannot stream gives a whole answer."""
    state = state_of(completion=target, backend=NoBackend(streaming=can_stream))
    made = call_of(state, streaming=streaming, completion=call)
    assert wants_unary(made, state, Policy(completion=policy)) is unary


@pytest.mark.parametrize(
    ("record", "failed", "extra", "prefers", "unary"),
    [
        (8, False, {}, True, True),
        (7, False, {}, True, False),
        (8, True, {}, True, False),
        (0, False, {"logprobs": True}, True, True),
        (0, False, {}, False, True),
    ],
)
def test_auto(record: int, failed: bool, extra: Any, prefers: bool, unary: bool) -> None:
    """A whole answer is streamed underneath while the target has no record or has just failed; not where the caller sets the
    provider's own fields, nor from a backend whose streams hold less than its answers."""
    state = state_of(backend=NoBackend(prefers_streaming=prefers))
    fill(state.completion, 1.0, record)
    if failed:
        state.breaker.record_failure(1.0, 2.0)
    made = call_of(state, request=ChatRequest(messages=[], extra=extra), streaming=False)
    assert wants_unary(made, state, Policy(completion="auto")) is unary


def bound(
    samples: float | None = None, *, times: int = 8, left: float = 1000.0, unary: bool = False, probe: bool = False,
    effort: Any = None, reasoning: bool = False, others_in: float = 0.0, **timeouts: Any,
) -> float:  # fmt: skip
    """The timeout of an attempt at 10 at a target whose attempts took `samples` seconds."""
    state = state_of(reasoning=reasoning)
    if samples is not None:
        fill(state.completion if unary else state.first_token, samples, times)
        fill(state.first_token if unary else state.completion, 99.0)
    call = call_of(state, deadline=10.0 + left, request=ChatRequest(messages=[], reasoning_effort=effort))
    policy = Policy(timeouts=Timeouts(**timeouts))
    p95 = p95_of(state, policy, unary=unary)
    return attempt_timeout(call, state, policy, 10.0, p95=p95, unary=unary, others_in=others_in, probe=probe)


@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        ({}, 10.0),
        ({"samples": 0.1, "times": 7}, 10.0),  # one sample too few
        ({"samples": 0.1}, 5.0),
        ({"samples": 4.0}, 16.0),
        ({"samples": 9.0}, 30.0),
        ({"samples": 12.0}, 36.0),
        ({"reasoning": True}, 45.0),
        ({"effort": "low"}, 45.0),
        ({"effort": "minimal"}, 10.0),
        ({"effort": "none"}, 10.0),
        ({"samples": 4.0, "reasoning": True}, 16.0),  # the record knows better
        ({"probe": True}, 5.0),
        ({"probe": True, "samples": 4.0}, 5.0),
        ({"probe": True, "first_token_min": 50.0}, 10.0),
        ({"left": 18.0}, 9.0),  # half of what is left
        ({"left": 20.0, "max_deadline_fraction": 0.25}, 5.0),
        ({"others_in": inf, "left": 18.0}, 18.0),
        ({"others_in": inf, "left": 18.0, "samples": 0.1}, 18.0),
    ],
)
def test_to_the_first_token(case: dict[str, Any], seconds: float) -> None:
    """Four times the p95 within bounds, but thrice at least, fixed without a record, never over half of the time left; the last one gets all."""
    assert bound(**case) == pytest.approx(seconds)


def test_the_95th_percentile() -> None:
    """One slow answer in thirty changes no bound, and one slow stream in thirty no stall."""
    state = state_of()
    for samples in (state.first_token, state.completion, state.gaps):
        fill(samples, 4.0, 29)
        fill(samples, 9.0, 1)
    call = call_of(state)
    for unary in (False, True):
        p95 = p95_of(state, POLICY, unary=unary)
        assert attempt_timeout(call, state, POLICY, 0.0, p95=p95, unary=unary, others_in=0.0, probe=False) == 16.0
    assert stall_timeout(state, POLICY) == 20.0
    assert stalled_after(call, state, POLICY, state.completion, p95=None, unary=True) == 40.0


@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        ({}, 60.0),
        ({"reasoning": True}, 60.0),
        ({"samples": 0.1, "times": 7}, 60.0),
        ({"samples": 0.1}, 3.0),  # the lower bound of a fast target
        ({"samples": 0.6}, 13.0),
        ({"samples": 0.7}, 15.0),
        ({"samples": 40.0}, 160.0),
        ({"samples": 40.0, "probe": True}, 15.0),
        ({"probe": True}, 15.0),
        ({"left": 18.0}, 9.0),
        ({"others_in": inf, "left": 18.0}, 18.0),
    ],
)
def test_to_a_whole_answer(case: dict[str, Any], seconds: float) -> None:
    """The same for whole answers, by their own record, with a lower bound only."""
    assert bound(unary=True, **case) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        ({"samples": 0.1}, 3.0),  # as if the other one were there now
        ({"samples": 0.1, "others_in": 100.0}, 3.0),  # at half of the time
        ({"samples": 0.1, "others_in": 101.0}, 200.0),  # too late for a second attempt of as long
        ({}, 200.0),  # without a record nothing says that an answer would not come
    ],
)
def test_another_target_will_soon_be_available(case: dict[str, Any], seconds: float) -> None:
    """A record bounds an attempt too while the breaks of the others end in the first half of the time that is left."""
    fields: dict[str, Any] = {"unary": True, "others_in": 99.0, "left": 200.0, **case}
    assert bound(**fields) == pytest.approx(seconds)


@pytest.mark.parametrize(("unary", "seconds"), [(True, 5.0), (False, 8.0)])
def test_the_record_of_an_equal_target(unary: bool, seconds: float) -> None:
    """A target without a record has twice the timeout of the slowest target with the same model, unless the request
    reasons."""
    state, fast, slow, other = (
        state_of(name, id=f"{name}/{model}") for name, model in zip("abcd", "mmmn", strict=True)
    )
    for equal, took in ((fast, 0.01), (slow, 0.1 if unary else 1.0), (other, 9.0)):
        fill(equal.completion if unary else equal.first_token, took)
    cases: tuple[tuple[Any, float], ...] = ((None, seconds), ("low", 60.0 if unary else 45.0))
    for effort, expected in cases:
        request = ChatRequest(messages=[], reasoning_effort=effort)
        call = call_of(state, fast, slow, other, deadline=1000.0, request=request)
        bound = attempt_timeout(call, state, POLICY, 0.0, p95=None, unary=unary, others_in=0.0, probe=False)
        assert bound == expected


def test_only_the_first_eight_are_compared() -> None:
    """An attempt in a large pool costs no more than one in a small pool."""
    states = [state_of(f"t{place}", id=f"p{place}/m") for place in range(9)]
    fill(states[7].first_token, 1.0)
    fill(states[8].first_token, 9.0)
    call = call_of(*states, deadline=1000.0)
    bound = attempt_timeout(call, states[0], POLICY, 0.0, p95=None, unary=False, others_in=0.0, probe=False)
    assert bound == 8.0


@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        ({}, 10.0),
        ({"unary": True}, 60.0),
        ({"own": 3.0, "pool": 9.0}, 15.0),
        ({"own": 0.01}, 0.5),
        ({"pool": 3.0}, 30.0),
        ({"pool": 3.0, "times": 7}, 10.0),  # one sample too few
        ({"pool": 0.01}, 0.5),
        ({"reasoning": True}, 45.0),
        ({"effort": "low"}, 45.0),
        ({"own": 3.0, "effort": "low"}, 45.0),
        ({"own": 30.0, "effort": "low"}, 150.0),
    ],
)
def test_evidence_of_a_stall(case: dict[str, Any], seconds: float) -> None:
    """Five times the target's own p95, or ten times the pool's, at least half a second; fixed without a record; longer where the model
    reasons first."""
    case, usual = dict(case), Percentiles()
    if "pool" in case:
        fill(usual, case["pool"], case.get("times", 8))
    state = state_of(reasoning=case.get("reasoning", False))
    call = call_of(state, request=ChatRequest(messages=[], reasoning_effort=case.get("effort")))
    found = stalled_after(call, state, POLICY, usual, p95=case.get("own"), unary=case.get("unary", False))
    assert found == pytest.approx(seconds)


@pytest.mark.parametrize(("gap", "times", "seconds"), [(1.0, 7, 30.0), (0.1, 8, 5.0), (2.0, 8, 10.0), (9.0, 8, 30.0)])
def test_stall(gap: float, times: int, seconds: float) -> None:
    """Five times the usual longest gap of the target's streams, from 5 to 30 s; 30 s without a record."""
    state = state_of()
    fill(state.gaps, gap, times)
    assert stall_timeout(state, POLICY) == seconds


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([], 8.0),
        ([1000.0] * 7, 8.0),
        ([1000.0] * 8, 100.0),
        ([20.0] * 8, 8.0),
        ([100.0] * 4 + [900.0] * 5, 90.0),
        ([100.0] * 5 + [900.0] * 4, 10.0),
    ],
)
def test_throughput(rates: list[float], expected: float) -> None:
    """A tenth of the target's median rate, at least 8 bytes a second."""
    state = state_of()
    for rate in rates:
        state.throughput.add(rate)
    assert min_throughput(state, POLICY) == pytest.approx(expected)


def test_no_least_throughput() -> None:
    """Without a record and without a bound, no stream is too slow."""
    assert min_throughput(state_of(), Policy(timeouts=Timeouts(min_throughput=0.0))) == 0.0


def test_the_least_time_worth_a_start() -> None:
    """A second, or the median of the kind of answer that is requested, also by few samples."""
    state = state_of()
    streamed, whole = call_of(state), call_of(state, streaming=False)
    assert min_useful_time(streamed, state, POLICY) == 1.0
    assert min_useful_time(streamed, state, Policy(timeouts=Timeouts(start_min=0.5))) == 0.5
    for seconds in (0.2, 3.0, 9.0):
        state.first_token.add(seconds)
    state.completion.add(20.0)
    assert min_useful_time(streamed, state, POLICY) == 3.0
    assert min_useful_time(whole, state, POLICY) == 20.0
    assert min_useful_time(whole, state, Policy(completion="stream")) == 3.0
    assert min_useful_time(streamed, state, Policy(timeouts=Timeouts(start_min=4.0))) == 4.0
