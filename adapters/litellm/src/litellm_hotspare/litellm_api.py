"""LiteLLM without its types: the only module that imports it by name. Everything from it is `Any`."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

litellm: Any = import_module("litellm")
types: Any = import_module("litellm.types.utils")
router_types: Any = import_module("litellm.types.router")


def as_mapping(value: object) -> Mapping[str, Any]:
    """A mapping as it is, the fields of a pydantic model, or {} for anything else."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    dump = getattr(value, "model_dump", None)
    return {} if dump is None else dump()
