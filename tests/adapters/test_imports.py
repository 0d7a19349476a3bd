"""What the three adapters share: public names of hotspare only, and the same names for the same modules."""

import ast
from pathlib import Path

import hotspare
import pytest

from tests.support.sources import syntax_tree

ROOT = Path(__file__).parents[2] / "adapters"
PACKAGES = {
    "langchain": ROOT / "langchain/src/langchain_hotspare",
    "llama_index": ROOT / "llama_index/src/llama_index/llms/hotspare",
    "litellm": ROOT / "litellm/src/litellm_hotspare",
}
SHARED = {
    "backend", "backend_request", "backend_response", "messages", "metadata", "model_families", "request", "response",
    "targets",
}  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
def test_adapters_import_public_names_only(package: str) -> None:
    """Every import of hotspare is `from hotspare import name`, with an exported name."""
    found: set[str] = set()
    for path in PACKAGES[package].rglob("*.py"):
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names if alias.name.partition(".")[0] == "hotspare"}
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "hotspare":
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert found
    assert found <= {f"hotspare.{name}" for name in hotspare.__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_adapters_share_module_names(package: str) -> None:
    """The same part of each adapter has the same module name."""
    assert {path.stem for path in PACKAGES[package].glob("*.py")} >= SHARED
