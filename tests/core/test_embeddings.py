"""`Pool.embed` over real HTTP: vectors of one model only, with the failover of calls, in order, in both faces."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from hotspare import AllTargetsFailed, ConfigError, EmbedReply, Kind, Pool, RequestError, Target
from hotspare.drill.dialects.embeddings import vector
from hotspare.drill.provider import KEY, Provider

from tests.support.raw_server import RawRequest, raw_server, response

TEXTS = [f"text number {number}" for number in range(7)]
SMALL = "text-embedding-3-small"
Embed = Callable[..., EmbedReply]


@pytest.fixture
def pool(provider: Provider) -> Iterator[Pool]:
    """The same model at OpenAI and at Azure, where the deployment has a name of its own; another model at Google; and chat."""
    targets = [
        Target(f"openai/{SMALL}", name="openai", base_url=provider.base_url("a"), api_key=KEY),
        Target("azure/our-index", name="azure", base_url=provider.url("b"), api_key=KEY, aliases={SMALL}),
        Target("gemini/gemini-embedding-001", name="gemini", base_url=provider.base_url("c", "gemini"), api_key=KEY),
        Target("anthropic/claude-sonnet-4-5", name="claude", base_url=provider.base_url("d", "anthropic"), api_key=KEY),
    ]
    with Pool(targets, routes={"index": ["openai", "azure"]}, retry_same_target="never") as running:
        yield running


@pytest.fixture(params=["embed", "aembed"])
def embed(request: pytest.FixtureRequest, pool: Pool) -> Embed:
    """Both faces, as a plain function."""

    def call(*arguments: Any, **options: Any) -> EmbedReply:
        method: Callable[..., Any] = getattr(pool, request.param)
        if request.param == "embed":
            return method(*arguments, **options)  # type: ignore[no-any-return]

        async def run() -> EmbedReply:
            answer: Awaitable[EmbedReply] = method(*arguments, **options)
            return await answer

        return anyio.run(run)

    return call


@pytest.mark.parametrize(
    ("model", "target"), [(SMALL, "openai"), ("index", "openai"), ("gemini-embedding-001", "gemini")]
)
def test_one_vector_for_each_text_in_their_order(embed: Embed, model: str, target: str) -> None:
    """In batches, and with the requested length; the last batch is short."""
    reply = embed(TEXTS, model=model, dimensions=16, batch_size=3)
    assert reply.vectors == [vector(text, 16) for text in TEXTS]
    assert (reply.targets, reply.dimensions, len(reply.attempts)) == ((target,) * 3, 16, 3)
    assert reply.model in (model, SMALL)
    assert embed("one text", model=model).vectors == [vector("one text", 256)]


def test_it_fails_over_to_the_same_model_elsewhere_and_to_nothing_else(embed: Embed, provider: Provider) -> None:
    """The deployment at Azure serves the model under another name, which its alias says. Google's model is never used for it."""
    provider.fault("a", "status", status=500)
    reply = embed(TEXTS, model=SMALL)
    assert reply.targets == ("azure",)
    assert [attempt.kind for attempt in reply.attempts] == [Kind.SERVER, Kind.OK]
    provider.fault("b", "status", status=503)
    with pytest.raises(AllTargetsFailed) as raised:
        embed(TEXTS, model=SMALL, deadline=1.5)
    assert {attempt.target for attempt in raised.value.attempts} == {"openai", "azure"}
    assert provider.stats("c").requests == provider.stats("d").requests == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "different models, whose vectors cannot be compared"),
        ({"model": "claude"}, "none of these targets supports embeddings: claude"),
        ({"model": SMALL, "dimensions": 0}, "dimensions: 0 must be an integer above 0"),
        ({"model": SMALL, "batch_size": "all"}, "batch_size: 'all' must be an integer above 0"),
        ({"model": SMALL, "dimension": 5}, "did you mean 'dimensions'?"),
        ({"model": SMALL, "temperature": 1}, "'temperature'|temperature: 1 is not a field of EmbedOptions"),
        ({"model": SMALL, "only": {"gemini"}}, "no target"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused_before_anything_is_sent(
    embed: Embed, provider: Provider, options: dict[str, Any], words: str
) -> None:
    """Above all a call that could mix models: an index built by one cannot be searched with vectors of another."""
    with pytest.raises(RequestError, match=words):
        embed(TEXTS, **options)
    assert all(provider.stats(name).requests == 0 for name in "abcd")


@pytest.mark.parametrize(
    ("texts", "words"), [([], "at least one"), (["a", 3], r"texts\[1\]: 3 must be"), (5, "must be a text")]
)
def test_what_is_no_text_is_named(pool: Pool, texts: Any, words: str) -> None:
    """With its place in the list."""
    with pytest.raises(RequestError, match=words):
        pool.embed(texts, model=SMALL)


WRONG: dict[str, object] = {
    "other length": {"data": [{"index": 0, "embedding": [1.0, 0.0, 0.0]}]},
    "one too many": {"data": [{"index": 0, "embedding": [1.0] * 8}, {"index": 1, "embedding": [1.0] * 8}]},
    "no vector": {"data": []},
    "no numbers": {"data": [{"index": 0, "embedding": ["a"] * 8}]},
    "a base64 text": {"data": [{"index": 0, "embedding": "AACAPw=="}]},
    "no JSON": "<html>",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_answer_that_cannot_be_the_vectors_goes_to_the_next_target(provider: Provider, wrong: str) -> None:
    """Also one whose vectors have another length than those before it: such a server runs another model."""
    with raw_server(lambda _: response(200, WRONG[wrong])) as server:
        targets = [
            Target(f"vllm/{SMALL}", name="own", base_url=f"{server.url}/v1", weight=1e-9),
            Target(f"openai/{SMALL}", name="openai", base_url=provider.base_url("a"), api_key=KEY),
        ]
        with Pool(targets, retry_same_target="never") as pool:
            assert pool.embed("first", only={"openai"}, dimensions=8).targets == ("openai",)
            assert pool.embed("hello", dimensions=8).vectors == [vector("hello", 8)]
        assert len(server.requests) == 1


def test_fields_of_one_dialect_and_of_the_target(provider: Provider) -> None:
    """`extra` of the call and of the target reach the body; an order of the rows by index is kept."""
    target = Target(
        "gemini/gemini-embedding-001", base_url=provider.base_url("a", "gemini"), api_key=KEY, extra={"title": "t"}
    )
    with Pool([target]) as pool:
        pool.embed(["a", "b"], extra={"gemini": {"taskType": "RETRIEVAL_QUERY"}, "openai": {"x": 1}})
    sent = provider.recorded_requests("a")[0]
    assert sent["path"].endswith("/models/gemini-embedding-001:batchEmbedContents")
    for text, one in zip("ab", sent["body"]["requests"], strict=True):
        assert one == {
            "model": "models/gemini-embedding-001", "title": "t", "taskType": "RETRIEVAL_QUERY",
            "content": {"parts": [{"text": text}]},
        }  # fmt: skip
    rows = [{"index": 1, "embedding": [0.0, 1]}, {"index": 0, "embedding": [1.0, 0]}]
    with raw_server(lambda _: response(200, {"data": rows, "usage": {"prompt_tokens": 7}})) as server:
        classic = Target(f"azure/{SMALL}", base_url=f"{server.url}/openai?api-version=1", api_key=KEY)
        with Pool([classic]) as pool:
            reply = pool.embed(["a", "b"], user="u")
    assert reply.vectors == [[1.0, 0], [0.0, 1]]
    assert reply.usage.input_tokens == 7
    assert server.requests[0].path == f"/openai/deployments/{SMALL}/embeddings?api-version=1"
    assert server.requests[0].json["user"] == "u"


def test_a_long_list_is_no_long_prompt(provider: Provider) -> None:
    """Each text has the model's window for itself: a batch of short texts does not exclude a target with a small one."""
    target = Target(f"openai/{SMALL}", base_url=provider.base_url("a"), api_key=KEY, context_window=100)
    with Pool([target]) as pool:
        assert len(pool.embed(["a few words"] * 90).vectors) == 90


def test_embeddings_do_not_change_what_is_known_of_answers(pool: Pool) -> None:
    """The usual length of answers bounds how long a slow one is waited for: vectors have none."""
    pool.chat("hello tokens=50", model="claude")
    before = pool._scheduler._shared.output_tokens  # pyright: ignore[reportPrivateUsage]
    pool.embed(TEXTS, model=SMALL)
    assert pool._scheduler._shared.output_tokens == before > 0  # pyright: ignore[reportPrivateUsage]


def test_another_model_after_a_reload() -> None:
    """The length of the vectors is that of the model that is served, whatever the route is called."""
    lengths = {"small": 3, "large": 5}

    def reply(request: RawRequest) -> bytes:
        return response(200, {"data": [{"index": 0, "embedding": [1.0] * lengths[request.json["model"]]}]})

    with raw_server(reply) as server:
        small, large = (Target(f"vllm/{name}", base_url=f"{server.url}/v1", api_key=KEY) for name in lengths)
        with Pool(small) as pool:
            assert len(pool.embed("q").vectors[0]) == 3
            pool.reload({"targets": [large]})
            assert len(pool.embed("q").vectors[0]) == 5


def test_a_framework_model_makes_no_embeddings(provider: Provider) -> None:
    """A pool without a target for embeddings raises an error that says so, for every kind of target."""
    with pytest.raises(ConfigError):
        Pool([])
    bedrock = Target("bedrock/anthropic.claude-sonnet-4", region="us-east-1", api_key=KEY)
    with Pool([bedrock]) as pool, pytest.raises(RequestError, match="none of these targets supports embeddings"):
        pool.embed("x")
