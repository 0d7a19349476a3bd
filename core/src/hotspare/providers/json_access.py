"""Access to untrusted JSON: a field that is absent or of another type reads as empty.

Only `must_map` and `must_list` raise MalformedAnswer.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from hotspare.errors import MalformedAnswer

Json = dict[str, Any]
_copy: Callable[[object], Json] = cast("Any", dict)
_scan_once: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def as_map(value: object) -> Json:
    """A copy of the value if it is a JSON object, else {}."""
    if value is None:  # the most frequent case: a field that is absent
        return {}
    return _copy(cast("object", value)) if type(value) is dict or isinstance(value, Mapping) else {}


def view_map(value: object) -> Json:
    """`as_map` without the copy, for reading only."""
    return cast("Json", value) if type(value) is dict else as_map(value)


def is_map(value: object) -> bool:
    """Whether the value is a JSON object."""
    return type(value) is dict or isinstance(value, Mapping)  # the former is five times as fast


def is_exactly(value: object, kind: type) -> bool:
    """Whether the value has exactly this type, no subclass. Faster than `isinstance`; for type checkers `Any` stays `Any`."""
    return type(value) is kind


def is_list(value: object) -> bool:
    """Whether the value is a JSON array."""
    return isinstance(value, list)


def as_list(value: object) -> list[Any]:
    """The value if it is a JSON array, else []."""
    return list(cast("Sequence[Any]", value)) if isinstance(value, (list, tuple)) else []


def as_maps(value: object) -> list[Json]:
    """The objects in a JSON array."""
    return [as_map(item) for item in as_list(value) if is_map(item)] if value else []


def as_text(value: object) -> str:
    """The value if it is a string, else ""."""
    return value if isinstance(value, str) else ""


MAX_COUNT = 10**12
"""No answer has more tokens: a larger count is a server's error, and reads as 0."""


def as_count(value: object) -> int:
    """A count of tokens: an integer, or a number written in another way ("12", 12.0); 0 for anything else."""
    if type(value) is int:
        return value if 0 < value <= MAX_COUNT else 0
    if value is None:
        return 0
    if isinstance(value, str) and len(value) <= 32:
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_COUNT:
        return 0
    return int(value)


def is_usage(usage: Mapping[str, Any]) -> bool:
    """Whether no count is above `MAX_COUNT`. If one is, all counts are ignored."""
    for value in usage.values():  # noqa: SIM110 - a generator takes three times as long
        if isinstance(value, (int, float)) and value > MAX_COUNT:  # `int | float` would be made anew for each value
            return False
    return True


def merge_counts(known: Mapping[str, Any], update: Mapping[str, Any]) -> Json:
    """Token counts from several events: the latest of each. A count is never replaced by an absent one."""
    merged = dict(known)
    for name, value in update.items():
        if type(value) is int and 0 < value <= MAX_COUNT:  # the usual case: Gemini counts in every event of a stream
            merged[name] = value
        elif is_map(value):
            merged[name] = merge_counts(as_map(merged.get(name)), as_map(value))
        elif as_count(value) or not merged.get(name):
            merged[name] = value
    return merged


def must_map(value: object, where: str) -> Json:
    """The value as a JSON object. Raises MalformedAnswer, which names `where`, if it is something else."""
    if type(value) is dict or isinstance(value, Mapping):
        return _copy(cast("object", value))
    raise MalformedAnswer(f"{where} is not a JSON object", body=dump(value))


def must_list(value: object, where: str) -> list[Any]:
    """The value as a JSON array. Raises MalformedAnswer, which names `where`, if it is something else."""
    if not isinstance(value, (list, tuple)):
        raise MalformedAnswer(f"{where} is not a JSON array", body=dump(value))
    return as_list(cast("object", value))


def dump(value: object) -> bytes:
    """The value as JSON bytes; ASCII only, because a lone surrogate cannot be encoded as UTF-8."""
    return json.dumps(value, default=repr).encode("ascii")


def is_arguments(text: str) -> bool:
    """Whether a tool call's arguments are complete: a JSON object without half of a surrogate pair, `null`, or an empty text."""
    if not text.strip() or text.strip() == "null":
        return True
    arguments = load_map(text)
    if arguments is None:
        return False
    try:
        return "\\ud" not in text.lower() or bool(json.dumps(arguments, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def loads(text: str) -> Any:
    """As `json.loads`, with the same errors, in a third of the time for texts as short as a stream's events."""
    try:
        value, end = _scan_once(text, 0)
    except StopIteration:
        value, end = None, -1
    return value if end == len(text) else json.loads(text)


def load_map(data: str) -> Json | None:
    """The JSON object in a text; None if the text is something else."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return as_map(value) if is_map(value) else None


def drop_empty(**fields: Any) -> Json:
    """The fields that have a value: None and empty sequences are left out."""
    return {name: value for name, value in fields.items() if value is not None and value != () and value != []}


def deep_merge(base: Mapping[str, Any], *layers: Mapping[str, Any]) -> Json:
    """`base` overridden by the layers, in order.

    Objects are merged field by field. An object with a `type` replaces the old one instead, because fields of two types must not
    be mixed.
    """
    result = dict(base)
    for layer in layers:
        for name, value in layer.items():
            old = result.get(name)
            mergeable = is_map(old) and is_map(value) and "type" not in value
            result[name] = deep_merge(as_map(old), as_map(value)) if mergeable else value
    return result


def without(fields: Mapping[str, Any], names: Iterable[str]) -> Json:
    """The fields except those named."""
    dropped = frozenset(names)
    return {name: value for name, value in fields.items() if name not in dropped}
