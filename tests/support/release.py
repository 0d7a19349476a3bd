"""Checks the four distributions before a release: ``python -m tests.support.release [FOLDER]``, which `make release-check` runs.

It builds them as `tests.support.installs` does, which also looks into them, and checks that versions and CHANGELOG agree, that no
file names a machine's path or a package registry, and that `twine check` accepts them. For each supported Python that is found,
it installs the wheels into an empty environment, makes a call and runs a short drill there. It prints sizes and the licences of what
was installed, and writes an SBOM (CycloneDX) into FOLDER (default: `dist`), beside the distributions. Run from the root of the repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.installs import PROJECTS, ROOT, UV, build, run
from tests.support.published import outdated

TOOL = (*UV, "tool", "run", "--quiet", "--constraints", str(ROOT / "constraints.txt"))
PYTHONS = ("3.11", "3.12", "3.13")
_INTERNAL = re.compile(rb"/(?:home|root|work|tmp/wt)/\w|(?:index-url|UV_DEFAULT_INDEX)\s*=\s*\S*//")

FIRST_CALL = """
import langchain_hotspare, litellm_hotspare
from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider
from llama_index.llms.hotspare import Hotspare

with Provider() as provider:
    target = Target("openai-compatible/gpt-4.1", base_url=provider.base_url("a", "openai"), api_key=KEY)
    with Pool([target]) as pool:
        assert pool.chat("Hello").text
"""
LICENCES = """
from importlib.metadata import distributions

for one in sorted(distributions(), key=lambda one: one.name.lower()):
    classifiers = [c.rpartition(" :: ")[2] for c in one.metadata.get_all("Classifier", []) if c.startswith("License")]
    name = one.metadata.get("License-Expression") or ", ".join(classifiers) or (one.metadata.get("License") or "not stated")
    print(f"   {one.name} {one.version}: {name.splitlines()[0][:60]}")
"""


def version() -> str:
    """The version that all projects and a heading of the CHANGELOG have. The process ends if they differ."""
    files = {p: tomllib.loads((ROOT / p / "pyproject.toml").read_text(encoding="utf-8")) for p in (".", *PROJECTS)}
    versions = {project: file["project"]["version"] for project, file in files.items()}
    if len(set(versions.values())) != 1:
        sys.exit(f"the projects' versions differ: {versions}")
    found = versions["core"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    if found not in headings and headings[:1] != ["Unreleased"]:
        sys.exit(f"CHANGELOG.md has neither a section [{found}] nor [Unreleased]")
    if found not in headings:
        print(f"   CHANGELOG.md: {found} is still [Unreleased]; rename the section in the release's commit")
    elif pages := outdated():
        sys.exit(f"not published yet, say {', '.join(pages)}: run `python -m tests.support.published`")
    return found


def contents(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a wheel or a source distribution."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist())
    else:
        with tarfile.open(archive) as source:
            for member in source.getmembers():
                if (file := source.extractfile(member)) is not None:
                    yield member.name, file.read()


def inspect(archives: list[Path]) -> None:
    """Print the sizes. The process ends if a file holds a machine's path or a registry's address."""
    index = urlsplit(os.environ.get("UV_DEFAULT_INDEX", "")).hostname
    for archive in archives:
        print(f"   {archive.name}: {archive.stat().st_size / 1024:.0f} KiB", flush=True)
        internal = [
            name for name, data in contents(archive) if _INTERNAL.search(data) or (index and index.encode() in data)
        ]
        if internal:
            sys.exit(f"{archive.name}: a machine's path or a registry's address in {', '.join(internal)}")


def try_out(python: str, wheels: list[Path], folder: Path) -> Path:
    """Install the wheels into an empty environment, make a call there and run a drill. Returns its interpreter."""
    run(*UV, "venv", "--quiet", "--python", python, str(folder / "venv"))
    inside = folder / "venv/bin/python"
    names = [f"{wheel}[cli]" if wheel.name.startswith("hotspare-") else str(wheel) for wheel in wheels]
    run(*UV, "pip", "install", "--quiet", "--python", str(inside), "-c", str(ROOT / "constraints.txt"), *names)
    run(str(inside), "-c", FIRST_CALL, cwd=folder)
    run(str(folder / "venv/bin/hotspare"), "drill", "--scenario", "wires", cwd=folder)
    return inside


def main() -> None:
    """Check everything. The process ends at the first problem."""
    dist = Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve()
    if dist.exists() and any(dist.iterdir()):
        sys.exit(f"{dist} is not empty: an older build must not be mixed with this one")
    print(f"== version {version()}", flush=True)
    build(dist)
    archives = sorted(path for path in dist.iterdir() if path.suffix in (".whl", ".gz"))
    inspect(archives)
    run(*TOOL, "twine", "check", "--strict", *map(str, archives))
    found = [one for one in PYTHONS if one == f"{sys.version_info[0]}.{sys.version_info[1]}" or _is_there(one)]
    for python in found:
        print(f"== Python {python}: wheels, first call, drill", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            inside = try_out(python, [path for path in archives if path.suffix == ".whl"], Path(folder))
            if python == found[0]:
                sys.stdout.flush()
                _report(inside, dist)


def _report(python: Path, dist: Path) -> None:
    """Licences of what was installed, and the SBOM."""
    subprocess.run([str(python), "-c", LICENCES], check=True)
    sbom = dist / "sbom.cdx.json"
    run(*TOOL, "--from", "cyclonedx-bom", "cyclonedx-py", "environment", str(python), "--output-file", str(sbom))
    text = sbom.read_text(encoding="utf-8").replace(
        f"{dist.as_uri()}/", ""
    )  # the wheels by name, not by this machine's path
    sbom.write_text(text, encoding="utf-8")
    print(f"   {sbom.name}: {sbom.stat().st_size / 1024:.0f} KiB")


def _is_there(python: str) -> bool:
    """Whether this Python can be found without fetching it."""
    command = [*UV, "python", "find", "--no-python-downloads", python]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
