"""Print what an adapter needs besides hotspare, one requirement a line, for an installer that takes the oldest versions.

    python tests/support/bounds.py adapters/litellm
"""

import sys
import tomllib
from pathlib import Path


def requirements(adapter: Path) -> list[str]:
    """The dependencies in the adapter's metadata, without hotspare itself."""
    project = tomllib.loads((adapter / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [dependency for dependency in project["dependencies"] if not dependency.startswith("hotspare")]


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]))))
