"""The abort handle of a sync attempt, over real sockets, plain and TLS: aborted from another thread, bounded at each read."""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest
import trustme
from hotspare import Kind, classify
from hotspare._http import Http
from hotspare._http.abort import MIN_TIMEOUT, AbortHandle
from hotspare.errors import AttemptTimeout

SECONDS = 60.0
"""What a busy machine may take for something that takes milliseconds."""


class SilentServer:
    """A server that accepts connections and requests, sends `data` and nothing more. `seen`: what it noticed, in order."""

    def __init__(self, tls: ssl.SSLContext | None, data: bytes = b"") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls, self._data = tls, data
        self.seen: queue.Queue[str] = queue.Queue()
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
                self.seen.put("request")
                connection.sendall(self._data)
            while connection.recv(65536):
                pass
            self.seen.put("disconnect")
            connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(params=["plain", "tls"])
def contexts(request: pytest.FixtureRequest) -> tuple[ssl.SSLContext | None, ssl.SSLContext | bool]:
    """TLS of the server, and what the client verifies it by."""
    if request.param == "plain":
        return None, True
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def server(contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | bool]) -> Iterator[SilentServer]:
    """A server that never answers."""
    found = SilentServer(contexts[0])
    yield found
    found.close()


def test_an_abort_ends_the_wait_for_an_answer(
    server: SilentServer, contexts: tuple[object, ssl.SSLContext | bool]
) -> None:
    """Before any header is received: the waiting thread fails immediately, and the server sees the end of the connection."""
    handle, errors = AbortHandle(), queue.SimpleQueue[BaseException]()

    def send() -> None:
        with handle.bind():
            try:
                http.send("POST", server.url, {}, b"{}", timeout=60)
            except Exception as error:
                errors.put(error)

    with Http(verify=contexts[1]) as http:
        thread = threading.Thread(target=send)
        thread.start()
        assert server.seen.get(timeout=SECONDS) == "request"
        handle.abort()
        assert classify(errors.get(timeout=SECONDS)).kind is Kind.TRANSPORT
        assert server.seen.get(timeout=SECONDS) == "disconnect"
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_an_aborted_attempt_stays_aborted(server: SilentServer, contexts: tuple[object, ssl.SSLContext | bool]) -> None:
    """An attempt that was aborted before it connects sends nothing."""
    handle = AbortHandle()
    handle.abort()
    with Http(verify=contexts[1]) as http, handle.bind(), pytest.raises(ConnectionAbortedError):
        http.send("POST", server.url, {}, b"{}", timeout=60)
    assert server.seen.empty()


def test_a_connection_that_was_given_back_is_not_aborted() -> None:
    """The handle of an attempt that is over does not reach the socket of the next one."""
    one, other = socket.socketpair()
    handle = AbortHandle()
    handle.attach(one)
    handle.detach()
    handle.abort()
    other.sendall(b"x")
    assert one.recv(1) == b"x"
    one.close()
    other.close()


def test_each_read_is_bounded_by_the_handle(contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | bool]) -> None:
    """The bound may change between two reads, whatever the request's own timeout was."""
    server = SilentServer(contexts[0], b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive.")
    with Http(verify=contexts[1]) as http, http.open("POST", server.url, {}, b"{}", timeout=600) as answer:
        assert answer.read() == b"five."
        answer.handle.limit(0.05)
        begun = time.monotonic()
        with pytest.raises(AttemptTimeout):
            answer.read()
        assert answer.handle.expired and answer.handle.remaining() == 0
        assert time.monotonic() - begun < SECONDS
    server.close()


def test_the_bound_counts_on_the_given_clock() -> None:
    """From the first wait, or from now; without a bound nothing expires."""
    now = [0.0]
    handle = AbortHandle(lambda: now[0])
    assert (handle.remaining(), handle.expired, handle.timeout(7)) == (None, False, 7)
    handle.limit(2, from_now=True)
    now[0] = 1.5
    assert (handle.remaining(), handle.expired, handle.timeout(7)) == (0.5, False, 0.5)
    now[0] = 3
    assert (handle.remaining(), handle.expired, handle.timeout(7)) == (0, True, MIN_TIMEOUT)
    handle.limit(2)
    now[0] = 10
    assert not handle.expired, "nothing was waited for yet"
    assert handle.timeout(7) == 2
    now[0] = 11.5
    assert (handle.remaining(), handle.expired, handle.timeout(7)) == (0.5, False, 0.5)
    handle.limit(None)
    assert (handle.remaining(), handle.expired, handle.timeout(7)) == (None, False, 7)
