"""The test files in docs/testing.md work with pytest-recording: recorded once, then replayed without a provider."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from hotspare.drill.provider import KEY, Provider

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
TEST_FILES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```', PAGE, re.S | re.M))
PLUGIN = """
import json, os
from dataclasses import replace
from hotspare.providers import presets

addresses = json.loads(os.environ["ADDRESSES"])
presets.PRESETS = {name: replace(presets.PRESETS[name], base_url=url) for name, url in addresses.items()}
"""
"""A pytest plugin that replaces the addresses of the real providers by those of the embedded one."""


def run_pytest(folder: Path, addresses: dict[str, str], *options: str) -> str:
    """Run pytest in a process of its own and return its output."""
    path = os.pathsep.join((str(folder), str(ROOT / "core" / "src")))
    keys = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "ADDRESSES": json.dumps(addresses), "PYTHONPATH": path}
    keys["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "provider_addresses",
        "-p",
        "pytest_recording.plugin",
        *options,
    ]
    done = subprocess.run(command, cwd=folder, env=os.environ | keys, capture_output=True, text=True, check=False)
    return done.stdout


def test_the_test_files_record_and_replay(tmp_path: Path) -> None:
    """With a provider they record, without keys; without a provider they replay; with a changed request they fail."""
    assert set(TEST_FILES) == {"conftest.py", "test_failover.py"}
    for name, text in {**TEST_FILES, "provider_addresses.py": PLUGIN}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with Provider() as provider:
        addresses = {"openai": provider.base_url("a", "openai"), "anthropic": provider.base_url("b", "anthropic")}
        assert "2 passed" in run_pytest(tmp_path, addresses, "--record-mode=once")
    cassettes = list(tmp_path.rglob("*.yaml"))
    assert len(cassettes) == 2
    for cassette in cassettes:
        assert not re.search(rf"{KEY}|revoked|authorization|x-api-key:", cassette.read_text(encoding="utf-8"), re.I)
    assert "2 passed" in run_pytest(tmp_path, addresses, "--record-mode=none", "--block-network")
    changed = TEST_FILES["test_failover.py"].replace("capital of South Korea", "capital of North Korea")
    (tmp_path / "test_failover.py").write_text(changed, encoding="utf-8")
    assert "2 failed" in run_pytest(tmp_path, addresses, "--record-mode=none", "--block-network")
