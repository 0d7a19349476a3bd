"""Each setting of `Policy` has an effect; a setting that no probe covers fails."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hotspare import (
    Breaker,
    Brownout,
    Budget,
    BudgetExceeded,
    Cache,
    Candidate,
    ChatReply,
    ChatRequest,
    Hedge,
    Kind,
    Outcome,
    Policy,
    Pool,
    Price,
    RetryBudget,
    Scope,
    Target,
    Timeouts,
    Usage,
)  # fmt: skip
from hotspare.outcome import RateLimit
from hotspare.testing import ScriptedTarget, StepLike, VirtualClock, answer, break_after, fail, hang, scripted_pool
from tenacity import stop_after_attempt, wait_fixed

from tests.support.calls import Ask, run_calls, run_concurrently
from tests.support.drawn import FixedRandom
from tests.support.settings import Effects, Two, limping, timeout_of

EFFECTS = Effects(Policy)


def _last_only(request: ChatRequest) -> ChatRequest:
    return replace(request, messages=request.messages[-1:])


def _check_after_rest(**options: Any) -> float:
    """Seconds from the end of a break to the background check."""
    clock = VirtualClock(0)
    target = ScriptedTarget("a", [fail(429, retry_after=10), "ok"], check=True)
    pool = scripted_pool(target, "b", clock=clock, rng=FixedRandom(0.5), **options)
    pool.chat("q")
    clock.sleep(60)
    pool.close()
    return round(target.received[1].time or 0.0, 3) - 10


def _sent(**options: Any) -> int:
    """How many messages of a history of five are sent."""
    target = ScriptedTarget("a")
    scripted_pool(target, **options).chat(_HISTORY)
    return len(target.requests[0].messages)


def LAST(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """A strategy of one's own: the last one first."""
    return candidates[::-1]


DOWN = Outcome(Kind.SERVER, "down", 500)
REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)


@pytest.mark.parametrize("name", EFFECTS.names)
def test_the_setting_has_an_effect(name: str) -> None:
    """What is seen differs between two values of the setting, in the expected way."""
    EFFECTS.check(name)


EFFECTS.of("deadline", {3.0: 3.0, 9.0: 9.0})(lambda value: Two(hang(), None, deadline=value).call().ended)
EFFECTS.of("total_deadline", {2.0: 2.0, 5.0: 5.0, None: 50.0})(
    lambda value: Two(answer(["x"] * 50, gap=1), None, total_deadline=value).call().ended
)
EFFECTS.of("check_jitter", {0.0: 0.0, 8.0: 4.0})(lambda value: _check_after_rest(check_jitter=value))
EFFECTS.of("prices", {False: None, True: 2.0})(
    lambda value: (price := Pool(Target("openai/gpt-4.1", api_key="k"), prices=value).targets[0].price) and price.input
)


@EFFECTS.of("cache", {None: 2, Cache(): 1})
def _(value: Cache | None) -> object:
    """Requests of two identical calls."""
    target = ScriptedTarget("a")
    pool = scripted_pool(target, cache=value)
    pool.chat("q")
    pool.chat("q")
    return target.calls


_HISTORY = [{"role": role, "content": "word " * 100} for role in ("user", "assistant", "user", "assistant", "user")]
EFFECTS.of("max_prompt_tokens", {None: 5, 350: 3})(lambda value: _sent(max_prompt_tokens=value))
EFFECTS.of("reduce", {None: 5, _last_only: 1})(lambda value: _sent(reduce=value))


@EFFECTS.of("budgets", {(): 3, (Budget(usd=1, per="day"),): 1})
def _(value: Any) -> object:
    """How many of three calls, of 1 USD each, are answered."""
    return _paid_calls(budgets=value)


@EFFECTS.of("spend_file", {False: (1, 1), True: (1, 0)})
def _(value: bool) -> object:
    """Calls that two pools with a budget for one call answer, one after the other."""
    with TemporaryDirectory() as folder:
        options = {"budgets": [Budget(usd=1, per="day")], "spend_file": f"{folder}/spent.db" if value else None}
        return _paid_calls(**options), _paid_calls(**options)


def _paid_calls(**options: Any) -> int:
    target = ScriptedTarget("a", answer("ok", usage=Usage(1_000_000, 0)), price=Price(1, 1))
    pool = scripted_pool(target, **options)
    for _ in range(3):
        with suppress(BudgetExceeded):
            pool.chat("q")
    return target.calls


EFFECTS.of("breaker", {Breaker(failure_span=0, consecutive_failures=2): 2, Breaker(failure_span=0): 5})(
    lambda value: Two(DOWN, breaker=value).until_open()
)
EFFECTS.of("timeouts", {Timeouts(): 10.0, Timeouts(first_token=3): 3.0})(
    lambda value: Two(hang(), timeouts=value).call().records[0].seconds
)
EFFECTS.of("retry_budget", {RetryBudget(): 10.0, RetryBudget(tokens_per_minute=1): 1.2})(
    lambda value: [two := Two(retry_budget=value), two.calls(1), min(10.0, two.pool.health().retry_tokens)][-1]
)
EFFECTS.of("brownout", {None: "a" * 20, Brownout(): "a" * 15 + "b" * 5})(lambda value: limping(value))
EFFECTS.of("hedge", {None: "a", Hedge(min_delay=0.5, max_extra_calls=1): "ab"})(
    lambda value: [two := Two([*[answer("ok", delay=0.25)] * 8, answer("late", delay=4)], hedge=value), two.calls(8),
                   two.targets_of(two.call())][-1]
)  # fmt: skip


@EFFECTS.of("max_attempts", {2: "ab", 4: "abcd"})
def _(value: int) -> object:
    """Targets that one call tries, of five that fail."""
    targets = [ScriptedTarget(name, DOWN, id=f"{name}/m") for name in "abcde"]
    pool = scripted_pool(*targets, max_attempts=value, retry_same_target="never")
    (seen,) = run_calls("sync", pool, VirtualClock(), [Ask()])
    return "".join(one.target for one in seen.records)


@EFFECTS.of("strategy", {"ordered": "a", "weighted": "ab", "latency": "bc", "cost": "c", LAST: "c"})
def _(value: Any) -> object:
    """The targets of fifty calls, of which those at the first one are slow, and the last one is cheap."""
    targets = [
        ScriptedTarget("a", answer("slow", delay=2)), ScriptedTarget("b", price=Price(1, 5)), ScriptedTarget("c", price=Price(1, 4)),
    ]  # fmt: skip
    pool = scripted_pool(*targets[: 2 if value == "weighted" else 3], strategy=value)
    found = [pool.chat("q").target for _ in range(60)]
    return "".join(sorted(set(found[10:])))


def routed(**options: Any) -> str:
    """The targets of a call that two targets of the model that it names fail, of regions r and s, and another one answers."""
    targets = [
        ScriptedTarget("a", DOWN, id="p/m", region="r", price=Price(4, 4)),
        ScriptedTarget("b", DOWN, id="q/m", region="s", price=Price(2, 2)),
        ScriptedTarget("c", id="q/n", region="s", price=Price(2, 2), tier=1),
    ]
    pool = scripted_pool(*targets, retry_same_target="never", when_all_down="fail", **options)
    (seen,) = run_calls("sync", pool, VirtualClock(), [Ask(options={"model": "m"})])
    return "".join(dict.fromkeys(one.target for one in seen.records))


EFFECTS.of("regions", {None: "abc", frozenset("s"): "bc"})(lambda value: routed(regions=value))
EFFECTS.of("prefer_regions", {frozenset(): "abc", frozenset("s"): "bac"})(lambda value: routed(prefer_regions=value))
EFFECTS.of("max_price", {None: "abc", 3.0: "bc"})(lambda value: routed(max_price=value))
EFFECTS.of("substitute", {True: "abc", False: "ab"})(lambda value: routed(substitute=value))


EFFECTS.of("accept", {None: "a", len: "ab", frozenset({"refusal"}): "a"})(
    lambda value: [two := Two("a", "b", accept=value and (value if value is not len else lambda reply: reply.text == "b")),
                   two.targets_of(two.call(streaming=False))][-1]
)  # fmt: skip


def conversation(pause: float, **settings: Any) -> str:
    """The targets of three calls of one conversation, of which the first one fails over, after pauses."""
    two = Two([DOWN, "a"], **settings)
    return "".join(seen.records[-1].target for seen in two.calls(3, pause=pause))


EFFECTS.of("sticky_seconds", {10.0: "baa", 300.0: "bbb"})(
    lambda value: conversation(20, affinity="prompt", sticky_seconds=value)
)
EFFECTS.of("affinity", {"session": "baa", "prompt": "bbb"})(lambda value: conversation(1, affinity=value))


@EFFECTS.of("retry_same_target", {"auto": ("aa", "ab"), "always": ("aa", "aa"), "never": ("ab", "ab")})
def _(value: str) -> object:
    """The targets of a call that meets a fast failure, and of one that meets a slow one."""
    pair = [Two([fail(DOWN, delay=delay), "a"], retry_same_target=value) for delay in (0.125, 5)]
    return tuple(two.targets_of(two.call()) for two in pair)


@EFFECTS.of("fast_failure", {0.5: "ab", 1.0: "aa"})
def _(value: float) -> object:
    """The targets of a call that meets a failure after 0.75 s."""
    two = Two([fail(DOWN, delay=0.75), "a"], fast_failure=value, retry_same_target="auto")
    return two.targets_of(two.call())


@EFFECTS.of("doubt_invalid_after", {1: 0, 3: 2})
def _(value: int) -> object:
    """Calls that are raised as INVALID before another target is tried."""
    two = Two(Outcome(Kind.INVALID, "bad", 400), doubt_invalid_after=value)
    return [bool(seen.error) for seen in two.calls(6)].index(False)


@EFFECTS.of("refusal_memory", {50.0: ["ab", "b", "a"], 500.0: ["ab", "b", "b"]})
def _(value: float) -> object:
    """Targets of three calls with a seed, the last one 100 s later, where "a" has refused it once."""
    refusal = Outcome(Kind.INVALID, "seed is not supported", 400, scope=Scope.TARGET)
    two = Two([refusal, "a"], refusal_memory=value)
    seen = [two.targets_of(two.call(seed=1)) for _ in range(2)]
    two.clock.sleep(100)
    return [*seen, two.targets_of(two.call(seed=1))]


@EFFECTS.of("max_retry_after_wait", {0.0: ("ab", 0.0), 3.0: ("aa", 2.0)})
def _(value: float) -> object:
    """A Retry-After of two seconds: failed over, or waited for."""
    two = Two([fail(429, "slow down", retry_after=2), "a"], max_retry_after_wait=value)
    seen = two.call()
    return two.targets_of(seen), seen.ended


@EFFECTS.of("learn_limits", {True: ["a", "b"], False: ["a", "a"]})
def _(value: bool) -> object:
    """Targets of two calls, where the first answer says that nothing of its limit remains."""
    used_up = ChatReply(text="a", limits=(RateLimit("requests", 60, 0, 30.0),))
    two = Two([used_up], learn_limits=value)
    return [two.targets_of(two.call(streaming=False)) for _ in range(2)]


@EFFECTS.of("wait", {wait_fixed(3): 3.0, wait_fixed(7): 7.0})
def _(value: Any) -> object:
    """The pause before a retry."""
    return Two([DOWN, "a"], wait=value, retry_same_target="always").call().ended


@EFFECTS.of("stop", {stop_after_attempt(1): "a", stop_after_attempt(2): "ab"})
def _(value: Any) -> object:
    """The targets that a call with a stop condition tries."""
    two = Two(DOWN, DOWN, stop=value)
    return two.targets_of(two.call())


def outage(seconds: float, **settings: Any) -> Two:
    """A pool of one target that is down at first."""

    def script(request: object) -> StepLike:
        return answer("back", delay=0.125) if two.clock() >= seconds else fail(REFUSED, delay=0.25)

    two = Two(script, None, **{"deadline": 60, "max_rejection": 1.0, **settings})
    return two


EFFECTS.of("when_all_down", {"wait": "back", "fail": ""})(lambda value: outage(8, when_all_down=value).call().text)


def waiting(calls: int, **settings: Any) -> list[float]:
    """When calls that have waited for a recovery continue: seconds after the first of them was answered."""
    two = outage(8, **settings)
    seen = run_concurrently("asyncio", two.pool, two.clock, [Ask()] * calls)
    ends = sorted(one.ended for one in seen if one.text == "back")
    return [end - ends[0] for end in ends]


EFFECTS.of("max_waiters", {1: 1, 3: 3})(lambda value: len(waiting(5, max_waiters=value)))


@EFFECTS.of("early_probe_interval", {0.5: 8.875, 1.0: 9.375})
def _(value: float) -> object:
    """When a call is answered that waits for a target whose break is long and whose outage is over after 8.5 s."""
    two = outage(
        8.5,
        early_probe_interval=value,
        breaker=Breaker(consecutive_failures=1, break_duration=100, max_break_duration=100),
    )
    return two.call().ended


@EFFECTS.of("max_alike_failures", {None: "aba", 1: "a"})
def _(value: int | None) -> object:
    """The targets of a call that meets the same error everywhere."""
    two = Two(DOWN, DOWN, max_alike_failures=value, when_all_down="fail")
    return two.targets_of(two.call())


@EFFECTS.of("failover_on", {frozenset(): "a", frozenset({Kind.CONTENT_FILTER}): "ab"})
def _(value: Any) -> object:
    """The targets of a call that meets a content filter."""
    two = Two(Outcome(Kind.CONTENT_FILTER, "no", 400), failover_on=value)
    return two.targets_of(two.call())


@EFFECTS.of("completion", {"wait": False, "stream": True})
def _(value: str) -> object:
    """Whether a whole answer is read from a stream."""
    two = Two(completion=value)
    two.call(streaming=False)
    return two.a.received[0].streamed


@EFFECTS.of("on_slow", {"abandon": ("b", 30.0), "race": ("a", 12.0)})
def _(value: str) -> object:
    """Which target answers, and when: one after 12 s, beyond its timeout of 10 s, the other after 20 s."""
    seen = Two(answer("a", delay=12), answer("b", delay=20), on_slow=value, deadline=100).call()
    return seen.text, seen.ended


@EFFECTS.of("on_break", {"resume": ("one two three", 1), "restart": ("one two three", 0), "raise": ("one ", None)})
def _(value: str) -> object:
    """The text of a broken stream, and how many assistant messages the target that ends it was sent."""
    words = ["one ", "two ", "three"]
    two = Two(break_after(1, words), answer(words if value == "restart" else words[1:]), on_break=value)
    text = two.call().text
    assert two.b is not None
    sent = [[message.get("role") for message in request.messages] for request in two.b.requests]
    return text, sent[0].count("assistant") if sent else None


@EFFECTS.of("continue_instruction", {"Go on.": "Go on.", "Continue!": "Continue!"})
def _(value: str) -> object:
    """The last message that the continuing target was sent."""
    two = Two(break_after(1, ["one ", "two"]), "two", continue_instruction=value)
    two.call()
    assert two.b is not None
    return two.b.requests[0].messages[-1].get("content")


@EFFECTS.of("max_rejection", {0.25: True, 0.75: False})
def _(value: float) -> object:
    """Whether a call still makes an attempt of last resort after many failures, at a draw of 0.5."""
    two = Two(
        DOWN, None, max_rejection=value, when_all_down="fail", rng=FixedRandom(0.5), breaker=Breaker(failure_span=0)
    )
    two.calls(30)
    calls = two.a.calls
    two.call()
    return two.a.calls > calls


def test_a_probe_has_the_shortest_timeout() -> None:
    """Another target could answer instead, so a probe is bounded as tightly as a target with a fast record."""
    two = Two([DOWN, hang()], breaker=Breaker(failure_span=0, consecutive_failures=1))
    two.calls(1)
    two.clock.advance(10)
    seen = two.call()
    assert (seen.records[0].reason, seen.records[0].seconds) == ("probe", Timeouts().first_token_min)
    assert timeout_of() == Timeouts().first_token
