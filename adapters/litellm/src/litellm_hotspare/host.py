"""LiteLLM, loosely typed: the one place where its own types are looked at."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

litellm: Any = import_module("litellm")
types: Any = import_module("litellm.types.utils")
router_types: Any = import_module("litellm.types.router")


def table(value: object) -> Mapping[str, Any]:
    """`value` as a mapping: as it is, a pydantic model's fields, or empty."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    dump = getattr(value, "model_dump", None)
    return {} if dump is None else dump()
