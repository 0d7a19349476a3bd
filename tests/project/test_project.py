"""The project as a whole: one version, and nothing private in tracked files."""

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Tracked files; outside a git checkout every file."""
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    return [path for line in done.stdout.splitlines() if (path := ROOT / line).is_file()]


def test_one_version() -> None:
    """All four distributions and the package carry the same."""
    import hotspare

    files = [ROOT / "core/pyproject.toml", *sorted(ROOT.glob("adapters/*/pyproject.toml"))]
    assert len(files) == 4
    assert {tomllib.loads(f.read_text(encoding="utf-8"))["project"]["version"] for f in files} == {hotspare.__version__}


def test_nothing_private_is_tracked() -> None:
    """No registry's host, no machine's path, nothing that looks like a live key."""
    private = re.compile(
        r"files\.python" r"hosted|//py" r"pi\.org/simple|registry\.np" r"mjs|/home/[a-z]|/ro" r"ot/"
        r"|sk-[a-zA-Z0-9]{24,}|sk-(?:proj|ant)-[\w-]{20,}|AIza[\w-]{30,}"
    )  # fmt: skip
    for path in tracked():
        if path.suffix in {".png", ".ico"}:
            continue
        found = private.search(path.read_text(encoding="utf-8", errors="replace"))
        assert not found, f"{path.relative_to(ROOT)}: {found and found.group()}"


def test_the_licence_is_the_same_everywhere() -> None:
    """Each distribution is built from its own folder, so each has a copy."""
    licence = (ROOT / "LICENSE").read_bytes()
    copies = [ROOT / "core/LICENSE", *(path.parent / "LICENSE" for path in ROOT.glob("adapters/*/pyproject.toml"))]
    assert [path.read_bytes() for path in copies] == [licence] * 4


def test_metadata_of_the_distributions() -> None:
    """Licence, links, keywords; a README that says how to install it and links nowhere into the repository by path; adapters accept
    every `hotspare` of their minor version."""
    for folder in (ROOT / "core", *(path.parent for path in ROOT.glob("adapters/*/pyproject.toml"))):
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["license-files"] == ["LICENSE"]
        assert {"Homepage", "Documentation", "Changelog", "Issues", "Security"} <= project["urls"].keys()
        assert project["keywords"]
        page = (folder / "README.md").read_text(encoding="utf-8")
        assert f"pip install {project['name']}" in page
        assert not re.search(r"\]\((?!https://)", page)
        if folder.name != "core":
            major, minor, _ = project["version"].split(".")
            assert f"hotspare>={major}.{minor}.0,<{major}.{int(minor) + 1}" in project["dependencies"]


def test_every_make_command_has_a_rule() -> None:
    """Those that `.PHONY` declares, and those that the docs name: without a rule, make answers "nothing to be done" and succeeds."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    named = {
        name for path in tracked("*.md") for name in re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8"))
    }
    assert phony <= rules
    assert named <= rules
