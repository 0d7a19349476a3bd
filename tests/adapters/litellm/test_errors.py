"""Every kind of failure, as the LiteLLM class that its users catch."""

from collections.abc import Iterator
from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import ConfigError, Limits, Pool, PoolClosed, StreamInterrupted, Target
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider
from hotspare.testing import ScriptedTarget, fail

from tests.adapters.litellm.calling import METHODS, complete

CASES: dict[str, tuple[str, dict[str, Any], type[Exception], int]] = {
    "rate limit": ("hello", {"kind": "rate_limited", "retry_after": 7}, litellm.RateLimitError, 429),
    "quota": ("hello", {"kind": "quota"}, litellm.RateLimitError, 429),
    "key": ("hello", {"kind": "status", "status": 401}, litellm.AuthenticationError, 401),
    "context window": ("toolong", {}, litellm.ContextWindowExceededError, 400),
    "content policy": ("refuse me", {}, litellm.ContentPolicyViolationError, 400),
    "timeout": ("hello", {"kind": "blackhole"}, litellm.Timeout, 408),
    "unavailable": ("hello", {"kind": "status", "status": 503}, litellm.ServiceUnavailableError, 503),
    "refused connection": ("hello", {"kind": "refused"}, litellm.ServiceUnavailableError, 503),
    "model": ("hello", {"kind": "status", "status": 404}, litellm.NotFoundError, 404),
    "bad request": ("hello", {"kind": "status", "status": 400}, litellm.BadRequestError, 400),
}


@pytest.fixture
def two(provider: Provider) -> Iterator[Pool]:
    """Two targets that fail together."""
    targets = [
        Target("openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=KEY),
        Target("azure/gpt-4.1", name="b", base_url=provider.base_url("b", "azure"), api_key=KEY),
    ]
    with Pool(targets, deadline=30, when_all_down="fail", on_break="raise") as running:
        litellm_hotspare.register(running)
        yield running


async def failure(method: str, **call: Any) -> Any:
    """The exception of a LiteLLM call. LiteLLM wraps what an async stream raises, for its Router, and keeps the
    original inside."""
    with pytest.raises(Exception) as caught:
        await complete(method, **call)
    error: Any = caught.value
    return getattr(error, "original_exception", error) if method == "astream" else error


@METHODS
@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES)
async def test_each_failure_has_its_class(case: str, method: str, two: Pool, provider: Provider) -> None:
    """The class, its status and the list of attempts; no key is in it."""
    words, fault, expected, status = CASES[case]
    if fault:
        provider.fault(["a", "b"], **fault)
    patience = {"timeout": 1.3} if expected is litellm.Timeout else {}
    error = await failure(method, messages=[{"role": "user", "content": words}], **patience)
    assert type(error) is expected
    assert error.status_code == status
    assert "1. a [first]" in str(error)
    assert error.llm_provider == "hotspare"
    assert error.num_retries == 0
    assert KEY not in str(error)


@METHODS
@pytest.mark.anyio
async def test_retry_after(method: str, two: Pool, provider: Provider) -> None:
    """It is in the response's headers, where LiteLLM's Router reads it and from where a proxy sends it; a header
    tells SDKs not to retry."""
    provider.fault(["a", "b"], "rate_limited", retry_after=7)
    error = await failure(method)
    assert float(error.response.headers["retry-after"]) == pytest.approx(7, abs=0.5)
    assert error.headers["x-should-retry"] == "false"


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["stream", "astream"])
async def test_a_stream_that_cannot_be_continued(method: str, two: Pool, provider: Provider) -> None:
    """LiteLLM's error has hotspare's as its cause, with the text so far."""
    provider.fault("a", "cut", at=10)
    with pytest.raises(litellm.ServiceUnavailableError) as caught:
        await complete(method)
    error: Any = caught.value.original_exception  # type: ignore[attr-defined]
    assert type(error) is litellm.APIConnectionError
    assert isinstance(error.__cause__, StreamInterrupted)
    assert answer("hello there").startswith(error.__cause__.text)
    assert error.__cause__.text


def test_mixed_failures_are_an_unavailable_service(two: Pool, provider: Provider) -> None:
    """One rate limit and one server error are neither a RateLimitError nor a Timeout."""
    provider.fault("a", "rate_limited", retry_after=7)
    provider.fault("b", "status", status=500)
    with pytest.raises(litellm.ServiceUnavailableError):
        litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}])


def test_what_only_one_target_cannot_do_does_not_blame_the_request() -> None:
    """An error inside one target's library, and an outage of the other: the request may be repeated."""
    for steps in ([SystemError("in a library"), fail(503)], [fail(503), SystemError("in a library")]):
        targets = [ScriptedTarget(name, step).target for name, step in zip("ab", steps, strict=True)]
        with Pool(targets, when_all_down="fail", retry_same_target="never") as pool:
            litellm_hotspare.register(pool)
            with pytest.raises(litellm.ServiceUnavailableError, match="SystemError: in a library"):
                litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}])


def test_a_reached_limit_is_a_rate_limit(provider: Provider) -> None:
    """If a limit blocks the call and no attempt was made, LiteLLM and its Router see a 429 with the time to wait."""
    limits = Limits(rpm=1)
    target = Target("openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=KEY, limits=limits)
    with Pool([target], deadline=30) as pool:
        litellm_hotspare.register(pool)
        litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}])
        with pytest.raises(litellm.RateLimitError, match="1 requests a minute") as caught:
            litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}])
    assert 50 < float(caught.value.headers["retry-after"]) <= 60  # type: ignore[attr-defined]


def test_bad_requests_and_closed_pools(two: Pool) -> None:
    """Both fail before anything is sent."""
    with pytest.raises(litellm.BadRequestError, match="temperature"):
        litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}], temperature=9)
    two.close()
    with pytest.raises(litellm.InternalServerError, match="closed") as caught:
        litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}])
    assert isinstance(caught.value.__cause__, PoolClosed)


def test_an_invalid_config_stops_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Loading the handler of config.yaml raises a ConfigError that names every mistake."""
    from importlib import import_module

    path = tmp_path / "hotspare.toml"
    path.write_text('[[targets]]\nid = "opnai/gpt-4.1"\ncolour = "red"\n')
    monkeypatch.setenv("HOTSPARE_CONFIG", str(path))
    with pytest.raises(ConfigError, match="colour"):
        import_module("litellm_hotspare.proxy")
