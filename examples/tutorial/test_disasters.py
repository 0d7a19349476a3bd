"""The six disasters as tests of your own: no network, no key, no waiting. `pytest test_disasters.py` needs only hotspare.

`scripted_pool` and `virtual_clock` are fixtures that hotspare brings. Put your own code in the place of `pool.chat`.
"""

from typing import Any

from hotspare import Limits, State
from hotspare.testing import ScriptedTarget, VirtualClock, break_after, fail, hang

QUESTION = "What's the weather in Seoul?"


def test_a_model_fails(scripted_pool: Any) -> None:
    """Claude answers, and after five failures in a row GPT is not called any more."""
    gpt = ScriptedTarget("gpt", fail(503))
    pool = scripted_pool(gpt, ScriptedTarget("claude", "Sunny."))
    assert [pool.chat(QUESTION).text for _ in range(20)] == ["Sunny."] * 20
    assert pool.health()["gpt"].state is not State.CLOSED
    assert gpt.calls < 20


def test_latency_surges(scripted_pool: Any, virtual_clock: VirtualClock) -> None:
    """A silent model costs a stream ten seconds, and not the whole deadline."""
    pool = scripted_pool(ScriptedTarget("gpt", hang()), ScriptedTarget("claude", "Sunny."))
    began = virtual_clock()
    assert "".join(chunk.text for chunk in pool.stream(QUESTION)) == "Sunny."
    assert virtual_clock() - began == 10


def test_the_rate_limit_is_reached(scripted_pool: Any, virtual_clock: VirtualClock) -> None:
    """GPT is left alone for as long as it asks, and is no broken target."""
    gpt = ScriptedTarget("gpt", [fail(429, retry_after=20), "Sunny, says GPT."])
    pool = scripted_pool(gpt, ScriptedTarget("claude", "Sunny."))
    assert [pool.chat(QUESTION).target for _ in range(5)] == ["claude"] * 5
    assert pool.health()["gpt"].state is State.CLOSED
    virtual_clock.sleep(21)
    assert pool.chat(QUESTION).target == "gpt"


def test_the_daily_quota_of_the_relay_is_used_up(scripted_pool: Any) -> None:
    """All models on the relay's key are left alone together: one attempt, not three."""
    quota = fail(429, "You exceeded your current quota, please check your plan and billing details.")
    relayed = [ScriptedTarget(name, quota, id=f"relay/{name}", account="relay-key") for name in ("gpt", "claude")]
    pool = scripted_pool(*relayed, ScriptedTarget("direct", "Sunny."))
    assert [attempt.target for attempt in pool.chat(QUESTION).attempts] == ["gpt", "direct"]


def test_a_stream_is_cut(scripted_pool: Any) -> None:
    """Claude goes on where GPT broke off: the caller sees one answer."""
    whole = "Seoul is sunny today, 18 degrees."
    gpt = ScriptedTarget("gpt", break_after(3, whole))
    pool = scripted_pool(gpt, ScriptedTarget("claude", " today, 18 degrees."))
    *chunks, last = pool.stream(QUESTION)
    assert "".join(chunk.text for chunk in (*chunks, last)) == whole
    assert last.summary.targets == ("gpt", "claude")


def test_everything_is_down_for_three_seconds(scripted_pool: Any, virtual_clock: VirtualClock) -> None:
    """The call waits for the first recovery: the outage becomes latency."""
    back = virtual_clock() + 3

    def relay(_: object) -> Any:
        return "Sunny." if virtual_clock() >= back else fail(503)

    pool = scripted_pool(ScriptedTarget("gpt", relay), ScriptedTarget("direct", relay), deadline=30)
    assert pool.chat(QUESTION).text == "Sunny."
    assert virtual_clock() < back + 2


def test_a_load_surge(scripted_pool: Any, virtual_clock: VirtualClock) -> None:
    """Sixty calls at once: GPT gets what it admits, Claude the rest, and no caller sees a 429."""
    gpt = ScriptedTarget("gpt", "Sunny.", limits=Limits(rpm=600, burst=1))
    claude = ScriptedTarget("claude", "Sunny.")
    pool = scripted_pool(gpt, claude)
    replies = virtual_clock.run_in_threads(*[lambda: pool.chat(QUESTION)] * 60)
    assert {reply.text for reply in replies} == {"Sunny."}
    assert 0 < gpt.calls < 60
    assert gpt.calls + claude.calls == 60
