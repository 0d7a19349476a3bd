"""What is true of a whole pool: no more than its weakest member that may answer."""

from __future__ import annotations

from collections.abc import Iterable

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.llms.hotspare.native.members import native_metadata

from hotspare import Pool, Target


def metadata_of(
    pool: Pool,
    route: str | None,
    *,
    context_window: int | None = None,
    num_output: int | None = None,
    is_function_calling_model: bool | None = None,
) -> LLMMetadata:
    """The metadata of the route's members; what is given wins.

    The window is the smallest known one (LlamaIndex's own default of 3,900 tokens where none is known), the output the
    smallest bound that is set (-1: none is), and functions can be called only if every member can.

    Raises RequestError for a route that the pool does not have.
    """
    names = {choice.target for choice in pool.explain(model=route).choices}
    targets = [target for target in pool.targets if target.name in names]
    window = context_window or min(_windows(targets), default=DEFAULT_CONTEXT_WINDOW)
    output = num_output or min(_outputs(targets), default=-1)
    calls = all("tools" not in target.missing for target in targets)
    return LLMMetadata(
        context_window=window,
        num_output=min(output, window // 2) if output > 0 else -1,
        is_chat_model=True,
        is_function_calling_model=calls if is_function_calling_model is None else is_function_calling_model,
        model_name=f"hotspare/{route or 'default'}",
    )


def _windows(targets: Iterable[Target]) -> list[int]:
    return [target.context_window for target in targets if target.context_window is not None]


def _outputs(targets: Iterable[Target]) -> list[int]:
    """Output bounds that native members set; a wire target's own bound holds only where its provider demands one."""
    told = [native_metadata(target) for target in targets]
    return [metadata.num_output for metadata in told if metadata is not None and metadata.num_output > 0]
