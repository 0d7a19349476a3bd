"""A SOCKS5 proxy on loopback (RFC 1928, with the login of RFC 1929): it connects whatever host is named to one port."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager

LOGIN = b"\x01\x04user\x06p@ss:1"
"""Version 1, `user`, `p@ss:1`."""


class Socks:
    """The proxy's URL, with its login, and the hosts that clients named. `refuses`: it connects nothing."""

    def __init__(self, port: int, *, refuses: bool = False) -> None:
        self.port, self.refuses = port, refuses
        self.url = ""
        self.named: list[str] = []


@contextmanager
def socks_proxy(port: int, *, refuses: bool = False) -> Generator[Socks]:
    """Serve until the block ends."""
    proxy = Socks(port, refuses=refuses)

    class Client(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError, AssertionError):
                self._greet()
                proxy.named.append(self._host())
                self.wfile.write(b"\x05" + (b"\x05" if proxy.refuses else b"\x00") + b"\x00\x01" + bytes(6))
                if not proxy.refuses:
                    with socket.create_connection(("127.0.0.1", proxy.port)) as server:
                        threading.Thread(target=_copy, args=(server, self.connection), daemon=True).start()
                        _copy(self.connection, server)

        def _greet(self) -> None:
            version, count = self.rfile.read(2)
            assert version == 5
            assert 2 in self.rfile.read(count), "the client has no login"
            self.wfile.write(b"\x05\x02")
            known = self.rfile.read(len(LOGIN)) == LOGIN
            self.wfile.write(b"\x01" + (b"\x00" if known else b"\x01"))
            assert known

        def _host(self) -> str:
            _, _, _, kind = self.rfile.read(4)
            if kind == 3:
                host = self.rfile.read(self.rfile.read(1)[0]).decode()
            else:
                host = socket.inet_ntoa(self.rfile.read(4))
            (port,) = struct.unpack("!H", self.rfile.read(2))
            return f"{host}:{port}"

    class Listener(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        block_on_close = False

    with Listener(("127.0.0.1", 0), Client) as listener:
        proxy.url = f"socks5h://user:p%40ss%3A1@127.0.0.1:{listener.server_address[1]}"
        threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield proxy
        finally:
            listener.shutdown()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
