"""The embedded provider as an HTTP server: uploads, pipelining, broken requests."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider

from tests.core.drill.client import KEYS, text_of


def raw(provider: Provider, *sent: bytes) -> bytes:
    """Send bytes over a plain socket, each after the response to the one before."""
    address = urlsplit(provider.url("a"))
    assert address.hostname and address.port
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        got = b""
        for data in sent:
            connection.sendall(data)
            got += connection.recv(65536)
        return got


BODY = b'{"model":"gpt-4.1","messages":[{"role":"user","content":"hello"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer test-1\r\ncontent-length: %d\r\n" % len(
    BODY
)


def test_chunked_uploads_are_read(provider: Provider) -> None:
    """A request body without a content length."""
    url = provider.url("a") + "/v1/chat/completions"
    response = httpx.post(url, content=iter([BODY[:20], BODY[20:]]), headers=KEYS["openai"])
    assert text_of("openai", response) == answer("hello")


def test_a_client_that_waits_for_100_continue_gets_it(provider: Provider) -> None:
    """Once, before the body is sent."""
    got = raw(provider, HEAD + b"expect: 100-continue\r\n\r\n", BODY)
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(provider: Provider) -> None:
    """Two requests in one packet; the second one asks to close the connection. Also while the first one waits."""
    last = HEAD + b"connection: close\r\n\r\n" + BODY
    for seconds in (0.0, 0.05):
        provider.fault("a", "latency", seconds=seconds, count=1)
        both = all_of(provider, HEAD + b"\r\n" + BODY + last)
        assert both.count(b"HTTP/1.1 200") == 2
    assert provider.stats("a").requests == 4


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", 400),
        (b"x" * 70_000, 431),
    ],
    ids=["no HTTP", "body too large", "two lengths", "head too large"],
)
def test_broken_http_is_rejected(sent: bytes, status: int, provider: Provider) -> None:
    """With the status for it, and the connection is closed."""
    assert all_of(provider, sent).startswith(b"HTTP/1.1 %d " % status)


def all_of(provider: Provider, sent: bytes) -> bytes:
    """Everything that comes until the server closes the connection."""
    address = urlsplit(provider.url("a"))
    assert address.hostname and address.port
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))
