"""Answers that processes share in Redis: over a real server, in threads, asyncio and trio."""

import logging
import time
from statistics import median
from typing import Any

import anyio
import pytest
from hotspare import Cache, ConfigError, Kind, Outcome, Pool
from hotspare.testing import ScriptedTarget, answer, fail

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

DOWN = Outcome(Kind.SERVER, "down", 500)
SECRET = "a very secret prompt"


def _pool(server: RedisServer, *steps: Any, offset: float = 0.0, **settings: Any) -> Pool:
    """A pool like one in another process. `offset`: seconds by which its calendar is wrong."""
    target = ScriptedTarget("a", list(steps) or "ok")
    calendar = lambda: time.time() + offset  # noqa: E731
    return Pool([target.target], cache=Cache(url=server.url, **settings), calendar=calendar)


def _kept(server: RedisServer) -> list[str]:
    """The keys in the server."""
    with server.client() as client:
        return sorted(client.keys("*"))


def test_a_pool_finds_what_another_one_has_kept(shared_redis: RedisServer) -> None:
    """Whole answers and streams, in threads, asyncio and trio; the key has prefix and schema, expires, and no prompt is kept."""
    _pool(shared_redis, answer(["안녕", " ok"]), ttl=50, stale=10, prefix="team").chat(SECRET)
    eventually(lambda: len(_kept(shared_redis)) == 1)
    (key,) = _kept(shared_redis)
    with shared_redis.client() as client:
        assert key.startswith("team:v1:answer:")
        assert 50_000 < client.pttl(key) <= 60_000
        assert "secret" not in client.get(key)
    other = _pool(shared_redis, fail(DOWN), ttl=50, stale=10, prefix="team")
    assert (other.chat(SECRET).text, other.chat(SECRET).cached) == ("안녕 ok", "hit")
    assert "".join(chunk.text for chunk in other.stream(SECRET)) == "안녕 ok"
    for backend in ("asyncio", "trio"):
        assert anyio.run(other.achat, SECRET, backend=backend).cached == "hit"


def test_the_age_is_the_servers(shared_redis: RedisServer) -> None:
    """A process whose clock is ten minutes wrong still computes the right age of an answer: served, then stale, then removed."""
    _pool(shared_redis, answer("old"), ttl=100, stale=100).chat("q")
    eventually(lambda: len(_kept(shared_redis)) == 1)
    late = _pool(shared_redis, fail(DOWN), offset=-600, ttl=100, stale=100)
    with shared_redis.client() as client:
        assert late.chat("q").cached == "hit"
        client.pexpire(_kept(shared_redis)[0], 90_000)  # as it is 110 s later
        assert late.chat("q").cached == "stale"


@pytest.mark.parametrize("garbage", ["", "x", "1000\n{}", "1000\n[1]", "x\n{}", '9\n{"text": 1, "usage": null}'])
def test_garbage_is_no_answer(shared_redis: RedisServer, garbage: str) -> None:
    """What something else has written under the key of an answer is not served, and is written over."""
    writer = _pool(shared_redis)
    eventually(
        lambda: writer.chat("q").text == "ok" and len(_kept(shared_redis)) == 1
    )  # a server that is slow is left out
    with shared_redis.client() as client:
        (key,) = client.keys("*")
        client.set(key, garbage, px=60_000)
        other = _pool(shared_redis, answer("new"))
        reply = other.chat("q")
        assert (reply.text, reply.cached) == ("new", None)
        eventually(lambda: other.chat("q").text == "new" and "new" in client.get(key))


def test_without_the_server_calls_are_made_as_without_a_cache(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is answered; the loss of the server is logged once, and its return once; then answers are kept again."""
    monkeypatch.setattr("hotspare._shared.worker.AWAY", 0.01)
    pool = _pool(own_redis)
    own_redis.kill()
    with caplog.at_level(logging.WARNING, "hotspare"):
        assert {pool.chat(f"q{number}").text for number in range(50)} == {"ok"}
        own_redis.start()
        eventually(lambda: pool.chat("q").cached == "hit")
    words = [record.getMessage() for record in caplog.records]
    assert [("does not answer" in word, "answers again" in word) for word in words] == [(True, False), (False, True)]
    assert own_redis.url not in caplog.text


def test_a_server_that_is_paused_costs_one_call_its_patience(own_redis: RedisServer) -> None:
    """The first call waits 50 ms; calls made while the server does not answer do not wait."""
    pool = _pool(own_redis)
    pool.chat("warm")
    own_redis.pause()
    took: list[float] = []
    for number in range(20):
        before = time.monotonic()
        assert pool.chat(f"q{number}").text == "ok"
        took.append(time.monotonic() - before)
    own_redis.resume()
    assert took[0] >= 0.049
    assert median(took[1:]) < 0.05


def test_settings() -> None:
    """One place only; a URL that names a server; no message and no repr shows its password."""
    for wrong, words in (
        ({"url": "redis://h", "path": "x"}, "keep one of them"),
        ({"url": "http://:hidden-word@h"}, "cache.url.*must be like 'redis://host"),
    ):
        with pytest.raises(ConfigError, match=words) as raised:
            Cache(**wrong)  # type: ignore[arg-type]
        assert "hidden-word" not in str(raised.value)
    assert "hidden-word" not in repr(Cache(url="redis://:hidden-word@h"))
    config = {"targets": [{"id": "openai/m", "api_key": "k"}], "cache": {"url": "${URL}", "prefix": "p"}}
    pool = Pool.from_config(config, env={"URL": "redis://h:1"})
    assert pool.policy.cache == Cache(url="redis://h:1", prefix="p")
