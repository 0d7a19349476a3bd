"""The provider inside a litellm.Router: retries, fallbacks and cooldowns behave, and nothing is multiplied."""

from typing import Any

import litellm
import pytest
from hotspare import Pool
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider

from tests.adapters.litellm.asking import FACES, ask


def router(**options: Any) -> litellm.Router:
    """The pool as one deployment, all else at LiteLLM's defaults."""
    more = options.pop("more", [])
    mine = {"model_name": "m", "litellm_params": {"model": "hotspare/default"}}
    every = {"model_name": "hotspare/*", "litellm_params": {"model": "hotspare/*"}}
    return litellm.Router(model_list=[mine, every, *more], **options)


def upstream(provider: Provider) -> int:
    """Requests that reached any provider."""
    return sum(provider.stats(name).requests for name in "abc")


@FACES
@pytest.mark.anyio
async def test_answers(face: str, pool: Pool, provider: Provider) -> None:
    """By the group's name, and by hotspare's own under a wildcard."""
    provider.fault("a", "status", status=503)
    for model in ("m", "hotspare/b"):
        assert (await ask(face, router(), model=model))[0] == answer("hello there")


@FACES
@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["status", "rate_limited", "refused"])
async def test_one_call_is_one_call(face: str, fault: str, pool: Pool, provider: Provider) -> None:
    """Everything is down, LiteLLM would try three times: the pool's attempts are made once."""
    provider.fault(["a", "b", "c"], fault)
    with pytest.raises(litellm.RateLimitError if fault == "rate_limited" else litellm.ServiceUnavailableError):
        await ask(face, router(), model="m")
    assert upstream(provider) <= pool.policy.max_attempts
    if fault != "refused":
        assert upstream(provider) in (3, 4)  # each target once, and one return visit


@FACES
@pytest.mark.anyio
async def test_a_fallback_group_takes_over(face: str, pool: Pool, provider: Provider) -> None:
    """LiteLLM's own fallbacks see the pool's failure as any other."""
    provider.fault(["a", "b", "c"], "status", status=500)
    spare = {"model_name": "spare", "litellm_params": {"model": "openai/x", "api_key": "k", "mock_response": "spare"}}
    text, _ = await ask(face, router(more=[spare], fallbacks=[{"m": ["spare"]}]), model="m")
    assert text == "spare"


@pytest.mark.anyio
@pytest.mark.parametrize("words", ["toolong", "refuse me"])
async def test_the_errors_that_have_fallbacks_of_their_own(words: str, pool: Pool) -> None:
    """A prompt over the window, an answer refused: the Router knows the classes."""
    spare = {"model_name": "spare", "litellm_params": {"model": "openai/x", "api_key": "k", "mock_response": "spare"}}
    own = [{"m": ["spare"]}]
    guarded = router(more=[spare], context_window_fallbacks=own, content_policy_fallbacks=own)
    reply = await guarded.acompletion(model="m", messages=[{"role": "user", "content": words}])
    assert reply.choices[0].message.content == "spare"
