"""The capabilities of a pool: those that all its targets have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.llms.hotspare.targets import metadata_of

from hotspare import ChatRequest, Pool, Target

_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "probe", "parameters": {"type": "object", "properties": {}}},
}
_PROBE = ChatRequest(messages=[{"role": "user", "content": "hello"}], tools=[_TOOL])
"""A request that only a target with function calling supports."""


def capabilities_of(
    pool: Pool,
    model: str | None,
    *,
    context_window: int | None = None,
    num_output: int | None = None,
    is_function_calling_model: bool | None = None,
) -> LLMMetadata:
    """The metadata that holds for every target that may answer a call with this `model`. Given values take precedence.

    The context window is the smallest known one (LlamaIndex's default of 3,900 tokens if none is known), the output
    limit the smallest one that is set (-1 if none is), and at most half of the context window. Function
    calling is supported only if every target supports it: it is read from `Pool.explain`, which makes no call.

    Raises RequestError for a route or model that the pool does not have.
    """
    choices = pool.explain(_PROBE, model=model).choices
    names = {choice.target for choice in choices}
    targets = [target for target in pool.targets if target.name in names]
    window = context_window or min(_windows(targets), default=DEFAULT_CONTEXT_WINDOW)
    output = num_output or min(_output_limits(targets), default=-1)
    calls_functions = not any(choice.unsupported for choice in choices)
    return LLMMetadata(
        context_window=window,
        num_output=min(output, window // 2) if output > 0 else -1,
        is_chat_model=True,
        is_function_calling_model=calls_functions if is_function_calling_model is None else is_function_calling_model,
        model_name=f"hotspare/{model or 'default'}",
    )


def _windows(targets: Iterable[Target]) -> list[int]:
    return [target.context_window for target in targets if target.context_window is not None]


def _output_limits(targets: Iterable[Target]) -> list[int]:
    """Output limits of LlamaIndex LLMs. Those of hotspare's targets apply only if a provider requires one."""
    found = [metadata_of(target) for target in targets]
    return [metadata.num_output for metadata in found if metadata is not None and metadata.num_output > 0]
