"""Print the requirement of an adapter's framework, with its version bounds, for an installer that takes the oldest version.

python tests/support/bounds.py adapters/litellm
"""

import sys
import tomllib
from pathlib import Path

FRAMEWORKS = ("langchain-core", "litellm", "llama-index-core")


def framework(adapter: Path) -> str:
    """The framework's requirement in the adapter's metadata."""
    project = tomllib.loads((adapter / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (found,) = (dependency for dependency in project["dependencies"] if dependency.startswith(FRAMEWORKS))
    return str(found)


if __name__ == "__main__":
    print(framework(Path(sys.argv[1])))
