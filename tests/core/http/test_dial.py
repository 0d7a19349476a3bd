"""Connections that are given up on their way: what waits ends, and what is open is closed."""

import queue
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from hotspare._http.abort import AbortHandle
from hotspare._http.dial import Dialer
from hotspare._http.protocol import Origin
from hotspare._http.proxies import parse_proxy
from hotspare._http.resolver import Resolver
from hotspare.errors import AttemptTimeout, ConnectError

SECONDS = 30.0
"""What a busy machine may take for something that takes milliseconds."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


@pytest.fixture
def dialer() -> Dialer:
    """With the machine's own CAs."""
    return Dialer(Resolver(), ssl.create_default_context)


def test_a_handshake_that_takes_too_long_leaves_no_open_socket(listener: socket.socket, dialer: Dialer) -> None:
    """Also while the error, whose traceback holds the socket, is still there."""
    handle = AbortHandle()
    handle.limit(0.05, from_now=True)
    with pytest.raises(AttemptTimeout) as caught:
        dialer.connect(Origin("https", "127.0.0.1", listener.getsockname()[1]), None, handle)
    server, _ = listener.accept()
    server.settimeout(SECONDS)
    while server.recv(65536):  # the client's first message, then the end
        pass
    server.close()
    assert "in time" in str(caught.value)


def test_an_abort_ends_the_wait_for_a_proxy(
    listener: socket.socket, dialer: Dialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait until the time for a connection, here an hour, is over."""
    monkeypatch.setattr("hotspare._http.dial.CONNECT", 3600.0)
    handle, errors = AbortHandle(), queue.SimpleQueue[ConnectError]()
    proxy = parse_proxy(f"http://127.0.0.1:{listener.getsockname()[1]}")

    def connect() -> None:
        try:
            dialer.connect(Origin("https", "provider.test", 443), proxy, handle)
        except ConnectError as error:
            errors.put(error)

    threading.Thread(target=connect, daemon=True).start()
    server, _ = listener.accept()
    assert server.recv(65536).startswith(b"CONNECT provider.test:443 ")
    handle.abort()
    assert str(proxy) in str(errors.get(timeout=SECONDS))
    server.close()
