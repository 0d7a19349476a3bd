"""The recordings replayed through a pool, in sync and async code, with the network closed."""

import socket
import ssl

import anyio
import pytest
from hotspare import AllTargetsFailed, ChatReply, Pool, Target
from hotspare._engine.folding import reply_of

from tests.support.cases import CASES, PROVIDERS, Case
from tests.support.cassettes import expected, recording, replay
from tests.support.reference_reader import as_read, read_recording

TLS = ssl.create_default_context()
"""One for all pools: to make one takes longer than a replayed call."""
MODES = ["sync", "asyncio", "trio"]
GOOD = sorted(name for name in expected() if "/error-" not in name)
FAILING = ["openai/error-429", "azure/error-500", "anthropic/error-529", "gemini/error-503", "deepseek/error-401"]


KINDS = {
    400: "context_length",
    401: "auth",
    404: "not_found",
    429: "rate_limited",
    500: "server",
    503: "server",
    529: "server",
}


def case_of(name: str) -> Case:
    provider, _, case = name.partition("/")
    return PROVIDERS[provider].case(case)


def ask(targets: list[Target], case: Case, mode: str) -> ChatReply:
    """The answer, in sync code or in an event loop, streamed if the case says so; a stream's chunks are put together."""
    if mode != "sync":
        return anyio.run(aask, targets, case, backend=mode)
    with Pool(targets, transport="httpx", verify=TLS, retry_same_target="never", when_all_down="fail") as pool:
        return reply_of(list(pool.stream(case.request))) if case.stream else pool.chat(case.request)


async def aask(targets: list[Target], case: Case) -> ChatReply:
    """The same for async code."""
    async with Pool(targets, transport="httpx", verify=TLS, retry_same_target="never", when_all_down="fail") as pool:
        if case.stream:
            return reply_of([chunk async for chunk in pool.astream(case.request)])
        return await pool.achat(case.request)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", GOOD)
def test_every_answer_is_read(name: str, mode: str) -> None:
    """The request equals the recorded one in every field, and the answer what an independent reader finds in the recording."""
    case = case_of(name)
    with replay(name) as targets:
        reply = ask(targets, case, mode)
    dialect = targets[0].provider if targets[0].provider in ("anthropic", "gemini") else "openai"
    whole = read_recording(dialect, recording(name)["response"]["body"]["string"], stream=case.stream)
    assert as_read(reply, whole) == whole
    assert whole.text or whole.calls
    assert "reasoning" not in name or whole.reasoning
    assert len(whole.calls) == {"tools": 1, "parallel-tools": 2}.get(case.name.removesuffix("-stream"), 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", sorted(expected() - set(GOOD)))
def test_every_error_is_classified(name: str, mode: str) -> None:
    """From every provider and relay: its kind, its status, and the Retry-After of seven seconds in each 429."""
    case = case_of(name)
    for asked in (case, CASES["stream"]):
        with replay(name) as targets, pytest.raises(AllTargetsFailed) as caught:
            ask(targets, asked, mode)
        first = caught.value.attempts[0]
        assert (first.kind, first.status) == (KINDS[case.status], case.status)
        assert first.retry_after == (7.0 if case.status == 429 else None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", ["plain", "stream"])
@pytest.mark.parametrize("failing", FAILING)
def test_failover_across_two_cassettes(failing: str, case: str, mode: str) -> None:
    """The first provider fails, the second answers, in one call."""
    second = "openrouter" if failing.startswith("anthropic") else "anthropic"
    with replay(failing, f"{second}/{case}") as targets:
        assert [target.provider for target in targets] == [failing.partition("/")[0], second]
        reply = ask(targets, CASES[case], mode)
    assert reply.text == "The capital of South Korea is Seoul."


def test_a_retry_meets_the_same_error() -> None:
    """A fast failure is retried at the same target, and an error cassette is not used up."""
    with replay("gemini/error-500", "deepseek/plain") as targets, Pool(targets, transport="httpx") as pool:
        reply = pool.chat(CASES["plain"].request)
    assert [(attempt.reason, attempt.status) for attempt in reply.attempts] == [
        ("first", 500), ("retry", 500), ("failover", None),
    ]  # fmt: skip


def test_a_call_that_was_not_recorded_opens_no_connection() -> None:
    """Another prompt, or another provider, is an error, and no socket is opened."""
    with replay("openai/plain", "anthropic/plain") as targets, Pool(targets[:1], transport="httpx") as pool:
        with pytest.raises(AllTargetsFailed, match="Can't overwrite existing cassette"):
            pool.chat("Something else?")
        with socket.socket() as connection, pytest.raises(RuntimeError, match="Network is disabled"):
            connection.connect(("127.0.0.1", 9))
        pool.chat(CASES["plain"].request)
        with Pool(targets[1:], transport="httpx") as other:
            other.chat(CASES["plain"].request)


def test_an_unused_cassette_fails_the_test() -> None:
    """A recording that is not replayed is a mistake of the test."""
    with (
        pytest.raises(AssertionError, match="never asked for: anthropic/plain"),
        replay("openai/plain", "anthropic/plain") as targets,
        Pool(targets[:1], transport="httpx") as pool,
    ):
        pool.chat(CASES["plain"].request)


def test_bodies_need_not_be_the_recorded_ones() -> None:
    """With `bodies=False` only the address must be the recorded one."""
    with replay("openai/plain", bodies=False) as targets, Pool(targets, transport="httpx") as pool:
        assert pool.chat("Which town governs Korea?").text == "The capital of South Korea is Seoul."
