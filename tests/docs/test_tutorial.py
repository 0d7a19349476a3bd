"""The tutorial works in both languages: its scripts run, its tests pass, and the Korean page lacks nothing of the English one."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hotspare._config.loader import load
from hotspare.drill.scenarios import DISASTERS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "tutorial"
ENGLISH, KOREAN = (ROOT / "docs" / name for name in ("tutorial.md", "ko/tutorial.md"))
TIME = re.compile(r"[\d.]+(?= s$|초$)")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Imports a script of the tutorial, as it would be run in its folder."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", "") and FOLDER in Path(str(sys.modules[name].__file__)).parents:
            del sys.modules[name]


def shown_in(page: Path, language: str) -> list[str]:
    """The blocks of this language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)


def test_the_disasters(script: type[ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    """All six end with the right answer, from the targets that the pages name, in both languages. (An outage of everything lasts a second,
    and a silent model costs one.)"""
    disasters = script("disasters")
    results = disasters.run_all()
    for language, page in (("en", ENGLISH), ("ko", KOREAN)):
        disasters.show(results, language)
        shown = capsys.readouterr().out
        answered = re.findall(r"(?:correct answer from|올바른 응답:) (.*?)(?: after|,)", shown)
        assert answered == ["claude", "claude", "claude", "direct", "gpt + claude", "direct"]
        (example,) = [block for block in shown_in(page, "text") if "503" in block]
        assert {TIME.sub("…", line) for line in example.splitlines()} <= {
            TIME.sub("…", line) for line in shown.splitlines()
        }


def test_costs(script: type[ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    """Each task goes to the model of its row; by task is cheaper, by the sum of the rows; the cache and the limit do their work."""
    costs = script("costs")
    costs.main(["--lang", "en"])
    *tasks, saved, cache, limit = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in tasks]
    assert [row[:2] for row in rows] == [
        ["simple", "gemini"],
        ["default", "gpt"],
        ["hard", "claude"],
        ["batch", "deepseek"],
    ]
    at_gpt, by_task = (float(found) for found in re.findall(r"([\d.]+) USD", saved))
    assert at_gpt > by_task == pytest.approx(sum(float(row[2]) for row in rows), abs=3e-6)
    assert cache == "the same question again: hit from the cache, 1 request sent"
    assert limit.endswith("12 answered, 0 attempts drew a 429")
    assert_same_fields(costs.WORDS)


def test_monitoring(script: type[ModuleType], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The surge is answered; the rejected key reaches the webhook and the mailbox; the report has the numbers of the page."""
    page = tmp_path / "report.html"
    monitoring = script("monitoring")
    monitoring.main(["--lang", "ko", "--calls", "40", "--html", str(page)])
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "GPT-4.1 장애 중 호출 40건 가운데 40건 응답"
    assert "  webhook: CRITICAL: key_refused" in shown
    assert "  mail:    [hotspare] CRITICAL: key_refused" in shown
    assert all(word in shown for word in ("응답률", "평균", "최대", "p95", "가동률", "요청 한도 초과", "비용", "장애"))
    assert "key_refused" in page.read_text(encoding="utf-8")
    assert_same_fields(monitoring.WORDS)


def assert_same_fields(words: dict[str, dict[str, str]]) -> None:
    """Both languages have the same texts, with the same number of values."""
    counts = [{name: text.count("{") for name, text in table.items()} for table in words.values()]
    assert counts[0] == counts[1]


def test_the_readers_tests_pass(tmp_path: Path) -> None:
    """With nothing but what hotspare brings; as many as the page says."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT / "core/src"), os.environ.get("PYTHONPATH", "")))
    file = FOLDER / "test_disasters.py"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "_hotspare_pytestplugin",
        "-p",
        "no:cacheprovider",
        "--noconftest",
    ]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-c", os.devnull, str(file)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (count,) = re.findall(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout
    assert f"{count} passed" in ENGLISH.read_text(encoding="utf-8")
    assert f"{count}개 통과" in KOREAN.read_text(encoding="utf-8")


def test_the_drill_plays_the_disasters_of_the_page() -> None:
    """Six phases with a fault, and as many calls as the page says."""
    assert len([phase for phase in DISASTERS.phases if phase.faults]) == 6
    calls = round(sum(phase.seconds * phase.rate for phase in DISASTERS.phases))
    assert f"{calls} of {calls} calls" in ENGLISH.read_text(encoding="utf-8")
    assert f"{calls}건 모두 응답" in KOREAN.read_text(encoding="utf-8")


def test_the_korean_page_is_complete() -> None:
    """The same sections in the same order, under the same anchors; the same rows in every table; the same code, but for its words."""
    english, korean = (page.read_text(encoding="utf-8") for page in (ENGLISH, KOREAN))
    anchors = re.findall(r"^#{2,3} .*\{#([\w-]+)\}$", korean, re.M)
    titles = re.findall(r"^#{2,3} (.*)$", english, re.M)
    assert anchors == [re.sub(r"[^\w]+", "-", title.lower()).strip("-") for title in titles]

    def rows(text: str) -> list[int]:
        return [len(table.splitlines()) for table in re.findall(r"(?:^\|.*\n)+", text, re.M)]

    assert rows(korean) == rows(english)
    for language in ("python", "toml", "bash"):
        pairs = list(zip(shown_in(ENGLISH, language), shown_in(KOREAN, language), strict=True))
        assert pairs
        for first, second in pairs:
            assert code_of(first) == code_of(second)


def code_of(block: str) -> list[str]:
    """The lines of a block without comments, texts and the option of the language."""
    plain = re.sub(r'"[^"\n]*"|#.*$| --lang ko', "", block, flags=re.M)
    return [line.rstrip() for line in plain.splitlines()]


def test_the_monitor_of_the_page_can_be_read() -> None:
    """The block with the channels, in both languages, beside one target."""
    environment = {"ALERT_WEBHOOK": "https://example.com/x", "SMTP_PASSWORD": "p-1234567"}
    for page in (ENGLISH, KOREAN):
        (block,) = [one for one in shown_in(page, "toml") if "[monitor]" in one]
        config = {"targets": [{"id": "openai/m", "api_key": "k-1234567"}], **tomllib.loads(block)}
        assert load(config, environment).monitor is not None
