"""The project's own sources, read by tests of its structure."""

import ast
import gc
from functools import cache
from pathlib import Path


@cache
def syntax_tree(path: Path) -> ast.Module:
    """A module's syntax tree. No garbage is collected meanwhile: a finalizer that prints a traceback parses source lines, too,
    and CPython 3.11 counts the depth of both as one (a SystemError, "recursion depth mismatch")."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        if was_enabled:
            gc.enable()
