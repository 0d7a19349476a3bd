"""Calls a scripted target without a pool, through each of its methods, as a pool's driver does."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from hotspare import ChatRequest
from hotspare.errors import AttemptTimeout
from hotspare.messages import ChatChunk
from hotspare.testing import ScriptedTarget, VirtualClock

REQUEST = ChatRequest(messages=[{"role": "user", "content": "q"}])
FACES = pytest.mark.parametrize("face", ["sync", "asyncio", "trio"])
BOUND = 100.0
"""Seconds for a whole answer, for a first chunk, and between two chunks."""


def send(target: ScriptedTarget, face: str) -> Any:
    """The reply, or the error that was raised instead."""
    try:
        if face == "sync":
            return target.send(REQUEST, timeout=BOUND)
        return anyio.run(_asend, target, backend=face)
    except Exception as error:
        return error


async def _asend(target: ScriptedTarget) -> Any:
    with _clock(target).move_on_after(BOUND):
        return await target.asend(REQUEST, timeout=BOUND)
    raise AttemptTimeout("cancelled from outside")


def stream(target: ScriptedTarget, face: str) -> list[tuple[ChatChunk | Exception, float]]:
    """The chunks, each with the time at which it came; an error stands last."""
    if face != "sync":
        return anyio.run(_astream, target, backend=face)
    clock = _clock(target)
    seen: list[tuple[ChatChunk | Exception, float]] = []
    try:
        for chunk in target.stream(REQUEST, timeout=BOUND, stall=BOUND):
            seen.append((chunk, clock()))
    except Exception as error:
        seen.append((error, clock()))
    return seen


async def _astream(target: ScriptedTarget) -> list[tuple[ChatChunk | Exception, float]]:
    clock = _clock(target)
    chunks: AsyncGenerator[ChatChunk] = target.astream(REQUEST, timeout=BOUND, stall=BOUND)
    seen: list[tuple[ChatChunk | Exception, float]] = []
    try:
        while True:
            with clock.move_on_after(BOUND) as scope:
                chunk = await anext(chunks, None)
                if chunk is None:
                    return seen
                seen.append((chunk, clock()))
            if scope.cancelled_caught:
                raise AttemptTimeout("cancelled from outside")
    except Exception as error:
        seen.append((error, clock()))
    return seen


def _clock(target: ScriptedTarget) -> VirtualClock:
    return target.clock or VirtualClock(0)
