"""Keys where tracebacks with locals (rich, Sentry), `vars()` and reprs look: nowhere in plain text."""

from __future__ import annotations

import asyncio
import copy
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hotspare import ConfigError, Pool, SecretStr, Target
from hotspare._http import Headers, Http
from hotspare.providers.http_backend import HttpBackend, backend_for
from hotspare.secret import HiddenBytes, HiddenStr

from tests.support.raw_server import RawRequest, raw_server, response

KEY = "not-a-real-key-but-secret-4711"
GOOD = {
    "openai": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}]},
    "anthropic": {"content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn", "role": "assistant", "type": "message"},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "fine"}]}, "finishReason": "STOP"}]},
}  # fmt: skip
HEADER = {"openai": "authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key", "azure": "api-key"}


def locals_with(error: BaseException, secret: str) -> list[str]:
    """The locals of all frames but those of this file in which the secret stands."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return [
        f"{frame.filename}:{frame.lineno} {name}"
        for frame in shown.stack
        for name, value in (frame.locals or {}).items()
        if secret in value and frame.filename != __file__
    ]


class Interrupted(BaseException):
    """As KeyboardInterrupt: nothing catches it."""


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "azure"])
@pytest.mark.parametrize("where", ["connect", "read"])
def test_an_interrupt_in_sync_code(provider: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a connection is made and while an answer is waited for: no local holds the key, the query or the login."""
    from hotspare._http import dial, threads

    def interrupted(*arguments: Any, **options: Any) -> None:
        raise Interrupted

    monkeypatch.setattr(*((dial, "_race") if where == "connect" else (threads.SocketAnswer, "_read")), interrupted)
    with raw_server(lambda request: response(200, GOOD["openai"])) as server:
        url = server.url.replace("://", "://user:login-4711@") + "/v1?sig=query-4711"
        pool = Pool(
            Target(f"{provider}/m", base_url=url, api_key=SecretStr(KEY), headers={"x-auth-token": "header-4711"})
        )
        for call in (lambda: pool.chat("hi"), lambda: list(pool.stream("hi"))):
            with pytest.raises(Interrupted) as caught:
                call()
            for secret in (KEY, "query-4711", "login-4711", "header-4711"):
                assert not locals_with(caught.value, secret)
        pool.close()


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "azure"])
@pytest.mark.parametrize("transport", ["auto", "httpx"])
def test_a_cancelled_task(provider: str, transport: Any) -> None:
    """A task that is cancelled while it waits for an answer, with either transport."""
    arrived = threading.Event()

    def hang(request: RawRequest) -> list[Any]:
        arrived.set()
        return ["hang"]

    async def cancelled(call: Callable[[Pool], Any]) -> BaseException:
        async with Pool(Target(f"{provider}/m", base_url=server.url, api_key=KEY), transport=transport) as pool:
            task = asyncio.create_task(call(pool))
            await asyncio.to_thread(arrived.wait, 30)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError as error:
                return error
            raise AssertionError("it was not cancelled")

    async def streamed(pool: Pool) -> None:
        async for _ in pool.astream("hi"):
            pass

    with raw_server(hang) as server:
        for call in (lambda pool: pool.achat("hi"), streamed):
            arrived.clear()
            assert not locals_with(asyncio.run(cancelled(call)), KEY)


@pytest.mark.parametrize("provider", HEADER)
@pytest.mark.parametrize("transport", ["auto", "httpx"])
def test_the_provider_is_sent_the_key(provider: str, transport: Any) -> None:
    """Hiding changes nothing of what is sent, in sync and in async code; a login in the URL is sent as Basic."""
    answer = GOOD.get(provider, GOOD["openai"])
    with raw_server(lambda request: response(200, answer)) as server:
        pool = Pool(
            Target(f"{provider}/m", base_url=server.url, api_key=KEY, headers={"x-token": "t-4711"}),
            transport=transport,
        )
        assert pool.chat("hi").text == "fine"
        assert asyncio.run(pool.achat("hi")).text == "fine"
        pool.close()
    assert [request.headers[HEADER[provider]].removeprefix("Bearer ") for request in server.requests] == [KEY, KEY]
    assert {request.headers["x-token"] for request in server.requests} == {"t-4711"}
    with raw_server(lambda request: response(200, GOOD["openai"])) as server:
        url = server.url.replace("://", "://us%40er:pass@")
        with Pool(Target("openai-compatible/m", base_url=url), transport=transport) as pool:
            pool.chat("hi")
            asyncio.run(pool.achat("hi"))
    assert {request.headers["authorization"] for request in server.requests} == {"Basic dXNAZXI6cGFzcw=="}


def everything(value: object, depth: int = 6, seen: set[int] | None = None) -> str:
    """The reprs of an object, of its attributes, and of theirs: what a debugger's view shows."""
    seen = set() if seen is None else seen
    if depth == 0 or id(value) in seen or isinstance(value, (type, SecretStr)) or callable(value):
        return ""
    seen.add(id(value))
    inner = [*vars(value).values()] if hasattr(value, "__dict__") else []
    return repr(value) + "".join(everything(one, depth - 1, seen) for one in inner)


def test_attributes_hold_no_key() -> None:
    """`vars()` of a pool, of its backend and of what they hold."""
    target = Target(
        "gemini/m", base_url="https://u:login-4711@h/v1?key=query-4711", api_key=KEY, headers={"x-key": "header-4711"}
    )
    pool = Pool(target)
    backend = backend_for(target, Http())
    assert isinstance(backend, HttpBackend)
    text = everything(pool) + everything(backend) + repr(target) + repr(backend.__dict__)
    for secret in (KEY, "login-4711", "query-4711", "header-4711"):
        assert secret not in text
    assert "https://h/v1" in repr(target)
    assert target.region == "h"
    assert target.name == "gemini/m@h"


def test_a_wrong_setting_beside_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback of a ConfigError shows neither the key that was given, nor the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    mistakes: list[Callable[[], object]] = [
        lambda: Target("openai/m", api_key=KEY, weight=-1),
        lambda: Target("openai/m", api_key=KEY, headers={"authorization": KEY}, weight="x"),  # type: ignore[arg-type]
        lambda: Target("openai/m", api_key=KEY, timeout=3),  # type: ignore[call-arg]
        lambda: Pool("anthropic/m"),
        lambda: Pool(Target("anthropic/m", api_key=f"Bearer {KEY}")),
        lambda: Pool(Target("anthropic/m", api_key=f"{KEY}\n{KEY}")),
        lambda: Pool.from_config({"targets": [{"id": "openai/m", "api_key": "${OPENAI_API_KEY}", "weight": -1}]}),
    ]
    for build in mistakes:
        with pytest.raises(ConfigError) as caught:
            build()
        assert KEY not in str(caught.value)
        assert not locals_with(caught.value, KEY)


def test_hidden_text_stays_text() -> None:
    """Only the repr is another one, also of slices and of what is encoded and decoded."""
    text = HiddenStr(KEY)
    assert text == KEY
    assert str(text) == f"{text}" == KEY
    assert type(str(text)) is str
    for hidden in (text, text[:20], text.encode(), text.encode().decode(), HiddenBytes(b"x-secret")):
        assert "secret" not in repr(hidden)
    assert text.encode().decode() == KEY
    shown = repr(Headers({"authorization": KEY, "accept": "application/json", "x-api-key": KEY}))
    assert KEY not in shown
    assert "application/json" in shown


def test_a_target_with_a_key_can_be_copied() -> None:
    """`copy` and `deepcopy` share the key; pickling it stays an error."""
    target = Target("openai/m", api_key=KEY)
    for same in (copy.copy(target), copy.deepcopy(target)):
        assert same.api_key == SecretStr(KEY)
        assert same.name == target.name
