"""Proxies and certificates: threads, asyncio and trio take the same way to a provider."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
import trustme
from hotspare import AllTargetsFailed, ConfigError, MissingExtra, Pool, Target
from hotspare._http.protocol import Origin
from hotspare._http.proxies import Proxies, parse_proxy

from tests.support.raw_server import raw_server, response
from tests.support.socks import socks_proxy

MODES = ["threads", "asyncio", "trio"]
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without proxies and CAs."""
    for name in (*VARIABLES, *(name.upper() for name in VARIABLES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def reply_with(text: str) -> bytes:
    """An answer of OpenAI's shape."""
    message = {"role": "assistant", "content": text}
    return response(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def ask(pool: Pool, mode: str) -> str:
    """One whole answer."""

    async def call() -> str:
        async with pool:
            return (await pool.achat("hello", completion="wait")).text

    if mode != "threads":
        return anyio.run(call, backend=mode)
    with pool:
        return pool.chat("hello", completion="wait").text


def target(url: str) -> Target:
    return Target("openai/gpt-4.1", base_url=url, api_key="test-1")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "argument"])
def test_a_proxy_for_http(where: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is sent the whole address, and its login; the provider is not reached directly."""
    with raw_server(lambda request: reply_with("through the proxy")) as proxy:
        url = proxy.url.replace("://", "://user:p%40ss@")
        if where != "argument":
            monkeypatch.setenv(where, url)
        pool = Pool([target("http://provider.test/v1")], proxy=url if where == "argument" else None, deadline=20)
        assert ask(pool, mode) == "through the proxy"
    (request,) = proxy.requests
    assert request.path == "http://provider.test/v1/chat/completions"
    assert request.headers["host"] == "provider.test"
    assert request.headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("exempt", ["NO_PROXY", "argument"])
def test_no_proxy(exempt: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that NO_PROXY names, and a pool with `proxy=False`, are reached directly."""
    with raw_server(lambda request: reply_with("direct")) as provider:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        if exempt == "NO_PROXY":
            monkeypatch.setenv("NO_PROXY", "other.test, 127.0.0.0/8")
        pool = Pool([target(provider.url + "/v1")], proxy=False if exempt == "argument" else None, deadline=20)
        assert ask(pool, mode) == "direct"


class Tunnels:
    """A proxy that connects clients to one port, whatever host they name. `asked`: the heads of their requests."""

    def __init__(self, port: int, status: bytes = b"200 Connection established") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port, self._status = port, status
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.asked.append(head)
        client.sendall(b"HTTP/1.1 " + self._status + b"\r\n\r\n")
        if not self._status.startswith(b"2"):
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self._port))
        threading.Thread(target=self._copy, args=(server, client), daemon=True).start()
        self._copy(client, server)

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()


class Secure:
    """A provider with TLS. `clients`: whether each connection showed a certificate."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context = context
        self.clients: list[bool] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as client:
            self.clients.append(client.getpeercert() is not None)
            while client.recv(65536):
                client.sendall(reply_with("secure"))

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A CA that nothing trusts."""
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Generator[Secure]:
    """A provider with a certificate for `provider.test` and for `localhost`, which requires a client certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("provider.test", "localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    found = Secure(context)
    yield found
    found.close()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """The CA's file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", ["HTTPS_PROXY", "argument"])
def test_a_tunnel_for_https(
    where: str, mode: str, secure: Secure, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONNECT to the provider, with the proxy's login and without the provider's key; then TLS with the provider itself."""
    tunnels = Tunnels(secure.port)
    url = tunnels.url.replace("://", "://user:pass@")
    if where != "argument":
        monkeypatch.setenv(where, url)
    pool = Pool(
        [target("https://provider.test/v1")], verify=bundle, proxy=url if where == "argument" else None, deadline=20
    )
    assert ask(pool, mode) == "secure"
    tunnels.close()
    (head,) = tunnels.asked
    assert head.startswith(b"CONNECT provider.test:443 HTTP/1.1\r\n")
    assert b"proxy-authorization: basic dXNlcjpwYXNz\r\n".lower() in head.lower()
    assert b"test-1" not in head


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"502 Bad Gateway", b"noise"])
def test_a_proxy_that_refuses_is_no_answer_of_the_provider(status: bytes, mode: str, secure: Secure) -> None:
    """TRANSPORT, without a connection: not the status of a provider, and no verdict on its key."""
    tunnels = Tunnels(secure.port, status)
    pool = Pool(
        [target("https://provider.test/v1")], proxy=tunnels.url, max_attempts=1, when_all_down="fail", deadline=20
    )
    with pytest.raises(AllTargetsFailed) as caught:
        ask(pool, mode)
    tunnels.close()
    assert str(caught.value.attempts[0].kind) == "transport"
    assert caught.value.attempts[0].status is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["verify", "context", "SSL_CERT_FILE", "SSL_CERT_DIR", "False"])
def test_which_certificates_are_trusted(
    how: str, mode: str, secure: Secure, bundle: str, authority: trustme.CA, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A bundle, a context, the environment's file or directory; or any certificate at all."""
    verify: bool | str | ssl.SSLContext = True
    if how == "verify":
        verify = bundle
    elif how == "context":
        verify = ssl.create_default_context(cafile=bundle)
    elif how == "SSL_CERT_FILE":
        monkeypatch.setenv(how, bundle)
    elif how == "SSL_CERT_DIR":
        (tmp_path / "certs").mkdir()
        name = f"{_subject_hash(bundle)}.0"
        (tmp_path / "certs" / name).write_bytes(Path(bundle).read_bytes())
        monkeypatch.setenv(how, str(tmp_path / "certs"))
    else:
        verify = False
    pool = Pool([target(f"https://localhost:{secure.port}/v1")], verify=verify, deadline=20)
    assert ask(pool, mode) == "secure"


def _subject_hash(bundle: str) -> str:
    """The name under which OpenSSL looks a CA up in a directory."""
    import subprocess

    command = ["openssl", "x509", "-hash", "-noout", "-in", bundle]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError:
        pytest.skip("the openssl command is not installed")


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_certificate_is_not_trusted(mode: str, secure: Secure) -> None:
    """By default."""
    pool = Pool([target(f"https://localhost:{secure.port}/v1")], max_attempts=1, when_all_down="fail", deadline=20)
    with pytest.raises(AllTargetsFailed, match="certificate") as caught:
        ask(pool, mode)
    assert str(caught.value.attempts[0].kind) == "transport"


@pytest.mark.parametrize("mode", MODES)
def test_a_client_certificate_is_shown(
    mode: str, secure: Secure, bundle: str, authority: trustme.CA, tmp_path: Path
) -> None:
    """In one file with its key."""
    pem = tmp_path / "client.pem"
    authority.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(str(pem))
    ask(Pool([target(f"https://localhost:{secure.port}/v1")], verify=bundle, cert=str(pem), deadline=20), mode)
    assert secure.clients == [True]


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("api.test", "api.test", True),
        ("api.test", ".test", True),
        ("api.test", "*.test", True),
        ("API.test", "other, api.TEST ", True),
        ("api.test", "pi.test", False),
        ("api.test", "api.test:443", True),
        ("api.test", "api.test:8443", False),
        ("api.test", "*", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("::1", "::1", True),
        ("::1", "[::1]:443", True),
        ("api.test", "10.0.0.0/8", False),
        ("api.test", "", False),
    ],
)
def test_what_no_proxy_means(host: str, no_proxy: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, domains, addresses, networks, ports and `*`, as curl and Go read them."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (Proxies(None).proxy_of(Origin("https", host, 443)) is None) is direct


@pytest.mark.parametrize("proxy", ["ftp://proxy.test", "http://", "http://proxy.test:port", "://", True, 3])
def test_a_proxy_that_is_none(proxy: str) -> None:
    """A ConfigError before any call, which does not show a password."""
    with pytest.raises(ConfigError, match="proxy"):
        Pool([target("https://provider.test/v1")], proxy=proxy)
    with pytest.raises(ConfigError) as caught:
        parse_proxy("ftp://user:secret@proxy.test")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"proxy: must be a proxy's URL, .* of type dict") as caught:
        Proxies({"https": "http://user:secret@proxy.test"})  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_socks_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command that installs it."""
    import sys

    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(MissingExtra, match=r"hotspare\[socks\]"):
        Pool([target("https://provider.test/v1")], proxy="socks5://proxy.test")


@pytest.mark.parametrize("cert", [Path("client.pem"), 5, ("a.pem", None), ("a.pem", "b.pem", "geheim", "d")])
def test_what_is_no_client_certificate(cert: object) -> None:
    """A ConfigError that says what is one, and shows no password."""
    with pytest.raises(ConfigError, match="cert: must be the path of a PEM file") as caught:
        Pool([target("https://provider.test/v1")], cert=cert)  # type: ignore[arg-type]
    assert "geheim" not in str(caught.value)


def test_files_that_do_not_exist() -> None:
    """Are named."""
    for option in ("verify", "cert"):
        with pytest.raises(ConfigError, match=option):
            Pool([target("https://provider.test/v1")], **{option: f"{os.sep}nowhere.pem"})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_a_socks_proxy(mode: str) -> None:
    """It is sent the provider's name, unresolved, and its own login."""
    with (
        raw_server(lambda request: reply_with("through the proxy")) as provider,
        socks_proxy(int(provider.url.rpartition(":")[2])) as proxy,
    ):
        pool = Pool([target("http://provider.test:4711/v1")], proxy=proxy.url, deadline=5)
        assert ask(pool, mode) == "through the proxy"
        assert proxy.named == ["provider.test:4711"]


@pytest.mark.parametrize("mode", MODES)
def test_tls_through_a_socks_proxy(mode: str, secure: Secure, bundle: str) -> None:
    """TLS is spoken with the provider, whose certificate is checked."""
    with socks_proxy(secure.port) as proxy:
        pool = Pool([target("https://provider.test/v1")], proxy=proxy.url, verify=bundle, deadline=5)
        assert ask(pool, mode) == "secure"
        assert proxy.named == ["provider.test:443"]


@pytest.mark.parametrize("mode", MODES)
def test_a_socks_proxy_that_refuses(mode: str) -> None:
    """A failure to connect, in which the proxy's password does not show."""
    with socks_proxy(9, refuses=True) as proxy:
        pool = Pool([target("http://provider.test/v1")], proxy=proxy.url, max_attempts=1, when_all_down="fail")
        with pytest.raises(AllTargetsFailed, match="TRANSPORT") as caught:
            ask(pool, mode)
    assert "p@ss" not in str(caught.value)
