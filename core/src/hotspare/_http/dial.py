"""A connection for a thread: name resolution, several addresses in parallel, TLS, a tunnel through a proxy.

Each step has a time limit, and ends soon after the attempt's handle is aborted, except the wait for a SOCKS proxy.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import TimeoutError as LookupTimeout

from hotspare._http.abort import AbortHandle
from hotspare._http.http1 import ResponseReader, request_bytes
from hotspare._http.protocol import Origin
from hotspare._http.proxies import Proxy
from hotspare._http.resolver import Address, Resolver, interleaved
from hotspare.errors import AttemptTimeout, ConnectError, TransportError

CONNECT = 5.0
"""Seconds for a connection, from the name's resolution to the end of the TLS handshake (DESIGN: `connect`)."""
STAGGER = 0.25
"""Seconds until the next address is tried in parallel with the previous one (RFC 8305, 5: 250 ms)."""
_SLICE = 0.05
"""Longest single wait in seconds, after which an aborted attempt is noticed."""
_IN_PROGRESS = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY}


class Dialer:
    """Opens connections. `tls` creates the TLS context at first use."""

    def __init__(self, resolver: Resolver, tls: Callable[[], ssl.SSLContext]) -> None:
        self._resolver = resolver
        self._tls = tls

    def connect(self, origin: Origin, proxy: Proxy | None, handle: AbortHandle) -> socket.socket:
        """A connected blocking socket, with TLS if the origin uses it.

        Raises ConnectError, or AttemptTimeout if the handle's time limit comes first.
        """
        limit = _Limit(origin, handle)
        if proxy is not None and proxy.is_socks:
            found = proxy.connect(origin, limit.left())
        else:
            server = proxy.origin if proxy is not None else origin
            found = self._connected(server, limit)
        try:
            if proxy is not None and proxy.scheme == "https":
                found = self._secured(found, proxy.origin.host, limit)
            if origin.secure:
                if proxy is not None and not proxy.is_socks:
                    handle.attach(found)  # so that an abort ends the wait for the proxy's answer
                    _tunnel(found, origin, proxy, limit)
                found = self._secured(found, origin.host, limit)
            handle.attach(found)
            return found
        except BaseException:
            found.close()
            raise

    def _connected(self, server: Origin, limit: _Limit) -> socket.socket:
        lookup = self._resolver.lookup(server.host, server.port)
        while True:
            seconds = min(_SLICE, limit.left())
            try:
                addresses = lookup.result(seconds)
                break
            except LookupTimeout:
                continue
            except OSError as error:
                raise ConnectError(f"cannot resolve {server.host}: {error}") from None
        if not addresses:
            raise ConnectError(f"cannot resolve {server.host}: it has no address")
        return _race(interleaved(addresses), limit)

    def _secured(self, plain: socket.socket, host: str, limit: _Limit) -> ssl.SSLSocket:
        if isinstance(plain, ssl.SSLSocket):
            raise ConnectError(
                "TLS through a proxy that is itself reached over TLS works in async code only: use achat or astream, or a proxy with http://"
            )
        plain.setblocking(False)
        try:
            found = self._tls().wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            raise ConnectError(f"TLS with {host} failed: {error}") from None
        try:
            _handshake(found, host, limit)
        except BaseException:
            found.close()  # `plain` no longer owns the file descriptor
            raise
        return found


def _handshake(secured: ssl.SSLSocket, host: str, limit: _Limit) -> None:
    while True:
        try:
            secured.do_handshake()
            secured.setblocking(True)
            return
        except ssl.SSLWantReadError:
            writing = False
        except ssl.SSLWantWriteError:
            writing = True
        except OSError as error:
            raise ConnectError(f"TLS with {host} failed: {error}") from None
        _wait(secured, limit, writing=writing)


class _Limit:
    """The time limit of one connection: `CONNECT`, or the end of the attempt if that is earlier."""

    def __init__(self, origin: Origin, handle: AbortHandle) -> None:
        self._origin = origin
        self._handle = handle
        self._end = time.monotonic() + CONNECT

    def left(self) -> float:
        """Seconds that are left, above 0. Raises as `check` does."""
        self.check()
        return max(0.001, min(self._end - time.monotonic(), self._handle.timeout(CONNECT) or CONNECT))

    def check(self) -> None:
        """Raises ConnectError or AttemptTimeout when the time is over, ConnectionAbortedError after an abort."""
        if self._handle.expired:
            raise AttemptTimeout(f"no connection to {self._origin} in time")
        if time.monotonic() >= self._end:
            raise ConnectError(f"no connection to {self._origin} within {CONNECT:.0f} s")
        if self._handle.is_aborted:
            raise ConnectionAbortedError("the attempt was cancelled")


def _race(addresses: list[Address], limit: _Limit) -> socket.socket:
    """The first of these addresses that accepts a connection; while one is slow, the next one is tried in parallel."""
    waiting, errors = deque(addresses), list[OSError]()
    open_sockets: set[socket.socket] = set()
    next_start = 0.0
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or open_sockets:
                now = time.monotonic()
                if waiting and (now >= next_start or not open_sockets):
                    next_start = now + STAGGER
                    _start(waiting.popleft(), selector, open_sockets, errors)
                    continue
                until_next = next_start - now if waiting else _SLICE
                for key, _ in selector.select(min(_SLICE, until_next, limit.left())):
                    found = key.fileobj
                    assert isinstance(found, socket.socket)
                    selector.unregister(found)
                    open_sockets.remove(found)
                    code = found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        found.setblocking(True)
                        return found
                    errors.append(OSError(code, os.strerror(code)))
                    found.close()
                    next_start = 0.0
                limit.check()
        finally:
            for left in open_sockets:
                left.close()
    raise ConnectError(f"cannot connect: {errors[0]}")


def _start(
    address: Address, selector: selectors.BaseSelector, open_sockets: set[socket.socket], errors: list[OSError]
) -> None:
    family, kind, protocol, _, place = address
    try:
        found = socket.socket(family, kind, protocol)
    except OSError as error:  # e.g. this host has no IPv6
        errors.append(error)
        return
    found.setblocking(False)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = found.connect_ex(place)
    if code and code not in _IN_PROGRESS:
        errors.append(OSError(code, os.strerror(code)))
        found.close()
        return
    open_sockets.add(found)
    selector.register(found, selectors.EVENT_WRITE)


def _wait(waiting: socket.socket, limit: _Limit, *, writing: bool) -> None:
    """Wait until the socket is ready. Raises when the time is over."""
    with selectors.DefaultSelector() as selector:
        selector.register(waiting, selectors.EVENT_WRITE if writing else selectors.EVENT_READ)
        while not selector.select(min(_SLICE, limit.left())):
            limit.check()
    limit.check()


def _tunnel(found: socket.socket, origin: Origin, proxy: Proxy, limit: _Limit) -> None:
    """Have the proxy connect to the origin (RFC 9110, 9.3.6)."""
    host = f"{origin.host}:{origin.port}"
    answer = ResponseReader(tunnel=True)
    try:
        found.settimeout(limit.left())
        found.sendall(request_bytes("CONNECT", host, host, proxy.headers.items(), b""))
        while not answer.has_head:
            found.settimeout(limit.left())
            answer.feed(found.recv(65536))
    except TimeoutError:
        limit.check()
        raise ConnectError(f"{proxy} does not answer") from None
    except (OSError, TransportError) as error:
        raise ConnectError(f"{proxy} failed: {error}") from None
    if not 200 <= answer.status < 300:
        raise ConnectError(f"{proxy} answered {answer.status} to CONNECT")


def is_readable(idle: socket.socket) -> bool:
    """Whether an idle connection has something to read: its end, or bytes that no request asked for."""
    if isinstance(idle, ssl.SSLSocket) and idle.pending():
        return True
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(idle, select.POLLIN)
        return bool(poller.poll(0))
    return bool(select.select([idle], [], [], 0)[0])
