"""Each setting of `Timeouts` has an effect."""

import pytest
from hotspare import Breaker, Timeouts
from hotspare.events import StateChanged
from hotspare.messages import ChatChunk, ChatRequest
from hotspare.testing import StepLike, answer, fail, hang

from tests.support.calls import Ask, run_concurrently
from tests.support.settings import Effects, Two, timeout_of

EFFECTS = Effects(Timeouts)
WORDS = [f"word {number:4} " for number in range(10)]
"""Ten bytes each."""
TEXT = "".join(WORDS)


@pytest.mark.parametrize("name", EFFECTS.names)
def test_the_setting_has_an_effect(name: str) -> None:
    """What is seen differs between two values of the setting, in the expected way."""
    EFFECTS.check(name)


EFFECTS.of("factor", {2.0: 16.0, 2.5: 20.0})(lambda value: timeout_of(8, factor=value))
EFFECTS.of("first_token_min", {2.0: 2.0, 6.0: 6.0})(lambda value: timeout_of(0.25, first_token_min=value))
EFFECTS.of("first_token_max", {20.0: 20.0, 22.0: 22.0})(lambda value: timeout_of(6, first_token_max=value))
EFFECTS.of("first_token", {4.0: 4.0, 7.0: 7.0})(lambda value: timeout_of(first_token=value))
EFFECTS.of("first_token_reasoning", {12.0: 12.0, 33.0: 33.0})(
    lambda value: timeout_of(first_token_reasoning=value, options={"reasoning_effort": "low"})
)
EFFECTS.of("completion_min", {3.0: 3.0, 9.0: 9.0})(lambda value: timeout_of(0.5, completion_min=value, streaming=False))
EFFECTS.of("min_factor", {4.0: 3.0, 8.0: 5.0})(lambda value: timeout_of(0.5, min_factor=value, streaming=False))
EFFECTS.of("min_margin", {1.0: 6.0, 3.0: 8.0})(
    lambda value: timeout_of(0.5, min_factor=10, min_margin=value, streaming=False)
)
EFFECTS.of("completion", {6.0: 6.0, 70.0: 70.0})(lambda value: timeout_of(completion=value, streaming=False))
EFFECTS.of("max_deadline_fraction", {0.25: 2.0, 0.5: 4.0})(
    lambda value: timeout_of(max_deadline_fraction=value, deadline=8)
)
EFFECTS.of("min_samples", {3: 8.0, 4: 10.0})(lambda value: timeout_of(2, min_samples=value))


def stall_after(*record: StepLike, **timeouts: float) -> float:
    """Seconds after which a stream that delivers nothing after its first content ends. `record`: what the target answered before."""
    two = Two([*record, hang(1, "one two")], timeouts=Timeouts(min_samples=3, **timeouts), on_break="raise")  # type: ignore[arg-type]
    two.calls(len(record))
    return two.call().ended


GAPS = [answer(WORDS, gap=2)] * 3
EFFECTS.of("stall", {4.0: 4.0, 11.0: 11.0})(lambda value: stall_after(stall=value))
EFFECTS.of("stall_factor", {3.0: 6.0, 4.0: 8.0})(lambda value: stall_after(*GAPS, stall_factor=value, stall_min=1))
EFFECTS.of("stall_min", {12.0: 12.0, 15.0: 15.0})(lambda value: stall_after(*GAPS, stall_min=value))


def silent_at_the_end(value: float) -> float:
    """When a stream ends that falls silent after its finish reason."""
    two = Two([hang(2, ["one", ChatChunk(finishing="stop")])], timeouts=Timeouts(after_finish=value))
    seen = two.call()
    assert (seen.text, two.targets_of(seen)) == ("one", "a")
    return seen.ended


EFFECTS.of("after_finish", {1.0: 1.0, 3.0: 3.0})(silent_at_the_end)


def rest(request: ChatRequest) -> StepLike:
    """The text, or the rest of it."""
    emitted = [str(m.get("content")) for m in request.messages if m.get("role") == "assistant"]
    return [TEXT[len(emitted[0]) :]] if emitted else WORDS


def slow_stream(*record: StepLike, **timeouts: float) -> tuple[str, float]:
    """The targets of a stream that begins with ten bytes a second, and when it ended."""
    two = Two([*record, answer(WORDS, gap=1)], rest, timeouts=Timeouts(min_samples=3, **timeouts))  # type: ignore[arg-type]
    two.calls(len(record))
    seen = two.call()
    assert seen.text == TEXT
    return two.targets_of(seen), seen.ended


FAST = [answer(WORDS, gap=0.125)] * 3
EFFECTS.of("min_throughput", {3.0: ("a", 10.0), 20.0: ("ab", 3.0)})(
    lambda value: slow_stream(min_throughput=value, throughput_window=3)
)
EFFECTS.of("throughput_window", {2.0: ("ab", 2.0), 5.0: ("ab", 5.0), 0.0: ("a", 10.0)})(
    lambda value: slow_stream(throughput_window=value, min_throughput=20)
)
EFFECTS.of("min_throughput_ratio", {0.1: ("a", 10.0), 0.5: ("ab", 3.0)})(
    lambda value: slow_stream(*FAST, min_throughput_ratio=value, throughput_window=3)
)


@EFFECTS.of("start_min", {0.5: "ab", 3.0: "a"})
def _(value: float) -> object:
    """Whether a second attempt is made with two seconds left."""
    two = Two(fail(500, delay=2), timeouts=Timeouts(start_min=value), deadline=4, when_all_down="fail")
    return two.targets_of(two.call())


def opened_by_a_stall(**timeouts: float) -> float:
    """Seconds after which three calls that wait, begun one after the other, have opened the target that usually answers in
    1 s."""
    two = Two(
        [*[answer("ok", delay=1)] * 3, hang()],
        deadline=1000,
        timeouts=Timeouts(min_samples=3, first_token_min=99, first_token_max=99, **timeouts),
        breaker=Breaker(failure_span=0),
        on_slow="race",
    )  # type: ignore[arg-type]
    two.calls(3)
    start, opened = two.clock(), list[float]()
    two.pool.subscribe(
        lambda event: opened.append(two.clock()) if isinstance(event, StateChanged) else None, inline=True
    )
    run_concurrently("asyncio", two.pool, two.clock, [Ask()] * 3 + [Ask(pause=pause) for pause in range(1, 60)])
    return opened[0] - start


EFFECTS.of("stalled_factor", {4.0: 4.0, 9.0: 9.0})(lambda value: opened_by_a_stall(stalled_factor=value))
EFFECTS.of("stalled_min", {6.0: 6.0, 9.0: 9.0})(lambda value: opened_by_a_stall(stalled_min=value))
