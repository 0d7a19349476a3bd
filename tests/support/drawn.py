"""What property tests of the engine draw: what targets do, policies, and calls.

All times are binary fractions of a second: their sums are exact, so that faces can be compared without a tolerance.
`FixedRandom` keeps the engine's jitter to them. What targets do never happens at the very moment of one of the engine's
timers: which of the two comes first is not defined, neither for threads nor for tasks.
"""

import random
from typing import Any

from hotspare import Breaker, Hedge, Kind, Outcome, RetryBudget, Timeouts
from hotspare.errors import IncompleteAnswer, MalformedAnswer
from hotspare.testing import answer, break_after, fail, hang, tool_call
from hotspare.testing.steps import Step
from hypothesis import strategies as st

from tests.support.calls import Ask

WORDS = "One two three four five six."
FAILURES: list[Outcome] = [
    Outcome(Kind.SERVER, "down", 500),
    Outcome(Kind.SERVER, "overloaded", 529, retry_after=2.0),
    Outcome(Kind.TRANSPORT, "reset"),
    Outcome(Kind.TRANSPORT, "refused", before_connect=True),
    Outcome(Kind.TIMEOUT, "no first token"),
    Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=2.0),
    Outcome(Kind.RATE_LIMITED, "slow down", 429),
    Outcome(Kind.QUOTA, "no credit", 429),
    Outcome(Kind.AUTH, "no such key", 401),
    Outcome(Kind.NOT_FOUND, "no such model", 404),
    Outcome(Kind.CONTEXT_LENGTH, "too long", 400),
    Outcome(Kind.INVALID, "bad", 400),
    Outcome(Kind.CONTENT_FILTER, "no", 400),
]
BREAKS: list[Outcome | Exception] = [
    *FAILURES[:3],
    IncompleteAnswer("the stream ended without its last chunk"),
    MalformedAnswer("not the provider's format"),
]


def off_beat(*seconds: float) -> list[float]:
    """These times, each a little later, by amounts of which no sum is a multiple of 1/64 s."""
    return [second + (2 * place + 1) / 2**14 for place, second in enumerate(seconds)]


# None is four times, three times or five times another one (`Timeouts` has such factors): an error within a millisecond before a timer
# is a timeout for threads, whose sockets round their timeouts.
DELAYS = st.sampled_from([0.0, 0.0, *off_beat(0.3125, 1.0, 1.75, 4.5, 13.0, 40.0)])
GAPS = st.sampled_from([0.0, 0.0, *off_beat(0.125, 0.5, 3.0, 6.0)])
ANSWERS = st.builds(lambda delay, gap: answer(WORDS, delay=delay, gap=gap), DELAYS, GAPS)
SHORT_STEPS = st.one_of(
    st.builds(lambda delay: answer("Yes.", delay=delay), DELAYS),
    st.builds(lambda delay: answer(reasoning="Hm. ", text="Yes, of course.", delay=delay, gap=0.5), DELAYS),
    st.builds(lambda delay: answer(tool_calls=[tool_call("f", city="Seoul")], delay=delay, gap=0.5), DELAYS),
)
TROUBLES = st.one_of(
    st.builds(lambda outcome, delay: fail(outcome, delay=delay), st.sampled_from(FAILURES), DELAYS),
    st.builds(
        lambda pieces, what, delay, gap: break_after(pieces, WORDS, what, delay=delay, gap=gap),
        st.integers(0, 6), st.sampled_from(BREAKS), DELAYS, GAPS,
    ),
    st.builds(lambda pieces, delay, gap: hang(pieces, WORDS, delay=delay, gap=gap), st.integers(0, 6), DELAYS, GAPS),
)  # fmt: skip
STEPS: st.SearchStrategy[Step] = st.one_of(ANSWERS, SHORT_STEPS, TROUBLES)
"""An answer, slow or fast, a failure, a break after some words, or silence from somewhere on."""
SCRIPTS: st.SearchStrategy[list[Step]] = st.one_of(
    st.lists(STEPS, min_size=1, max_size=6),
    st.builds(lambda trouble, times, then: [trouble] * times + [then], TROUBLES, st.integers(2, 7), STEPS),
)
"""What a target does at each call: anything, or an outage and then something else."""

SHORT_TIMEOUTS = Timeouts(
    first_token=2, first_token_min=0.5, completion=4, completion_min=0.5, stall=4, stall_min=0.5, start_min=0.25,
    throughput_window=2, min_throughput=4, min_samples=2,
)  # fmt: skip
HEDGE = Hedge(min_delay=0.5 + 2**-9, max_extra_calls=1.0)  # never the moment of a timeout
QUICK_BREAKER = Breaker(
    consecutive_failures=2,
    failure_span=0.25,
    break_duration=2,
    max_break_duration=8,
    minimum_throughput=4,
    slow_start=4,
)
POLICIES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({
    "deadline": st.sampled_from([0.5, 8.0, 40.0]), "total_deadline": st.sampled_from([None, None, 2.0, 10.0]),
    "max_attempts": st.sampled_from([1, 2, 3, 6, 6, 6]), "when_all_down": st.sampled_from(["wait", "fail"]),
    "retry_same_target": st.sampled_from(["auto", "always", "never"]), "on_break": st.sampled_from(["resume", "restart", "raise"]),
    "completion": st.sampled_from(["auto", "wait", "stream"]), "strategy": st.sampled_from(["ordered", "weighted"]),
    "max_retry_after_wait": st.sampled_from([0.0, 3.0]), "on_slow": st.sampled_from(["abandon", "race"]),
    "hedge": st.sampled_from([None, HEDGE, HEDGE]),
    "timeouts": st.sampled_from([Timeouts(min_samples=2), SHORT_TIMEOUTS]),
    "retry_budget": st.sampled_from([RetryBudget(), RetryBudget(tokens_per_minute=1, max_tokens=1, tokens_per_call=0)]),
    "breaker": st.sampled_from([Breaker(), QUICK_BREAKER]),
    "rng": st.sampled_from([0.0, 0.25, 0.5, 63 / 64]).map(lambda value: FixedRandom(value)),
})  # fmt: skip
"""What a pool is made with; every setting that changes what a call does is among it."""

ASKS = st.builds(
    Ask,
    streaming=st.booleans(),
    pause=st.sampled_from([0.0, 0.5, 2.0, 7.0]),
    work=st.sampled_from([0.0, 0.0, 0.75]),
    leave_after=st.sampled_from([None, None, None, 1, 3]),
)
"""Calls, streamed or not, by callers who may be slow to read, or leave."""

QUICK = answer("Yes.", delay=off_beat(0.3125)[0])
RECORD = [Ask(streaming=True)] * 2 + [Ask(streaming=False)] * 2
"""Calls that give a target a record of streams and of whole answers."""


@st.composite
def worlds(draw: st.DrawFn, targets: int, calls: int) -> tuple[list[list[Step]], list[Ask]]:
    """The scripts of so many targets, and at most so many calls; perhaps the first target has a record before them."""
    scripts = [draw(SCRIPTS) for _ in range(targets)]
    asks = draw(st.lists(ASKS, min_size=1, max_size=calls))
    if draw(st.booleans()):
        return [[QUICK] * len(RECORD) + scripts[0], *scripts[1:]], RECORD + asks
    return scripts, asks


class FixedRandom(random.Random):
    """Always draws the same value, so that the order of the draws does not matter: of attempts side by side that end at the
    same moment (at the deadline) either may be first."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        """The value."""
        return self.value

    def uniform(self, a: float, b: float) -> float:
        """The value between `a` and `b`, as a binary fraction."""
        return round((a + (b - a) * self.value) * 64) / 64

    def __repr__(self) -> str:
        return f"FixedRandom({self.value})"
