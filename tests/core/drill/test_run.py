"""The drill itself, in small: every answer right, a table, a page."""

import json
from pathlib import Path

import pytest
from hotspare.drill.run import run


def test_a_short_drill_answers_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A region dies, a limit is hit, everything dies, a surge comes: all word for word, and the plain client loses."""
    page = tmp_path / "report.html"
    assert run(scale=0.35, report=str(page), baseline=True, as_json=True, live=False) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["hotspare"]["errors"]
    assert found["one provider, no failover"]["errors"]
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2 or text.count("<svg") == 1
    assert "us-openai" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person sees."""
    assert run(scale=0.1, report=None, live=False) == 0
    shown = capsys.readouterr().out
    assert "surge" in shown
    assert "word for word" in shown
