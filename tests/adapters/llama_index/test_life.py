"""An LLM's life: how it is built, copied, stored, used from loops and threads, cancelled and left early."""

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
Native = Callable[..., OpenAI]


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


def test_four_ways_to_build_one(provider: Provider, pool: Pool, config: Path, native: Native) -> None:
    """A pool, targets, a configuration and native LLMs; each answers."""
    target = Target("openai/gpt-4.1", base_url=provider.base_url("a"), api_key=KEY)
    built = [
        Hotspare(pool=pool),
        Hotspare(pool),
        Hotspare(targets=[target]),
        Hotspare(config=config),
        Hotspare(config={"targets": [{"id": "openai/gpt-4.1", "base_url": provider.base_url("a"), "api_key": KEY}]}),
        Hotspare(llms=[native("a")]),
        Hotspare(llms=[native("a"), target], policy=Policy(deadline=9)),
    ]
    assert [llm.complete(QUESTION).text for llm in built] == [answer(QUESTION)] * len(built)
    assert built[-1].pool.policy.deadline == 9
    assert built[-1].pool.targets[1] is target
    for llm in built:
        llm.pool.close()


@pytest.mark.parametrize("given", [{}, {"targets": [], "llms": []}])
def test_exactly_one_of_them(given: dict[str, list[object]]) -> None:
    """None, or two, is an error that shows what to write."""
    with pytest.raises(ConfigError, match="exactly one of pool="):
        Hotspare(**given)  # type: ignore[arg-type]


def test_mistakes_are_named_when_it_is_built(pool: Pool) -> None:
    """An unknown route, no members, members that are none."""
    with pytest.raises(RequestError, match="'nowhere' is no route"):
        Hotspare(pool=pool, model="nowhere")
    with pytest.raises(ConfigError, match=r"policy: .* must stand in the pool itself"):
        Hotspare(pool=pool, policy=Policy())
    with pytest.raises(ConfigError, match=r"targets"):
        Hotspare(targets=[])
    with pytest.raises(ConfigError, match=r"llms: .* must hold at least one LLM"):
        Hotspare(llms=[])
    with pytest.raises(ConfigError, match=r"llms\[0\]: 'str' must be a LlamaIndex LLM"):
        Hotspare(llms=["gpt-4.1"])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match=r"llms\[0\]: 'OpenAI' has no metadata.*Unknown model"):
        Hotspare(llms=[OpenAI(model="gpt-unheard-of", api_key=KEY)])


def test_metadata_tells_the_truth_of_the_route(provider: Provider) -> None:
    """The smallest window of what may answer, function calling only if all can; everything can be overruled."""
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
    """LlamaIndex copies LLMs freely; health stays one picture."""
    for twin in (copy.copy(llm), copy.deepcopy(llm), llm.model_copy(), llm.model_copy(deep=True)):
        assert twin.pool is llm.pool
        assert twin.complete(QUESTION).text == answer(QUESTION)


def test_stored_without_secrets_and_rebuilt(config: Path) -> None:
    """`to_dict`, `to_json`, `repr` and pickles hold the file's path and no key; the rebuilt one answers."""
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


def test_without_a_file_it_is_rebuilt_around_a_pool(pool: Pool, native: Native) -> None:
    """A pool, targets or native LLMs are not stored; `from_dict` takes them again, and pickling says so."""
    for llm in (
        Hotspare(pool=pool, model="b"),
        Hotspare(llms=[native("a", key="test-hidden")]),
        Hotspare(config={"targets": [{"id": "ollama/x"}]}),
    ):
        assert "test-hidden" not in llm.to_json() + repr(llm)
        with pytest.raises(ConfigError, match="exactly one of pool="):
            Hotspare.from_dict(llm.to_dict())
        with pytest.raises(TypeError, match="pickled only with config="):
            pickle.dumps(llm)
    assert Hotspare.from_dict(Hotspare(pool=pool, model="b").to_dict(), pool=pool).model == "b"


def test_settings_and_resolve_llm_keep_it(llm: Hotspare) -> None:
    """LlamaIndex hands the same object on."""
    assert resolve_llm(llm) is llm
    Settings.llm = llm
    assert Settings.llm is llm


# --- loops and threads ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["targets", "native"])
def test_two_event_loops_one_after_another(llm: Hotspare, over_natives: Callable[..., Hotspare], kind: str) -> None:
    """As scripts and notebooks do it: every `asyncio.run` answers, and no target is blamed for a closed loop."""
    if kind == "native":
        llm = over_natives("a")

    async def ask() -> str:
        whole = await llm.acomplete(QUESTION)
        streamed = [r async for r in await llm.astream_complete(QUESTION)]
        assert streamed[-1].text == whole.text
        return whole.text

    assert [asyncio.run(ask()) for _ in range(3)] == [answer(QUESTION)] * 3
    assert all(target.failures == 0 for target in llm.pool.health().targets)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["targets", "native"])
async def test_sync_calls_inside_a_running_loop(
    llm: Hotspare, over_natives: Callable[..., Hotspare], kind: str
) -> None:
    """A notebook's cell is inside a loop; the sync forms work there, and async ones beside them."""
    if kind == "native":
        llm = over_natives("a")
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
    """Thirty concurrent calls while `a` dies: all answered, each with its own answer."""
    outage("a", after=10)
    texts: dict[int, str] = {}

    async def ask(number: int) -> None:
        texts[number] = (await llm.acomplete(f"{QUESTION} {number}")).text

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(ask, number)
    assert texts == {number: answer(f"{QUESTION} {number}") for number in range(30)}


class Turnstile:
    """Counts who wants to pass, as LlamaIndex's rate limiters do."""

    def __init__(self) -> None:
        self.passed = 0

    def acquire(self) -> None:
        """One more."""
        self.passed += 1

    async def async_acquire(self) -> None:
        """One more."""
        self.passed += 1


@pytest.mark.anyio
async def test_rate_limiters_are_asked_once_a_call(pool: Pool, over_natives: Callable[..., Hotspare]) -> None:
    """Hotspare's own by LlamaIndex, a member's by hotspare, once for each request to it."""
    own, members = Turnstile(), Turnstile()
    for llm in (Hotspare(pool=pool, rate_limiter=own), over_natives("a", rate_limiter=members)):
        llm.complete(QUESTION)
        await llm.acomplete(QUESTION)
        list(llm.stream_complete(QUESTION))
        _ = [r async for r in await llm.astream_complete(QUESTION)]
    assert (own.passed, members.passed) == (4, 4)


# --- leaving early -------------------------------------------------------------------------------------------------


def _nobody_is_blamed(llm: Hotspare) -> None:
    health = llm.pool.health()
    assert health.attempts == 0
    assert health["a"].failures == 0


def test_closing_a_sync_stream(provider: Provider, llm: Hotspare) -> None:
    """`close()` gives the permit back and ends the connection."""
    provider.fault("a", "latency", gap=0.02)
    responses = llm.stream_chat([ChatMessage(role="user", content="tokens=2000")])
    next(responses)
    responses.close()
    anyio.run(provider_sees, provider, "client_disconnects")
    _nobody_is_blamed(llm)


@pytest.mark.anyio
async def test_leaving_an_async_stream(provider: Provider, llm: Hotspare) -> None:
    """`break` and `aclose()` do the same."""
    provider.fault("a", "latency", gap=0.02)
    responses = await llm.astream_chat([ChatMessage(role="user", content="tokens=2000")])
    async for _ in responses:
        break
    await responses.aclose()
    await provider_sees(provider, "client_disconnects")  # LlamaIndex closes what it wraps in a task of its own
    _nobody_is_blamed(llm)


@pytest.mark.anyio
async def test_cancelling_an_async_call(provider: Provider, llm: Hotspare) -> None:
    """Cancellation is the caller's own: it is raised, and no health is touched."""
    provider.fault("a", "blackhole")
    task = asyncio.create_task(llm.achat(MESSAGES))
    await provider_sees(provider, "requests")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await provider_sees(provider, "client_disconnects")
    _nobody_is_blamed(llm)
