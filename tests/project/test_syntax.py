"""The project's tools parse its sources although other threads parse too."""

import ast
import gc
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.syntax import parsed


def test_a_mismatch_of_depths(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython 3.11 may confuse two threads: then the source is parsed once more, and garbage is collected again afterwards."""
    real: Callable[[str], Any] = ast.parse
    failures = [SystemError("AST constructor recursion depth mismatch (before=63, after=60)")]

    def parse(source: str) -> Any:
        assert not gc.isenabled()
        if failures:
            raise failures.pop()
        return real(source)

    monkeypatch.setattr(ast, "parse", parse)
    assert ast.unparse(parsed("a=1")) == "a = 1"
    assert gc.isenabled()
