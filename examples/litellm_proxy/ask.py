"""Send requests to a LiteLLM proxy with a hotspare pool behind it, using the official openai client.

    export LITELLM_MASTER_KEY=… OPENAI_API_KEY=… ANTHROPIC_API_KEY=…
    litellm --config config.yaml --port 4000 &
    python ask.py http://127.0.0.1:4000

`python ask.py --rehearse` needs no key: it starts the proxy itself, with an embedded provider behind it whose primary
target answers 503.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

from openai import OpenAI

HERE = Path(__file__).parent


def ask(base_url: str, key: str) -> None:
    """Print a whole answer with the target that gave it, and a stream."""
    client = OpenAI(base_url=base_url, api_key=key)
    reply = client.chat.completions.with_raw_response.create(
        model="gpt-4.1", messages=[{"role": "user", "content": "What's the weather in Seoul?"}]
    )
    print("answered by:", reply.headers["llm_provider-x-hotspare-target"])
    print(reply.parse().choices[0].message.content)
    stream = client.chat.completions.create(
        model="hotspare/smart", messages=[{"role": "user", "content": "And tomorrow?"}], stream=True
    )
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


@contextlib.contextmanager
def proxy(key: str, config: Path = HERE / "config.yaml", *options: str, **environment: str) -> Generator[str]:
    """Start a LiteLLM proxy, yield its address, and stop it at the end of the block. `options`: of its command line."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(config)]
    settings = {"LITELLM_MASTER_KEY": key, "HOTSPARE_CONFIG": str(HERE / "hotspare.toml"), **environment}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        running = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), *options],
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **settings},
            stdout=output,
            stderr=output,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health/liveliness", running, output)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.wait()


def wait_for(url: str, running: "subprocess.Popen[bytes]", output: TextIO) -> None:
    """Return when the proxy answers. Raises RuntimeError with the last line of its output if its process ends first."""
    while running.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    output.seek(0)
    last = (output.read().strip().splitlines() or ["it printed nothing"])[-1]
    raise RuntimeError(f"the proxy ended with exit code {running.returncode}: {last}")


def rehearse() -> None:
    """The same without keys: the primary target fails, the other one answers."""
    from hotspare.drill.provider import KEY, Provider

    key = f"sk-{secrets.token_hex(16)}"
    with Provider() as provider:
        provider.fault("a", "status", status=503)
        addresses = {
            "OPENAI_BASE_URL": provider.base_url("a"),
            "ANTHROPIC_BASE_URL": provider.base_url("b", "anthropic"),
        }
        with proxy(key, HERE / "config.yaml", OPENAI_API_KEY=KEY, ANTHROPIC_API_KEY=KEY, **addresses) as url:
            ask(url, key)


if __name__ == "__main__":
    if sys.argv[1:] == ["--rehearse"]:
        rehearse()
    else:
        ask(sys.argv[1], os.environ["LITELLM_MASTER_KEY"])
