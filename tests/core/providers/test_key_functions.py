"""Functions that give no key: what the attempt says, that it rests only for a moment, and that another target answers."""

import threading
from typing import Any

import anyio
import pytest
from hotspare import AllTargetsFailed, Kind, Pool, Scope, SecretStr, classify
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.errors import TransportError
from hotspare.providers.keys import KeyFunctionFailed

from tests.support.methods import METHODS, run, target, text_of

WRONG: dict[str, tuple[Any, str]] = {
    "number": (12345678, "gave int, which is no key"),
    "bytes": (b"test-1-secret", "gave bytes, which is no key"),
    "held number": (SecretStr(7), "gave int, which is no key"),  # type: ignore[arg-type]
    "none": (None, "gave no key"),
    "empty": ("", "gave no key"),
    "two lines": ("test-1-secret\ntest", "must be printable ASCII"),
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
    """It rests for at most a second, where a refused key rests for 300."""
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


@pytest.mark.parametrize("method", METHODS)
def test_a_function_that_hangs_is_bounded_by_the_deadline(method: str, provider: Provider) -> None:
    """Sync and async: the call ends in time, and no attempt is counted as under way."""
    free = threading.Event()

    def token() -> str:
        free.wait(5)
        return "test-1"

    async def once(pool: Pool, name: str) -> None:
        with pytest.raises(AllTargetsFailed), anyio.fail_after(3):
            await text_of(pool, name, "q", deadline=0.3)
        free.set()

    run(method, Pool(target(provider, "a", api_key=token), max_attempts=1), once)
    assert provider.stats("a").requests == 0
