"""The command against the embedded provider."""

import json
import signal
import subprocess
import sys
from math import nan
from pathlib import Path

import pytest
from hotspare import ConfigError, Kind
from hotspare._cli.app import COMMANDS
from hotspare._cli.drill import _scenario
from hotspare._cli.entry import main
from hotspare._cli.probe import probe_targets
from hotspare._config.loader import load
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.drill.scenarios import SCENARIOS

from tests.support.command import run


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
    """The help text lists the subcommands and the exit codes; each subcommand has its own."""
    shown = run("--help").stdout
    assert all(word in shown for word in ("drill", "check", "chat", "status", "Start with", "Exit codes"))
    command = [sys.executable, "-m", "hotspare", "--version"]
    assert "hotspare 0." in subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "--baseline" in run("drill", "--help").stdout
    assert "hotspare[prices]" in run("prices", "--help").stdout, "brackets are no markup"


def test_prices_of_a_configuration(config: Path) -> None:
    """Each target with its rates and where they come from: the configuration, the data set, or nowhere."""
    text = config.read_text(encoding="utf-8").replace('name = "two"', 'name = "two"\nprice = [9, 8, 7]')
    config.write_text(text + '[[targets]]\nid = "vllm/m"\nname = "three"\n', encoding="utf-8")
    shown = json.loads(run("prices", str(config), "--json").stdout)
    assert "genai-prices" in shown["dataset"]
    found = {row["target"]: (row["source"], row["price"] and row["price"]["input"]) for row in shown["targets"]}
    assert found == {"one": ("openai/gpt-4.1", 2.0), "two": ("configuration", 9.0), "three": ("unknown", None)}
    assert "configuration" in run("prices", str(config)).stdout


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without typer or rich the command names the extra that installs them; any other ImportError is raised."""
    monkeypatch.delitem(sys.modules, "hotspare._cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "pip install 'hotspare[cli]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "hotspare._cli.app", None)
    with pytest.raises(ImportError, match=r"_cli\.app"):
        main()


def test_an_interrupt_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130 and no traceback."""
    import hotspare._cli.app

    monkeypatch.setattr(hotspare._cli.app, "app", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130


def test_chat_prints_answer_and_attempts(config: Path) -> None:
    """The answer goes to stdout, the attempts to stderr."""
    done = run("chat", "hello", "--config", str(config))
    assert (done.returncode, done.stdout) == (0, answer("hello") + "\n")
    assert "one [first] OK" in done.stderr


def test_chat_json_and_stdin(config: Path) -> None:
    """JSON for scripts; the prompt can come from stdin; an answer that is not streamed is the same."""
    done = run("chat", "-", "--config", str(config), "--json", "--model", "two", stdin="hello")
    found = json.loads(done.stdout)
    assert (found["text"], found["target"]) == (answer("hello"), "two")
    assert [attempt["kind"] for attempt in found["attempts"]] == ["ok"]
    assert run("chat", "hi", "--config", str(config), "--no-stream").stdout == answer("hi") + "\n"


def test_chat_without_an_answer(config: Path, provider: Provider) -> None:
    """Exit code 1 and every attempt on stderr, no traceback."""
    provider.fault(["a", "b"], "status", status=401)
    done = run("chat", "hello", "--config", str(config), "--deadline", "3")
    assert done.returncode == 1
    assert "AUTH" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_and_status(config: Path, provider: Provider) -> None:
    """The order of targets, a table or JSON, and the exit codes."""
    done = run("check", str(config))
    assert done.returncode == 0, done.stderr
    assert "one" in done.stdout
    assert "route default" in done.stdout
    provider.fault("b", "status", status=500)
    found = run("status", str(config), "--json")
    assert found.returncode == 1
    assert [row["kind"] for row in json.loads(found.stdout)] == ["ok", "server"]
    assert run("check", str(config), "--no-probe").returncode == 0
    assert json.loads(run("check", str(config), "--no-probe", "--json").stdout) == []


def test_a_pipe_gets_whole_names(config: Path) -> None:
    """A table is as wide as its cells, and a cell that is wider than the table wraps: no name is cut short."""
    name = "a-target-with-a-name-that-is-longer-than-most-terminals-are-wide-because-a-script-made-it-of-many-parts"
    config.write_text(config.read_text(encoding="utf-8").replace('"one"', f'"{name}"'), encoding="utf-8")
    for words in (("check", str(config)), ("status", str(config)), ("prices", str(config))):
        assert name in run(*words).stdout, words


def test_bad_configs_exit_2(tmp_path: Path) -> None:
    """Every mistake is reported with its place."""
    assert run("check", cwd=tmp_path).returncode == 2
    path = tmp_path / "bad.toml"
    path.write_text('[[targets]]\nid = "opnai/x"\nregoin = "us"\n', encoding="utf-8")
    done = run("check", str(path))
    assert done.returncode == 2
    assert "regoin" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_drill_lists_its_scenarios() -> None:
    """The help text describes each scenario; a wrong name gets the nearest one, or all of them."""
    shown = " ".join(run("drill", "--help").stdout.split())
    assert all(f"{name}: {scenario.about}" in shown for name, scenario in SCENARIOS.items())
    for name, hint in (
        ("streems", "did you mean 'streams'?"),
        ("nothing", "use one of outage, disasters, streams, slow"),
    ):
        done = run("drill", "--scenario", name)
        assert done.returncode == 2
        assert hint in done.stderr


def test_the_length_of_a_drill() -> None:
    """A factor from 0.1 to 100; no phase is shorter than a second."""
    assert [phase.seconds for phase in _scenario("slow", 100).phases] == [500, 1000]
    assert [phase.seconds for phase in _scenario("slow", 0.1).phases] == [1, 1]
    for wrong in (100.1, nan):
        with pytest.raises(ConfigError, match=r"must be a number from 0\.1 to 100"):
            _scenario("slow", wrong)


def test_a_probe_keeps_its_deadline(config: Path, provider: Provider) -> None:
    """A target that does not answer is a TIMEOUT, even if the deadline is shorter than a pool's shortest attempt."""
    provider.fault(["a", "b"], "blackhole")
    attempts = probe_targets(load(config), 0.5)
    assert [(one.target, one.kind) for one in attempts] == [("one", Kind.TIMEOUT), ("two", Kind.TIMEOUT)]


def test_only_the_called_subcommand_is_loaded() -> None:
    """`hotspare --help` loads no subcommand, `chat` and the like no other one and not the drill; an unknown one is an error."""
    code = "import sys; from hotspare._cli.app import app\ntry: app(sys.argv[1:])\nfinally: print(*sys.modules)"
    for arguments, expected in (
        (["chat", "--help"], {"chat"}),
        (["--help"], set[str]()),
        (["drill", "--help"], {"drill"}),
    ):
        command = [sys.executable, "-c", code, *arguments]
        loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
        assert {name for name in COMMANDS if f"hotspare._cli.{name}" in loaded} == expected
        assert ("hotspare.drill" in loaded) == ("drill" in expected)
    assert "Did you mean 'chat'?" in run("chatt").stderr
