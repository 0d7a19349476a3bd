"""`litellm.embedding` with a pool as the provider: vectors through an outage, and LiteLLM's own parameters."""

from collections.abc import Iterator
from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import Pool, Target
from hotspare.drill.dialects.embeddings import vector
from hotspare.drill.provider import KEY, Provider

SMALL = "text-embedding-3-small"


@pytest.fixture
def embeddings(provider: Provider) -> Iterator[Pool]:
    """The same model at two providers, of which the first is down; another one as well."""
    provider.fault("a", "status", status=503)
    targets = [
        Target(f"openai/{SMALL}", name="a", base_url=provider.base_url("a"), api_key=KEY),
        Target(f"azure/{SMALL}", name="b", base_url=provider.url("b"), api_key=KEY),
        Target("gemini/gemini-embedding-001", name="c", base_url=provider.base_url("c", "gemini"), api_key=KEY),
    ]
    with Pool(targets) as pool:
        litellm_hotspare.register(pool, "spare-index")
        yield pool


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_vectors_through_an_outage(embeddings: Pool, is_async: bool) -> None:
    """In order, in LiteLLM's own response, with the usage."""
    call: dict[str, Any] = {
        "model": f"spare-index/{SMALL}",
        "input": ["one text", "another"],
        "extra_body": {"dimensions": 16},
    }
    response: Any = await litellm.aembedding(**call) if is_async else litellm.embedding(**call)
    assert [row["embedding"] for row in response.data] == [vector("one text", 16), vector("another", 16)]
    assert (response.usage.prompt_tokens, response.model) == (10, SMALL)
    assert response._hidden_params["hotspare"]["targets"] == ["b"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "spare-index/default"}, "different models"),
        ({"input": [[1, 2, 3]]}, "not of tokens"),
        ({"encoding_format": "base64"}, "encoding_format"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_what_cannot_be_done_is_refused(
    embeddings: Pool, provider: Provider, change: dict[str, Any], error: str
) -> None:
    """As a bad request, before anything is sent."""
    with pytest.raises(litellm.exceptions.BadRequestError, match=error):
        litellm.embedding(**{"model": f"spare-index/{SMALL}", "input": ["x"], **change})
    assert provider.stats("b").requests == provider.stats("c").requests == 0
