"""Links of the pages that the site's strict build does not see: files and headings that they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOME = "https://github.com/hotspare/hotspare/blob/main/"
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("core/*.md"),
    *ROOT.glob("adapters/*/*.md"),
    *ROOT.glob("examples/**/*.md"),
    *ROOT.glob("benchmarks/**/*.md"),
    *ROOT.glob("cassettes/*.md"),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The ids of a page's headings, as the site and GitHub make them."""
    found: set[str] = set()
    for title in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M):
        named = re.search(r"\{#([\w-]+)\}", title)
        found.add(named[1] if named else re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"))
    return found


def problems(page: Path) -> list[str]:
    """Links to files of this repository that lead nowhere."""
    wrong: list[str] = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(HOME):
            target = ROOT / link.removeprefix(HOME).partition("#")[0]
        elif "://" in link or link.startswith("mailto:"):
            continue
        else:
            target = page.parent / link.partition("#")[0] if not link.startswith("#") else page
        anchor = link.partition("#")[2]
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_outside_the_site(page: Path) -> None:
    """By path, or by the repository's own address."""
    assert not problems(page)


def test_links_from_the_site_into_the_repository() -> None:
    """The site's build checks links among its pages; those to files beside it are written with the repository's address."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        here = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if link.startswith(HOME)]
        missing = [link for link in here if not (ROOT / link.removeprefix(HOME).partition("#")[0]).exists()]
        assert not missing, page
