"""What another policy would have decided, given all that happened until then; and the explanation of one call."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hotspare import Breaker, Kind, Outcome, Recorder, RecordingError, Timeouts
from hotspare._cli.entry import main
from hotspare._recording.changes import Changes, changes
from hotspare._recording.explanation import explain_call
from hotspare._recording.file import RecordingFile
from hotspare._recording.replayer import Replayer
from hotspare.testing import ScriptedTarget, VirtualClock, fail, scripted_pool

from tests.support.calls import Ask, run_calls, run_concurrently
from tests.support.chaos import TOOL, chaos
from tests.support.drawn import FixedRandom

DOWN = Outcome(Kind.SERVER, "down (SECRET) for now", 503)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three targets: the first fails five times and is left alone, then it answers; the second cannot be sent tools."""
    path, clock = tmp_path / "calls.jsonl", VirtualClock(100.0)
    script = [*[fail(DOWN, delay=0.5)] * 5, "a"]
    targets = [
        ScriptedTarget("a", script, id="a/m"), ScriptedTarget("b", id="b/n", missing={"tools"}), ScriptedTarget("c", id="c/o"),
    ]  # fmt: skip
    pool = scripted_pool(
        *targets, clock=clock, rng=FixedRandom(0.5), record=path, retry_same_target="never", deadline=30
    )
    asks = [Ask(pause=1)] * 6 + [Ask(pause=1, streaming=False, options={"tools": [TOOL]})] + [Ask(pause=30)]
    run_calls("sync", pool, clock, asks)
    pool.close()
    return path


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`hotspare …`, in this process: exit code, stdout, stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hotspare", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        shown = capsys.readouterr()
        return int(caught.value.code or 0), shown.out, shown.err

    return run


def changed(path: Path, **settings: Any) -> Changes:
    """With these settings in place of the recorded ones."""
    return changes(path, replace(Replayer(RecordingFile(path).header).recorded, **settings))


def test_the_same_policy_changes_nothing(recording: Path) -> None:
    """Also in a run in which everything happens: no decision is counted that is the same."""
    same = changed(recording)
    assert (same.calls, same.all) == (8, [])
    assert same.opened == {"recorded": 1, "changed": 1}


def test_a_call_goes_on_as_it_was_recorded_after_a_change(recording: Path) -> None:
    """With one attempt a call, each failover is given up, and the only attempt of the last call is no probe; all calls are looked
    at, and the health stays as recorded."""
    found = changed(recording, max_attempts=1)
    assert [one.changed.get("gives_up") for one in found.other_decisions] == [*["all 1 attempts are used"] * 5, None]
    assert (found.other_decisions[-1].recorded["takes"], found.other_decisions[-1].changed["takes"]) == ("a", "b")
    assert found.opened == {"recorded": 1, "changed": 1}


def test_what_a_longer_break_would_not_have_tried(recording: Path) -> None:
    """A breaker that opens after two failures, for long, passes the target over in the calls that tried it."""
    found = changed(recording, breaker=Breaker(consecutive_failures=2, fast_break_duration=20, break_duration=20))
    assert [(one.call, one.recorded["takes"], one.changed["takes"]) for one in found.other_decisions[:3]] == [
        ("call-3", "a", "b"), ("call-4", "a", "b"), ("call-5", "a", "b")
    ]  # fmt: skip


def test_other_times_are_told_apart_from_other_decisions(recording: Path) -> None:
    """The same targets with other timeouts, where the targets have no record yet."""
    found = changed(recording, timeouts=Timeouts(first_token=7))
    assert (len(found.other_decisions), len(found.other_times) > 3) == (0, True)
    assert {one.changed["timeout"] for one in found.other_times} == {7.0}


@pytest.mark.parametrize(
    "settings",
    [
        {"max_attempts": 2}, {"when_all_down": "fail"}, {"hedge": None, "on_slow": "abandon"}, {"strategy": "ordered"},
        {"breaker": Breaker(consecutive_failures=1, failure_span=0, break_duration=50.0, fast_break_duration=50.0)},
    ],
)  # fmt: skip
def test_any_change_can_be_replayed_through_a_chaos_run(shaken: Path, settings: dict[str, Any]) -> None:
    """Each decision of the run is looked at, whatever the policy: no line fails to fit what another policy has decided."""
    found = changed(shaken, **settings)
    assert found.other_decisions
    assert found.calls == 200


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chaos run: long enough that calls wait for a recovery in it."""
    path = tmp_path_factory.mktemp("chaos") / "calls.jsonl"
    chaos(200, record=path).close()
    return path


def test_the_story_of_a_call(recording: Path) -> None:
    """Each step in words: time, rule, target, those passed over and why, outcome, and what it did to a breaker."""
    told = explain_call(recording, "5")
    assert told[0].startswith("call-5: a stream, deadline 30 s, at most 6 attempts; began 20")
    assert told[1:] == [
        "targets: a, b, c",
        "the request uses: stream",
        "   +0.000 s  rule 3 (fail over): takes a (attempt 1, first), at most 10.0 s to the first content, then 30.0 s of silence",
        "   +0.500 s  attempt 1 at a ends: server 503",
        "            circuit breaker of a: closed -> open (5 consecutive failures)",
        "   +0.500 s  rule 3 (fail over): takes b (attempt 2, failover), at most 10.0 s to the first content, then 30.0 s of silence",
        "            skipped a: failed this call: server",
        "   +0.500 s  attempt 2 at b has its first content",
        "   +0.500 s  the stream of attempt 2 is complete",
        "   +0.500 s  the call is over: answered by b, 2 attempts",
    ]
    assert "            b does not support tools" in explain_call(recording, "call-7")


def test_the_story_of_a_call_that_waits(tmp_path: Path) -> None:
    """In the queue, until another call wakes it; and of calls whose decisions were not sampled."""
    path, clock = tmp_path / "calls.jsonl", VirtualClock(0)
    target = ScriptedTarget("a", [Outcome(Kind.RATE_LIMITED, "", 429, retry_after=5.0), "a"])
    pool = scripted_pool(target, clock=clock, record=Recorder(path, sample=0), max_retry_after_wait=0)
    run_concurrently("sync", pool, clock, [Ask(), Ask(pause=1)])
    pool.close()
    told = "\n".join([*explain_call(path, "1"), *explain_call(path, "2")])
    assert "rule 7 (wait in the queue): waits at most" in told
    assert "skipped a: rate limited, retry after 5.0 s" in told
    assert "woken by call-" in told


def test_a_call_that_is_not_there(recording: Path) -> None:
    """The error says how many there are, and where ids stand."""
    with pytest.raises(RecordingError, match="contains 8 calls, but none with the id 'call-99'"):
        explain_call(recording, "99")


def test_a_call_without_its_end(recording: Path) -> None:
    """Of a process that was killed meanwhile."""
    lines = recording.read_text(encoding="utf-8").splitlines(keepends=True)
    recording.write_text("".join(lines[:4]), encoding="utf-8")
    assert explain_call(recording, "1")[-1] == "the recording ends here, before the call does"


def test_replay_at_the_command_line(recording: Path, command: Command) -> None:
    """Counts, exit codes, the first difference; and the same as JSON."""
    code, out, err = command("replay", recording)
    assert (code, err) == (0, "")
    assert "8 calls, 13 decisions" in out and "every line is reproduced byte for byte" in out
    recording.write_text(
        recording.read_text(encoding="utf-8").replace('"takes":"b"', '"takes":"c"', 1) + '{"do"', encoding="utf-8"
    )
    code, out, _ = command("replay", recording)
    assert code == 1
    assert "not reproduced: line" in out and '"takes":"c"' in out
    code, out, _ = command("replay", recording, "--json")
    assert (code, json.loads(out)["first"]["call"]) == (1, "call-1")


def test_replay_with_another_policy_at_the_command_line(recording: Path, command: Command, tmp_path: Path) -> None:
    """Settings by --set, nested ones too, and the policy of a configuration whose keys are not at hand."""
    code, out, _ = command("replay", recording, "--set", "max_attempts=1", "--show", 1)
    assert code == 0
    assert "other decisions: 6, in 6 calls" in out
    assert out.count("changed:  rule 1 (give up): all 1 attempts are used") == 1
    config = tmp_path / "new.toml"
    config.write_text(
        '[[targets]]\nid = "openai/gpt-4.1"\napi_key = "${NO_SUCH_VARIABLE}"\n[policy]\nmax_attempts = 1\n'
    )
    shown = json.loads(command("replay", recording, "--config", config, "--json")[1])
    assert (shown["other_decisions"], shown["is_reloaded"]) == (6, False)
    for setting in (
        "breaker.consecutive_failures=2",
        "hedge.min_delay=0.1",
        'retry_same_target="always"',
        "total_deadline=none",
    ):
        assert command("replay", recording, "--set", setting)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "max_attempts"), "must be name=value"),
        (("--set", "max_attemps=3"), "max_attemps: unknown field; did you mean 'max_attempts'?"),
        (("--set", "max_attempts=many"), "policy.max_attempts: 'many' must be"),
        (("--set", "brakes.factor=2"), "names no group of settings"),
        (("--config", "nowhere.toml"), "does not exist"),
    ],
)
def test_wrong_usage_is_named(recording: Path, command: Command, words: tuple[str, str], message: str) -> None:
    """With exit code 2."""
    code, _, err = command("replay", recording, *words)
    assert code == 2
    assert message in err


def test_explain_at_the_command_line(recording: Path, command: Command, tmp_path: Path) -> None:
    """The explanation, as text and as JSON; a file that is none, and a call that is not there, are errors of usage."""
    code, out, err = command("explain", recording, "call-7")
    assert (code, err) == (0, "")
    assert out.splitlines() == json.loads(command("explain", recording, "7", "--json")[1])
    assert "SECRET" not in out
    assert command("explain", recording, "99")[0] == 2
    assert "cannot be read" in command("explain", tmp_path / "none", "1")[2]
