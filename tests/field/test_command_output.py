"""What the command prints: providers' words as they are, a notice while it waits, and the documented exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hotspare import Kind, Pool
from hotspare._cli.output import FIRST_NOTICE, NEXT_NOTICE, WaitingNotice, printable
from hotspare._cli.probe import print_probes
from hotspare.drill.metrics import Result
from hotspare.drill.scenarios import SCENARIOS
from hotspare.drill.terminal import print_tables
from hotspare.outcome import AttemptRecord
from hotspare.target import Target
from hotspare.testing import ScriptedTarget, scripted_pool

from tests.support.command import run
from tests.support.raw_server import raw_server, response

WORDS = "unexpected token [/INST] in [bold]template[/bold] [red]\x1b[2J\x07 [link=x]"
SHOWN = r"unexpected token [/INST] in [bold]template[/bold] [red]\x1b[2J\x07 [link=x]"


def config(folder: Path, url: str, name: str = "t", more: str = "") -> str:
    """A file with one target."""
    path = folder / "c.toml"
    path.write_text(
        f'deadline = 5\n{more}[[targets]]\nid = "openai-compatible/m"\nbase_url = "{url}"\nname = {json.dumps(name)}\n',
        encoding="utf-8",
    )
    return str(path)


def test_providers_words_are_no_markup(tmp_path: Path) -> None:
    """Neither in the table of `check` and `status`, nor in the errors and attempts of `chat`; control characters are escaped."""
    with raw_server(lambda request: response(400, {"error": {"message": WORDS}})) as server:
        path = config(tmp_path, server.url, "[/b] name")
        for words in (("check", path), ("status", path)):
            done = run(*words)
            assert done.returncode == 1
            assert not done.stderr
            shown = " ".join(done.stdout.replace("│", " ").split())
            assert "[/INST] in" in shown
            assert "[bold]template[/bold]" in shown
            assert "[/b] name" in shown
            assert "\x1b" not in done.stdout
        done = run("chat", "hi", "--config", path)
        assert done.returncode == 1
        assert SHOWN in done.stderr
        assert json.loads(run("status", path, "--json").stdout)[0]["message"] == WORDS


@pytest.mark.parametrize("text", ["[/]", "[/INST]", "[bold", "[[", "\\[x]", "[@click=x]y[/]", "[" * 1000])
def test_no_text_breaks_a_table(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Markup that is broken, nested or escaped, as name, region and message."""
    target = Target("openai-compatible/m", name=text, region=text, base_url="http://h")
    assert print_probes([target], [AttemptRecord(1, text, Kind.SERVER, 0.1, message=text)], as_json=False) == 1
    assert "[" in capsys.readouterr().out


def test_the_drills_tables_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Of names of clients and errors."""
    scenario = SCENARIOS["outage"]
    print_tables([Result("[/INST] client", scenario, [0.0] * len(scenario.phases))])
    assert "[/INST] client" in capsys.readouterr().out


def test_printable() -> None:
    """Line breaks, tabs and every script stay; what steers a terminal is escaped."""
    assert printable("a\tb\n서울 é 🙂") == "a\tb\n서울 é 🙂"
    assert printable("\x1b[31m\r\x00\x9b\u202e") == "\\x1b[31m\\r\\x00\\x9b\\u202e"


class Waits:
    """Replaces the waits of a notice: each lets the test run until it is over, or says that the time is over."""

    def __init__(self, *rounds: bool) -> None:
        self.rounds, self.seconds = list(rounds), list[float]()
        self.ended = threading.Event()

    def __call__(self, over: threading.Event, seconds: float) -> bool:
        self.seconds.append(seconds)
        if self.rounds:
            return self.rounds.pop(0)
        self.ended.set()
        return over.wait(30)


def waited(pool: Pool, waits: Waits) -> list[str]:
    """The lines of a notice while a call fails."""
    lines: list[str] = []
    with WaitingNotice(pool, write=lines.append, clock=lambda: 2.0, wait=waits) as notice:
        assert waits.ended.wait(30)
        pool.chat("hi")
        notice.done()
        pool.chat("hi")
    return lines


def test_a_long_wait_is_reported() -> None:
    """After 2 s, then every 10 s; with the attempts that have failed, and what is tried next; nothing after the answer."""
    waits = Waits(False, False)
    pool = scripted_pool(ScriptedTarget("a", [Kind.AUTH, "ok"]), "b")
    assert waited(pool, waits) == [
        "waiting for an answer: 0 s", "waiting for an answer: 0 s", "  a [first] AUTH after 0.00 s", "  trying b",
    ]  # fmt: skip
    assert waits.seconds == [FIRST_NOTICE, NEXT_NOTICE, NEXT_NOTICE]


def test_a_short_wait_is_not_reported() -> None:
    """An answer before the first notice, also where a target failed."""
    assert waited(scripted_pool(ScriptedTarget("a", [Kind.AUTH, "ok"]), "b"), Waits()) == []


def test_a_dead_target_of_chat(tmp_path: Path) -> None:
    """The notice goes to stderr; stdout is JSON alone, and empty where the call fails. Ctrl-C ends with 130, without a traceback."""
    with raw_server(lambda request: ["hang"]) as server:
        path = config(tmp_path, server.url)
        command = [sys.executable, "-m", "hotspare", "chat", "hi", "--config", path, "--deadline", "60", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert process.stderr.readline() == "waiting for an answer: 2 s\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_exit_codes(tmp_path: Path) -> None:
    """0 an answer, 1 a failed call, 2 wrong usage or configuration."""
    good = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "서울"}, "finish_reason": "stop"}]}
    with raw_server(lambda request: response(200, good)) as server:
        path = config(tmp_path, server.url)
        done = run("chat", "hi", "--config", path)
        assert (done.returncode, done.stdout) == (0, "서울\n")
        assert json.loads(run("chat", "hi", "--config", path, "--json").stdout)["text"] == "서울"
        assert run("check", path).returncode == 0
    assert run("chat", "hi", "--config", path).returncode == 1
    for words, hint in (
        (("chat", "hi", "--config", path, "--model", "zz"), "is not a route, target, model or alias"),
        (("chat", "hi", "--config", path, "--deadline", "nan"), "deadline: nan"),
        (("chat", "hi", "--config", path, "--deadline", "1e12"), "deadline: 1000000000000.0"),
        (("chat", "hi", "--config", path, "--target", "ollama/x"), "cannot be combined with --config"),
        (("chat", "hi", "--target", "gpt-4.1"), "did you mean 'openai/gpt-4.1'?"),
        (("chat", "hi", "--target", "claude/x"), "did you mean 'anthropic/x'?"),
        (("chat", "hi", "--config", str(tmp_path)), "must end in one of .toml"),
        (("chat", "hi", "--config", str(tmp_path / "none.toml")), "does not exist; name a file"),
        (("check", path, "--deadline", "0"), "--deadline"),
        (("drill", "--report", str(tmp_path / "no" / "x.html")), "--report: "),
        (("drill", "--report", str(tmp_path)), "cannot be written"),
        (("drill", "--report", str(tmp_path / "x.txt")), "must end in .html"),
        (("drill", "--scale", "1e9"), "--scale: "),
        (("nothing",), "No such command"),
    ):
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert hint in done.stderr
        assert "Traceback" not in done.stderr


def test_an_output_that_cannot_show_the_answer(tmp_path: Path) -> None:
    """An encoding without the answer's characters, and a reader that leaves early: no traceback."""
    good = {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "서울 " * 50_000}, "finish_reason": "stop"}
        ]
    }
    with raw_server(lambda request: response(200, good)) as server:
        path = config(tmp_path, server.url)
        done = run("chat", "hi", "--config", path, encoding="ascii")
        assert done.returncode == 0
        assert done.stdout.startswith("\\uc11c")
        command = f"{sys.executable} -m hotspare chat hi --config {path} | head -c 3"
        ended = subprocess.run(command, shell=True, capture_output=True, timeout=60, check=False)
        assert b"Traceback" not in ended.stderr
