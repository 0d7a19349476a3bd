"""The process of the embedded provider: `python -m hotspare.drill.server NAME[,NAME…] [SEED]`.

It prints its ports as one line of JSON and serves until its stdin is closed or its parent process has ended.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hotspare.drill.dialects.base import dumps
from hotspare.drill.endpoint import Endpoint
from hotspare.drill.faults import Fault, FaultError
from hotspare.drill.http1 import Connection, HttpRequest, Observer, Step, response

PARENT_CHECK_SECONDS: Final = 1.0


class ControlServer:
    """All endpoints, and the HTTP port over which `hotspare.drill.provider.Provider` controls them."""

    def __init__(self, names: Sequence[str], seed: int) -> None:
        self._endpoints = {name: Endpoint(name, seed) for name in names}

    async def start(self) -> dict[str, Any]:
        """Open every port. Returns their numbers."""
        for endpoint in self._endpoints.values():
            endpoint.open_port()
        control = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._handle, Observer()), "127.0.0.1", 0
        )
        ports = {endpoint.name: endpoint.port for endpoint in self._endpoints.values()}
        return {"control": control.sockets[0].getsockname()[1], "endpoints": ports}

    def _handle(self, http: HttpRequest) -> Iterator[Step]:
        """One control command: JSON in, JSON out."""
        try:
            command = json.loads(http.body)
            result = self._run(command["command"], command["endpoints"], command["options"])
            return iter([response(200, dumps(result))])
        except (KeyError, TypeError, ValueError) as error:
            return iter([response(400, dumps({"error": str(error)}))])

    def _run(self, command: str, names: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
        for name in names:
            if name not in self._endpoints:
                raise FaultError(f"endpoint {name!r} is unknown; use one of {', '.join(self._endpoints)}")
        endpoints = [self._endpoints[name] for name in names or self._endpoints]
        if command == "stats":
            return {endpoint.name: endpoint.stats() for endpoint in endpoints}
        if command == "recorded_requests":
            return {endpoint.name: list(endpoint.recorded_requests) for endpoint in endpoints}
        for endpoint in endpoints:
            if command == "fault":
                _add_fault(endpoint, options)
            elif command == "configure":
                endpoint.configure(options)
            elif command in ("clear", "reset"):
                endpoint.reset() if command == "reset" else endpoint.faults.clear()
                endpoint.open_port()
            else:
                raise FaultError(f"control command {command!r} is unknown")
        return {}


def _add_fault(endpoint: Endpoint, options: dict[str, Any]) -> None:
    fault = Fault.of(options["kind"], {name: value for name, value in options.items() if name != "kind"})
    if fault.kind == "refused":
        endpoint.close_port()
    else:
        endpoint.faults.append(fault)


async def _serve(names: Sequence[str], seed: int) -> None:
    server = ControlServer(names, seed)
    print(json.dumps(await server.start()), flush=True)
    await _parent_gone()


async def _parent_gone() -> None:
    """Return when stdin is closed, or when the parent process has ended (then the parent's id changes)."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    parent = os.getppid()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            gone.set()

    def check_parent() -> None:
        if os.getppid() != parent:
            gone.set()
        loop.call_later(PARENT_CHECK_SECONDS, check_parent)

    loop.add_reader(sys.stdin.fileno(), read)
    check_parent()
    await gone.wait()
    loop.remove_reader(sys.stdin.fileno())


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1].split(","), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
