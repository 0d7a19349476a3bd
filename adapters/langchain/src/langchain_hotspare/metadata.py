"""The metadata of an answer: its key in `response_metadata`, and the failovers of a call as LangChain's custom events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from hotspare import AttemptRecord
from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables import RunnableConfig

METADATA_KEY = "hotspare"
"""The key in `response_metadata` that holds `ChatReply.as_metadata()` or, for a stream, `StreamSummary.as_metadata()`."""

FAILOVER_EVENT = "hotspare_failover"
"""Name of the custom event that callbacks get for each failover of a call (`on_custom_event`)."""


def failovers(attempts: Sequence[AttemptRecord]) -> Iterator[dict[str, Any]]:
    """Each change from one target to the next: `source`, `target`, and `attempt`, the last attempt on `source` before it.

    The attempt is `AttemptRecord.as_dict()`. Its kind is `ok` if its stream broke after the first content.
    """
    for attempt, following in pairwise(attempts):
        if attempt.target != following.target:
            yield {"source": attempt.target, "target": following.target, "attempt": attempt.as_dict()}


def dispatch_failovers(manager: CallbackManagerForLLMRun | None, attempts: Sequence[AttemptRecord]) -> None:
    """Send one custom event per failover on the call's own run. Without a run, nothing is sent."""
    for failover in failovers(attempts):
        try:
            dispatch_custom_event(FAILOVER_EVENT, failover, config=_config(manager, CallbackManager))
        except RuntimeError as error:
            _ignore_missing_run(error)


async def adispatch_failovers(manager: AsyncCallbackManagerForLLMRun | None, attempts: Sequence[AttemptRecord]) -> None:
    """`dispatch_failovers`, for async callers."""
    for failover in failovers(attempts):
        try:
            await adispatch_custom_event(FAILOVER_EVENT, failover, config=_config(manager, AsyncCallbackManager))
        except RuntimeError as error:
            _ignore_missing_run(error)


def _config(
    manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
    cls: type[CallbackManager] | type[AsyncCallbackManager],
) -> RunnableConfig | None:
    """The call's own run as the event's parent. None: the surrounding run, if there is one."""
    if manager is None:
        return None
    return {"callbacks": cls(handlers=manager.handlers, parent_run_id=manager.run_id)}


def _ignore_missing_run(error: RuntimeError) -> None:
    """LangChain raises RuntimeError without a parent run: it calls `_stream` of a bare model without a run manager."""
    if "parent run id" not in str(error):
        raise error
