"""Print the oldest versions that an adapter's metadata allows, as constraints for an installer.

python tests/support/bounds.py adapters/litellm
"""

import re
import sys
import tomllib
from pathlib import Path


def oldest(adapter: Path) -> list[str]:
    """``name==version`` for each dependency with a lower bound."""
    project = tomllib.loads((adapter / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = (re.match(r"([\w.-]+)>=([\w.]+)", dependency) for dependency in project["dependencies"])
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    print("\n".join(oldest(Path(sys.argv[1]))))
