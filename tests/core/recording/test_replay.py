"""A recording holds every decision, and follows from its own inputs byte for byte; nothing private is in it."""

import random
import sys
import threading
from collections.abc import Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hotspare import HotspareError, Kind, Outcome, Pool, Recorder
from hotspare._recording.file import RecordingFile
from hotspare._recording.replay import replay
from hotspare.testing import ScriptedTarget, VirtualClock, fail, scripted_pool
from tenacity import stop_after_attempt, wait_random

from tests.support.chaos import SECRET, chaos

DOWN = Outcome(Kind.SERVER, "down", 500)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines after the first."""
    return [line for _, _, line, _ in RecordingFile(path).lines()]


def test_a_thousand_calls_of_a_chaos_run_reproduce_byte_for_byte(tmp_path: Path) -> None:
    """Threads, asyncio and trio on one pool, with every kind of fault, races, hedges and waits: each line is written again
    exactly as it was. No word of a prompt, an answer, an error or a key is in the file. (Slow: it is a thousand calls.)"""
    path = tmp_path / "calls.jsonl"
    chaos(1000, record=path).close()
    replayed = replay(path)
    assert replayed.first is None
    assert (replayed.calls, replayed.is_cut, replayed.is_full) == (1000, False, False)
    rules = {line["rule"] for line in lines_of(path) if "rule" in line}
    assert rules >= {0, 1, 2, 3, 4, 7, 8}
    assert SECRET.lower() not in path.read_text(encoding="utf-8").lower()


@pytest.fixture
def restless() -> Generator[None]:
    """Threads take turns after a microsecond: by default one thread could make all its calls in its first turn."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_calls_of_many_threads_stand_in_the_order_of_the_lock(tmp_path: Path) -> None:
    """Eight threads call at once, in real time and without a pause, while a target fails at random: lines of different calls
    are mixed, and the file reproduces."""
    path, rng = tmp_path / "calls.jsonl", random.Random(7)
    flaky = ScriptedTarget("flaky", lambda _: fail(DOWN) if rng.random() < 0.3 else "ok", id="a/m")
    good = ScriptedTarget("good", id="b/m", tier=1)
    pool = Pool([flaky.target, good.target], record=path, retry_same_target="never")

    started = threading.Barrier(8)

    def calls() -> None:
        started.wait()
        for _ in range(25):
            pool.chat("q")

    threads = [threading.Thread(target=calls) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()
    replayed = replay(path)
    assert (replayed.calls, replayed.first) == (200, None)
    names = [line["call"] for line in lines_of(path)]
    assert sum(a != b for a, b in pairwise(names)) > 200


def test_a_line_that_does_not_follow_is_shown(tmp_path: Path) -> None:
    """The first line that differs, its call and both versions: of a decision that was changed, and of one whose input was."""
    path = recorded(tmp_path, DOWN)
    whole = path.read_text(encoding="utf-8")
    for old, new in (('"takes":"b"', '"takes":"c"'), ('"kind":"server"', '"kind":"timeout"')):
        path.write_text(whole.replace(old, new, 1), encoding="utf-8")
        first = replay(path).first
        assert first is not None
        assert first.call == "call-1"
        assert first.recorded == path.read_text(encoding="utf-8").splitlines()[first.line - 1] != first.replayed
    assert '"takes":"b"' in whole


def test_what_tenacity_said_is_an_input(tmp_path: Path) -> None:
    """`wait_random` draws from a source of its own, and a stop condition may be any code: their answers are recorded."""
    settings: dict[str, Any] = {
        "wait": wait_random(0.1, 0.9),
        "stop": stop_after_attempt(4),
        "retry_same_target": "always",
    }
    path = recorded(tmp_path, [DOWN, DOWN, "ok"], calls=20, **settings)
    assert any(line.get("wait") for line in lines_of(path)) and any(line.get("stop") for line in lines_of(path))
    assert replay(path).first is None


def test_an_operators_word_is_recorded(tmp_path: Path) -> None:
    """Disabling and enabling a target change what follows; the operator's reason stays out of the file."""
    path = tmp_path / "calls.jsonl"
    pool = scripted_pool("a", "b", record=path)
    pool.disable("a", "the lease of bob@example.com is over")
    assert pool.chat("q").target == "b"
    pool.enable("a")
    assert pool.chat("q").target == "a"
    with pytest.raises(KeyError):
        pool.disable("c")
    pool.close()
    assert [line["do"] for line in lines_of(path) if "target" in line] == ["disable", "enable"]
    assert replay(path).first is None
    assert "bob" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("sample", "decided"), [(0.0, 0), (1.0, 40)])
def test_a_sample_has_fewer_decisions_and_the_same_inputs(tmp_path: Path, sample: float, decided: int) -> None:
    """The inputs of calls whose decisions are left out are written, so that the file still reproduces."""
    path = recorded(tmp_path, [DOWN, "ok"], calls=40, record=Recorder(tmp_path / "calls.jsonl", sample=sample))
    lines = lines_of(path)
    firsts = [line for line in lines if line.get("reason") == "first"]
    assert (len(firsts), sum(line["do"] == "call" for line in lines)) == (decided, 40)
    assert replay(path).first is None


def test_a_share_of_the_calls_is_sampled(tmp_path: Path) -> None:
    """Half of four hundred calls, give or take."""
    path = recorded(tmp_path, "ok", calls=400, record=Recorder(tmp_path / "calls.jsonl", sample=0.5))
    assert 140 < sum(line.get("sampled", False) for line in lines_of(path)) < 260


def recorded(folder: Path, script: Any, *, calls: int = 1, **settings: Any) -> Path:
    """A recording of so many calls, in virtual time, to a target with this script and one that answers."""
    path = folder / "calls.jsonl"
    pool = scripted_pool(
        ScriptedTarget("a", script, id="a/m"), ScriptedTarget("b", id="b/n"), clock=VirtualClock(0),
        **{"record": path, "retry_same_target": "never", **settings},
    )  # fmt: skip
    for _ in range(calls):
        try:
            pool.chat("q")
        except HotspareError:
            continue
    pool.close()
    return path
