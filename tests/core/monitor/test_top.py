"""The live view: what it shows of running applications, and what its keys do, over the real status server."""

import os
import pty
import select
import sys
from io import StringIO
from pathlib import Path

import pytest
from hotspare import Kind
from hotspare._cli.app import app
from hotspare.ledger import Ledger
from hotspare.monitor.top import View
from hotspare.outcome import Outcome
from hotspare.testing import ScriptedTarget, fail, scripted_pool
from rich.console import Console
from typer.testing import CliRunner

from tests.support.eventually import eventually

REFUSED = fail(Outcome(Kind.TRANSPORT, "refused\x1b[2J", before_connect=True), delay=0.3)


def look(folder: Path, *apps: str) -> str:
    """One look, as text."""
    words = [word for name in apps for word in ("--app", str(folder / name))]
    return (
        CliRunner()
        .invoke(app, ["top", "--once", "--ledger", str(folder / "l.db"), *words], env={"COLUMNS": "200"})
        .stdout
    )


def test_what_is_shown(tmp_path: Path) -> None:
    """Two applications: states with their reasons, traffic, spending and events of the ledger; no control character."""
    one = scripted_pool(ScriptedTarget("a", REFUSED), "b", retry_same_target="never")
    other = scripted_pool("c")
    Ledger(tmp_path / "l.db").attach(one)
    one.serve_status(tmp_path / "one.json")
    other.serve_status(tmp_path / "two.json")
    other.disable("c", "maintenance")
    for _ in range(6):
        one.chat("q")
    one.disable("b", "x")
    one.enable("b")
    eventually(lambda: "6 calls, 5 rescued" in look(tmp_path, "one.json", "two.json"))
    shown = look(tmp_path, "one.json", "two.json")
    assert "open, " in shown and "disabled: maintenance" in shown and "target enabled: b" in shown
    assert "state changed: a, closed -> open, " in shown
    assert "\x1b" not in shown
    one.close()
    other.close()
    shown = look(tmp_path, "one.json")
    assert "does not answer" in shown or "does not exist" in shown


def test_eighty_columns() -> None:
    """The names of targets stay whole; columns that would be empty are left out."""
    pool = scripted_pool(ScriptedTarget("us-openai-primary", REFUSED), "azure-sweden-central")
    health = pool.health().as_dict()
    view = View({"hotspare-status.json": lambda *_: health})
    view.refresh()
    console = Console(width=80, file=StringIO())
    console.print(view.draw(None))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "us-openai-primary" in shown and "azure-sweden-central" in shown
    assert "application" not in shown and "limits left" not in shown
    pool.close()


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
def test_keys_drain_and_enable(tmp_path: Path) -> None:
    """In a real terminal: the second target is drained, enabled again, and q ends it."""
    pool = scripted_pool("a", "b")
    pool.serve_status(tmp_path / "s.json")
    command = [
        sys.executable,
        "-m",
        "hotspare",
        "top",
        "--app",
        str(tmp_path / "s.json"),
        "--ledger",
        str(tmp_path / "none.db"),
    ]
    child, terminal = pty.fork()
    if not child:
        os.environ["TERM"] = "xterm"
        os.execv(sys.executable, command)
    shown = bytearray()

    def sees(words: bytes) -> bool:
        if select.select([terminal], [], [], 0.05)[0]:
            shown.extend(os.read(terminal, 65_536))
        return words in shown

    eventually(lambda: sees(b"quit"))
    os.write(terminal, b"jd")
    eventually(lambda: sees(b"draining") and pool.health()["b"].disabled == "draining")
    os.write(terminal, b"e")
    eventually(lambda: not sees(b"\x00") and not pool.health()["b"].disabled)
    os.write(terminal, b"q")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    assert not pool.health()["a"].disabled
    pool.close()
