"""Each page of the site says in which language it is: browsers hyphenate, read aloud and offer translations by it."""

from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config  # pyright: ignore[reportUnknownVariableType]: its file is an untyped IO

ROOT = Path(__file__).parents[2]


def test_korean_pages_are_marked_as_korean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the site's own theme settings, a page below `ko/` has Korean's mark and the theme's Korean words, others English's."""
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    for name in ("index.md", "ko/index.md"):
        page = tmp_path / "pages" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("# One\n\n## Two\n", encoding="utf-8")
    site = tmp_path / "site"
    pages = str(tmp_path / "pages")
    nav = ["index.md", "ko/index.md"]
    build(load_config(str(ROOT / "mkdocs.yml"), docs_dir=pages, site_dir=str(site), nav=nav, plugins=[], hooks=[]))
    for page, language, words in (("index.html", "en", "Back to top"), ("ko/index.html", "ko", "맨위로")):
        html = (site / page).read_text(encoding="utf-8")
        assert f'<html lang="{language}"' in html
        assert words in html
