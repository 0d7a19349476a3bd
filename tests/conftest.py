"""Fixtures for every test: both event loops for async ones, and one embedded provider a session."""

import gc
import logging
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hotspare.drill.provider import Provider
from hypothesis import settings

from tests.support.redis_server import RedisServer, redis_server
from tests.support.tables import tables

settings.register_profile("hotspare", deadline=None)  # a busy machine is no failure
settings.load_profile("hotspare")

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch a price list at import
os.environ.setdefault("HOTSPARE_LEDGER", "off")  # a command that a test runs keeps nothing in the user's folders
# A shell ignores the signal for a command in the background of a script, and so would the commands that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: a fifth of the suite's time is waiting for real clocks and servers."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Take what the imports of three frameworks leave, a million objects, out of every later garbage collection: each took half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both loops."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _log_stays_on() -> Iterator[None]:
    """A test that leaves the log quieter than it was would hide lines from a later test of its process."""
    before = _log_settings()
    yield
    assert _log_settings() == before


def _log_settings() -> tuple[object, ...]:
    log = logging.getLogger("hotspare")
    return log.level, log.disabled, log.propagate, list(log.filters), log.manager.disable


@pytest.fixture
def provider(embedded_provider: Provider) -> Provider:
    """The embedded provider, by the short name that most tests use."""
    return embedded_provider


@pytest.fixture(scope="session")
def redis_of_session() -> Iterator[RedisServer]:
    """One Redis server for the whole session; a test takes `shared_redis`, or a server of its own if it breaks it."""
    with redis_server() as server:
        yield server


@pytest.fixture
def shared_redis(redis_of_session: RedisServer) -> RedisServer:
    """The session's Redis server, emptied for this test."""
    with redis_of_session.client() as client:
        client.flushall()
    return redis_of_session


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis server for this test alone, to be killed, paused or filled."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _children_find_the_sources() -> None:
    """Processes that tests start import the same sources, installed or not."""
    root = Path(__file__).parents[1]
    sources = [str(root / "core" / "src"), *map(str, sorted(root.glob("adapters/*/src")))]
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (*sources, os.environ.get("PYTHONPATH")) if p)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The tables that tests measured."""
    for title, lines in tables(terminalreporter.stats.get("passed", [])):
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.line(line)
