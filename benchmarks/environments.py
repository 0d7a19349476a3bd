"""The environments of the clients that are compared, one for each library, because they cannot all be installed together.

Each holds the library as its installer gives it today, and hotspare with the adapter for it. They are made when they are first
used, and kept in `.venv-peers/`.
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
"""What is installed into each, by its name."""


def python_of(environment: str | None) -> Path:
    """The environment's interpreter (None: the one that runs); the environment is made where it is missing, or where its packages have changed.

    Raises CalledProcessError where a package cannot be installed.
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
