"""What a type checker infers of the public face: `make types` checks it under mypy --strict and pyright strict. Never run."""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, assert_type

from hotspare import (
    AllTargetsFailed,
    AttemptRecord,
    ChatChunk,
    ChatReply,
    ChatRequest,
    Choice,
    ConfigError,
    Explanation,
    Kind,
    Outcome,
    Policy,
    Pool,
    PoolHealth,
    Price,
    Scope,
    SecretStr,
    State,
    StreamInterrupted,
    StreamSummary,
    Target,
    ToolCall,
    ToolCallDelta,
    Usage,
    classify,
)
from hotspare.events import Event
from hotspare.status import TargetHealth
from hotspare.testing import ScriptedTarget, VirtualClock


def pools() -> None:
    """How pools come into being, and what one can look at."""
    target = Target(
        "openai/gpt-4.1", region="us", api_key=SecretStr("k"), price=Price(2.0, 8.0), missing=frozenset({"vision"})
    )
    assert_type(target.model, str)
    assert_type(target.region, str | None)
    assert_type(target.extra, Mapping[str, Any])
    with Pool([target], deadline=30, policy=Policy(max_attempts=3), routes={"batch": [["a", "b"], ["c"]]}) as pool:
        assert_type(pool, Pool)
        assert_type(pool.targets, tuple[Target, ...])
        assert_type(pool.policy, Policy)
        assert_type(pool.explain("hi"), Explanation)
        assert_type(pool.explain().choices, tuple[Choice, ...])
        assert_type(pool.health(), PoolHealth)
        assert_type(pool.health()["a"], TargetHealth)
        assert_type(pool.health()["a"].state, State)
        assert_type(pool.subscribe(lambda event: None), Callable[[], None])
    assert_type(Pool.from_config("hotspare.toml"), Pool)
    assert_type(Pool.from_config({"targets": []}, env={}), Pool)


class Own(Pool):
    """A pool of one's own keeps its type."""


def own() -> None:
    """`from_config` and `with` of a subclass."""
    assert_type(Own.from_config("hotspare.toml"), Own)
    with Own([]) as pool:
        assert_type(pool, Own)


def calls(pool: Pool) -> None:
    """The sync faces, with each form of a request."""
    reply = pool.chat("hi")
    assert_type(reply, ChatReply)
    assert_type(reply.text, str)
    assert_type(reply.target, str)
    assert_type(reply.tool_calls, tuple[ToolCall, ...])
    assert_type(reply.usage, Usage)
    assert_type(reply.cost, float | None)
    assert_type(reply.attempts, tuple[AttemptRecord, ...])
    assert_type(pool.chat([{"role": "user", "content": "hi"}], model="batch", temperature=0), ChatReply)
    assert_type(pool.chat(ChatRequest(messages=[{"role": "user", "content": "hi"}])), ChatReply)
    chunks = pool.stream("hi")
    assert_type(chunks, Generator[ChatChunk])
    for chunk in chunks:
        assert_type(chunk.text, str)
        assert_type(chunk.tool_calls, tuple[ToolCallDelta, ...])
        assert_type(chunk.summary, StreamSummary | None)


async def acalls(pool: Pool) -> None:
    """The async faces."""
    async with pool as same:
        assert_type(same, Pool)
    assert_type(await pool.achat("hi"), ChatReply)
    chunks = pool.astream("hi")
    assert_type(chunks, AsyncGenerator[ChatChunk])
    async for chunk in chunks:
        assert_type(chunk, ChatChunk)


def errors(pool: Pool) -> None:
    """What a handler gets."""
    try:
        pool.chat("hi")
    except AllTargetsFailed as error:
        assert_type(error.attempts, tuple[AttemptRecord, ...])
        assert_type(error.skipped, dict[str, str])
        assert_type(error.retry_after, float | None)
        assert_type(error.attempts[0].kind, Kind)
    except StreamInterrupted as error:
        assert_type(error.text, str)
    except ConfigError as error:
        assert_type(error.problems, tuple[str, ...])
    outcome = classify(ConnectionError())
    assert_type(outcome, Outcome)
    assert_type(outcome.fault_scope, Scope)


def listening(event: Event) -> None:
    """A listener, and tests of one's own."""
    pool = Pool([ScriptedTarget("a", ["hi"]).target], clock=VirtualClock(), listeners=[listening])
    assert_type(pool.chat("q"), ChatReply)
