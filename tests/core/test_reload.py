"""A running pool switches to another configuration, which is validated first, explained, and takes effect immediately."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hotspare import ConfigError, Pool, State
from hotspare._cli.app import load_command
from hotspare.drill.provider import KEY, Provider
from hotspare.events import ConfigReloaded


def config(provider: Provider, *names: str, **fields: Any) -> dict[str, Any]:
    """A configuration of these targets, each at an endpoint of its own name."""
    targets = [
        {"id": "openai/gpt-4.1", "name": one, "base_url": provider.base_url(one), "api_key": KEY} for one in names
    ]
    return {"targets": targets, **fields}


def test_new_calls_use_the_new_one_and_running_ones_end(provider: Provider) -> None:
    """A stream that is under way ends at a target that is gone; the next call uses the new target. Each change is a line."""
    provider.fault("a", "latency", gap=0.01)
    seen: list[Any] = []
    with Pool.from_config(config(provider, "a", "b", deadline=10)) as pool:
        pool.subscribe(seen.append)
        chunks = pool.stream("what is this? tokens=20")
        first = next(chunks).text
        changes = pool.reload(config(provider, "b", "c", deadline=5, routes={"batch": [["c"]]}))
        assert pool.chat("q").target == "b" and pool.chat("q", model="batch").target == "c"
        rest = list(chunks)
        assert rest[-1].summary is not None and rest[-1].summary.target == "a" and first
        assert set(changes) == {
            "target a: removed", "target c: added", "deadline: 10.0 -> 5.0", "route batch: added: [['c']]",
            "route default: [['a', 'b']] -> [['b', 'c']]",
        }  # fmt: skip
        assert [one.changes for one in seen if isinstance(one, ConfigReloaded)] == [changes]
        assert [one.target for one in pool.health().targets] == ["b", "c"]
        assert pool.health().in_flight == 0 and not pool.health()["b"].in_flight


def test_what_is_known_stays(provider: Provider) -> None:
    """The breaker of a target that stays, its percentiles, its limits and an operator's word; one that moves begins anew."""
    provider.fault("a", "status", status=401)
    before = config(provider, "a", "b", "c", deadline=10)
    before["targets"][1]["limits"] = {"rpm": 60}
    with Pool.from_config(before) as pool:
        pool.chat("q")
        pool.disable("c", "maintenance")
        after = config(provider, "a", "b", "c", deadline=10)
        after["targets"][1] |= {"limits": {"rpm": 60}, "weight": 2}
        assert pool.reload(after) == ("target b: weight: 1.0 -> 2.0",)
        health = pool.health()
        assert health["a"].state is State.OPEN and health["c"].disabled == "maintenance"
        assert health["b"].completion_p50 is not None
        assert health["b"].limits_left["60 requests a minute"] < 50
        after["targets"][0]["base_url"] = provider.base_url("b")
        assert pool.reload(after)[-1] == "target a: base_url"  # and its region, which is the host
        assert pool.health()["a"].state is State.CLOSED
        assert pool.chat("q").target == "a"
        assert pool.reload(after) == ()


def test_the_file_is_read_again(provider: Provider, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an argument, and by `hotspare reload`, the pool's own file; without a file there is nothing to read again."""
    file, status = tmp_path / "hotspare.json", tmp_path / "status.json"
    file.write_text(json.dumps(config(provider, "a", deadline=10)), encoding="utf-8")
    with Pool.from_config(file) as pool:
        pool.serve_status(status)
        file.write_text(json.dumps(config(provider, "b", deadline=10)), encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            load_command("reload")(["--app", str(status)])
        assert ended.value.code == 0
        assert "target a: removed\ntarget b: added" in capsys.readouterr().out
        assert pool.chat("q").target == "b"
        assert pool.reload() == ()
    with (
        pytest.raises(ConfigError, match="give the path of a config file"),
        Pool.from_config(config(provider, "a")) as pool,
    ):
        pool.reload()


def test_a_wrong_configuration_changes_nothing(provider: Provider, tmp_path: Path) -> None:
    """Every mistake is named; the pool continues as before."""
    file = tmp_path / "hotspare.toml"
    file.write_text('deadline = -1\n[[targets]]\nid = "openai/gpt-4.1"\nnam = "x"\n', encoding="utf-8")
    shared = config(provider, "a", "b", deadline=10)
    for place, rpm in enumerate((60, 30)):
        shared["targets"][place]["limits"] = {"rpm": rpm, "per": "account"}
    shared["targets"][1]["base_url"] = shared["targets"][0]["base_url"]
    with Pool.from_config(config(provider, "a", deadline=10)) as pool:
        for wrong, words in (
            (file, r"nam: unknown field"),
            (config(provider), "at least one target"),
            (config(provider, "a", routes={"x": [["z"]]}), "routes.x"),
            (shared, "differs from another target's limits"),
            (config(provider, "a", budgets=[{"usd": 1, "per": "day"}]), "budgets"),
        ):
            with pytest.raises(ConfigError, match=words):
                pool.reload(wrong)
        assert pool.policy.deadline == 10 and [one.name for one in pool.targets] == ["a"]
        assert pool.chat("q").target == "a"
