"""A target without a record that lets calls wait: few calls meet it if it is silent."""

import pytest
from hotspare._engine.first import first_attempt

from tests.support.engine import Engine


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("face", ["rules", "first"])
@pytest.mark.parametrize(
    ("usual", "own", "at", "target"),
    [
        (8, 0, 1.3, "b"),  # 0.3 of 5 times twice 0.1 s, after the attempt that began at 1
        (8, 0, 1.29, "a"),
        (8, 8, 1.4, "a"),  # its own record
        (7, 0, 1.4, "a"),  # too few answers in the pool
    ],
)
def test_few_calls_meet_an_untested_target_that_is_silent(
    face: str, usual: int, own: int, at: float, target: str, streaming: bool
) -> None:
    """One that has no record yet and lets others wait for longer than the pool's usual time: another one is tried first."""
    engine = Engine()
    for _ in range(usual):
        (engine.shared.first_token if streaming else engine.shared.completion).add(0.1)
    for _ in range(own):
        (engine["a"].first_token if streaming else engine["a"].completion).add(0.1)
    engine.start(engine.call(streaming=streaming), "a", 1.0)
    call = engine.call(streaming=streaming)
    if face == "first":
        found = first_attempt(call, engine.shared, at)
        assert (found.state.name if found is not None else "b") == target
        return
    call.was_queued = True  # so that the rules decide
    attempt = engine.attempt(call, at)
    assert attempt.state.name == target
    assert dict(attempt.passed).get("a") == ("other calls wait for it longer than usual" if target == "b" else None)
    engine["a"].breaker.record_success(1.0, at)
    assert engine.attempt(engine.call(streaming=streaming), at).state.name == "a"  # it has answered


def test_an_untested_target_is_used_if_there_is_no_other() -> None:
    """It is last in the order, not blocked."""
    engine = Engine("a")
    for _ in range(8):
        engine.shared.completion.add(0.1)
    engine.start(engine.call(), "a", 1.0)
    assert engine.attempt(engine.call(), 1.5).state.name == "a"
