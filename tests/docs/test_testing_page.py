"""The test files that docs/testing.md shows are run by pytest-recording: recorded once, then replayed with nobody there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from hotspare.drill.provider import KEY, Provider

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```', PAGE, re.S | re.M))
AT = """
import json, os
from dataclasses import replace
from hotspare.providers import presets

where = json.loads(os.environ["WHERE"])
presets.PRESETS = {name: replace(presets.PRESETS[name], base_url=url) for name, url in where.items()}
"""
"""A plugin that puts the embedded provider where the reader has the real ones."""


def run(folder: Path, where: dict[str, str], *options: str) -> str:
    """pytest's last line, in a process of its own."""
    path = os.pathsep.join((str(folder), str(ROOT / "core" / "src")))
    keys = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "WHERE": json.dumps(where), "PYTHONPATH": path}
    keys["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "at", "-p", "pytest_recording.plugin", *options]
    done = subprocess.run(command, cwd=folder, env=os.environ | keys, capture_output=True, text=True, check=False)
    return done.stdout


def test_the_shown_tests_record_and_replay(tmp_path: Path) -> None:
    """With the provider there they record, keys left out; without it they replay; a changed question fails."""
    assert set(SHOWN) == {"conftest.py", "test_failover.py"}
    for name, text in {**SHOWN, "at.py": AT}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with Provider() as provider:
        where = {"openai": provider.base_url("a", "openai"), "anthropic": provider.base_url("b", "anthropic")}
        assert "2 passed" in run(tmp_path, where, "--record-mode=once")
    cassettes = list(tmp_path.rglob("*.yaml"))
    assert len(cassettes) == 2
    for cassette in cassettes:
        assert not re.search(rf"{KEY}|revoked|authorization|x-api-key:", cassette.read_text(encoding="utf-8"), re.I)
    assert "2 passed" in run(tmp_path, where, "--record-mode=none", "--block-network")
    changed = SHOWN["test_failover.py"].replace("capital of South Korea", "capital of North Korea")
    (tmp_path / "test_failover.py").write_text(changed, encoding="utf-8")
    assert "2 failed" in run(tmp_path, where, "--record-mode=none", "--block-network")
