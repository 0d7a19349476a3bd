"""The real library against the embedded provider, over real HTTP."""

import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from hotspare import Breaker, Kind, Pool, StreamInterrupted, Target, Timeouts
from hotspare._health.breaker import State
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider

from tests.support.eventually import aeventually
from tests.support.methods import EACH_METHOD, EACH_STREAM, WIRES, run, target, targets, text_of

UNUSABLE = ("empty", "empty_choices", "html", "half_json", "reset", "close", "oversized")


@EACH_METHOD
def test_every_wire_answers(method: str, provider: Provider) -> None:
    """The text is right through every method, on both event loops."""
    pool = Pool([target(provider, "a", wire, name=wire) for wire in WIRES])

    async def each_wire(pool: Pool, name: str) -> None:
        for wire in WIRES:
            assert await text_of(pool, name, "hello there", model=wire) == answer("hello there")

    run(method, pool, each_wire)


@EACH_METHOD
def test_four_targets_failing_in_four_ways(method: str, provider: Provider) -> None:
    """The first call of a new process finds the one target that works."""
    provider.fault("a", "refused")
    provider.fault("b", "blackhole")
    provider.fault("c", "status", status=500)
    provider.fault("d", "status", status=429)
    pool = Pool(
        targets(provider, "openai", "anthropic", "gemini", "openai", "anthropic"),
        deadline=60,
        timeouts=Timeouts(first_token=0.5, completion=0.5),
    )
    assert run(method, pool, text_of, "q1") == answer("q1")


@EACH_METHOD
@pytest.mark.parametrize("wire", WIRES)
def test_an_unusable_answer_fails_over(method: str, wire: str, provider: Provider) -> None:
    """HTML, half a JSON, a megabyte of blanks: a classified outcome, and the answer of another target."""
    faults = UNUSABLE if wire == "openai" else UNUSABLE[:-1]  # the oversized answer is the same in every format
    failing: list[Target] = []
    for fault in faults:
        provider.fault("a", fault, model=f"{fault}-", **({"size": 1_000_000} if fault == "oversized" else {}))
        failing.append(target(provider, "a", wire, model=f"-{fault}-", name=fault, region=fault))
    routes = {fault: [[fault], ["b"]] for fault in faults}
    pool = Pool([*failing, target(provider, "b", "openai")], routes=routes, deadline=60)

    async def each_fault(pool: Pool, name: str) -> None:
        for fault in faults:
            assert await text_of(pool, name, f"q {fault}", model=fault) == answer(f"q {fault}")
            assert pool.health()[fault].failures

    run(method, pool, each_fault)


@EACH_STREAM
@pytest.mark.parametrize("fault", ["keepalives", "silence"])
def test_keep_alives_are_no_first_token(method: str, fault: str, provider: Provider) -> None:
    """What comes without content, a role chunk included, does not defeat the timeout of the first token."""
    options = {"gap": 0.1} if fault == "keepalives" else {}
    provider.fault("a", fault, **options)
    pool = Pool(targets(provider, "openai", "anthropic"), deadline=60, timeouts=Timeouts(first_token=0.5))

    async def once(pool: Pool, name: str) -> None:
        assert await text_of(pool, name, "q") == answer("q")
        assert pool.health()["a"].failures == 1

    run(method, pool, once)


@EACH_STREAM
@pytest.mark.parametrize("wire", WIRES)
def test_a_broken_stream_never_passes_for_a_whole_one(method: str, wire: str, provider: Provider) -> None:
    """After its first content a break is an error that carries the exact text so far."""
    faults = ("cut", "eof", "error_event")
    broken: list[Target] = []
    for fault in faults:
        provider.fault("a", fault, at=10, model=f"{fault}-")
        broken.append(target(provider, "a", wire, model=f"-{fault}-", name=fault, region=fault))
    pool = Pool(broken, on_break="raise")

    async def each_fault(pool: Pool, name: str) -> None:
        for fault in faults:
            with pytest.raises(StreamInterrupted) as caught:
                await text_of(pool, name, "q", model=fault)
            assert caught.value.text
            assert answer("q").startswith(caught.value.text)
            assert caught.value.attempts[0].kind is Kind.OK

    run(method, pool, each_fault)


@pytest.mark.anyio
async def test_a_caller_who_stops_reading_closes_the_connection(provider: Provider) -> None:
    """An early exit gives the permit back, and the provider sees the end of the connection."""
    provider.fault("a", "drip", gap=0.05)
    async with Pool(targets(provider, "openai")) as pool:
        stream = pool.astream("q")
        assert (await anext(stream)).text
        await stream.aclose()
        for _ in pool.stream("q"):
            break
        assert pool.health().in_flight == 0
        await aeventually(lambda: provider.stats("a").client_disconnects == 2, lambda: provider.stats("a"))


@pytest.mark.parametrize("method", ["chat", "stream", "asyncio achat", "trio astream"])
def test_fifty_calls_send_one_probe(method: str, provider: Provider) -> None:
    """When the break of a failing target is over, exactly one of fifty calls reaches it, however long they take."""
    ahead = [0.0]
    provider.fault("a", "status", status=500)
    pool = Pool(
        targets(provider, "openai", "anthropic"),
        clock=lambda: time.monotonic() + ahead[0],
        breaker=Breaker(break_duration=600, max_break_duration=600),
        timeouts=Timeouts(first_token_min=0.5, completion_min=0.5),
    )

    async def probe(pool: Pool, name: str) -> None:
        while pool.health()["a"].state is not State.OPEN:
            assert await text_of(pool, name, "q") == answer("q")
            ahead[0] += 0.3
        provider.fault("a", "blackhole")  # the probe fails, and the next one is ten minutes away
        before, ahead[0] = provider.stats("a").requests, ahead[0] + 601
        prompts = [f"q{number}" for number in range(50)]
        if name in ("chat", "stream"):
            with ThreadPoolExecutor(50) as threads:
                texts = list(threads.map(lambda prompt: anyio.run(text_of, pool, name, prompt), prompts))
        else:
            texts = []

            async def one(prompt: str) -> None:
                texts.append(await text_of(pool, name, prompt))

            async with anyio.create_task_group() as group:
                for prompt in prompts:
                    group.start_soon(one, prompt)
        assert sorted(texts) == sorted(map(answer, prompts))
        assert provider.stats("a").requests == before + 1

    run(method, pool, probe)
