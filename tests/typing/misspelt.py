"""Misspelt keywords are errors of the type checker: each line below is one, for mypy --strict and for pyright strict. Never run.

An ignore that is no longer needed is an error too, so this file fails if a keyword is accepted by mistake.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from typing import Any

from hotspare import ChatRequest, Kind, Policy, Pool, Selector, Target
from hotspare.testing import ScriptedTarget, StepLike, VirtualClock, answer, fail, scripted_pool


async def misspelt(pool: Pool, target: Target) -> None:
    """Every public method that takes keywords."""
    Pool([target], dedline=30)  # type: ignore[call-arg]
    Pool([target], on_break="continue")  # type: ignore[arg-type]
    Pool([target], transport="requests")  # type: ignore[arg-type]
    Selector([target], strategi="weighted")  # type: ignore[call-arg]
    Policy(max_atempts=3)  # type: ignore[call-arg]
    pool.chat("q", temprature=1)  # type: ignore[call-arg]
    pool.chat("q", completion="later")  # type: ignore[arg-type]
    await pool.achat("q", temprature=1)  # type: ignore[call-arg]
    pool.stream("q", max_token=5)  # type: ignore[call-arg]
    pool.astream("q", max_token=5)  # type: ignore[call-arg]
    ChatRequest(messages=[], sed=1)  # type: ignore[call-arg]
    Target("openai/gpt-4.1", regin="us")  # type: ignore[call-arg]
    ScriptedTarget("a", regin="us")  # type: ignore[call-arg]
    scripted_pool("a", dedline=30)  # type: ignore[call-arg]


async def accepted(pool: Pool, target: Target) -> None:
    """What must stay possible: messages as plain dicts in every usual type, and options from a variable."""
    plain: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    texts: list[dict[str, str]] = [{"role": "user", "content": "hi"}]
    pool.chat(plain)
    pool.chat(texts)
    pool.chat([{"role": "user", "content": "hi"}, {"role": "assistant", "content": None, "tool_calls": []}])
    await pool.achat([{"role": "user", "content": [{"type": "text", "text": "hi"}]}], stop="END", deadline=3)
    pool.stream("q", model="batch", max_attempts=2, completion="stream", tools=[], temperature=0.0)
    Pool([target], deadline=30, max_attempts=3, failover_on={Kind.INVALID})
    steps: list[StepLike] = [
        "text",
        ["in", "pieces"],
        Kind.SERVER,
        fail(503),
        ConnectionResetError(),
        answer("x", delay=1),
    ]
    scripted = ScriptedTarget("a", steps, region="us", missing={"tools"}, id="openai/gpt-4.1")
    scripted_pool(scripted, "b", clock=VirtualClock(), deadline=30, routes={"x": ["a"]})
