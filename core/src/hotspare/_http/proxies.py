"""Which proxy a connection goes through: the pool's own, or the one in the environment."""

from __future__ import annotations

import base64
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from hotspare._http.protocol import Origin
from hotspare.errors import ConfigError, ConnectError, MissingExtra, Problem
from hotspare.secret import HiddenStr

if TYPE_CHECKING:
    from anyio.abc import ByteStream

SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. Its URL, which may hold a password, is not shown."""

    scheme: str
    origin: Origin
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"the proxy {self.scheme}://{self.origin.host}:{self.origin.port}"

    # --- a SOCKS proxy -------------------------------------------------------------------------------------------

    @property
    def is_socks(self) -> bool:
        """Whether it is a SOCKS proxy. A connection through one is then used like a direct one."""
        return self.scheme.startswith("socks")

    def connect(self, origin: Origin, timeout: float) -> socket.socket:
        """A connection through it. Raises ConnectError."""
        with self._translated():
            socks: Any = self._from("python_socks.sync")
            found: socket.socket = socks.connect(origin.host, origin.port, timeout=timeout)
            return found

    async def connect_asyncio(self, origin: Origin) -> socket.socket:
        """The same under asyncio. The socket does not block."""
        with self._translated():
            socks: Any = self._from("python_socks.async_.asyncio")
            found: socket.socket = await socks.connect(origin.host, origin.port)
            return found

    async def connect_trio(self, origin: Origin) -> ByteStream:
        """The same under trio."""
        with self._translated():
            socks: Any = self._from("python_socks.async_.anyio.v2")
            found: ByteStream = (await socks.connect(origin.host, origin.port)).anyio_stream
            return found

    def _from(self, module: str) -> Any:
        """python-socks's proxy. It has no scheme `socks5h`, since with SOCKS 5 it always lets the proxy resolve names."""
        return import_module(module).Proxy.from_url(self.url.replace("socks5h://", "socks5://", 1))

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Convert the errors of python-socks."""
        try:
            yield
        except Exception as error:
            raise ConnectError(f"{self} failed: {error or type(error).__name__}") from None


def parse_proxy(url: str, name: str = "proxy") -> Proxy:
    """The proxy of a URL; without a scheme it is taken for http. Raises ConfigError, MissingExtra for SOCKS without its extra."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in SCHEMES or not parts.hostname:
        hint = f"must be a URL like http://proxy.example:3128; schemes: {', '.join(SCHEMES)}"
        raise ConfigError(Problem.at(name, url.rpartition("@")[2], hint))
    if parts.scheme.startswith("socks"):
        _check_socks()
    headers: dict[str, str] = {}
    if parts.username or parts.password:
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        headers["proxy-authorization"] = HiddenStr("Basic " + base64.b64encode(login.encode()).decode())
    origin = Origin("https" if parts.scheme == "https" else "http", parts.hostname, port)
    return Proxy(parts.scheme, origin, HiddenStr(parts.geturl()), headers)


def _check_socks() -> None:
    try:
        import_module("python_socks")
    except ImportError:
        raise MissingExtra("a SOCKS proxy", "socks") from None


class Proxies:
    """The proxy of each origin.

    Args:
        proxy: the URL of the proxy for all origins. False: no proxy. None: as HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say;
            they are read when an origin is first needed.

    Raises ConfigError, MissingExtra.
    """

    def __init__(self, proxy: str | bool | None) -> None:
        if not (isinstance(proxy, str) or proxy is None or proxy is False):
            given = type(proxy).__name__  # not its value: the URLs in a dict may hold a password
            raise ConfigError(
                Problem(f"proxy: must be a proxy's URL, or False for none, and not a value of type {given}")
            )
        self._fixed = parse_proxy(proxy) if isinstance(proxy, str) else None
        self.from_environment = proxy is None
        self.url = self._fixed.url if self._fixed else None
        self._known: dict[Origin, Proxy | None] = {}

    def proxy_of(self, origin: Origin) -> Proxy | None:
        """The proxy for this origin. Raises ConfigError for a variable that does not hold a proxy's URL."""
        if not self.from_environment:
            return self._fixed
        if origin not in self._known:
            self._known[origin] = _from_environment(origin)
        return self._known[origin]

    def load(self) -> None:
        """Import what reads the environment, before an attempt's time begins."""
        if self.from_environment:
            import_module("urllib.request")


def _from_environment(origin: Origin) -> Proxy | None:
    from urllib.request import getproxies  # slow to import

    found = getproxies()
    name = origin.scheme if found.get(origin.scheme) else "all"
    url = found.get(name)
    if not url or _is_exempt(origin, found.get("no", "")):
        return None
    return parse_proxy(url, f"{name.upper()}_PROXY")


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    """Whether NO_PROXY names this host: a name, a domain, an address, a network like 10.0.0.0/8, each with or without a port; or `*`."""
    for raw in no_proxy.lower().split(","):
        entry = raw.strip()
        if entry == "*":
            return True
        if entry and _matches(origin, entry.split("://")[-1]):
            return True
    return False


def _matches(origin: Origin, entry: str) -> bool:
    host = origin.host.lower()
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:  # one of them is a name
        pass
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and not name.endswith(":"):
        return int(port) == origin.port and _matches(origin, name)
    name = entry.removeprefix("*").strip("[]").lstrip(".")
    return host == name or host.endswith(f".{name}")
