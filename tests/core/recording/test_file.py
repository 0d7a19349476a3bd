"""The file of a recording: what a crash, a full disk, a fork or another hotspare make of it, and what is wrong with its settings."""

import logging
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hotspare import ConfigError, Pool, Recorder, RecordingError, Target
from hotspare._recording.file import RecordingFile
from hotspare._recording.replay import replay
from hotspare.recorder import LEAST_BYTES
from hotspare.testing import ScriptedTarget, scripted_pool

CALLER = """
import random, sys, threading
from hotspare import Pool
from hotspare.testing import ScriptedTarget
pool = Pool([ScriptedTarget(name, lambda _: "ok" if random.random() < 0.8 else ConnectionError("x")).target for name in "ab"],
            record=sys.argv[1])
def calls():
    while True:
        pool.chat("q")
        sys.stdout.write("x")
        sys.stdout.flush()
for _ in range(4):
    threading.Thread(target=calls).start()
"""


def recorded(path: Path, calls: int = 3, record: Any = None) -> Path:
    """A recording of `calls` calls."""
    pool = scripted_pool("a", record=record or path)
    for _ in range(calls):
        pool.chat("q")
    pool.close()
    return path


@pytest.mark.parametrize("seed", range(2))
def test_a_kill_loses_at_most_the_line_that_was_written(tmp_path: Path, seed: int) -> None:
    """A process with four threads is killed in the middle: every call that its caller saw the end of is in the file, which plays
    to its end. (Slow: a process is started.)"""
    path, rng = tmp_path / "calls.jsonl", random.Random(seed)
    process = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(path)], stdout=subprocess.PIPE, env=os.environ | python_path()
    )
    assert process.stdout is not None
    process.stdout.read(rng.randint(50, 200))
    process.send_signal(signal.SIGKILL)
    process.stdout.read()
    process.wait()
    replayed = replay(path)
    assert replayed.first is None
    assert replayed.calls >= 50
    with path.open("rb") as file:
        assert replayed.lines == sum(line.endswith(b"\n") for line in file) - 1


def python_path() -> dict[str, str]:
    """The sources of this run, for another process."""
    return {"PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}


def test_a_file_that_was_cut_anywhere_replays_up_to_there(tmp_path: Path) -> None:
    """At each byte of its last line, and at many before it: every whole line plays, and a part of one is said to be cut."""
    whole = recorded(tmp_path / "calls.jsonl", calls=1).read_bytes()
    first = whole.index(b"\n") + 1
    cut = tmp_path / "cut.jsonl"
    last = whole.rindex(b"\n", 0, -1)
    for length in (*range(first, last, 61), *range(last, len(whole) + 1)):
        cut.write_bytes(whole[:length])
        replayed = replay(cut)
        lines = whole[first:length].count(b"\n")
        assert (replayed.first, replayed.lines, replayed.is_cut) == (None, lines, not whole[:length].endswith(b"\n"))


def test_a_full_file_ends_the_recording_and_says_so(tmp_path: Path) -> None:
    """It is no larger than it may be, plays to its end, and the calls continue."""
    path = tmp_path / "calls.jsonl"
    recorded(path, 50, Recorder(path, max_bytes=8000))
    assert 7000 < path.stat().st_size <= 8000
    replayed = replay(path)
    assert (replayed.is_full, replayed.is_cut, replayed.first) == (True, False, None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_a_disk_that_is_full_harms_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """The recording ends with one warning."""
    with caplog.at_level(logging.WARNING, "hotspare"):
        pool = scripted_pool("a", record="/dev/full")
        assert [pool.chat("q").text for _ in range(3)] == ["ok"] * 3
    assert [one.getMessage() for one in caplog.records] == [
        "the recording /dev/full ends here: No space left on device"
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_process_does_not_write_into_its_parents_file(tmp_path: Path) -> None:
    """It can make calls; the parent's file holds the parent's only."""
    path = tmp_path / "calls.jsonl"
    pool = scripted_pool("a", record=path)
    pool.chat("q")
    child = os.fork()
    if not child:
        os._exit(0 if pool.chat("q").text == "ok" else 1)
    assert os.waitpid(child, 0)[1] == 0
    pool.chat("q")
    pool.close()
    replayed = replay(path)
    assert (replayed.calls, replayed.first) == (2, None)


def test_an_earlier_recording_is_kept(tmp_path: Path) -> None:
    """A process that starts again after a crash does not overwrite what led to it; the number of the process is filled in."""
    path = tmp_path / f"calls-{os.getpid()}.jsonl"
    for calls in (1, 2, 3):
        recorded(path, calls, tmp_path / "calls-{pid}.jsonl")
    assert [replay(one).calls for one in (path, path.with_name(f"{path.name}.1"))] == [3, 2]
    assert path.stat().st_mode & 0o077 == 0 or os.name == "nt"


def test_calls_after_the_end_of_a_recording_are_not_in_it(tmp_path: Path) -> None:
    """A stream that is still read when the pool is closed ends well."""
    path = tmp_path / "calls.jsonl"
    pool = scripted_pool("a", record=path)
    stream = pool.stream("q")
    next(stream)
    pool.close()
    assert [chunk.finish_reason for chunk in stream][-1] == "stop"
    assert replay(path).first is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is not a recording of hotspare"),
        (b"\x89PNG\r\n\n", "is not a recording of hotspare"),
        (b'{"recording": "other"}\n', "is not a recording of hotspare"),
        (b"[1, 2]\n", "is not a recording of hotspare"),
        (b"[" * 100_000, "is not a recording of hotspare"),
        (b'{"recording":"hotspare","version":2,"hotspare":"9.0"}\n', "use the release that wrote it (9.0)"),
        (b'{"recording":"hotspare","version":1}\n', "the recording's policy cannot be read"),
        (b'{"recording":"hotspare","version":1,"at":0,"policy":{"new_field":1}}\n', "new_field: unknown field"),
        (
            b'{"recording":"hotspare","version":1,"at":0,"policy":{},"targets":[{}]}\n',
            "the recording's targets cannot be read",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    """With its name, and what is wrong with it."""
    path = tmp_path / "calls.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        replay(path)
    assert message in str(caught.value)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    """One in the middle that is no JSON, one that does not follow from those before it, and one of an unknown sort."""
    path = recorded(tmp_path / "calls.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    for damage, message in (
        ("{", "line 4 is damaged"),
        ('{"do":"settle","call":"call-9","attempt":1}', "line 4 cannot be replayed: it does not follow"),
        ('{"do":"dance"}', "line 4 cannot be replayed"),
    ):
        path.write_text("\n".join([*lines[:3], damage, *lines[4:], ""]), encoding="utf-8")
        with pytest.raises(RecordingError, match=message):
            replay(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": 3}, "record: 3 must be the path of a file"),
        ({"path": ""}, "record: '' must be the path of a file"),
        ({"path": "x", "sample": 2}, "record.sample: 2 must be between 0 and 1"),
        ({"path": "x", "sample": float("nan")}, "record.sample: nan must be between 0 and 1"),
        ({"path": "x", "sample": "all"}, "record.sample: 'all' must be a number"),
        ({"path": "x", "max_bytes": 10}, f"record.max_bytes: 10 must be at least {LEAST_BYTES} bytes"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, Any], message: str) -> None:
    """The field, its value and the way out."""
    with pytest.raises(ConfigError) as caught:
        Recorder(**given)
    assert message in str(caught.value)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Before any call; and one recorder records one pool."""
    target = Target("openai/gpt-4.1", api_key="test-1")
    with pytest.raises(ConfigError, match=r"cannot be written .*: name a file in a folder that exists"):
        Pool(target, record=tmp_path / "no" / "calls.jsonl")
    recorder = Recorder(tmp_path / "calls.jsonl")
    Pool(target, record=recorder).close()
    with pytest.raises(ConfigError, match="records another pool"):
        Pool(target, record=recorder)
    assert RecordingFile(tmp_path / "calls.jsonl").header["targets"][0]["name"] == "openai/gpt-4.1"


def test_a_configuration_names_the_file(tmp_path: Path) -> None:
    """`record` in it is that of the pool; anything but a path is an error that names its place."""
    path = tmp_path / "calls.jsonl"
    table = {"targets": [{"id": "openai/gpt-4.1", "api_key": "test-1"}], "record": str(path)}
    Pool.from_config(table).close()
    assert replay(path).lines == 0
    with pytest.raises(ConfigError, match="record: 3 must be a string"):
        Pool.from_config({**table, "record": 3})


def test_a_reload_ends_the_recording(tmp_path: Path) -> None:
    """The first line holds the targets and the policy of what follows. Calls after the reload are made, and not in the file."""
    path, config = tmp_path / "calls.jsonl", tmp_path / "hotspare.json"
    config.write_text('{"targets": [{"id": "openai/gpt-4.1", "api_key": "test-1"}]}', encoding="utf-8")
    pool = Pool(ScriptedTarget("a").target, record=path)
    pool.chat("q")
    pool.reload(config)
    pool.close()
    replayed = replay(path)
    assert (replayed.calls, replayed.first, replayed.is_reloaded) == (1, None, True)
