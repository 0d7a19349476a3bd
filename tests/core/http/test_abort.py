"""The line of a sync attempt, over real sockets, plain and TLS: cut from another thread, bounded anew at every read."""

import queue
import socket
import ssl
import threading
from collections.abc import Iterator

import httpx
import pytest
import trustme
from hotspare import Kind, classify
from hotspare._http import Http
from hotspare._http.abort import AbortHandle


class Mute:
    """A server that takes connections and requests, and says `words` and nothing more."""

    def __init__(self, tls: ssl.SSLContext | None, words: bytes = b"") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls, self._words = tls, words
        self.heard: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://localhost:{self._listener.getsockname()[1]}/"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            if connection.recv(65536):
                self.heard.put("request")
                connection.sendall(self._words)
            while connection.recv(65536):
                pass
            self.heard.put("hung up")
            connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(params=["plain", "tls"])
def contexts(request: pytest.FixtureRequest) -> tuple[ssl.SSLContext | None, ssl.SSLContext | bool]:
    """The server's side and what the client verifies by."""
    if request.param == "plain":
        return None, True
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def mute(contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | bool]) -> Iterator[Mute]:
    """A server without a word."""
    server = Mute(contexts[0])
    yield server
    server.close()


def test_a_cut_ends_the_wait_for_an_answer(mute: Mute, contexts: tuple[object, ssl.SSLContext | bool]) -> None:
    """Before any header came: the waiting thread fails at once, and the server sees the end."""
    line, errors = AbortHandle(), queue.SimpleQueue[BaseException]()

    def ask() -> None:
        with line.bind():
            try:
                http.send("POST", mute.url, {}, b"{}", timeout=60)
            except Exception as error:
                errors.put(error)

    with Http(verify=contexts[1]) as http:
        thread = threading.Thread(target=ask)
        thread.start()
        assert mute.heard.get(timeout=10) == "request"
        line.abort()
        assert classify(errors.get(timeout=10)).kind is Kind.TRANSPORT
        assert mute.heard.get(timeout=10) == "hung up"
        thread.join(10)
        assert not thread.is_alive()


def test_what_was_cut_stays_cut(mute: Mute, contexts: tuple[object, ssl.SSLContext | bool]) -> None:
    """An attempt that was given up while it connected sends nothing any more."""
    line = AbortHandle()
    line.abort()
    with Http(verify=contexts[1]) as http, line.bind(), pytest.raises(ConnectionAbortedError):
        http.send("POST", mute.url, {}, b"{}", timeout=60)
    assert mute.heard.get(timeout=10) == "hung up"


def test_a_connection_that_went_back_is_not_cut() -> None:
    """The line of an attempt that is over does not reach the next one's socket."""
    one, other = socket.socketpair()
    line = AbortHandle()
    line.attach(one)
    line.detach()
    line.abort()
    other.sendall(b"x")
    assert one.recv(1) == b"x"
    one.close()
    other.close()


def test_each_read_is_bounded_anew(contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | bool]) -> None:
    """The time that is left shrinks, whatever the request's own timeout was."""
    server = Mute(contexts[0], b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive.")
    with (
        Http(verify=contexts[1]) as http,
        http.open("POST", server.url, {}, b"{}", timeout=60, read_timeout=60) as answer,
    ):
        parts = answer.iter_bytes()
        assert next(parts) == b"five."
        answer.line.read_timeout = 0.05
        with pytest.raises(httpx.ReadTimeout):
            next(parts)
    server.close()
