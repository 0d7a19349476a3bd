"""llama.cpp's own server with a small model, and a relay that plays a part of its answer and breaks off."""

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Literal, Self

import httpx

HOME = os.environ.get("HOTSPARE_REAL", "")
"""A directory with the environment that has `xllamacpp` and the model's packages (`make real`)."""
MODEL = Path(HOME, "gemma-3-270m.gguf")
Break = Literal["reset", "stall", "end"]


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Engine:
    """One server process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self) -> None:
        """Start it; `wait` says when it is ready."""
        program = str(Path(__file__).with_name("server.py"))
        command = [str(Path(HOME, "bin", "python")), program, str(MODEL), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        """Wait until it answers: while it loads its model, it answers 503."""
        for _ in range(240):
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/health").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        raise RuntimeError("llama.cpp's server did not start within 120 s")

    def kill(self) -> None:
        """End it as a crash does; while it loads it ends in no other way."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stream(self, messages: list[Any], **options: Any) -> list[bytes]:
        """The events of a stream, read to its end."""
        body = {"messages": messages, "temperature": 0, "stream": True, **options}
        raw = httpx.post(f"{self.url}/chat/completions", json=body, timeout=600).raise_for_status().content
        return [event + b"\n\n" for event in raw.split(b"\n\n") if event.strip()]

    def pieces(self, text: str) -> list[Any]:
        """The tokens of a text, each as the text that it stands for."""
        url, body = (
            f"http://127.0.0.1:{self.port}/tokenize",
            {"content": text, "add_special": False, "with_pieces": True},
        )
        return [token["piece"] for token in httpx.post(url, json=body, timeout=600).raise_for_status().json()["tokens"]]


class Relay:
    """Answers every request with the same recorded events, and then breaks off."""

    def __init__(self, events: list[bytes], kind: Break) -> None:
        self._events, self._kind = events, kind
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._held:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))[15:])
        while len(body) < length:
            body += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        connection.sendall(b"".join(self._events))
        if self._kind == "stall":
            self._held.append(connection)
            return
        if self._kind == "reset":
            time.sleep(0.05)  # what was sent arrives before the reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
