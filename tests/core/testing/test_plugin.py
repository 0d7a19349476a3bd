"""The pytest plugin: what its fixtures give, and that it costs nothing where they are not used."""

import os
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CORE = Path(__file__).parents[3] / "core"
PROJECT = tomllib.loads((CORE / "pyproject.toml").read_text(encoding="utf-8"))
NAME, MODULE = next(iter(PROJECT["project"]["entry-points"]["pytest11"].items()))

USES = """
import pytest
from hotspare import AllTargetsFailed, Kind
from hotspare.testing import ScriptedTarget, VirtualClock, answer, fail

pools = []


def test_clock(virtual_clock):
    assert isinstance(virtual_clock, VirtualClock)
    virtual_clock.sleep(3600)
    assert virtual_clock() == 4600


def test_pool(scripted_pool, virtual_clock):
    primary = ScriptedTarget("primary", [fail(503)] * 2 + ["back"])
    pool = scripted_pool(primary, "backup", retry_same_target="never")
    assert [pool.chat("q").target for _ in range(3)] == ["backup", "backup", "primary"]
    assert primary.clock is virtual_clock
    pools.append(pool)


def test_pools_of_one_test_share_a_clock(scripted_pool, virtual_clock):
    first, second = (scripted_pool(ScriptedTarget("a", answer("x", delay=5))) for _ in range(2))
    first.chat("q"), second.chat("q")
    assert virtual_clock() == 1010


def test_pools_are_closed_after_their_test():
    with pytest.raises(Exception, match="closed"):
        pools[0].chat("q")


def test_provider(embedded_provider):
    embedded_provider.fault("a", "status", status=503)
    pools.append(embedded_provider)


def test_provider_is_reset(embedded_provider, embedded_provider_session):
    assert embedded_provider is embedded_provider_session is pools[1]
    assert embedded_provider.stats("a").requests == 0
    from hotspare import Pool, Target
    from hotspare.drill.provider import KEY
    with Pool([Target("openai/m", base_url=embedded_provider.base_url("a"), api_key=KEY)]) as pool:
        assert pool.chat("q").attempts[0].kind is Kind.OK
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """pytest with this plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(CORE / "src"))
    return pytester


def test_the_fixtures(run: pytest.Pytester) -> None:
    """A new clock and new pools for each test, one embedded provider for all."""
    run.makepyfile(USES)
    run.runpytest_subprocess("-p", MODULE).assert_outcomes(passed=6)


def test_nothing_is_imported_before_it_is_used(run: pytest.Pytester) -> None:
    """At pytest's start, not even hotspare itself: coverage would miss its lines."""
    run.makepyfile(
        test_before=f"""
        import sys

        def test_modules(request):
            assert request.config.pluginmanager.has_plugin({MODULE!r})
            assert not {{"hotspare", "httpx", "anyio"}} & set(sys.modules)
        """
    )
    run.runpytest_subprocess("-p", MODULE).assert_outcomes(passed=1)


def test_it_is_found_by_its_name(run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an installed distribution's entry point."""
    metadata = run.mkdir("hotspare-0.0.dist-info")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hotspare\nVersion: 0.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{NAME} = {MODULE}\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{run.path}{os.pathsep}{CORE / 'src'}")
    run.makepyfile("def test_clock(virtual_clock): pass")
    run.runpytest_subprocess("-p", NAME).assert_outcomes(passed=1)


def test_the_entry_point_leads_to_the_plugin() -> None:
    """Which is part of the wheel, and whose fixtures say what they are for."""
    module = import_module(MODULE)
    assert f"src/{MODULE}.py" in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for name in ("virtual_clock", "scripted_pool", "embedded_provider", "embedded_provider_session"):
        assert getattr(module, name).__doc__
