"""The real library against the embedded provider, over real HTTP."""

import time

import anyio
import anyio.to_thread
import pytest
from hotspare import Pool, StreamInterrupted, Target
from hotspare._health.breaker import State
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider

WIRES = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}


def targets(provider: Provider, *wires: str) -> list[Target]:
    """One target an endpoint: a, b, c…"""
    return [
        Target(
            f"{wire}/{WIRES[wire]}", region=name, base_url=provider.base_url(name, wire), api_key="test-1", name=name
        )
        for name, wire in zip("abcde", wires, strict=False)
    ]


async def ask(pool: Pool, face: str, prompt: str) -> str:
    """One question through one of the four faces."""
    if face == "chat":
        return pool.chat(prompt).text
    if face == "stream":
        return "".join(chunk.text for chunk in pool.stream(prompt))
    if face == "achat":
        return (await pool.achat(prompt)).text
    return "".join([chunk.text async for chunk in pool.astream(prompt)])


FACES = pytest.mark.parametrize("face", ["chat", "stream", "achat", "astream"])


@FACES
@pytest.mark.anyio
@pytest.mark.parametrize("wire", WIRES)
async def test_every_wire_answers(face: str, wire: str, provider: Provider) -> None:
    """The text is right in all faces, on both loops."""
    async with Pool(targets(provider, wire)) as pool:
        assert await ask(pool, face, "hello there") == answer("hello there")


@FACES
@pytest.mark.anyio
async def test_four_dead_in_four_ways(face: str, provider: Provider) -> None:
    """The first call of a cold process finds the one that lives."""
    provider.fault("a", "refused")
    provider.fault("b", "blackhole")
    provider.fault("c", "status", status=500)
    provider.fault("d", "status", status=429)
    async with Pool(targets(provider, "openai", "anthropic", "gemini", "openai", "anthropic"), deadline=5) as pool:
        assert await ask(pool, face, "q1") == answer("q1")


@FACES
@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["empty", "empty_choices", "html", "half_json", "oversized", "reset", "close"])
@pytest.mark.parametrize("wire", WIRES)
async def test_what_is_no_answer_fails_over(face: str, fault: str, wire: str, provider: Provider) -> None:
    """HTML, half a JSON, ten megabytes of nothing: a classified outcome, and another target's answer."""
    provider.fault("a", fault)
    async with Pool(targets(provider, wire, "openai"), deadline=10) as pool:
        assert await ask(pool, face, "q") == answer("q")


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["stream", "astream"])
@pytest.mark.parametrize("fault", ["keepalives", "silence"])
async def test_noise_is_no_first_token(face: str, fault: str, provider: Provider) -> None:
    """Keep-alives and a role chunk do not defeat the first-token timeout."""
    options = {"gap": 0.1} if fault == "keepalives" else {}
    provider.fault("a", fault, **options)
    async with Pool(targets(provider, "openai", "anthropic"), deadline=2.4) as pool:
        assert await ask(pool, face, "q") == answer("q")


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["stream", "astream"])
@pytest.mark.parametrize("fault", ["cut", "eof", "error_event"])
@pytest.mark.parametrize("wire", WIRES)
async def test_a_broken_stream_never_passes_for_a_whole_one(
    face: str, fault: str, wire: str, provider: Provider
) -> None:
    """After its first content a break is an honest error that carries the exact prefix."""
    provider.fault("a", fault, at=10)
    async with Pool(targets(provider, wire), on_break="raise") as pool:
        with pytest.raises(StreamInterrupted) as caught:
            await ask(pool, face, "q")
        assert caught.value.text
        assert answer("q").startswith(caught.value.text)


@pytest.mark.anyio
async def test_a_caller_who_stops_reading_closes_the_connection(provider: Provider) -> None:
    """Early exits leave no permit behind."""
    provider.fault("a", "drip", gap=0.05)
    async with Pool(targets(provider, "openai")) as pool:
        stream = pool.astream("q")
        assert (await anext(stream)).text
        await stream.aclose()
        for _ in pool.stream("q"):
            break
        assert pool.health().in_flight == 0


@FACES
@pytest.mark.anyio
async def test_fifty_callers_send_one_probe(face: str, provider: Provider) -> None:
    """At the moment the rest of a dead primary ends, exactly one of fifty concurrent calls reaches it."""
    ahead = [0.0]
    provider.fault("a", "status", status=500)
    async with Pool(targets(provider, "openai", "anthropic"), clock=lambda: time.monotonic() + ahead[0]) as pool:
        while pool.health()["a"].state is not State.OPEN:
            assert await ask(pool, face, "q") == answer("q")
            ahead[0] += 0.3
        provider.fault("a", "delay", seconds=0.3)  # long enough for all of them to be under way
        before, ahead[0] = provider.stats("a").requests, ahead[0] + 31
        texts: list[str] = []

        async def one(number: int) -> None:
            if face in ("achat", "astream"):
                texts.append(await ask(pool, face, f"q{number}"))
            else:
                texts.append(await anyio.to_thread.run_sync(anyio.run, ask, pool, face, f"q{number}", limiter=threads))

        threads = anyio.CapacityLimiter(50)
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(one, number)
        assert set(texts) == {answer(f"q{number}") for number in range(50)}
        assert provider.stats("a").requests == before + 1
