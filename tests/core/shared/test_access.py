"""The user of docs/fleet.md, and what is left in the server by all that is shared: keys that expire, without a prompt or a key."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hotspare import Budget, Cache, Limits, Pool, Price, SecretStr, Shared, Usage
from hotspare._cli.app import load_command
from hotspare._shared.redis_store import RedisStore
from hotspare.testing import ScriptedTarget, answer, fail

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, newest, oldest, redis_server

LINE = next(
    line for line in Path("docs/fleet.md").read_text(encoding="utf-8").splitlines() if line.startswith("ACL SETUSER")
)
PASSWORD, PROMPT, KEY = "test-password-1", "the words of a prompt", "test-key-of-an-account"


@pytest.fixture(scope="module", params=[oldest, newest], ids=["oldest", "newest"])
def guarded(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server with that user."""
    with redis_server(request.param()) as server:
        with server.client() as admin:
            admin.execute_command(*LINE.replace("PASSWORD", PASSWORD).split())
        yield server


def _url(server: RedisServer) -> str:
    return f"redis://hotspare:{PASSWORD}@127.0.0.1:{server.port}/1"


def _command(*words: str) -> None:
    with pytest.raises(SystemExit):
        load_command(words[0])(list(words[1:]))


def use_everything(url: str) -> None:
    """Limits, budgets, a cache, breaks, a probe's lease, an operator's command, notifications, the commands: everything that two processes share."""
    lost: list[object] = []
    fields: dict[str, Any] = {
        "price": Price(1e3, 1e3),
        "limits": Limits(rpm=600, tpm=1e6, rpd=1e6),
        "api_key": SecretStr(KEY),
    }
    steps = [answer("an answer", usage=Usage(10, 10)), *[fail(503)] * 9]
    targets = [ScriptedTarget("first", steps, **fields), ScriptedTarget("second", "an answer", **fields)]
    pools = [
        Pool(
            *(one.target for one in targets), shared=Shared(url, refresh=0.1), cache=Cache(url=url),
            budgets=[Budget(usd=50, per="day"), Budget(usd=5, per="month", labels={"team": "*"})],
        )
        for _ in range(2)
    ]  # fmt: skip
    for pool in pools:
        pool.subscribe(lambda event: lost.append(event) if "Store" in type(event).__name__ else None)
        pool.chat(PROMPT, labels={"team": "search"})
    eventually(lambda: pools[1].chat(PROMPT).cached == "hit")
    for number in range(9):
        pools[0].chat(f"{PROMPT} {number}")
    eventually(lambda: str(pools[1].health()["first"].state) != "closed")
    _command("disable", "second", "--shared", url)
    eventually(lambda: all(pool.health()["second"].disabled for pool in pools))
    for words in (("status",), ("status", "--json"), ("top", "--once"), ("enable", "second")):
        _command(*words, "--shared", url)
    store = RedisStore(url)
    assert store.lease("x", "me", 30, "first").holder == "me"
    store.release("x", "me")
    store.lease("y", "me", 30, "first")
    store.close()
    assert not lost, lost


def test_the_documented_user_may_do_everything_and_nothing_more(
    guarded: RedisServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing that is shared is refused to it; and each command that it may call is called, in a server that counts the parts of a command."""
    monkeypatch.setattr("hotspare._shared.connecting.HEALTH_CHECK", 0.01)
    with guarded.client() as admin:
        admin.execute_command("ACL", "LOG", "RESET")
        admin.config_resetstat()
        use_everything(_url(guarded))
        assert "second" in capsys.readouterr().out
        refused = {one["object"] for one in admin.acl_log() if one["username"] == "hotspare"}
        assert {word for word in refused if not word.startswith("client")} == set()
        expires_and_says_nothing(admin)
        if admin.info("server")["redis_version"].startswith("6."):
            return
        called = {name.removeprefix("cmdstat_") for name in admin.info("commandstats")}
        allowed = set(re.findall(r"\+(\S+)", LINE))
        assert allowed - called == set(), "it needs these no more"


def expires_and_says_nothing(admin: Any) -> None:
    """All keys of all databases: none without an end, none with a part of the prompt, of the key or of the password in its name or value."""
    admin.select(1)
    keys = set(admin.keys("*"))
    assert {key.split(":")[2] for key in keys} == {"facts", "members", "limit", "day", "budget", "answer"}
    dumped = ""
    for key in keys:
        assert 0 < admin.pttl(key) < 45 * 86_400_000, key
        read = {"string": admin.get, "hash": admin.hgetall, "zset": lambda one: admin.zrange(one, 0, -1)}[
            admin.type(key)
        ]
        dumped += f"{key} {read(key)}\n"
    assert "an answer" in dumped and "team=search" in dumped
    for secret in (PROMPT, PROMPT.split()[1], KEY, KEY[5:], PASSWORD):
        assert secret not in dumped
