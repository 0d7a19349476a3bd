"""The command, as a process, against the embedded provider."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hotspare._cli.entry import main
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.drill.scenarios import SCENARIOS


def run(*words: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`hotspare …`"""
    command = [sys.executable, "-m", "hotspare", *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


@pytest.fixture
def config(provider: Provider, tmp_path: Path) -> Path:
    """Two targets at the embedded provider."""
    path = tmp_path / "hotspare.toml"
    path.write_text(
        "deadline = 10\n"
        f'[[targets]]\nid = "openai/gpt-4.1"\nname = "one"\nbase_url = "{provider.base_url("a")}"\napi_key = "test-1"\n'
        f'[[targets]]\nid = "anthropic/claude-sonnet-4-5"\nname = "two"\nbase_url = "{provider.base_url("b", "anthropic")}"\n'
        'api_key = "test-1"\n',
        encoding="utf-8",
    )
    return path


def test_help_and_version() -> None:
    """A stranger finds the commands, their options and the exit codes."""
    shown = run("--help").stdout
    assert all(word in shown for word in ("drill", "check", "chat", "status", "Begin with", "Exit codes"))
    assert "hotspare 0." in run("--version").stdout
    assert "--baseline" in run("drill", "--help").stdout


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without typer and rich the command says how to get them; any other broken import is shown as it is."""
    monkeypatch.delitem(sys.modules, "hotspare._cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "pip install 'hotspare[cli]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "hotspare._cli.app", None)
    with pytest.raises(ImportError, match=r"_cli\.app"):
        main()


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with the shell's own code."""
    import hotspare._cli.app

    monkeypatch.setattr(hotspare._cli.app, "app", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130


def test_chat_streams_and_tells_the_trail(config: Path) -> None:
    """The answer on stdout, who answered on stderr."""
    done = run("chat", "hello", "--config", str(config))
    assert (done.returncode, done.stdout) == (0, answer("hello") + "\n")
    assert "one [first] OK" in done.stderr


def test_chat_json_and_stdin(config: Path) -> None:
    """For scripts."""
    done = run("chat", "-", "--config", str(config), "--json", "--model", "two", stdin="hello")
    found = json.loads(done.stdout)
    assert (found["text"], found["target"]) == (answer("hello"), "two")
    assert run("chat", "hi", "--config", str(config), "--no-stream").stdout == answer("hi") + "\n"


def test_chat_that_nobody_answers(config: Path, provider: Provider) -> None:
    """Exit code 1 and every attempt, no traceback."""
    provider.fault(["a", "b"], "status", status=401)
    done = run("chat", "hello", "--config", str(config), "--deadline", "3")
    assert done.returncode == 1
    assert "AUTH" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_and_status(config: Path, provider: Provider) -> None:
    """A table for people, JSON for scripts, and exit codes."""
    done = run("check", str(config))
    assert done.returncode == 0, done.stderr
    assert "one" in done.stdout
    assert "route default" in done.stdout
    provider.fault("b", "status", status=500)
    found = run("status", str(config), "--json")
    assert found.returncode == 1
    assert [row["kind"] for row in json.loads(found.stdout)] == ["ok", "server"]
    assert run("check", str(config), "--no-probe").returncode == 0


def test_bad_configs_exit_2(tmp_path: Path) -> None:
    """Every mistake is named with its place."""
    assert run("check", cwd=tmp_path).returncode == 2
    path = tmp_path / "bad.toml"
    path.write_text('[[targets]]\nid = "opnai/x"\nregoin = "us"\n', encoding="utf-8")
    done = run("check", str(path))
    assert done.returncode == 2
    assert "regoin" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_drill_says_what_can_be_rehearsed() -> None:
    """In a stranger's words; a name that is none gets the nearest one, or all of them."""
    shown = " ".join(run("drill", "--help").stdout.split())
    assert all(f"{name}: {scenario.about}" in shown for name, scenario in SCENARIOS.items())
    for name, way_out in (("streems", "did you mean 'streams'?"), ("nothing", "there are outage, streams, slow")):
        done = run("drill", "--scenario", name)
        assert done.returncode == 2
        assert way_out in done.stderr
