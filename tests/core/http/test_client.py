"""The HTTP seam against small real servers on loopback: every transport, threads and both event loops."""

import asyncio
import gc
import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from hotspare._classify.rules import classify
from hotspare._http import Http, client
from hotspare.errors import AttemptTimeout, BodyTooLarge, ConfigError
from hotspare.outcome import Kind

Script = Callable[[socket.socket], None]
HEADERS = {"content-type": "application/json"}


class Server:
    """Accepts connections, reads a request, and does what the script says with the socket."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.script: Script = lambda connection: None
        self.connections = 0
        self.released = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            while self._request(connection):
                try:
                    self.script(connection)
                except OSError:
                    return

    @staticmethod
    def _request(connection: socket.socket) -> bool:
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536) or b"\0"
                if b"\0" in data:
                    return False
            head, _, body = data.partition(b"\r\n\r\n")
            length = next(
                (int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length")), 0
            )
            while len(body) < length:
                body += connection.recv(65536)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self.released.set()
        self.listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def answers(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> Script:
    """A whole answer."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return lambda c: c.sendall(b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status, lines, len(body), body))


async def send(http: Http, face: str, url: str, timeout: float = 5) -> client.Response:
    """One whole answer, in sync or async code."""
    if face == "sync":
        return http.send("POST", url, HEADERS, b"{}", timeout=timeout)
    with anyio.fail_after(timeout):
        return await http.asend("POST", url, HEADERS, b"{}", timeout=timeout)


FACES = pytest.mark.parametrize("face", ["sync", "async"])
TRANSPORTS = pytest.mark.parametrize("transport", ["auto", "httpx", "aiohttp"])


@FACES
@TRANSPORTS
@pytest.mark.anyio
async def test_whole_answers(face: str, transport: str, server: Server) -> None:
    """Status, headers and a decoded body; the connection is used again; a redirect is not followed."""
    http = Http(transport)
    packed = gzip.compress(b"hello" * 100)
    server.script = answers(packed, b"content-encoding: gzip", b"x-a: b")
    for _ in range(3):
        found = await send(http, face, server.url)
        assert (found.status, found.headers["x-a"], found.body) == (200, "b", b"hello" * 100)
    server.script = answers(b"", b"location: http://127.0.0.1:1/", status=b"302 Found")
    assert (await send(http, face, server.url)).status == 302
    assert server.connections == 1
    await http.aclose()


@FACES
@TRANSPORTS
@pytest.mark.anyio
async def test_broken_connections_are_classified(face: str, transport: str, server: Server) -> None:
    """Refused, reset before an answer, and a body that ends early: transport failures, told apart."""
    http = Http(transport)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Exception) as refused:
        await send(http, face, f"http://127.0.0.1:{port}/")
    assert (classify(refused.value).kind, classify(refused.value).before_connect) == (Kind.TRANSPORT, True)
    server.script = lambda c: c.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Exception) as reset:
        await send(http, face, server.url)
    assert (classify(reset.value).kind, classify(reset.value).before_connect) == (Kind.TRANSPORT, False)

    def early(c: socket.socket) -> None:
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")
        c.shutdown(socket.SHUT_RDWR)

    server.script = early
    with pytest.raises(Exception) as short:
        await send(http, face, server.url)
    assert classify(short.value).kind is Kind.TRANSPORT
    await http.aclose()


def test_a_drip_cannot_outlast_the_whole_timeout(server: Server) -> None:
    """A server that sends a byte now and then is cut when the whole answer's time is over."""

    def drip(c: socket.socket) -> None:
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while not server.released.wait(0.02):
            c.sendall(b"x")

    server.script = drip
    with Http() as http, pytest.raises((AttemptTimeout, httpx.ReadTimeout)):
        http.send("POST", server.url, HEADERS, b"{}", timeout=0.2)


def test_the_read_timeout_can_be_changed_while_reading(server: Server) -> None:
    """What `read_timeout` says at a read bounds that read."""

    def silence(c: socket.socket) -> None:
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhello")
        server.released.wait(10)

    server.script = silence
    with Http() as http, http.open("POST", server.url, HEADERS, b"{}", timeout=5, read_timeout=5) as stream:
        reads = stream.iter_bytes()
        assert next(reads) == b"hello"
        stream.read_timeout = 0.05
        with pytest.raises(httpx.ReadTimeout):
            next(reads)


@FACES
@pytest.mark.anyio
async def test_a_body_without_end_is_refused(face: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stops at the limit, on the decoded size."""
    monkeypatch.setattr(client, "MAX_BODY", 1000)
    server.script = answers(gzip.compress(b"x" * 100_000), b"content-encoding: gzip")
    http = Http()
    with pytest.raises(BodyTooLarge):
        await send(http, face, server.url)
    await http.aclose()


@TRANSPORTS
@pytest.mark.anyio
async def test_cancelling_closes_the_connection(transport: str, server: Server) -> None:
    """The server sees the end of the connection of a caller who left."""
    gone = threading.Event()

    def wait(c: socket.socket) -> None:
        if not c.recv(1):
            gone.set()
        raise OSError

    server.script = wait
    http = Http(transport)
    with anyio.move_on_after(0.1) as scope:
        await http.asend("POST", server.url, HEADERS, b"{}", timeout=5)
    assert scope.cancelled_caught
    assert await anyio.to_thread.run_sync(gone.wait, 10)
    await http.aclose()


def test_a_child_process_has_connections_of_its_own(server: Server) -> None:
    """After a fork both sides go on."""
    server.script = answers(b"ok")
    http = Http()
    assert http.send("POST", server.url, HEADERS, b"{}", timeout=5).body == b"ok"
    child = os.fork()
    if child == 0:
        try:
            found = http.send("POST", server.url, HEADERS, b"{}", timeout=5).body
            os._exit(0 if found == b"ok" else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert http.send("POST", server.url, HEADERS, b"{}", timeout=5).body == b"ok"
    assert server.connections == 2
    http.close()


@FACES
@pytest.mark.anyio
async def test_vcr_records_and_replays(face: str, server: Server, tmp_path: Path) -> None:
    """httpx's own transport is what vcrpy knows: record once, then replay with the server gone."""
    import vcr

    server.script = answers(b'{"a": 1}', b"content-type: application/json")
    tape = str(tmp_path / "tape.yaml")
    for mode in ("once", "none"):
        http = Http("httpx")
        with vcr.use_cassette(tape, record_mode=mode):
            assert (await send(http, face, server.url)).body == b'{"a": 1}'
        await http.aclose()
        server.close()


def test_an_instance_is_taken_and_an_unknown_name_refused() -> None:
    """Any httpx transport stands behind the seam."""
    http = Http(httpx.MockTransport(lambda request: httpx.Response(418, content=b"tea")))
    assert http.send("POST", "http://x/", HEADERS, b"{}", timeout=1).status == 418
    http.close()
    with pytest.raises(ConfigError, match="transport"):
        Http("carrier-pigeon")


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_event_loops_that_ended_leave_nothing_behind(
    transport: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Scripts and notebooks start one loop after another: each finds connections of its own, and none is reported lost."""
    server.script = answers(b"{}")
    http = Http(transport)

    async def ask() -> bytes:
        return (await http.asend("POST", server.url, HEADERS, b"{}", timeout=5)).body

    assert [asyncio.run(ask()) for _ in range(3)] == [b"{}"] * 3
    assert len(http._async) == 1, "the last loop's; those before it were left when the next one came"
    http.close()
    assert not http._async
    gc.collect()
    assert not caplog.records
