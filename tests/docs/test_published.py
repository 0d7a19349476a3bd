"""The install texts after the first release."""

import re
from pathlib import Path

import pytest

from tests.support import published, release
from tests.support.installs import DISTRIBUTIONS, PROJECTS, ROOT


def test_no_page_says_that_it_is_not_published() -> None:
    """Every text that mentions a clone or "not published" is known to the rewriting, which leaves none of it and changes nothing twice."""
    everywhere = [
        *ROOT.glob("README*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("core/*.md"),
        *ROOT.glob("adapters/*/*.md"),
    ]
    before = re.compile(r"(?<!that )hotspare is not published|아직 공개되지|^pip install .*\./(core|adapters)", re.M)
    found = {str(path.relative_to(ROOT)) for path in everywhere if before.search(path.read_text(encoding="utf-8"))}
    found.discard("docs/releasing.md")
    assert sorted(found) == sorted(published.outdated())
    for page in found:
        text = published.published((ROOT / page).read_text(encoding="utf-8"))
        assert not before.search(text), page
        assert published.published(text) == text
        assert any(f"pip install {quote}{name}" in text for name in DISTRIBUTIONS.values() for quote in ("", "'")), page


def test_a_release_with_the_texts_of_a_clone_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only in the commit of a release, where CHANGELOG.md has a section for the version; the command to run is named."""
    for project in (".", *PROJECTS):
        (tmp_path / project).mkdir(parents=True, exist_ok=True)
        (tmp_path / project / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n', encoding="utf-8")
    monkeypatch.setattr("tests.support.release.ROOT", tmp_path)
    monkeypatch.setattr("tests.support.release.outdated", lambda: ["README.md"])
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n", encoding="utf-8")
    assert release.version() == "1.2.3"
    (tmp_path / "CHANGELOG.md").write_text("## [1.2.3] - 2026-12-01\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"README\.md: run `python -m tests\.support\.published`"):
        release.version()
