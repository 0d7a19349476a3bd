"""`make record`: records the cassettes anew, from servers that this project did not write.

Without arguments from the local ones (see `servers/`); with a provider's name from the provider itself, with the key in
its usual environment variable. What cannot be had from a real provider on demand (429, 500…) stays as it is.
"""

import argparse
import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import vcr
from hotspare import AllTargetsFailed, Pool, Target
from hotspare.providers.presets import PRESETS

from tests.support.cases import KEY, PROVIDERS, SERVERS, Case, Recorded
from tests.support.cassettes import README, ROOT, Leak, Writer, digest, expected, path_of, recording, table

SERVED = Path(__file__).parent / "servers"
INSTALLED = ROOT.parent / ".record"
HEAD = "| cassette | recorded from | on | sha256 |\n|---|---|---|---|\n"


# --- servers -----------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port on which no server listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], url: str, ready: str, **env: str) -> Iterator[str]:
    """A server's address while it runs. Raises RuntimeError with its output if it does not come up."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | env)
        try:
            _wait(process, url + ready, output)
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", url: str, output: Any, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).is_success:
                return
        time.sleep(0.1)
    output.seek(0)
    raise RuntimeError(f"the server did not come up:\n{output.read().decode()[-2000:]}")


@contextlib.contextmanager
def aimock() -> Iterator[tuple[str, str]]:
    """The npm package `@copilotkit/aimock`: its name and address."""
    package = INSTALLED / "node_modules" / "@copilotkit" / "aimock"
    port = str(free_port())
    fixtures = str(SERVED / "aimock.json")
    command = ["node", str(package / "dist" / "cli.js"), "-p", port, "-f", fixtures, "--strict", "--chunk-size", "8"]
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    with running(command, f"http://127.0.0.1:{port}", "/health") as url:
        yield f"aimock {version}", url


@contextlib.contextmanager
def litellm(behind: str) -> Iterator[tuple[str, str]]:
    """The LiteLLM proxy as a relay in front of aimock at `behind`: its name and address."""
    port = str(free_port())
    program = str(Path(sys.executable).with_name("litellm"))
    command = [program, "--config", str(SERVED / "litellm.yaml"), "--host", "127.0.0.1", "--port", port]
    with running(
        command,
        f"http://127.0.0.1:{port}",
        "/health/liveliness",
        AIMOCK=behind,
        AIMOCK_OPENAI=f"{behind}/v1",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",
    ) as url:
        yield f"LiteLLM proxy {importlib.metadata.version('litellm')}, before aimock", url


# --- recording ---------------------------------------------------------------------------------------------------


def ask(target: Target, case: Case) -> None:
    """Put the question once. Raises AssertionError if the answer is not of the kind that the case is about."""
    with Pool([target], transport="httpx", max_attempts=1, when_all_down="fail", deadline=120) as pool:
        try:
            if case.stream:
                list(pool.stream(case.request))
            else:
                pool.chat(case.request)
        except AllTargetsFailed as error:
            statuses = [attempt.status for attempt in error.attempts]
            assert statuses == [case.status], f"{target.name} {case.name}: {error}"
        else:
            assert case.status == 200, f"{target.name} {case.name}: answered"


def record(provider: Recorded, case: Case, target: Target, address: str | None, folder: Path) -> None:
    """One cassette. `address`: of the local server that answers; another one is written (see `SERVERS`)."""
    name = f"{provider.name}/{case.name}"

    def at_its_usual_place(request: Any) -> Any:
        request.uri = request.uri.replace(address, SERVERS[provider.server]) if address else request.uri
        return request

    recorder = vcr.VCR(record_mode="all", before_record_request=at_its_usual_place, decode_compressed_response=True)
    recorder.register_serializer("scrubbed", Writer)
    with recorder.use_cassette(str(path_of(name, folder)), serializer="scrubbed"):
        ask(target, case)
    assert recording(name, folder)["response"]["status"]["code"] == case.status


def local(server: str, address: str, folder: Path) -> list[str]:
    """All cases of all providers that a local server plays."""
    names: list[str] = []
    for provider in PROVIDERS.values():
        if provider.server != server:
            continue
        wire = provider.name if provider.name in ("anthropic", "gemini") else "openai"
        for case in provider.cases():
            target = provider.target(case.name, base_url=address + provider.base)
            if case.status != 200:  # the server refuses when its own header says so; the header is not recorded
                target = dataclasses.replace(target, headers={"x-aimock-context": f"{case.name}/{wire}"})
            record(provider, case, target, address, folder)
            names.append(f"{provider.name}/{case.name}")
    return names


def real(provider: Recorded, folder: Path) -> list[str]:
    """The cases that a real provider answers on demand: all good ones, and a wrong key."""
    variables = PRESETS[provider.name].key_env
    key = next((os.environ[name] for name in variables if os.environ.get(name)), None)
    if key is None:
        raise SystemExit(f"set {' or '.join(variables)} to record {provider.name} for real")
    done: list[str] = []
    for case in provider.cases():
        if case.status not in (200, 401):
            continue
        url = os.environ.get(f"{provider.name.upper()}_BASE_URL")
        target = provider.target(case.name, url, key if case.status == 200 else KEY)
        try:
            record(provider, case, target, None, folder)
        except (AssertionError, Leak) as error:
            print(f"left out {provider.name}/{case.name}: {error}", file=sys.stderr)
        else:
            done.append(f"{provider.name}/{case.name}")
    return done


def publish(names: list[str], server: str, folder: Path) -> None:
    """Put recordings into their place and into README.md's table; an unchanged one keeps its day."""
    rows = {name: row for name, row in table().items() if name in expected()} if README.exists() else {}
    for name in names:
        path_of(name).parent.mkdir(parents=True, exist_ok=True)
        path_of(name).write_bytes(path_of(name, folder).read_bytes())
        sha = digest(path_of(name))
        if name not in rows or rows[name][2] != sha:
            rows[name] = (server, datetime.datetime.now(datetime.UTC).date().isoformat(), sha)
    words = README.read_text(encoding="utf-8").partition(HEAD)[0]
    lines = [f"| {name} | {' | '.join(rows[name])} |\n" for name in sorted(rows)]
    README.write_text(words + HEAD + "".join(lines), encoding="utf-8")


def main() -> None:
    """Record, and say what was recorded."""
    parser = argparse.ArgumentParser(prog="make record", description=__doc__)
    parser.add_argument(
        "provider",
        nargs="?",
        choices=sorted(p.name for p in PROVIDERS.values() if p.server == "aimock"),
        help="record this one for real",
    )
    logging.getLogger("hotspare").setLevel(logging.CRITICAL)
    chosen = parser.parse_args().provider
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen:
            names = real(PROVIDERS[chosen], folder)
            publish(names, f"{chosen} itself", folder)
        else:
            with aimock() as (server, address):
                names = local("aimock", address, folder)
                with litellm(address) as (relay, relay_address):
                    relayed = local("litellm", relay_address, folder)
            publish(names, server, folder)
            publish(relayed, relay, folder)
            names += relayed
    print(f"{len(names)} cassettes recorded")


if __name__ == "__main__":
    main()
