"""Events in the log: one line each, at the level that an operator would choose, readable and as JSON."""

import json
import logging
import subprocess
import sys

import pytest
from hotspare import AllTargetsFailed, ConfigError, Kind, Pool
from hotspare.outcome import Outcome
from hotspare.telemetry.logging import JsonFormatter, log, without_log
from hotspare.testing import ScriptedTarget, fail, scripted_pool

REFUSED = fail(Outcome(Kind.TRANSPORT, "refused", before_connect=True), delay=0.3)

SCRIPT = """
from hotspare.testing import ScriptedTarget, fail, scripted_pool
for _ in range(2):
    pool = scripted_pool(ScriptedTarget("a", [fail(401)]), "b")
pool.chat("my secret words")
"""


def test_one_line_for_each_thing_an_operator_looks_for(caplog: pytest.LogCaptureFixture) -> None:
    """A failover, a breaker's move, a call that was not answered with all its attempts; nothing for a call that was."""
    caplog.set_level(logging.INFO, "hotspare")
    a, b = ScriptedTarget("a", [REFUSED] * 6), ScriptedTarget("b", ["ok"] * 4 + [REFUSED] * 6)
    pool = scripted_pool(a, b, when_all_down="fail", max_rejection=0.0)
    for _ in range(4):
        pool.chat("q")
    with pytest.raises(AllTargetsFailed):
        pool.chat("q")
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines[:4] == [("WARNING", f"call-{n}: failover from a to b: transport") for n in range(1, 5)]
    opened = next(line for level, line in lines if level == "WARNING" and "circuit breaker of a" in line)
    assert opened.startswith("circuit breaker of a: closed -> open: 5 consecutive failures, retry after")
    (lost,) = [line for level, line in lines if level == "ERROR"]
    assert lost.startswith("call-5: not answered after") and "a [first] TRANSPORT" in lost and "b [failover]" in lost


def test_json_lines() -> None:
    """HOTSPARE_LOG=json: one object a line on stderr, once, with the event's fields and no prompt."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True,
        env={"HOTSPARE_LOG": "json", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["StateChanged", "NeedsAttention", "FailedOver"]
    assert lines[2] | {"time": ""} == {
        "time": "", "level": "warning", "logger": "hotspare", "message": "call-1: failover from a to b: auth",
        "event": "FailedOver", "call": "call-1", "source": "a", "target": "b", "kind": "auth",
    }  # fmt: skip
    assert lines[0]["time"].endswith("Z") and "secret" not in done.stderr


def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any call."""
    monkeypatch.setenv("HOTSPARE_LOG", "yaml")
    with pytest.raises(ConfigError, match="HOTSPARE_LOG: 'yaml' must be text or json"):
        Pool([ScriptedTarget("a").target])


def test_exceptions_are_one_line_too() -> None:
    """A traceback is a field."""
    try:
        raise ValueError("x")
    except ValueError:
        record = logging.LogRecord("hotspare", logging.ERROR, "f", 1, "a listener raised", (), sys.exc_info())
    assert json.loads(JsonFormatter().format(record))["error"].endswith("ValueError: x")


def test_blocks_without_a_log_may_overlap(caplog: pytest.LogCaptureFixture) -> None:
    """Two simulations in two threads end in any order: the log is off until both have ended, and on afterwards."""
    first, second = without_log(), without_log()
    first.__enter__()
    second.__enter__()
    log.error("in both")
    first.__exit__(None, None, None)
    log.error("in the second")
    second.__exit__(None, None, None)
    log.error("afterwards")
    assert [record.getMessage() for record in caplog.records] == ["afterwards"]
