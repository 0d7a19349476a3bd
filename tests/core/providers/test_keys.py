"""Keys that rotate: read at each attempt, retried once if the key has changed, and removed from responses."""

import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from google.auth import compute_engine
from google.auth.transport.requests import Request
from hotspare import AllTargetsFailed, ConfigError, Kind, Pool, SecretStr, Target
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider

from tests.support.methods import EACH_METHOD, METHODS, run, text_of

Source = Callable[[], Any]


class Tokens(ThreadingHTTPServer):
    """A token server: each request gets the next token, as Google's metadata server gives it."""

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def do_GET(self) -> None:
            assert isinstance(self.server, Tokens)
            self.server.given += 1
            token = {"access_token": f"test-{self.server.given}", "expires_in": 3600, "email": "x", "scopes": ["s"]}
            body = json.dumps(token).encode()
            self.send_response(200)
            self.send_header("metadata-flavor", "Google")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.given = 0
        self.host = f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    """The token server on loopback."""
    with Tokens() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Rotating:
    """The keys in turn; the last one stays. A function, an async one, and an object that holds a key."""

    def __init__(self, *keys: str) -> None:
        self.keys, self.asked = list(keys), 0

    def __call__(self) -> str:
        self.asked += 1
        return self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]

    async def later(self) -> SecretStr:
        """The same, async."""
        return SecretStr(self())


class Holder:
    """An object like pydantic's SecretStr whose key changes."""

    def __init__(self, keys: Rotating) -> None:
        self.get_secret_value = keys


FORMS: dict[str, Callable[[Rotating], Any]] = {
    "function": lambda keys: keys, "async function": lambda keys: keys.later, "object": Holder,
}  # fmt: skip


@EACH_METHOD
@pytest.mark.parametrize("form", FORMS)
def test_a_key_that_rotated_is_used_at_once(method: str, form: str, provider: Provider) -> None:
    """A 401 with the old key is answered by the same attempt with the new one: no failover, and no failure is counted."""
    keys = Rotating("old-1")
    target = Target("openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=FORMS[form](keys))

    async def calls(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == await text_of(pool, name, "q") == answer("q")
        assert pool.health()["a"].failures == 0

    pool = Pool(target, max_attempts=1)
    keys.keys.append("test-1")
    run(method, pool, calls)
    assert provider.stats("a").outcomes == {"rejected:401": 1, "ok": 2}


def test_a_key_that_is_wrong_twice_is_wrong(provider: Provider) -> None:
    """The second 401 counts; no form of a rotated key is in the error."""
    keys = Rotating("old-key-1", "old-key-2", "old-key-3")
    target = Target("openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=keys)
    provider.fault("a", "status", status=401, body='{"error": {"message": "Incorrect API key provided: old-key-2."}}')
    with Pool(target, max_attempts=1, when_all_down="fail") as pool, pytest.raises(AllTargetsFailed) as caught:
        pool.chat("q")
    (attempt,) = caught.value.attempts
    assert (attempt.kind, attempt.message) == (Kind.AUTH, "Incorrect API key provided: ***.")
    assert provider.stats("a").requests == 2


def test_the_environment_is_read_at_each_attempt(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that was changed, and one that was removed."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-1")
    with Pool(Target("openai/gpt-4.1", base_url=provider.base_url("a")), max_attempts=1, when_all_down="fail") as pool:
        assert pool.chat("q").text == answer("q")
        monkeypatch.setenv("OPENAI_API_KEY", "old")
        with pytest.raises(AllTargetsFailed, match="AUTH 401"):
            pool.chat("q")
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(AllTargetsFailed, match="gave no key"):
            Pool(
                Target("openai/gpt-4.1", base_url=provider.base_url("a"), api_key=lambda: ""), when_all_down="fail"
            ).chat("q")


@pytest.mark.parametrize("method", METHODS[:1] + METHODS[-2:])
def test_a_function_that_fails(method: str, provider: Provider) -> None:
    """The other target answers; the message of the attempt names the failure."""

    def token() -> str:
        raise ConnectionError("no token server")

    targets = [
        Target("openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=token),
        Target("openai/gpt-4.1", name="b", base_url=provider.base_url("b"), api_key="test-1"),
    ]

    async def once(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == answer("q")
        assert pool.health()["a"].failures >= 1

    run(method, Pool(targets), once)
    assert provider.stats("a").requests == 0


def test_a_list_is_no_key() -> None:
    """Neither a text, nor a holder, nor a function."""
    with pytest.raises(ConfigError, match=r"target\.api_key"):
        Target("openai/gpt-4.1", api_key=["k"])  # type: ignore[arg-type]


def test_the_recipe_for_google(provider: Provider, tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Application Default Credentials from a metadata server: a token is fetched once, and again when it has expired."""
    monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", tokens.host)
    credentials: Any = compute_engine.Credentials()

    def token() -> str:
        if not credentials.valid:
            credentials.refresh(Request())
        return str(credentials.token)

    target = Target("gemini/gemini-2.5-flash", base_url=provider.base_url("a", "gemini"), api_key=token)
    with Pool(target, max_attempts=1) as pool:
        assert pool.chat("q").text == pool.chat("q").text == answer("q")
        given = tokens.given
        credentials.expiry = None
        credentials.token = None
        assert pool.chat("q").text == answer("q")
    assert 0 < given < tokens.given


def test_a_token_server_in_async_code(provider: Provider, tokens: Tokens) -> None:
    """An async function that fetches a token each time."""

    async def token() -> str:
        async with httpx.AsyncClient() as client:
            return str((await client.get(f"http://{tokens.host}/")).json()["access_token"])

    fetch: Callable[[], Awaitable[str]] = token
    target = Target("openai/gpt-4.1", base_url=provider.base_url("a"), api_key=fetch)

    async def calls(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == answer("q")

    for method in ("asyncio achat", "trio achat", "chat"):
        run(method, Pool(target, max_attempts=1), calls)
    assert tokens.given == 3
