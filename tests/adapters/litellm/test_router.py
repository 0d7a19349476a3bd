"""The provider inside a litellm.Router: its retries, fallbacks and cooldowns work, and no attempt is multiplied."""

from typing import Any

import litellm
import pytest
from hotspare import Pool
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider

from tests.adapters.litellm.calling import METHODS, complete


def router(**options: Any) -> litellm.Router:
    """The pool as one deployment, everything else at LiteLLM's defaults."""
    more = options.pop("more", [])
    mine = {"model_name": "m", "litellm_params": {"model": "hotspare/default"}}
    every = {"model_name": "hotspare/*", "litellm_params": {"model": "hotspare/*"}}
    return litellm.Router(model_list=[mine, every, *more], **options)


def upstream(provider: Provider) -> int:
    """Requests that reached any endpoint."""
    return sum(provider.stats(name).requests for name in "abc")


@METHODS
@pytest.mark.anyio
async def test_answers(method: str, pool: Pool, provider: Provider) -> None:
    """By the group's name, and by hotspare's own under a wildcard."""
    provider.fault("a", "status", status=503)
    for model in ("m", "hotspare/b"):
        assert (await complete(method, router(), model=model))[0] == answer("hello there")


@METHODS
@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["status", "rate_limited", "refused"])
async def test_the_router_does_not_multiply_attempts(method: str, fault: str, pool: Pool, provider: Provider) -> None:
    """Everything is down and LiteLLM would call three times: the pool's attempts are made once."""
    provider.fault(["a", "b", "c"], fault)
    with pytest.raises(litellm.RateLimitError if fault == "rate_limited" else litellm.ServiceUnavailableError):
        await complete(method, router(), model="m")
    assert upstream(provider) <= pool.policy.max_attempts
    if fault != "refused":
        assert upstream(provider) in (3, 4)  # each target once, and one return visit


@METHODS
@pytest.mark.anyio
async def test_a_fallback_group_takes_over(method: str, pool: Pool, provider: Provider) -> None:
    """LiteLLM's fallbacks treat the pool's failure like any other."""
    provider.fault(["a", "b", "c"], "status", status=500)
    spare = {"model_name": "spare", "litellm_params": {"model": "openai/x", "api_key": "k", "mock_response": "spare"}}
    text, _ = await complete(method, router(more=[spare], fallbacks=[{"m": ["spare"]}]), model="m")
    assert text == "spare"


@pytest.mark.anyio
@pytest.mark.parametrize("words", ["toolong", "refuse me"])
async def test_errors_with_fallbacks_of_their_own(words: str, pool: Pool) -> None:
    """The Router recognizes the classes for a prompt that is too long and for a rejected answer."""
    spare = {"model_name": "spare", "litellm_params": {"model": "openai/x", "api_key": "k", "mock_response": "spare"}}
    own = [{"m": ["spare"]}]
    guarded = router(more=[spare], context_window_fallbacks=own, content_policy_fallbacks=own)
    reply = await guarded.acompletion(model="m", messages=[{"role": "user", "content": words}])
    assert reply.choices[0].message.content == "spare"
