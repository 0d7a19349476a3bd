"""The examples of the README and of `docs/` work: Python blocks run, configurations are loaded, commands are parsed.

The blocks of a page run from top to bottom and share their names. They run against the embedded provider: the providers'
default addresses, the address variables of the official SDKs and the usual key variables all lead to it, and
`hotspare.toml` is in the working directory. An `async def` function without parameters that is defined in a block and never
called is run, too. A block after `<!-- no-run: the reason -->` is only compiled. Comments after `#>` are compared with the
output.
"""

import ast
import asyncio
import inspect
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from traceback import walk_tb
from typing import Any, TypeVar

import pytest
from _pytest.mark import ParameterSet
from hotspare import Pool
from hotspare._cli.app import COMMANDS, load_command
from hotspare.drill.provider import KEY, Provider
from hotspare.providers import presets
from pytest_examples import CodeExample, EvalExample, find_examples

from benchmarks.syntax import parsed

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("README*.md")),
    *sorted(ROOT.glob("core/*.md")),
    *sorted(ROOT.glob("adapters/*/*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCKS = {
    str(path.relative_to(ROOT)): list(blocks)
    for path, blocks in groupby(find_examples(*PAGES), key=lambda example: example.path)
}
ENDPOINTS = {"openai": "a", "anthropic": "b", "gemini": "c", "deepseek": "d", "azure": "e"}
WIRES = {"anthropic": "anthropic", "gemini": "gemini"}
ADDRESSES = {  # variables from which official SDKs and frameworks read the address of a provider
    "OPENAI_BASE_URL": "openai", "OPENAI_API_BASE": "openai", "ANTHROPIC_BASE_URL": "anthropic", "ANTHROPIC_API_BASE": "anthropic",
    "ANTHROPIC_API_URL": "anthropic", "GOOGLE_GEMINI_BASE_URL": "gemini", "GEMINI_API_BASE": "gemini", "DEEPSEEK_API_BASE": "deepseek",
    "AZURE_OPENAI_ENDPOINT": "azure",
}  # fmt: skip
Parsed = TypeVar("Parsed")
NO_RUN = re.compile(r"<!-- no-run: \S.* -->\s*$")


@pytest.fixture
def reader(provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment with a key for every provider, in which each provider is an endpoint of the embedded one."""
    base: dict[str, str] = {}
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


def is_runnable(example: CodeExample) -> bool:
    """Whether the block is run: there is no `no-run` comment above it."""
    above = "\n".join(example.path.read_text(encoding="utf-8").splitlines()[: example.start_line - 1])
    return NO_RUN.search(above) is None


def run(example: CodeExample, names: dict[str, object], eval_example: EvalExample) -> dict[str, Any]:
    """Run a block with these names and return its names. A block that raises fails the test, with its page and line."""
    run_block = eval_example.run_print_check if "#> " in example.source else eval_example.run
    try:
        return again(lambda: run_block(example, module_globals=names))
    except Exception as error:
        frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
        line = next((line for name, line in reversed(frames) if name == str(example.path)), example.start_line)
        message = f"{example.path}:{line}: {type(error).__name__}: {error}"
    # Outside of the `except` block: Python 3.11 cannot format the traceback that pytest-examples builds, and pytest would end
    # the whole session with an internal error.
    pytest.fail(message, pytrace=False)


def again(parse: Callable[[], Parsed]) -> Parsed:
    """Parse, or run what parses: Python 3.11 cannot do so in two threads at once ("AST constructor recursion depth mismatch"), and every
    thread that formats a traceback does."""
    try:
        return parse()
    except SystemError:
        return parse()


def uncalled(source: str) -> list[str]:
    """Names of the async functions without parameters that a block defines and does not call."""
    tree = parsed(source)
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef) and node.name not in named and not ast.unparse(node.args)
    ]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", BLOCKS)
def test_python(page: str, eval_example: EvalExample) -> None:
    """Every block of the page runs, in the order of the page."""
    names: dict[str, object] = {}
    for example in BLOCKS[page]:
        compile(example.source, str(example.path), "exec")
        if not is_runnable(example):
            continue
        names |= run(example, names, eval_example)
        for name in uncalled(example.source):
            function = names[name]
            assert inspect.iscoroutinefunction(function)
            asyncio.run(function())


def blocks(*languages: str, about: str = "") -> list[ParameterSet]:
    """Fenced blocks of these languages that contain the text `about`, identified by page and line."""
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
    """A TOML configuration in the documentation builds a pool."""
    Path("example.toml").write_text(text, encoding="utf-8")
    Pool.from_config("example.toml").close()


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("text", blocks("yaml", about="targets"))
def test_yaml(text: str) -> None:
    """A YAML configuration in the documentation builds a pool."""
    Path("example.yaml").write_text(text, encoding="utf-8")
    Pool.from_config("example.yaml").close()


@pytest.mark.parametrize("text", blocks("bash", "sh", "shell", "console"))
def test_commands(text: str) -> None:
    """Each `hotspare …` command in the documentation has these options, and each `make …` command exists."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in text.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] == ["hotspare"] and not words[1].startswith("-"):
            assert words[1] in COMMANDS, line
            load_command(words[1]).make_context(words[1], words[2:])
        if words[:1] == ["make"]:
            assert all(re.search(rf"^{word}:", makefile, re.M) for word in words[1:] if "=" not in word), line
