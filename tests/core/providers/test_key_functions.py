"""Functions that give no key: the message of the attempt, the short break of the target, and the answer of another one."""

import asyncio
import functools
from typing import Any

import anyio
import pytest
from hotspare import AllTargetsFailed, ConfigError, Kind, Pool, RequestError, Scope, SecretStr, Target, classify, events
from hotspare._drivers.key_calls import KeyCalls
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.errors import KeyFunctionFailed, TransportError

from tests.support.eventually import eventually
from tests.support.methods import run, target, text_of

WRONG: dict[str, tuple[Any, str]] = {
    "number": (12345678, "gave int, which is not a key"),
    "bytes": (b"test-1-secret", "gave bytes, which is not a key"),
    "held number": (SecretStr(7), "gave int, which is not a key"),  # type: ignore[arg-type]
    "none": (None, "gave no key"),
    "empty": ("", "gave no key"),
    "two lines": ("test-1-secret\ntest", "must be printable ASCII"),
    "not ASCII": ("test-1-secret-\u00e9", "must be printable ASCII"),
    "a function": (lambda: "test-1-secret", "gave function, which is not a key"),
    "held bytes": (SecretStr(b"test-1-secret"), "gave bytes, which is not a key"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("method", ["chat", "asyncio astream", "trio achat"])
@pytest.mark.parametrize("wrong", WRONG)
def test_another_target_answers_and_the_attempt_says_why(method: str, wrong: str, provider: Provider) -> None:
    """AUTH of this target alone, naming the target, the function and the type, without the value; no permit is kept."""
    given, words = WRONG[wrong]

    def token() -> Any:
        return given

    targets = [target(provider, "a", api_key=token, account="one"), target(provider, "b", account="one")]

    async def once(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == answer("q")
        state = pool.health()["a"]
        assert state.reason.startswith("auth: target 'a': the function 'token' of api_key")
        assert state.in_flight == 0
        assert pool.health()["b"].state == "closed"

    run(method, Pool(targets), once)
    with Pool(targets[0], when_all_down="fail") as pool, pytest.raises(AllTargetsFailed) as caught:
        pool.chat("q")
    (attempt,) = caught.value.attempts
    assert (attempt.kind, attempt.scope) == (Kind.AUTH, Scope.TARGET)
    assert "target 'a': the function" in attempt.message
    assert "'token' of api_key" in attempt.message
    assert words in attempt.message
    assert not any(secret in str(caught.value) for secret in ("12345678", "1-secret", "environment"))
    assert provider.stats("a").requests == 0


@pytest.mark.parametrize("form", ["sync", "async"])
def test_a_function_that_has_a_key_a_moment_later(form: str, provider: Provider) -> None:
    """Its break is at most a second, where that of a refused key is 300."""
    keys = ["", "test-1"]

    def token() -> str:
        return keys[0]

    async def later() -> str:
        return keys[0]

    with Pool(target(provider, "a", api_key=token if form == "sync" else later), when_all_down="fail") as pool:
        with pytest.raises(AllTargetsFailed):
            pool.chat("q")
        assert 0 < (pool.health()["a"].available_in or 0) <= 1
        keys.pop(0)
        pool.reset("a")
        assert pool.chat("q").text == answer("q")


def test_a_token_server_that_is_down_is_no_fault_of_the_region() -> None:
    """Neither a refused connection nor a 401 of the token server is evidence about the provider."""
    error = KeyFunctionFailed("the key of 'a' could not be obtained")
    error.__cause__ = ConnectionRefusedError("refused")
    outcome = classify(error)
    assert isinstance(error, TransportError)
    assert (outcome.kind, outcome.scope, outcome.before_connect) == (Kind.TRANSPORT, Scope.TARGET, False)


async def later() -> str:
    """A key, in async code."""
    return "test-1"


class Later:
    """An object that is called, async."""

    async def __call__(self) -> str:
        return "test-1"


FORMS: dict[str, Any] = {
    "returns an awaitable": lambda: later(),
    "partial of an async function": functools.partial(later),
    "object with an async call": Later(),
    "partial of a function": functools.partial(str, "test-1"),
    "line end": lambda: "test-1\n",
}


@pytest.mark.parametrize("method", ["chat", "asyncio achat", "trio astream"])
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_function(method: str, form: str, provider: Provider) -> None:
    """Each gives the key, in sync code and in async code."""

    async def once(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == answer("q")

    run(method, Pool(target(provider, "a", api_key=FORMS[form]), max_attempts=1), once)
    assert provider.stats("a").outcomes == {"ok": 1}


@pytest.mark.parametrize("method", ["chat", "asyncio achat", "trio achat"])
@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_passes(method: str, end: type[BaseException], provider: Provider) -> None:
    """It reaches the caller as it is, and no attempt is left in flight."""

    def token() -> str:
        raise end

    pool = Pool([target(provider, "a", api_key=token), target(provider, "b")])

    async def once(pool: Pool, name: str) -> None:
        await text_of(pool, name, "q")

    with pytest.raises(end):
        run(method, pool, once)
    assert [pool.health()[one].in_flight for one in "ab"] == [0, 0]
    assert provider.stats("b").requests == 0


@pytest.mark.parametrize(
    ("error", "form"),
    [
        *((error, form) for error in (StopIteration(), TimeoutError("own"), ValueError("bad")) for form in ("sync", "async")),
        *((error, form) for error in (asyncio.CancelledError(), GeneratorExit()) for form in ("sync", "async")),
    ],
)  # fmt: skip
def test_what_a_function_raises_is_its_failure(error: BaseException, form: str, provider: Provider) -> None:
    """In sync code: a TRANSPORT failure that names it, and another target answers."""

    def token() -> str:
        raise error

    async def later() -> str:
        return token()

    key = token if form == "sync" else later
    with Pool([target(provider, "a", api_key=key), target(provider, "b")], retry_same_target="never") as pool:
        reply = pool.chat("q")
        assert reply.text == answer("q")
        assert (reply.attempts[0].kind, reply.attempts[0].scope) == (Kind.TRANSPORT, Scope.TARGET)
        assert reply.attempts[0].message.startswith(f"target 'a': the function {key.__name__!r} of api_key failed: ")


def test_stop_iteration_in_async_code() -> None:
    """A coroutine must not raise it: the failure names it."""
    calls = KeyCalls(functools.partial(next, iter(())), "keys")
    for loop in ("asyncio", "trio"):
        with pytest.raises(RuntimeError, match=r"^it raised StopIteration$"):
            anyio.run(calls.aget, 5, backend=loop)


class Held:
    """An object like pydantic's SecretStr, which gives what stands in it, or raises it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def get_secret_value(self) -> Any:
        """The key, or an error."""
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize(("wrong", "words"), [(b"test-1", "gave bytes"), (RuntimeError("no vault"), "cannot be read")])
@pytest.mark.parametrize("account", [None, "one"])
def test_an_object_without_a_key_is_named_at_once(
    wrong: object, words: str, account: str | None, provider: Provider
) -> None:
    """A ConfigError when the pool is built; in a call's own `api_key` a RequestError."""
    with pytest.raises(ConfigError, match=rf"targets\[0\]: api_key {words}"):
        Pool(target(provider, "a", api_key=Held(wrong), account=account))
    with (
        Pool(target(provider, "a", account=account)) as pool,
        pytest.raises(RequestError, match=f"api_key {words}"),
    ):
        pool.chat("q", api_key=Held(wrong))


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (b"test-1", Kind.AUTH, "api_key gave bytes, which is not a key"),
        ("", Kind.AUTH, "no key: set the environment variable"),
        (None, Kind.AUTH, "no key: set the environment variable"),
        (StopIteration(), Kind.TRANSPORT, "api_key failed: RuntimeError: it raised StopIteration"),
        (RuntimeError("no vault"), Kind.TRANSPORT, "api_key failed: RuntimeError: no vault"),
    ],
)
def test_an_object_that_loses_its_key(wrong: object, kind: Kind, words: str, provider: Provider) -> None:
    """Another target of the same account answers; the message of the attempt has the reason."""
    held = Held("test-1")
    targets = [target(provider, "a", api_key=held, account="one"), target(provider, "b", account="one")]
    with Pool(targets, retry_same_target="never") as pool:
        held.value = wrong
        reply = pool.chat("q")
        assert reply.text == answer("q")
        assert (reply.attempts[0].kind, reply.attempts[0].scope) == (kind, Scope.TARGET)
        assert words in reply.attempts[0].message


def test_vectors(provider: Provider) -> None:
    """`embed` has the same message as `chat`, and another target answers."""
    small = "openai/text-embedding-3-small"
    targets = [
        Target(small, name=name, base_url=provider.base_url(name), api_key=key)
        for name, key in (("a", lambda: ""), ("b", "test-1"))
    ]  # fmt: skip
    with Pool(targets) as pool:
        reply = pool.embed(["q"])
        assert (reply.targets, reply.attempts[0].kind, reply.attempts[0].scope) == (("b",), Kind.AUTH, Scope.TARGET)
        assert "the function '<lambda>' of api_key gave no key" in reply.attempts[0].message


def test_what_needs_attention_and_checks(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    """The event and the log line say what to do. A background check finds the key that has come, without a call."""
    keys, seen = [b"test-1"], list[events.Event]()

    def token() -> Any:
        return keys[0]

    targets = [target(provider, "a", api_key=token, check=True), target(provider, "b")]
    with caplog.at_level("ERROR", "hotspare"), Pool(targets, listeners=[seen.append]) as pool:
        assert pool.chat("q").text == answer("q")
        said = (
            "target 'a': the function 'token' of api_key gave bytes, which is not a key: "
            "give a str, or an object whose `get_secret_value` returns one"
        )
        assert events.NeedsAttention("a", Kind.AUTH, said) in seen
        assert f"target a needs attention: auth: {said}" in caplog.text
        keys[0] = "test-1"  # type: ignore[call-overload]
        eventually(lambda: pool.health()["a"].state == "recovering", lambda: pool.health()["a"])
    assert provider.stats("b").requests == 1
