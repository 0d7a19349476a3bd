"""How an LLM is built, copied and stored, used from event loops and threads, cancelled and closed early."""

import asyncio
import copy
import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hotspare import ConfigError, Policy, Pool, RequestError, Target
from hotspare.drill.provider import KEY, Provider, answer
from llama_index.core import Settings
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.utils import resolve_llm
from llama_index.llms.hotspare import Hotspare
from llama_index.llms.openai import OpenAI

from tests.support.llama_index import provider_sees

QUESTION = "What is a hot spare?"
MESSAGES = [ChatMessage(role="user", content=QUESTION)]
Outage = Callable[..., None]
MakeLLM = Callable[..., OpenAI]


@pytest.fixture
def config(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file whose keys come from the environment."""
    monkeypatch.setenv("SPARE_KEY", "test-hidden")
    lines = [
        f'[[targets]]\nid = "openai/gpt-4.1"\nname = "{name}"\nbase_url = "{provider.base_url(name)}"\napi_key = "${{SPARE_KEY}}"\n'
        for name in "ab"
    ]
    path = tmp_path / "hotspare.toml"
    path.write_text("\n".join(lines))
    return path


# --- building ------------------------------------------------------------------------------------------------------


def test_four_ways_to_build_one(provider: Provider, pool: Pool, config: Path, openai_llm: MakeLLM) -> None:
    """A pool, targets, a configuration and LlamaIndex LLMs each give a working LLM."""
    target = Target("openai/gpt-4.1", base_url=provider.base_url("a"), api_key=KEY)
    built = [
        Hotspare(pool=pool),
        Hotspare(pool),
        Hotspare(targets=[target]),
        Hotspare(config=config),
        Hotspare(config={"targets": [{"id": "openai/gpt-4.1", "base_url": provider.base_url("a"), "api_key": KEY}]}),
        Hotspare(llms=[openai_llm("a")]),
        Hotspare(llms=[openai_llm("a"), target], policy=Policy(deadline=9)),
    ]
    assert [llm.complete(QUESTION).text for llm in built] == [answer(QUESTION)] * len(built)
    assert built[-1].pool.policy.deadline == 9
    assert built[-1].pool.targets[1] is target
    for llm in built:
        llm.pool.close()


@pytest.mark.parametrize("given", [{}, {"targets": [], "llms": []}])
def test_exactly_one_source_is_required(given: dict[str, list[object]]) -> None:
    """With none or two, the error shows what to write."""
    with pytest.raises(ConfigError, match="exactly one of pool="):
        Hotspare(**given)  # type: ignore[arg-type]


def test_mistakes_are_named_when_it_is_built(pool: Pool) -> None:
    """An unknown route, a policy beside a pool, no targets, and values that are not LLMs."""
    with pytest.raises(RequestError, match="'nowhere' is not a route"):
        Hotspare(pool=pool, model="nowhere")
    with pytest.raises(ConfigError, match="policy: cannot be combined with pool"):
        Hotspare(pool=pool, policy=Policy())
    with pytest.raises(ConfigError, match=r"targets"):
        Hotspare(targets=[])
    with pytest.raises(ConfigError, match=r"llms: .* must hold at least one LLM"):
        Hotspare(llms=[])
    with pytest.raises(ConfigError, match=r"llms\[0\]: 'str' must be a LlamaIndex LLM"):
        Hotspare(llms=["gpt-4.1"])  # type: ignore[list-item]
    with pytest.raises(
        ConfigError, match=r"llms\[0\]: 'OpenAI' cannot be used, because its metadata raises: .*Unknown model"
    ):
        Hotspare(llms=[OpenAI(model="gpt-unheard-of", api_key=KEY)])


def test_metadata_of_a_route(provider: Provider) -> None:
    """The smallest window of the targets that may answer; function calling only if all support it; all can be
    overridden."""
    targets = [
        Target("openai/gpt-4.1", name="large", context_window=100_000, api_key=KEY),
        Target("openai/gpt-4.1-mini", name="small", context_window=20_000, api_key=KEY, missing=frozenset({"tools"})),
        Target("openai/gpt-4.1", name="unknown", region="eu", api_key=KEY),
    ]
    with Pool(targets, routes={"big": [["large", "unknown"]]}) as pool:
        whole, big = Hotspare(pool=pool).metadata, Hotspare(pool=pool, model="big").metadata
        assert (whole.context_window, whole.is_function_calling_model, whole.num_output) == (20_000, False, -1)
        assert (big.context_window, big.is_function_calling_model) == (100_000, True)
        assert (whole.model_name, big.model_name) == ("hotspare/default", "hotspare/big")
        assert whole.is_chat_model
        own = Hotspare(pool=pool, context_window=9_000, max_tokens=8_000, is_function_calling_model=True).metadata
        assert (own.context_window, own.num_output, own.is_function_calling_model) == (9_000, 4_500, True)
        assert Hotspare(pool=pool, num_output=77).metadata.num_output == 77


# --- copies and storage --------------------------------------------------------------------------------------------


def test_copies_share_the_pool(llm: Hotspare) -> None:
    """LlamaIndex copies LLMs often; the health of the targets is shared."""
    for twin in (copy.copy(llm), copy.deepcopy(llm), llm.model_copy(), llm.model_copy(deep=True)):
        assert twin.pool is llm.pool
        assert twin.complete(QUESTION).text == answer(QUESTION)


def test_stored_without_secrets_and_rebuilt(config: Path) -> None:
    """`to_dict`, `to_json`, `repr` and pickles hold the file's path and no key; the rebuilt LLM answers."""
    llm = Hotspare(config=config, temperature=0.5, max_tokens=100)
    stored = [json.dumps(llm.to_dict(), default=str), llm.to_json(), repr(llm), str(llm), repr(pickle.dumps(llm))]
    assert not [text for text in stored if "test-hidden" in text]
    for rebuilt in (
        Hotspare.from_dict(llm.to_dict()),
        Hotspare.from_json(llm.to_json()),
        pickle.loads(pickle.dumps(llm)),
    ):
        assert (rebuilt.temperature, rebuilt.max_tokens) == (0.5, 100)
        assert rebuilt.complete(QUESTION).text == answer(QUESTION)
        rebuilt.pool.close()


def test_without_a_file_it_is_rebuilt_with_a_pool(pool: Pool, openai_llm: MakeLLM) -> None:
    """A pool, targets and LlamaIndex LLMs are not stored: `from_dict` takes a pool, and pickling raises."""
    for llm in (
        Hotspare(pool=pool, model="b"),
        Hotspare(llms=[openai_llm("a", key="test-hidden")]),
        Hotspare(config={"targets": [{"id": "ollama/x"}]}),
    ):
        assert "test-hidden" not in llm.to_json() + repr(llm)
        with pytest.raises(ConfigError, match="exactly one of pool="):
            Hotspare.from_dict(llm.to_dict())
        with pytest.raises(TypeError, match="pickled only with config="):
            pickle.dumps(llm)
    assert Hotspare.from_dict(Hotspare(pool=pool, model="b").to_dict(), pool=pool).model == "b"


def test_settings_and_resolve_llm_keep_it(llm: Hotspare) -> None:
    """LlamaIndex passes the same object on."""
    assert resolve_llm(llm) is llm
    Settings.llm = llm
    assert Settings.llm is llm


# --- loops and threads ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["targets", "llms"])
def test_two_event_loops_one_after_another(llm: Hotspare, over_llms: Callable[..., Hotspare], kind: str) -> None:
    """As in scripts and notebooks, every `asyncio.run` answers, and a closed loop does not change a target's health."""
    if kind == "llms":
        llm = over_llms("a")

    async def ask() -> str:
        whole = await llm.acomplete(QUESTION)
        streamed = [r async for r in await llm.astream_complete(QUESTION)]
        assert streamed[-1].text == whole.text
        return whole.text

    assert [asyncio.run(ask()) for _ in range(3)] == [answer(QUESTION)] * 3
    assert all(target.failures == 0 for target in llm.pool.health().targets)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["targets", "llms"])
async def test_sync_calls_inside_a_running_loop(llm: Hotspare, over_llms: Callable[..., Hotspare], kind: str) -> None:
    """As in a notebook's cell, sync methods work inside a running loop, and async ones beside them."""
    if kind == "llms":
        llm = over_llms("a")
    assert llm.complete(QUESTION).text == answer(QUESTION)
    assert list(llm.stream_chat(MESSAGES))[-1].message.content == answer(QUESTION)
    assert (await llm.acomplete(QUESTION)).text == answer(QUESTION)


def test_a_stream_is_read_in_another_thread(llm: Hotspare) -> None:
    """Chat engines do that."""
    responses, texts = llm.stream_chat(MESSAGES), []
    thread = threading.Thread(target=lambda: texts.extend(r.delta for r in responses))
    thread.start()
    thread.join()
    assert "".join(texts) == answer(QUESTION)


@pytest.mark.anyio
async def test_many_at_once(llm: Hotspare, outage: Outage) -> None:
    """Thirty concurrent calls while `a` fails: each gets its own answer."""
    outage("a", after=10)
    texts: dict[int, str] = {}

    async def ask(number: int) -> None:
        texts[number] = (await llm.acomplete(f"{QUESTION} {number}")).text

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(ask, number)
    assert texts == {number: answer(f"{QUESTION} {number}") for number in range(30)}


class CountingLimiter:
    """A rate limiter that counts how often it is acquired."""

    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self) -> None:
        """Count one."""
        self.acquired += 1

    async def async_acquire(self) -> None:
        """Count one."""
        self.acquired += 1


@pytest.mark.anyio
async def test_rate_limiters_are_acquired_once_per_call(pool: Pool, over_llms: Callable[..., Hotspare]) -> None:
    """Hotspare's own by LlamaIndex, an LLM's own by hotspare."""
    own, inner = CountingLimiter(), CountingLimiter()
    for llm in (Hotspare(pool=pool, rate_limiter=own), over_llms("a", rate_limiter=inner)):
        llm.complete(QUESTION)
        await llm.acomplete(QUESTION)
        list(llm.stream_complete(QUESTION))
        _ = [r async for r in await llm.astream_complete(QUESTION)]
    assert (own.acquired, inner.acquired) == (4, 4)


# --- closing early -------------------------------------------------------------------------------------------------


def assert_neutral(llm: Hotspare) -> None:
    """No permit is open, and `a` has no failure."""
    health = llm.pool.health()
    assert health.in_flight == 0
    assert health["a"].failures == 0


def test_closing_a_sync_stream(provider: Provider, llm: Hotspare) -> None:
    """`close()` returns the permit and closes the connection."""
    provider.fault("a", "latency", gap=0.02)
    responses = llm.stream_chat([ChatMessage(role="user", content="tokens=2000")])
    next(responses)
    responses.close()
    anyio.run(provider_sees, provider, "client_disconnects")
    assert_neutral(llm)


@pytest.mark.anyio
async def test_closing_an_async_stream(provider: Provider, llm: Hotspare) -> None:
    """`break` and `aclose()` do the same."""
    provider.fault("a", "latency", gap=0.02)
    responses = await llm.astream_chat([ChatMessage(role="user", content="tokens=2000")])
    async for _ in responses:
        break
    await responses.aclose()
    await provider_sees(provider, "client_disconnects")  # LlamaIndex closes what it wraps in a task of its own
    assert_neutral(llm)


@pytest.mark.anyio
async def test_cancelling_an_async_call(provider: Provider, llm: Hotspare) -> None:
    """CancelledError is raised, and no target's health changes."""
    provider.fault("a", "blackhole")
    task = asyncio.create_task(llm.achat(MESSAGES))
    await provider_sees(provider, "requests")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await provider_sees(provider, "client_disconnects")
    assert_neutral(llm)
