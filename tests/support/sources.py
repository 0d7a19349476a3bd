"""The project's own sources, read by tests of its structure."""

import ast
from functools import cache
from pathlib import Path

from benchmarks.syntax import parsed


@cache
def syntax_tree(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return parsed(path.read_text(encoding="utf-8"))
