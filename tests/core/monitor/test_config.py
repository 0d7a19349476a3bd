"""`[monitor]` in a configuration, and the commands that use it."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from hotspare import ConfigError, Pool
from hotspare._cli.app import app
from hotspare._config.loader import load
from hotspare.ledger import Ledger
from hotspare.monitor import Webhook
from hotspare.testing import ScriptedTarget, fail, scripted_pool
from typer.testing import CliRunner

from tests.support.receivers import Receiver

CONFIG = """
targets = [{{ id = "openai/m", api_key = "k-1234567" }}]
[monitor]
ledger = "{ledger}"
[[monitor.rules]]
name = "cost"
threshold = 20
[[monitor.rules]]
name = "busy"
metric = "calls"
threshold = 1000
[[monitor.channels]]
type = "webhook"
url = "{url}"
"""


def write(folder: Path, url: str = "http://127.0.0.1:9/x") -> Path:
    """A configuration with a ledger and a webhook."""
    path = folder / "hotspare.toml"
    path.write_text(CONFIG.format(ledger=folder / "ledger.db", url=url), encoding="utf-8")
    return path


def run(*words: str, ledger: Path | None = None) -> Result:
    """`hotspare …`, in this process: starting one takes longer than all of these tests."""
    return CliRunner().invoke(app, [*words, *(["--ledger", str(ledger)] if ledger else [])])


def test_a_default_rule_is_changed_and_another_added(tmp_path: Path) -> None:
    """What is not named stays; the pool is watched until it is closed, and its calls are recorded."""
    config = load(write(tmp_path)).monitor
    assert config is not None
    rules = {rule.name: rule for rule in config.rules}
    assert (rules["cost"].threshold, rules["cost"].window, rules["busy"].metric) == (20, 86_400, "calls")
    assert len(rules) == 15 and isinstance(config.channels[0], Webhook)
    with Pool.from_config(write(tmp_path)) as pool:
        pool.disable("openai/m")
    assert (tmp_path / "ledger.db").exists()


def test_mistakes_are_named() -> None:
    """With their places."""
    with pytest.raises(ConfigError) as caught:
        load({
            "targets": [{"id": "openai/m", "api_key": "k-1234567"}],
            "monitor": {
                "ledgr": "x", "prometheus": "here", "rules": [{"name": "x", "metric": "calls"}, {"name": "cost", "window": 0}],
                "channels": [{"type": "pigeon"}, {"type": "webhook", "url": "ftp://x"}, {"type": "smtp", "host": "h"}],
            },
        })  # fmt: skip
    assert list(caught.value.problems) == [
        "monitor.ledgr: unknown field; did you mean 'ledger'?",
        "monitor.prometheus: 'here' must be host:port, e.g. 127.0.0.1:9464",
        "monitor.rules[0].threshold: is missing",
        "monitor.rules[1].window: 0.0 must be above 0 and at most 86400 seconds",
        "monitor.channels[0].type: 'pigeon' must be one of webhook, smtp, apprise",
        "monitor.channels[1].url: must begin with http:// or https://",
        "monitor.channels[2].sender: is missing",
        "monitor.channels[2].to: is missing",
    ]


def test_channels_are_tested_from_the_command_line(tmp_path: Path) -> None:
    """A notice reaches the webhook; a channel that fails is an exit code of 1, and shows no URL."""
    receiver = Receiver()
    with receiver.serve() as url:
        done = run("alerts", "test", "--config", str(write(tmp_path, url)))
        assert (done.exit_code, done.stdout) == (0, "webhook 127.0.0.1: delivered\n")
    assert receiver.notices[0]["status"] == "test"
    failed = run("alerts", "test", "--config", str(write(tmp_path)))
    assert failed.exit_code == 1 and "webhook 127.0.0.1: failed" in failed.stdout and "/x" not in failed.stdout


def test_silences_and_queries_from_the_command_line(tmp_path: Path) -> None:
    """Silence a rule, see it, end it; the latest failures."""
    path = tmp_path / "ledger.db"
    pool = scripted_pool(ScriptedTarget("a", [fail(401, "bad key")]), "b")
    Ledger(path).attach(pool)
    pool.chat("q")
    pool.close()
    assert (
        "is silenced until" in run("alerts", "silence", "cost", "--for", "2h", "--reason", "sale", ledger=path).stdout
    )
    listed = json.loads(run("alerts", "list", "--json", ledger=path).stdout)
    assert [one["reason"] for one in listed["silences"]] == ["sale"]
    assert run("alerts", "unsilence", "cost", ledger=path).stdout == "cost is no longer silenced\n"
    assert "'cost' is not silenced" in str(run("alerts", "unsilence", "cost", ledger=path).exception)
    (file := tmp_path / "notes.txt").write_text(
        "no database, but long enough to be taken for one" * 30, encoding="utf-8"
    )
    for action in ("silence", "unsilence"):
        for unwritable in (file, file / "ledger.db"):  # no database; a file where a folder is needed
            failed = run("alerts", action, "cost", ledger=unwritable)
            assert isinstance(failed.exception, ConfigError) and "cannot be written" in str(failed.exception)
    for wrong in ("2", "2026-01-31", "-2h", "nanh", "1e9d"):  # no unit, a time, no length, no date
        failed = run("alerts", "silence", "cost", f"--for={wrong}", ledger=path)
        assert f"--for: '{wrong}' must be like 90s, 15m, 24h, 7d" in str(failed.exception)
    failures = json.loads(run("ledger", "failures", "--json", "--since", "1h", ledger=path).stdout)
    assert [(one["target"], one["kind"], one["message"]) for one in failures] == [("a", "auth", "bad key")]
    assert "attempts" in run("ledger", "target", ledger=path).stdout
    assert run("ledger", "export", ledger=path).stdout.startswith("id,run,call,started")
    wrong = run("ledger", "failures", "--since", "yesterday", ledger=path)
    assert "--since: 'yesterday' must be like" in str(wrong.exception)
