"""Every trail says why each target was taken, and why each better one was not; `explain` shows scores."""

from typing import Any

from hotspare import Kind, Outcome, Pool, Price
from hotspare.testing import ScriptedTarget, VirtualClock, answer, fail, scripted_pool

DOWN = Outcome(Kind.SERVER, "down", 500)


def trail(pool: Pool, **options: Any) -> list[tuple[str, str, str, dict[str, str]]]:
    """Of each attempt of a call: its target, its reason, what chose it, and what was passed over."""
    return [
        (one.target, str(one.reason), one.chosen_by, dict(one.passed)) for one in pool.chat("q", **options).attempts
    ]


def test_the_first_target_needs_no_explanation() -> None:
    """It is named with its strategy; nothing was better."""
    assert trail(scripted_pool("a", "b")) == [("a", "first", "ordered", {})]
    assert trail(scripted_pool("a", strategy="latency"))[0][2] == "latency"
    assert trail(scripted_pool("a", strategy=lambda tier: tier))[0][2] == "function"


def test_better_targets_that_were_not_taken() -> None:
    """Open, disabled and rate-limited ones, each with its reason; what has failed in the call itself stands in the trail."""
    limited = ScriptedTarget("limited", [fail(429, "slow down", retry_after=60), "late"])
    pool = scripted_pool("off", limited, ScriptedTarget("c", [DOWN, "ok"]), "d", retry_same_target="never")
    pool.disable("off", "being upgraded")
    first = trail(pool)
    assert [one[0] for one in first] == ["limited", "c", "d"]
    assert first[0][3] == {"off": "disabled: being upgraded"}
    second = trail(pool)[0]
    assert (second[0], second[1]) == ("c", "first")
    assert set(second[3]) == {"off", "limited"}
    assert second[3]["limited"].startswith("rate limited, retry after 60.0 s")
    assert pool.chat("q").attempts[0].as_dict()["passed"] == second[3]


def test_a_conversation_and_a_slow_target() -> None:
    """The session chose, or the brownout rule did."""
    pool = scripted_pool(ScriptedTarget("a", [DOWN, "a"]), "b", retry_same_target="never")
    assert trail(pool, session="s")[1][2] == "ordered"
    assert trail(pool, session="s") == [("b", "first", "session", {})]
    clock = VirtualClock()
    slow = ScriptedTarget("a", [*[answer("ok", delay=0.5)] * 10, answer("ok", delay=2)])
    pool = scripted_pool(slow, "b", clock=clock)
    for _ in range(16):
        pool.chat("q")
    target, _, _, passed = trail(pool)[0]
    assert target == "b"
    assert passed["a"].startswith("it is slow: ")
    assert "would be tried later: it is slow" in str(pool.explain())


def test_scores() -> None:
    """What the strategy compares, as data and in the table; the plan takes every option of a call."""
    targets = [
        ScriptedTarget("a", price=Price(3, 7)),
        ScriptedTarget("b", price=Price(1, 1), weight=2.0),
        ScriptedTarget("c"),
    ]

    def scores(strategy: Any) -> dict[str, float | None]:
        return {one.target: one.score for one in scripted_pool(*targets, strategy=strategy).explain().choices}

    assert scores("cost") == {"b": 1.0, "a": 4.0, "c": None}
    assert scores("weighted") == {"a": 1.0, "b": 2.0, "c": 1.0}
    assert scores("ordered") == {"a": None, "b": None, "c": None}
    assert scores("latency")["b"] == 0.025  # nothing is known: a small number, so that it gets a record
    table = str(scripted_pool(*targets, strategy="cost").explain(avoid={"c"}))
    assert table.splitlines() == [
        "route default",
        "  1. b  tier 0  closed      1         would be tried",
        "  2. a  tier 0  closed      4         would be tried",
        "  3. c  tier 0  closed      skipped: it is listed in `avoid`",
    ]
