"""Checks that what the documentation says to install is enough to run what it shows next.

``python -m tests.support.installs [PAGE…]`` builds the four distributions, looks into them, and for each page makes an empty
environment. It goes through the page's blocks in their order: what a `pip install` line names is installed (hotspare's own
distributions from the wheels just built), Python blocks are run against the embedded provider, and of a `hotspare …` command
the help is printed. Run from the root of the repository.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECTS = ("core", "adapters/langchain", "adapters/llama_index", "adapters/litellm")
PAGES = (
    "README.md",
    "README.ko.md",
    *(f"{project}/README.md" for project in PROJECTS),
    "docs/index.md",
    "docs/ko/index.md",
    "docs/langchain.md",
    "docs/llama-index.md",
    "docs/litellm.md",
    "docs/ko/langchain.md",
    "docs/ko/llama-index.md",
    "docs/ko/litellm.md",
)
DISTRIBUTIONS = {
    "./core": "hotspare",
    "./adapters/langchain": "langchain-hotspare",
    "./adapters/llama_index": "llama-index-llms-hotspare",
    "./adapters/litellm": "litellm-hotspare",
}
"""The distribution of each path that a page says to install while hotspare is not published."""
UV = (sys.executable, "-m", "uv")
_BLOCK = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```", re.S | re.M)
_IN_SDIST = re.compile(r"src/.*|README\.md|LICENSE|pyproject\.toml|PKG-INFO|\.gitignore")
_IN_WHEEL = re.compile(
    r"(hotspare|_hotspare_pytestplugin|langchain_hotspare|litellm_hotspare|llama_index/(llms|embeddings)/hotspare|\w+-[\d.]+\.dist-info)[/.].*"
)

RUNNER = """
import json, os, sys
from dataclasses import replace
from hotspare.drill.provider import KEY, Provider
from hotspare.providers import presets

with Provider() as provider:
    base = {}
    for name, preset in presets.PRESETS.items():
        dialect = name if name in ("anthropic", "gemini") else "openai"
        base[name] = provider.base_url("a", dialect) + ("/v1beta" if name == "gemini" else "")
        for variable in preset.key_env:
            os.environ[variable] = KEY
    presets.PRESETS = {n: replace(p, base_url=base[n]) for n, p in presets.PRESETS.items()}
    for name in ("openai", "anthropic"):
        for variable in ("BASE_URL", "API_BASE", "API_URL"):
            os.environ[f"{name.upper()}_{variable}"] = base[name]
    names = {"__name__": "__main__"}
    for line, source in json.load(open(sys.argv[1], encoding="utf-8")):
        print(f"   Python block at line {line}", file=sys.stderr, flush=True)
        exec(compile("\\n" * (line - 1) + source, sys.argv[2], "exec"), names)
"""


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a command. Its output is shown if it fails, and the process ends."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}\n{done.stdout}")


def build(dist: Path) -> None:
    """The source distribution and the wheel of each project, the wheel made from the source distribution."""
    for project in PROJECTS:
        run(*UV, "build", "--quiet", project, "--out-dir", str(dist), cwd=ROOT)
    for archive in sorted(dist.iterdir()):
        problems = list(_problems(archive))
        if problems:
            sys.exit(f"{archive.name}: {'; '.join(problems)}")


def _problems(archive: Path) -> Iterator[str]:
    """What is missing in a distribution, or does not belong there."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            names = wheel.namelist()
            metadata = wheel.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
        licence, allowed = any(name.endswith("/licenses/LICENSE") for name in names), _IN_WHEEL
    elif archive.suffix == ".gz":
        with tarfile.open(archive) as source:
            names = [name.partition("/")[2] for name in source.getnames()]
            member = source.extractfile(next(name for name in source.getnames() if name.endswith("/PKG-INFO")))
            metadata = member.read().decode() if member else ""
        licence, allowed = "LICENSE" in names, _IN_SDIST
    else:
        return
    if not licence:
        yield "no LICENSE"
    for field in (
        "License-Expression: MIT",
        "Project-URL: Homepage",
        "Project-URL: Security",
        "Keywords: ",
        "Classifier: Typing",
    ):
        if field not in metadata:
            yield f"no {field!r} in its metadata"
    if "pip install" not in metadata:
        yield "its page does not say how to install it"
    for name in names:
        if not allowed.fullmatch(name) or "__pycache__" in name:
            yield f"{name} does not belong there"


def blocks(page: Path) -> Iterator[tuple[str, int, str]]:
    """Language, line and text of each block that is meant to run."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        if not found["before"].startswith("<!-- no-run:"):
            yield found["language"], text.count("\n", 0, found.start("text")) + 1, found["text"]


def check(page: Path, dist: Path, folder: Path) -> None:
    """One page in one empty environment."""
    print(f"== {page.relative_to(ROOT)}", flush=True)
    python, bin_ = str(folder / "venv/bin/python"), folder / "venv/bin"
    run(*UV, "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    sources: list[tuple[int, str]] = []
    for language, line, text in blocks(page):
        if language == "python":
            sources.append((line, text))
        elif language == "bash":
            for words in (shlex.split(one, comments=True) for one in text.splitlines()):
                if words[:2] == ["pip", "install"]:
                    names = [_distribution(word) for word in words[2:]]
                    print(f"   pip install {shlex.join(names)}", flush=True)
                    run(*UV, "pip", "install", "--quiet", "--python", python, "--find-links", str(dist), *names)
                elif words[:1] == ["hotspare"]:
                    run(str(bin_ / "hotspare"), *words[1:2], "--help")
    (folder / "blocks.json").write_text(json.dumps(sources), encoding="utf-8")
    (folder / "runner.py").write_text(RUNNER, encoding="utf-8")
    for name in ("hotspare.toml", "hotspare.yaml"):
        (folder / name).write_text((ROOT / "examples" / name).read_text(encoding="utf-8"), encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [python, "runner.py", "blocks.json", str(page)]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"{page.relative_to(ROOT)}: what it says to install is not enough to run what it shows")


def _distribution(word: str) -> str:
    """A path of the repository as the name of its distribution: `./core[cli]` is `hotspare[cli]`."""
    path, bracket, extras = word.partition("[")
    return DISTRIBUTIONS.get(path, path) + bracket + extras


def main() -> None:
    """Check the pages that are named, or all."""
    with tempfile.TemporaryDirectory() as folder:
        dist = Path(folder) / "dist"
        build(dist)
        for number, name in enumerate(sys.argv[1:] or PAGES):
            place = Path(folder) / str(number)
            place.mkdir()
            check(ROOT / name, dist, place)


if __name__ == "__main__":
    main()
