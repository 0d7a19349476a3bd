"""The embedded provider's process: its endpoints, its control port, and its end with its parent's."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hotspare.drill.dialects.base import dumps
from hotspare.drill.endpoint import Endpoint
from hotspare.drill.faults import Fault, FaultError
from hotspare.drill.http1 import Connection, Observer, Request, Step, plain

PARENT_CHECK_SECONDS: Final = 1.0


class Hub:
    """All endpoints of one process, and what may be done to them over the control port."""

    def __init__(self, names: Sequence[str], seed: int) -> None:
        self.endpoints = {name: Endpoint(name, seed) for name in names}

    async def start(self) -> dict[str, Any]:
        """Open every port; the answer tells them."""
        for endpoint in self.endpoints.values():
            endpoint.listen()
        control = await asyncio.get_running_loop().create_server(
            lambda: Connection(self.handle, Observer()), "127.0.0.1", 0
        )
        port = control.sockets[0].getsockname()[1]
        return {"control": port, "endpoints": {e.name: e.port for e in self.endpoints.values()}}

    def handle(self, request: Request) -> Iterator[Step]:
        """One control call: JSON in, JSON out."""
        try:
            asked = json.loads(request.body)
            return iter([plain(200, dumps(self._do(asked.pop("do"), asked.pop("endpoints"), asked)))])
        except (FaultError, KeyError, TypeError, ValueError) as error:
            return iter([plain(400, dumps({"error": str(error)}))])

    def _do(self, what: str, names: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
        chosen = [self._endpoint(n) for n in names] or list(self.endpoints.values())
        if what == "stats":
            return {e.name: e.stats(**options) for e in chosen}
        if what == "heard":
            return {e.name: list(e.heard) for e in chosen}
        for endpoint in chosen:
            if what == "fault":
                self._fault(endpoint, options)
            elif what == "configure":
                endpoint.configure(options)
            elif what in ("clear", "reset"):
                endpoint.reset() if what == "reset" else endpoint.faults.clear()
                endpoint.listen()
            else:
                raise FaultError(f"control: {what!r} is unknown; use fault, clear, configure, stats, heard or reset")
        return {}

    def _endpoint(self, name: str) -> Endpoint:
        if name not in self.endpoints:
            raise FaultError(f"endpoint {name!r} is unknown; there are {', '.join(self.endpoints)}")
        return self.endpoints[name]

    def _fault(self, endpoint: Endpoint, options: dict[str, Any]) -> None:
        fault = Fault.of(options)
        if fault.kind == "refused":
            endpoint.refuse()
        else:
            endpoint.faults.append(fault)


async def _serve(names: Sequence[str], seed: int) -> None:
    hub = Hub(names, seed)
    print(json.dumps(await hub.start()), flush=True)
    await _orphaned()


async def _orphaned() -> None:
    """Return when the parent is gone: its end of our stdin closes, or we are given another parent."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    parent = os.getppid()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            gone.set()

    def look() -> None:
        if os.getppid() != parent:
            gone.set()
        loop.call_later(PARENT_CHECK_SECONDS, look)

    loop.add_reader(sys.stdin.fileno(), read)
    look()
    await gone.wait()
    loop.remove_reader(sys.stdin.fileno())


def main(arguments: Sequence[str]) -> int:
    """`python -m hotspare.drill.provider NAME[,NAME…] [SEED]`: serve until stdin closes."""
    names = arguments[0].split(",") if arguments else ["a"]
    asyncio.run(_serve(names, int(arguments[1]) if len(arguments) > 1 else 0))
    return 0
