"""The text of a call's error stays readable, however many attempts and targets there were."""

import pytest
from hotspare import AllTargetsFailed, Kind, Outcome, Pool
from hotspare.testing import ScriptedTarget, VirtualClock, fail, scripted_pool


def test_a_call_that_waited_through_an_outage_has_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of attempts that ended alike are one line each target, in the error and in the log; all of them are in `attempts`."""
    clock = VirtualClock(0)
    targets = [
        ScriptedTarget(
            name, lambda _: fail(Outcome(Kind.TRANSPORT, "cannot resolve the host", before_connect=True)), clock=clock
        )
        for name in "ab"
    ]
    pool = scripted_pool(*targets, clock=clock, deadline=110)
    raised: list[AllTargetsFailed] = []

    def call() -> None:
        with pytest.raises(AllTargetsFailed) as error:
            pool.chat("hello")
        raised.append(error.value)

    clock.run_in_threads(call)
    error = raised[0]
    assert len(error.attempts) > 60
    lines = str(error).splitlines()
    assert [line for line in lines if "cannot resolve" in line and "more like it, to number" in line] == lines[1:3]
    assert len(lines) <= 4
    assert max(len(record.getMessage()) for record in caplog.records) < 600


def test_a_large_pool_names_a_dozen_targets_that_were_not_tried() -> None:
    """The others are counted, and stand in `skipped`."""
    down = ScriptedTarget("down", [fail(Outcome(Kind.CONTENT_FILTER, "no"))])
    others = [ScriptedTarget(f"t{number}").target for number in range(300)]
    with Pool([down.target, *others]) as pool, pytest.raises(AllTargetsFailed) as raised:
        pool.chat("hello")
    assert len(raised.value.skipped) == 300
    assert str(raised.value).count("not tried") == 12
    assert "and 288 more targets: see `skipped`" in str(raised.value)
