"""Every way to fail, as the LiteLLM class that its users catch."""

from collections.abc import Iterator
from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import ConfigError, Pool, PoolClosed, StreamInterrupted, Target
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider

from tests.adapters.litellm.asking import FACES, ask

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
    """Two providers that fail together."""
    targets = [
        Target("openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=KEY),
        Target("azure/gpt-4.1", name="b", base_url=provider.base_url("b", "azure"), api_key=KEY),
    ]
    with Pool(targets, deadline=30, when_all_down="fail", on_break="raise") as running:
        litellm_hotspare.register(running)
        yield running


async def failure(face: str, **call: Any) -> Any:
    """What LiteLLM raises. An async stream of a provider of one's own begins only when it is read: LiteLLM wraps what it
    raises then, for its Router, and keeps the error inside."""
    with pytest.raises(Exception) as caught:
        await ask(face, **call)
    error: Any = caught.value
    return getattr(error, "original_exception", error) if face == "astream" else error


@FACES
@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES)
async def test_each_surfaces_as_its_class(case: str, face: str, two: Pool, provider: Provider) -> None:
    """The class, its status, the way it came to it in words, and no key anywhere."""
    words, fault, expected, status = CASES[case]
    if fault:
        provider.fault(["a", "b"], **fault)
    patience = {"timeout": 1.3} if expected is litellm.Timeout else {}
    error = await failure(face, messages=[{"role": "user", "content": words}], **patience)
    assert type(error) is expected
    assert error.status_code == status
    assert "1. a [first]" in str(error)
    assert error.llm_provider == "hotspare"
    assert error.num_retries == 0
    assert KEY not in str(error)


@FACES
@pytest.mark.anyio
async def test_when_to_come_back(face: str, two: Pool, provider: Provider) -> None:
    """Where LiteLLM's Router reads it, and in the headers that its proxy sends on; the SDKs are told not to multiply."""
    provider.fault(["a", "b"], "rate_limited", retry_after=7)
    error = await failure(face)
    assert float(error.response.headers["retry-after"]) == pytest.approx(7, abs=0.5)
    assert error.headers["x-should-retry"] == "false"


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["stream", "astream"])
async def test_a_stream_that_cannot_be_continued(face: str, two: Pool, provider: Provider) -> None:
    """It breaks honestly, with hotspare's own error below, which keeps the text so far."""
    provider.fault("a", "cut", at=10)
    with pytest.raises(litellm.ServiceUnavailableError) as caught:
        await ask(face)
    error: Any = caught.value.original_exception  # type: ignore[attr-defined]
    assert type(error) is litellm.APIConnectionError
    assert isinstance(error.__cause__, StreamInterrupted)
    assert answer("hello there").startswith(error.__cause__.text)
    assert error.__cause__.text


def test_a_mixture_is_an_unavailable_service(two: Pool, provider: Provider) -> None:
    """One throttled, one dead: neither a limit nor a timeout."""
    provider.fault("a", "rate_limited", retry_after=7)
    provider.fault("b", "status", status=500)
    with pytest.raises(litellm.ServiceUnavailableError):
        litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}])


def test_bad_requests_and_closed_pools(two: Pool) -> None:
    """What never left the process."""
    with pytest.raises(litellm.BadRequestError, match="temperature"):
        litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}], temperature=9)
    two.close()
    with pytest.raises(litellm.InternalServerError, match="closed") as caught:
        litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": "q"}])
    assert isinstance(caught.value.__cause__, PoolClosed)


def test_a_broken_config_stops_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The handler for config.yaml names every mistake when it is loaded."""
    from importlib import import_module

    path = tmp_path / "hotspare.toml"
    path.write_text('[[targets]]\nid = "opnai/gpt-4.1"\ncolour = "red"\n')
    monkeypatch.setenv("HOTSPARE_CONFIG", str(path))
    with pytest.raises(ConfigError, match="colour"):
        import_module("litellm_hotspare.proxy")
