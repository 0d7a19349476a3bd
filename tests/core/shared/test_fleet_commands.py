"""`hotspare status`, `top`, `disable` and `enable` with `--shared`: the fleet's picture and hand from any host."""

import json
from pathlib import Path

import pytest
from hotspare import Budget, Pool, Price, Usage
from hotspare._cli.app import load_command
from hotspare.testing import ScriptedTarget, answer

from tests.support.eventually import eventually


def _command(*words: str) -> int:
    """`hotspare …`, in this process; its exit code."""
    with pytest.raises(SystemExit) as ended:
        load_command(words[0])(list(words[1:]))
    return int(ended.value.code or 0)


@pytest.fixture(params=["redis", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store."""
    if request.param == "file":
        return f"sqlite://{tmp_path}/fleet.db"
    return str(request.getfixturevalue("shared_redis").url)


def test_a_fleet_is_seen_and_operated_by_its_store(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target is disabled and enabled in a running pool; status counts processes and budgets, of a URL and of a configuration;
    the one that looks is not counted."""
    target = ScriptedTarget("a", answer("ok", usage=Usage(10, 10)), price=Price(1e5, 1e5))
    pool = Pool([target.target], shared=address, budgets=[Budget(usd=50, per="month")])
    pool.chat("q")
    url = ("--shared", address)
    assert _command("disable", "a", "--reason", "key is being rotated", *url) == 0
    eventually(lambda: pool.health()["a"].disabled == "key is being rotated")
    config = tmp_path / "hotspare.toml"
    config.write_text(f'shared = "{address}"\n[[targets]]\nid = "openai/m"\napi_key = "k"\n')
    capsys.readouterr()
    assert _command("status", "--json", "--shared", str(config)) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["processes"], found["targets"][0]["disabled"]) == (1, "key is being rotated")
    assert found["budgets"][0]["name"].startswith("month ")
    assert _command("top", "--once", *url) == 0
    assert "1 process;" in capsys.readouterr().out
    assert _command("enable", "a", *url) == 0
    eventually(lambda: not pool.health()["a"].disabled)
    assert _command("status", *url) == 0
    pool.close()
