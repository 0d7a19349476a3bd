"""Stream chunks that cost LiteLLM and hotspare less CPU time."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from litellm_hotspare.litellm_api import litellm, types

_NEXT = litellm.CustomStreamWrapper.__next__.__code__


class Chunk(types.ModelResponseStream):
    """LiteLLM's chunk, which looks the same when printed. LiteLLM itself formats each chunk of a sync stream twice, for a debug
    message that it prints only if `set_verbose` is on: without it, the text is empty for LiteLLM."""

    def __format__(self, spec: str) -> str:
        is_dropped = sys._getframe(1).f_code is _NEXT and not litellm.set_verbose
        return "" if is_dropped else super().__format__(spec)

    def __repr_name__(self) -> str:
        return "ModelResponseStream"


def copied(model: Any, fields: Mapping[str, Any], extra: Mapping[str, Any]) -> Any:
    """`model.model_copy(update=…)` in half the time, with declared and undeclared fields given separately, and with hidden
    parameters of its own."""
    private = model.__pydantic_private__
    found: Any = object.__new__(type(model))
    found.__setstate__(
        {
            "__dict__": {**model.__dict__, **fields},
            "__pydantic_extra__": {**model.__pydantic_extra__, **extra},
            "__pydantic_fields_set__": model.__pydantic_fields_set__.copy(),
            "__pydantic_private__": None if private is None else {**private, "_hidden_params": {}},
        }
    )
    return found
