"""The environments of the clients that are compared, one for each library, because they cannot all be installed together.

Each has the current release of the library, and hotspare with its adapter. They are created in `.venv-peers/` at their first use, and
kept.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES: dict[str, Sequence[str]] = {
    "http": ["httpx", "httpx2", "aiohttp", "openai", "-e", "core"],
    "langchain": ["langchain", "langchain-openai", "langchain-anthropic", "-e", "core", "-e", "adapters/langchain"],
    "llama_index": ["-e", "core", "-e", "adapters/llama_index"],
    "litellm": ["litellm", "-e", "core", "-e", "adapters/litellm"],
    "pydantic_ai": ["pydantic-ai-slim[openai]"],
}
"""The packages of each environment, by its name."""


def python_of(environment: str | None) -> Path:
    """The environment's interpreter (None: the current one). The environment is created if it is missing or its packages have changed.

    Raises CalledProcessError if a package cannot be installed.
    """
    if environment is None:
        return Path(sys.executable)
    path = ROOT / ".venv-peers" / environment
    python, made, packages = path / "bin" / "python", path / "made", " ".join(PACKAGES[environment])
    if not made.exists() or made.read_text() != packages:
        print(f"making the environment {environment}", file=sys.stderr)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", path], check=True, cwd=ROOT)
        install = [uv, "pip", "install", "--quiet", "--python", python, *PACKAGES[environment]]
        subprocess.run(install, check=True, cwd=ROOT)
        made.write_text(packages)
    return python
