"""The scripts in `examples/` run, and survive the outages that they simulate."""

import json
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWN = {
    "agent": "failover: gpt -> claude (transport)",
    "rag": "found: The train to Busan leaves at nine from platform four.",
    "batch_costs": "batch   40 of 40 answered, ",
    "fastapi_chat": "complete, word for word",
}
"""A line of each script's output, or its beginning: the last such line comes after the outage."""


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_survives_its_outage(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run as from the command line, it prints the line that proves it."""
    file = str(EXAMPLES / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [file])
    runpy.run_path(file, run_name="__main__")
    shown = capsys.readouterr().out.splitlines()
    last = [line for line in shown if line.startswith(SHOWN[name])][-1:]
    assert last, shown
    if name == "batch_costs":
        assert "gemini" in last[0]


def test_the_notebook_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Its code cells run from top to bottom and show the outage; the file holds no outputs of some machine."""
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    names: dict[str, object] = {}
    for cell in code:
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    shown = capsys.readouterr().out.splitlines()
    assert "gpt answered in 1 attempt" in shown
    assert sum(line.startswith("claude [") for line in shown) == 8 and any("gpt: server" in line for line in shown)
    assert shown[-1].startswith("('gpt', 'claude') joined at character")


def test_every_example_is_tested_and_listed() -> None:
    """A new script needs a test, and a row in the table."""
    scripts = {file.stem for file in EXAMPLES.glob("*.py")}
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert scripts == set(SHOWN)
    assert all(f"`python examples/{name}.py`" in table for name in scripts)
    assert "notebook.ipynb" in table
