"""Real servers in more than one process: a cluster of three nodes, a master behind a Sentinel, and a server behind TLS."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import trustme

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, oldest

_SLOTS = 16384
_BUS = 10_000
"""How far above a node's port the one of the cluster's own messages is."""


@contextmanager
def cluster(executable: Path | None = None) -> Iterator[list[RedisServer]]:
    """Three nodes, each with a third of the slots. It takes 2 s: a master waits so long before it writes."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
    with ExitStack() as stack:
        nodes = [RedisServer(executable, *options, bus=_BUS) for _ in range(3)]
        for node in nodes:
            stack.callback(node.close)
        clients = [stack.enter_context(node.client()) for node in nodes]
        for number, client in enumerate(clients):
            first, end = number * _SLOTS // 3, (number + 1) * _SLOTS // 3
            client.execute_command("CLUSTER", "ADDSLOTS", *range(first, end))
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        eventually(lambda: all(is_whole(client) for client in clients))
        yield nodes


def is_whole(client: Any) -> bool:
    """Whether this node sees a cluster with all slots."""
    found = client.cluster("INFO")
    return bool(found["cluster_state"] == "ok" and found["cluster_known_nodes"] == "3")


@contextmanager
def sentinel(master: RedisServer, folder: Path, *lines: str, name: str = "main") -> Iterator[RedisServer]:
    """A Sentinel of the server's own kind, that watches it. `lines`: more of its configuration."""
    config = folder / "sentinel.conf"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"sentinel monitor {name} 127.0.0.1 {master.port} 1",
        *lines,
    ]
    config.write_text("\n".join(words) + "\n")
    with subprocess.Popen([oldest(), config, "--sentinel"], stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _is_open(port))
            found = RedisServer.__new__(RedisServer)  # its face only: `client` and `port`
            found.port = port
            yield found
        finally:
            process.kill()


def _is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def behind_tls(server: RedisServer, authority: trustme.CA) -> Iterator[int]:
    """A port at which the server is spoken to in TLS, with a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def forward(client: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(client, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", server.port)) as inner,
        ):
            while True:
                ready = [outer] if outer.pending() else select.select([outer, inner], [], [])[0]
                for one, other in ((outer, inner), (inner, outer)):
                    if one in ready:
                        data = one.recv(65536)
                        if not data:
                            return
                        other.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=forward, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
