"""What a call took, as plain values: for `response_metadata["hotspare"]`, LangSmith and callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from hotspare import AttemptRecord, ChatReply, Kind, StreamSummary
from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables import RunnableConfig

KEY = "hotspare"
"""The key in `response_metadata` under which an answer's trail stands."""

FAILOVER = "hotspare_failover"
"""Name of the custom event that callbacks get for each failover of a call (`on_custom_event`)."""


def trail_of(answer: ChatReply | StreamSummary) -> dict[str, Any]:
    """The trail of an answer: target, attempts, failovers, cost in USD; of a continued stream also its seams."""
    trail: dict[str, Any] = {
        "target": answer.target,
        "failovers": len(list(failovers(answer.attempts))),
        "cost": answer.cost,
        "attempts": [_attempt(record) for record in answer.attempts],
    }
    if isinstance(answer, StreamSummary) and answer.splice_points:
        trail |= {
            "targets": list(answer.targets),
            "seams": list(answer.splice_points),
            "duplicate_tokens": answer.duplicate_tokens,
        }
    return trail


def failovers(attempts: Sequence[AttemptRecord]) -> Iterator[dict[str, Any]]:
    """Each step from one target to another, with the reason: an outcome's kind, or `broke` for a stream that had begun."""
    for left, taken in pairwise(attempts):
        if left.target != taken.target:
            yield {
                "source": left.target,
                "target": taken.target,
                "kind": "broke" if left.kind is Kind.OK else str(left.kind),
                "status": left.status,
                "message": left.message,
                "seconds": left.seconds,
            }


def tell(manager: CallbackManagerForLLMRun | None, attempts: Sequence[AttemptRecord]) -> None:
    """One custom event for each failover, on the call's own run; without any run there is nobody to be told."""
    for failover in failovers(attempts):
        try:
            dispatch_custom_event(FAILOVER, failover, config=_run(manager, CallbackManager))
        except RuntimeError as error:
            _only_without_run(error)


async def atell(manager: AsyncCallbackManagerForLLMRun | None, attempts: Sequence[AttemptRecord]) -> None:
    """`tell`, for async callers."""
    for failover in failovers(attempts):
        try:
            await adispatch_custom_event(FAILOVER, failover, config=_run(manager, AsyncCallbackManager))
        except RuntimeError as error:
            _only_without_run(error)


def _run(
    manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
    cls: type[CallbackManager] | type[AsyncCallbackManager],
) -> RunnableConfig | None:
    """The call's own run as the parent of an event; None: the run around it, if there is one."""
    if manager is None:
        return None
    return {"callbacks": cls(handlers=manager.handlers, parent_run_id=manager.run_id)}


def _only_without_run(error: RuntimeError) -> None:
    """LangChain says so by a RuntimeError: a stream of a bare model has no run that it tells the model of."""
    if "parent run id" not in str(error):
        raise error


def _attempt(record: AttemptRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "target": record.target,
        "outcome": str(record.kind),
        "why": record.reason,
        "seconds": round(record.seconds, 6),
    }
    others: Iterable[tuple[str, Any]] = (("status", record.status), ("code", record.code), ("message", record.message))
    return shown | {name: value for name, value in others if value}
