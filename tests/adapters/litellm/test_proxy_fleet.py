"""Two workers of a LiteLLM proxy and one Redis: `examples/litellm_proxy` as docs/fleet.md sets it up, called as from another language.

Three processes import all of LiteLLM, which takes a minute of processor time: `make fleet` runs it, the suite does not.
"""

import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.skipif("HOTSPARE_FLEET" not in os.environ, reason="takes a minute: `make fleet` runs it")
EXAMPLE = Path(__file__).parents[3] / "examples" / "litellm_proxy"
PROGRAM = Path(sys.executable).with_name("hotspare")
MASTER = "sk-made-up"
WORKERS = ("--num_workers", "2", "--timeout_worker_healthcheck", "60")
"""A worker that imports LiteLLM for more than five seconds is killed by uvicorn without the second option."""


@pytest.fixture
def proxy(provider: Provider, shared_redis: RedisServer, tmp_path: Path) -> Iterator[str]:
    """The address of the proxy, once both of its workers have joined the fleet."""
    settings = (EXAMPLE / "hotspare.toml").read_text(encoding="utf-8")
    breaks = "[breaker]\nbreak_duration = 60\n"  # no probe while the test runs
    (tmp_path / "hotspare.toml").write_text(f'shared = "${{REDIS_URL}}"\n{settings}\n{breaks}', encoding="utf-8")
    spec = importlib.util.spec_from_file_location("ask", EXAMPLE / "ask.py")
    assert spec and spec.loader
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    environment = {
        "HOTSPARE_CONFIG": str(tmp_path / "hotspare.toml"),
        "REDIS_URL": shared_redis.url,
        "OPENAI_BASE_URL": provider.base_url("a"),
        "ANTHROPIC_BASE_URL": provider.base_url("b", "anthropic"),
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_API_KEY": KEY,
    }
    with example.proxy(MASTER, EXAMPLE / "config.yaml", *WORKERS, **environment) as url:
        eventually(lambda: shared_redis.client().zcard("hotspare:v1:members") == 2)
        yield url


def asked(proxy: str) -> str:
    """The answer to a request of a client that knows HTTP and JSON only, on a connection of its own: either worker gets it."""
    body = json.dumps({"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello there"}]}).encode()
    headers = {"Authorization": f"Bearer {MASTER}", "Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{proxy}/v1/chat/completions", body, headers), timeout=60
    ) as reply:
        return str(json.load(reply)["choices"][0]["message"]["content"])


def test_workers_share_health_and_an_operators_word(proxy: str, provider: Provider, shared_redis: RedisServer) -> None:
    """What one worker finds about a target that is down saves the other from calling it, and `hotspare disable --shared` holds in both."""

    def is_stored(word: str) -> bool:
        return word in json.dumps(shared_redis.client().hgetall("hotspare:v1:facts"))

    def sent_in(calls: int) -> int:
        before = provider.stats("a").requests
        assert {asked(proxy) for _ in range(calls)} == {answer("hello there")}
        return provider.stats("a").requests - before

    def command(*words: str) -> None:
        subprocess.run([str(PROGRAM), *words, "--shared", shared_redis.url], check=True)

    assert sent_in(4) == 4
    command("disable", "gpt", "--reason", "maintenance")
    eventually(lambda: sent_in(10) == 0)
    command("enable", "gpt")
    eventually(lambda: sent_in(10) == 10)

    provider.fault("a", "status", status=503)
    failures = 0
    while not is_stored('\\"open\\"'):
        failures += sent_in(1)
    assert 5 <= failures < 10, "five in a row open the breaker of a worker; two that share nothing need ten"
    eventually(lambda: sent_in(20) == 0)
