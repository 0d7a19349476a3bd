"""A provider, a relay or a web firewall that sends the key back: it is struck out of everything that shows what came back."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hotspare import AllTargetsFailed, HotspareError, Kind, Pool, SecretStr, Selector, StreamInterrupted, Target
from hotspare.events import Event
from hotspare.outcome import Outcome
from hotspare.secret import MASK, Redactor
from hotspare.testing import ScriptedTarget, scripted_pool

from tests.support.raw_server import RawRequest, event, raw_server, response, sse

KEYS = {
    "azure": "c0ffee00c0ffee00c0ffee00c0ffee00",
    "jwt": "eyJhbGciOi.JIUzI1NiIs.InR5cCI6Ikp",
    "words": "my+own/key==with signs",
    "uuid": "6f1c1b0e-5f6a-4c57-9a54-1f0f5f6f7f8f",
    "short": "abc12345",
}


def fail(call: Callable[[], object]) -> HotspareError:
    """The error of a call."""
    with pytest.raises(HotspareError) as caught:
        call()
    return caught.value


def chain(error: BaseException | None) -> list[BaseException]:
    """The error and its causes."""
    return [] if error is None else [error, *chain(error.__cause__ or error.__context__)]


def shown(error: BaseException) -> str:
    """All that an error and its causes show."""
    return "".join(f"{one} {one!r} {vars(one)}" for one in chain(error))


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("status", [401, 400, 500, 200, 302])
def test_a_key_in_an_error_body_is_shown_nowhere(name: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the error, the events, the log, the health nor the plan has it, sync and async, whole and streamed."""
    key = KEYS[name]
    body = {"error": {"message": f"Incorrect API key provided: {key}. Check it.", "code": key}}
    caplog.set_level(logging.DEBUG, "hotspare")
    events: list[Event] = []
    with raw_server(lambda request: response(status, body)) as server:
        target = Target("openai-compatible/m", base_url=server.url + "/v1", api_key=SecretStr(key), name="t")
        with Pool(target, deadline=5, when_all_down="fail", listeners=[events.append]) as pool:
            errors = [
                fail(lambda: pool.chat("hi")),
                fail(lambda: list(pool.stream("hi"))),
                fail(lambda: asyncio.run(pool.achat("hi"))),
            ]
            everything = "".join(map(shown, errors)) + f"{events} {pool.health()} {pool.explain()} {caplog.text}"
    assert key not in everything
    assert json.dumps(key)[1:-1] not in everything
    assert MASK in everything


def test_keys_of_other_targets_and_of_headers_are_struck_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay may echo another target's key, one from the environment, or a header that the user set."""
    monkeypatch.setenv("MISTRAL_API_KEY", "from-the-environment-1")
    echoed = [
        "second-targets-key",
        "from-the-environment-1",
        "header-token-77",
        "body-token-88",
        "pass-word-99",
        "query-key-11",
    ]

    def echo(request: RawRequest) -> bytes:
        return response(403, {"error": {"message": f"who sent {' and '.join(echoed)}?"}})

    with raw_server(echo) as server:
        base = server.url.replace("://", "://user:pass-word-99@") + "/v1?sig=query-key-11"
        first = Target(
            "openai-compatible/m", base_url=base, headers={"Authorization": "Bearer header-token-77"}, extra={"nested": {"api_key": "body-token-88"}},
        )  # fmt: skip
        second = Target("openai/gpt-4.1", api_key="second-targets-key", tier=1, base_url=server.url)
        with Pool(first, second, deadline=5, when_all_down="fail") as pool:
            error = fail(lambda: pool.chat("hi"))
    assert isinstance(error, AllTargetsFailed)
    assert len({one.target for one in error.attempts}) == 2
    for secret in echoed:
        assert secret not in shown(error)
    assert {one.message for one in error.attempts} == {f"who sent {' and '.join([MASK] * 6)}?"}


@pytest.mark.parametrize(
    "encode",
    [
        lambda key: quote(key, safe=""),
        lambda key: quote(key),
        lambda key: json.dumps(json.dumps(key)[1:-1])[1:-1],
        lambda key: key.replace("/", "\\/"),
        lambda key: b64encode(key.encode()).decode(),
        lambda key: b64encode(f"user:{key}".encode()).decode(),
        lambda key: b64encode(f"Bearer {key} and more".encode()).decode(),
        lambda key: urlsafe_b64encode(f"x{key}".encode()).decode(),
        lambda key: f"prefix{key}suffix",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", [KEYS["words"], KEYS["azure"], "schlüssel-ÿÿÿ>>>???/1"])
def test_encoded_echoes(encode: Callable[[str], str], key: str) -> None:
    """URL-encoded, escaped in JSON, and base64 at every offset: no part of the key's own base64 is left whole."""
    text = encode(key)
    if text.count("\\\\") > 1:
        text = json.loads(f'"{text}"')  # what is left after the body was parsed
    struck = Redactor([key]).text(f"before {text} after")
    assert MASK in struck
    assert key not in struck
    assert struck.startswith("before ")
    assert struck.endswith(" after")
    if text not in (key,):
        assert text not in struck


def test_short_keys_and_providers_names_are_left_alone() -> None:
    """A placeholder like "x", "none" or "ollama" occurs in ordinary words."""
    assert Redactor(["x", "none", "12345"]).text("none of x 12345") == "none of x 12345"
    with raw_server(lambda request: response(404, {"error": {"message": "ollama has no such model"}})) as server:
        pool = Pool(Target("ollama/m", base_url=server.url, api_key="ollama"), when_all_down="fail", deadline=3)
        assert "ollama has no such model" in str(fail(lambda: pool.chat("hi")))
        pool.close()


@pytest.mark.parametrize("cut", [500, 65536])
def test_a_key_that_is_cut_off_leaves_no_beginning(cut: int) -> None:
    """Messages and bodies are cut at fixed lengths: a key across the cut does not leave its first half."""
    key = "abcdefghijklmnopqrstuvwxyz0123456789"
    redactor = Redactor([key])
    for kept in range(1, len(key)):
        text = ("x" * (cut - kept)) + key[:kept]
        struck = redactor.text(text)
        assert struck == redactor.bytes(text.encode()).decode()
        assert key[:6] not in struck


def test_a_body_of_a_megabyte_is_read_in_linear_time() -> None:
    """Near misses of a key are no trap: each form of it is searched once."""
    import time

    redactor = Redactor(["a" * 40 + "b", "ab" * 30])
    seconds = []
    for size in (200_000, 800_000):
        text = "a" * size
        started = time.process_time()
        assert redactor.text(text) == text
        seconds.append(time.process_time() - started)
    assert seconds[1] < 20 * max(seconds[0], 0.01)


def test_a_broken_stream_and_its_cause_have_no_key() -> None:
    """An error event after the first content: StreamInterrupted, its cause with the body, and the event."""
    key = KEYS["uuid"]
    steps = sse(
        event({"choices": [{"index": 0, "delta": {"content": "Hello"}}]}),
        event({"error": {"message": f"key {key} was revoked", "code": "server_error"}}),
    )
    events: list[Event] = []
    with raw_server(lambda request: steps) as server:
        target = Target("openai-compatible/m", base_url=server.url + "/v1", api_key=key)
        with Pool(target, deadline=5, on_break="raise", listeners=[events.append]) as pool:
            error = fail(lambda: list(pool.stream("hi")))
    assert isinstance(error, StreamInterrupted)
    assert error.__cause__ is not None
    assert key not in shown(error) + str(events)
    assert "was revoked" in str(error)


class Sdk(Exception):
    """An SDK's error: a message, a body as JSON, and a cause of its own."""

    def __init__(self, message: str, body: Any) -> None:
        super().__init__(message)
        self.status_code, self.body = 400, body


def test_an_sdk_error_of_a_custom_backend_has_no_key() -> None:
    """What a framework's model raises is struck out in place, with its causes: it is the cause of what the caller sees."""
    key = "framework-key-4711"

    def raising(request: object) -> Exception:
        error = Sdk(f"bad {key}", {"error": {"message": f"no {key}", "list": [key]}})
        error.__cause__ = RuntimeError(f"POST with {key}")
        return error

    scripted = ScriptedTarget("a", raising, api_key=SecretStr(key))
    error = fail(lambda: scripted_pool(scripted, when_all_down="fail").chat("hi"))
    assert key not in shown(error)
    assert MASK in str(error)


def test_a_selectors_reports_have_no_key() -> None:
    """An exception inside a lease and an outcome that the caller reports himself."""
    key = "selector-key-4711"
    events: list[Event] = []
    selector = Selector([Target("openai/a", api_key=key, name="a")], listeners=[events.append])
    with pytest.raises(Sdk), selector.pick():
        raise Sdk(f"bad {key}", {"error": {"message": f"no {key}"}})
    selector.pick(last_resort=True).settle(Outcome(Kind.AUTH, f"key {key} is wrong", 401, code=key))
    assert events
    assert key not in f"{events} {selector.health()}"


def test_a_key_is_not_pickled_with_an_error() -> None:
    """What is sent to another process, or to an error tracker, has been struck out before."""
    key = KEYS["azure"]
    with raw_server(lambda request: response(401, f"<h1>{key}</h1>")) as server:
        pool = Pool(Target("azure/m", base_url=server.url, api_key=key), when_all_down="fail", deadline=3)
        error = fail(lambda: pool.chat("hi"))
        pool.close()
    assert key.encode() not in pickle.dumps(error)


def test_an_answer_that_holds_the_key_is_left_alone() -> None:
    """The model's words are the user's: only errors are changed."""
    scripted = ScriptedTarget("a", "it is answer-key-4711", api_key=SecretStr("answer-key-4711"))
    assert scripted_pool(scripted).chat("hi").text == "it is answer-key-4711"
