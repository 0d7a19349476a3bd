"""The test files in docs/testing.md work: with this project's plugin, with pytest-recording, and with respx and pytest-httpx
where those are installed."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hotspare.drill.provider import KEY, Provider
from hotspare.testing import steps

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
TEST_FILES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```', PAGE, re.S | re.M))
ADDRESSES_PLUGIN = """
import json, os
from dataclasses import replace
from hotspare.providers import presets

addresses = json.loads(os.environ["ADDRESSES"])
presets.PRESETS = {name: replace(presets.PRESETS[name], base_url=url) for name, url in addresses.items()}
"""
"""A pytest plugin that replaces the addresses of the real providers by those of the embedded one."""


def run_pytest(folder: Path, *options: str, plugins: tuple[str, ...], addresses: dict[str, str] | None = None) -> str:
    """Run pytest with these plugins only, in a process of its own, and return its output."""
    path = os.pathsep.join((str(folder), str(ROOT / "core" / "src"), os.environ.get("PYTHONPATH", "")))
    keys = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "ADDRESSES": json.dumps(addresses), "PYTHONPATH": path}
    keys["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    loaded = [part for name in plugins for part in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-q", *loaded, *options]
    done = subprocess.run(command, cwd=folder, env=os.environ | keys, capture_output=True, text=True, check=False)
    return done.stdout


def write(folder: Path, *names: str) -> None:
    """The page's test files of these names."""
    for name in names:
        (folder / name).write_text(TEST_FILES[name], encoding="utf-8")


def test_every_test_file_of_the_page_is_run_here() -> None:
    """A new one needs a test."""
    assert set(TEST_FILES) == {
        "conftest.py", "test_failover.py", "test_outage.py", "test_connections.py", "test_with_respx.py",
        "test_with_pytest_httpx.py",
    }  # fmt: skip


def test_the_fixtures_files_pass(tmp_path: Path) -> None:
    """With nothing but what `pip install hotspare` brings."""
    write(tmp_path, "test_outage.py", "test_connections.py")
    assert "4 passed" in run_pytest(tmp_path, plugins=("_hotspare_pytestplugin",))


@pytest.mark.skipif(not find_spec("respx"), reason="respx is not installed")
def test_the_respx_file_passes(tmp_path: Path) -> None:
    """On asyncio and trio."""
    write(tmp_path, "test_with_respx.py")
    assert "2 passed" in run_pytest(tmp_path, plugins=("_hotspare_pytestplugin", "anyio"))


@pytest.mark.skipif(not find_spec("pytest_httpx"), reason="pytest-httpx is not installed")
def test_the_pytest_httpx_file_passes(tmp_path: Path) -> None:
    """As it stands."""
    write(tmp_path, "test_with_pytest_httpx.py")
    assert "1 passed" in run_pytest(tmp_path, plugins=("pytest_httpx",))


def test_the_recording_files_record_and_replay(tmp_path: Path) -> None:
    """With a provider they record, without keys; without a provider they replay; with a changed request they fail."""
    write(tmp_path, "conftest.py", "test_failover.py")
    (tmp_path / "provider_addresses.py").write_text(ADDRESSES_PLUGIN, encoding="utf-8")
    plugins = ("provider_addresses", "pytest_recording.plugin")
    replayed = ("--record-mode=none", "--block-network")
    with Provider() as provider:
        addresses = {"openai": provider.base_url("a", "openai"), "anthropic": provider.base_url("b", "anthropic")}
        assert "2 passed" in run_pytest(tmp_path, "--record-mode=once", plugins=plugins, addresses=addresses)
    cassettes = list(tmp_path.rglob("*.yaml"))
    assert len(cassettes) == 2
    for cassette in cassettes:
        assert not re.search(rf"{KEY}|revoked|authorization|x-api-key:", cassette.read_text(encoding="utf-8"), re.I)
    assert "2 passed" in run_pytest(tmp_path, *replayed, plugins=plugins, addresses=addresses)
    changed = TEST_FILES["test_failover.py"].replace("capital of South Korea", "capital of North Korea")
    (tmp_path / "test_failover.py").write_text(changed, encoding="utf-8")
    assert "2 failed" in run_pytest(tmp_path, *replayed, plugins=plugins, addresses=addresses)


def test_the_table_of_steps_is_complete() -> None:
    """Every function that makes a step is in it."""
    table = PAGE.split("| step | what the target does |")[1].split("\n\n")[0]
    for name in ("answer", "tool_call", "fail", "break_after", "hang"):
        assert callable(getattr(steps, name))
        assert f"`{name}(" in table or f"{name}(" in table
