"""What README and docs show is run: Python blocks against the embedded provider, configurations and commands by parsing.

The blocks of a page are one story and share their names, from top to bottom. They are what a reader would paste: providers'
default addresses, the official SDKs' address variables and the usual key variables lead to the embedded provider, and
`hotspare.toml` lies in the working directory. `async def` functions without parameters that a block defines and nobody
calls are run. A block after `<!-- no-run: the reason -->` is only compiled. `#>` comments are checked against what is printed.
"""

import ast
import asyncio
import inspect
import re
import shlex
import shutil
import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from hotspare import Pool
from hotspare._cli.app import app
from hotspare.drill.provider import KEY, Provider
from hotspare.providers import presets
from pytest_examples import CodeExample, EvalExample, find_examples
from typer.main import get_command

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("core/*.md")), *sorted(ROOT.glob("adapters/*/*.md"))]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
STORIES = {
    str(path.relative_to(ROOT)): list(blocks)
    for path, blocks in groupby(find_examples(*PAGES), key=lambda example: example.path)
}
ENDPOINTS = {"openai": "a", "anthropic": "b", "gemini": "c", "deepseek": "d", "azure": "e"}
WIRES = {"anthropic": "anthropic", "gemini": "gemini"}
ADDRESSES = {  # which variable tells an official SDK or a framework where its provider is
    "OPENAI_BASE_URL": "openai", "OPENAI_API_BASE": "openai", "ANTHROPIC_BASE_URL": "anthropic", "ANTHROPIC_API_BASE": "anthropic",
    "ANTHROPIC_API_URL": "anthropic", "GOOGLE_GEMINI_BASE_URL": "gemini", "GEMINI_API_BASE": "gemini", "DEEPSEEK_API_BASE": "deepseek",
    "AZURE_OPENAI_ENDPOINT": "azure",
}  # fmt: skip
NO_RUN = re.compile(r"<!-- no-run: \S.* -->\s*$")


@pytest.fixture
def reader(provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine of a reader who has a key for every provider; each provider is an endpoint of the embedded one."""
    base = {}
    for name, preset in presets.PRESETS.items():
        base[name] = provider.base_url(ENDPOINTS.get(name, "f"), WIRES.get(name, "openai")) + (
            "/v1beta" if name == "gemini" else ""
        )
        for variable in preset.key_env:
            monkeypatch.setenv(variable, KEY)
    monkeypatch.setattr(presets, "PRESETS", {n: replace(p, base_url=base[n]) for n, p in presets.PRESETS.items()})
    for variable, name in ADDRESSES.items():
        monkeypatch.setenv(variable, base[name].removesuffix("/v1beta") if name == "gemini" else base[name])
    shutil.copytree(ROOT / "examples", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def runs(example: CodeExample) -> bool:
    """Whether no `no-run` stands above the block."""
    above = "\n".join(example.path.read_text(encoding="utf-8").splitlines()[: example.start_line - 1])
    return NO_RUN.search(above) is None


def uncalled(source: str) -> list[str]:
    """Async functions without parameters that a block defines and never names again."""
    tree = ast.parse(source)
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef) and node.name not in named and not ast.unparse(node.args)
    ]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", STORIES)
def test_python(page: str, eval_example: EvalExample) -> None:
    """Every block runs, in the order in which the page tells it."""
    names: dict[str, object] = {}
    for example in STORIES[page]:
        compile(example.source, str(example.path), "exec")
        if not runs(example):
            continue
        run = eval_example.run_print_check if "#> " in example.source else eval_example.run
        names |= run(example, module_globals=names)
        for name in uncalled(example.source):
            story = names[name]
            assert inspect.iscoroutinefunction(story)
            asyncio.run(story())


def blocks(*languages: str, about: str = "") -> list[ParameterSet]:
    """Fenced blocks of these languages that hold the word `about`, by page and line."""
    fence = re.compile(rf"^```(?:{'|'.join(languages)})\b[^\n]*\n(.*?)^```", re.S | re.M)
    return [
        pytest.param(found[1], id=f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}")
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for found in fence.finditer(text)
        if about in found[1]
    ]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("text", blocks("toml", about="targets"))
def test_toml(text: str) -> None:
    """A shown configuration builds a pool."""
    Path("shown.toml").write_text(text, encoding="utf-8")
    Pool.from_config("shown.toml").close()


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("text", blocks("yaml", about="targets"))
def test_yaml(text: str) -> None:
    """A shown configuration builds a pool."""
    Path("shown.yaml").write_text(text, encoding="utf-8")
    Pool.from_config("shown.yaml").close()


@pytest.mark.parametrize("text", blocks("bash", "sh", "shell", "console"))
def test_commands(text: str) -> None:
    """A shown `hotspare …` has these options, a shown `make …` this target."""
    commands: Any = get_command(app)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in text.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] == ["hotspare"] and not words[1].startswith("-"):
            commands.commands[words[1]].make_context(words[1], words[2:])
        if words[:1] == ["make"]:
            assert all(re.search(rf"^{word}:", makefile, re.M) for word in words[1:] if "=" not in word), line
