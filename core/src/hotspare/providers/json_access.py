"""Looking into JSON that somebody else wrote: what is not there, or is of another type, reads as empty.

Only `must_map` and `must_list` raise, and only hotspare's own error.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from hotspare.errors import MalformedAnswer

Json = dict[str, Any]


def as_map(value: object) -> Json:
    """The value if it is a JSON object, else {}."""
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}


def is_map(value: object) -> bool:
    """Whether the value is a JSON object."""
    return isinstance(value, Mapping)


def as_list(value: object) -> list[Any]:
    """The value if it is a JSON array, else []."""
    return list(cast("Sequence[Any]", value)) if isinstance(value, (list, tuple)) else []


def as_maps(value: object) -> list[Json]:
    """The objects in a JSON array."""
    return [as_map(item) for item in as_list(value) if is_map(item)]


def as_text(value: object) -> str:
    """The value if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def as_count(value: object) -> int:
    """The value if it is a number of tokens, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def must_map(value: object, where: str) -> Json:
    """The value, which has to be a JSON object; MalformedAnswer says where it is not."""
    if not isinstance(value, Mapping):
        raise MalformedAnswer(f"{where} is no JSON object", body=dump(value))
    return as_map(cast("object", value))


def must_list(value: object, where: str) -> list[Any]:
    """The value, which has to be a JSON array; MalformedAnswer says where it is not."""
    if not isinstance(value, (list, tuple)):
        raise MalformedAnswer(f"{where} is no JSON array", body=dump(value))
    return as_list(cast("object", value))


def dump(value: object) -> bytes:
    """The value as JSON bytes; ASCII only, so that a lone surrogate cannot fail."""
    return json.dumps(value, default=repr).encode("ascii")


def load_map(data: str) -> Json | None:
    """A JSON object read from text, or None where the text is something else."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return as_map(value) if is_map(value) else None


def drop_empty(**fields: Any) -> Json:
    """The fields that have a value: None and empty sequences are left out."""
    return {name: value for name, value in fields.items() if value is not None and value != () and value != []}


def deep_merge(base: Mapping[str, Any], *layers: Mapping[str, Any]) -> Json:
    """`base` with the layers laid over it, later ones winning.

    Objects are merged field by field, except those with a `type`: a tagged object is one of several shapes, and half
    of one with half of another is neither.
    """
    result = dict(base)
    for layer in layers:
        for name, value in layer.items():
            old = result.get(name)
            mergeable = is_map(old) and is_map(value) and "type" not in value
            result[name] = deep_merge(as_map(old), as_map(value)) if mergeable else value
    return result


def without(fields: Mapping[str, Any], names: Iterable[str]) -> Json:
    """The fields but for those named."""
    dropped = frozenset(names)
    return {name: value for name, value in fields.items() if name not in dropped}
