"""A running pool, seen and operated from another process."""

from __future__ import annotations

import json
import stat
import threading
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hotspare import ConfigError, HotspareError, Pool
from hotspare._cli.app import load_command
from hotspare._control.client import ask
from hotspare.testing import scripted_pool


@pytest.fixture
def served(tmp_path: Path) -> tuple[Pool, Path]:
    """A pool that serves its status, and the file that says where."""
    pool, file = scripted_pool("a", "b"), tmp_path / "status.json"
    pool.serve_status(file)
    return pool, file


def command(*words: str) -> int:
    """`hotspare …`, in this process; its exit code."""
    with pytest.raises(SystemExit) as ended:
        load_command(words[0])(list(words[1:]))
    return int(ended.value.code or 0)


def test_the_command_line_operates_a_running_pool(
    served: tuple[Pool, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """status, disable, drain, reset and enable reach it; the JSON is that of `pool.health()`."""
    pool, file = served
    app = ("--app", str(file))
    pool.chat("q")
    assert command("status", *app) == 0
    assert "closed" in capsys.readouterr().out
    assert command("disable", "a", "--reason", "key is being rotated", *app) == 0
    assert pool.chat("q").target == "b"
    capsys.readouterr()
    assert command("status", "--json", *app) == 1
    rows = json.loads(capsys.readouterr().out)["targets"]
    assert rows[0]["disabled"] == "key is being rotated" and rows[0]["completion_p50"] is not None
    assert command("enable", "a", *app) == command("reset", "a", *app) == command("drain", "b", *app) == 0
    assert "b is drained" in capsys.readouterr().out
    assert pool.health()["a"].completion_p50 is None
    with pytest.raises(HotspareError, match="no target of the pool is called 'z'; use one of a, b"):
        ask("disable", file, target="z")
    pool.close()
    assert not file.exists()


def test_nobody_else_can_operate_it(served: tuple[Pool, Path]) -> None:
    """Only the owner can read the file; without its token, and with GET, nothing is answered."""
    pool, file = served
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    url = urlsplit(pool.serve_status())
    assert url.hostname == "127.0.0.1"
    for method, headers, status in (
        ("POST", {}, 401),
        ("POST", {"authorization": "Bearer wrong"}, 401),
        ("GET", {}, 501),
        ("POST", {"authorization": f"Bearer {json.loads(file.read_text())['token']}"}, 200),
    ):
        connection = HTTPConnection("127.0.0.1", url.port or 0)
        connection.request(method, "/health", body=b"{}" if method == "POST" else None, headers=headers)
        assert connection.getresponse().status == status, (method, headers)
        connection.close()
    pool.close()
    assert "hotspare-status" not in {thread.name for thread in threading.enumerate() if thread.is_alive()}


def test_no_application_is_there(tmp_path: Path) -> None:
    """A missing file, one that is something else, and one of a process that has ended: typed errors that say so."""
    missing, other, ended = (tmp_path / name for name in ("missing", "other", "ended"))
    other.write_text("[]")
    pool = scripted_pool("a")
    pool.serve_status(ended)
    content = ended.read_text()
    pool.close()
    ended.write_text(content)
    for file, problem in ((missing, "does not exist"), (other, "is not a status file")):
        with pytest.raises(ConfigError, match=f"{problem}: start an application"):
            ask("health", file)
    with pytest.raises(ConfigError, match="does not answer"):
        ask("health", ended)
    with pytest.raises(ConfigError, match=r"file: .* cannot be written"):
        scripted_pool("a").serve_status(tmp_path / "no" / "folder")
