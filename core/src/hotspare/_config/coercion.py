"""Plain data -> annotated dataclasses, every mistake named with its place.

The dataclasses of `target.py` and `policy.py` are the schema: their fields, annotations and defaults are read here, so a
new knob is known to config files the moment it exists. A field with ``repr=False`` may hold secrets, and its value
never stands in a message.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Self, TypeGuard, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from hotspare.errors import ConfigError, Problem, did_you_mean
from hotspare.secret import SecretStr
from hotspare.target import Secret

T = TypeVar("T")


def coerce(place: str, instance: Any) -> dict[str, Any]:
    """The fields of a dataclass's `instance`, each as its annotation wants it. Raises ConfigError naming every mistake."""
    reader = Coercer()
    found = reader.values(place, cast("type[object]", type(instance)), _fields(instance))
    if reader.problems:
        raise ConfigError(reader.problems)
    return found


class CodeOnly:
    """Stands for annotations whose values no file can hold: a backend, tenacity's `wait_*` and `stop_*`."""


_CODE_ONLY = {"Backend": CodeOnly, "wait_base": CodeOnly, "stop_base": CodeOnly}


class FromEnv(str):
    """Text that holds an environment variable's value: shows itself as it was written, and may become a number."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, value: str, written: str) -> Self:
        """`value` is the text, `written` what stands in the file (`${NAME}`)."""
        self = super().__new__(cls, value)
        self.written = written
        return self

    def __repr__(self) -> str:
        return repr(self.written)


BROKEN = FromEnv("", "")
"""Stands where a variable is missing, which has been noted already: nothing more is to be said of that value."""


def is_table(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether `value` is a table: a dict, or another mapping."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether `value` is a list; text is none."""
    return isinstance(value, list | tuple)


class Coercer:
    """Reads plain data by annotations and keeps every mistake in `problems`."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def note(self, place: str, value: object, way_out: str, *, hidden: bool = False) -> None:
        """Keep a mistake; a hidden value is not shown."""
        self.problems.append(Problem(f"{place}: {way_out}") if hidden else Problem.at(place, value, way_out))

    def table(self, place: str, raw: object, *, hidden: bool = False) -> Mapping[str, Any]:
        """`raw` as a table with text keys; an empty one, and a mistake noted, if it is something else."""
        if not is_table(raw):
            self.note(place or "config", raw, "must be a table", hidden=hidden)
            return {}
        for key in raw:
            if not isinstance(key, str):
                self.note(place or "config", key, "must be text: names of fields are")
        return {key: value for key, value in raw.items() if isinstance(key, str)}

    def unknown(self, place: str, key: str, known: Sequence[str]) -> None:
        """Note a field that does not exist, with the one that was probably meant."""
        way_out = did_you_mean(key, known, f"the fields are {', '.join(known)}")
        self.problems.append(Problem(f"{_join(place, key)}: unknown field; {way_out}"))

    def values(self, place: str, cls: type, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of dataclass `cls` that `raw` gives and that are right; mistakes are noted."""
        hints = _hints(cls)
        known: dict[str, Field[Any]] = {field.name: field for field in fields(cls)}
        found: dict[str, Any] = {}
        for key, value in raw.items():
            if key not in known:
                self.unknown(place, key, [name for name in known if CodeOnly not in get_args(hints[name])])
                continue
            before = len(self.problems)
            read = self.value(_join(place, key), hints[key], value, hidden=not known[key].repr)
            if value is not BROKEN and (len(self.problems) == before or is_dataclass(read)):
                found[key] = read
        return found

    def build(self, place: str, cls: type[T], raw: object, *, called: str = "") -> T | None:
        """`cls` made of `raw`; None if it cannot be. The class's own ConfigError is placed here (`called` is its word)."""
        given = self.values(place, cls, self.table(place, raw))
        missing = [
            field.name
            for field in fields(cast("Any", cls))
            if field.name not in given and field.default is MISSING and field.default_factory is MISSING
        ]
        if missing:
            self.problems += [
                Problem(f"{_join(place, name)}: is missing") for name in missing if is_table(raw) and name not in raw
            ]
            return None
        try:
            return cls(**given)
        except ConfigError as error:
            self.problems += [Problem(problem).moved(called, place) for problem in error.problems]
            return None

    def value(self, place: str, annotation: Any, raw: Any, *, hidden: bool = False) -> Any:
        """`raw` as `annotation` wants it. A mistake is noted, and what comes back is then not to be used."""
        arms = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        if raw is BROKEN or (raw is None and NoneType in arms):
            return None
        arms = tuple(arm for arm in arms if arm is not NoneType)
        if Secret in arms:
            return self._secret(place, raw)
        if CodeOnly in arms:
            return self._code_only(place, raw)
        if len(arms) == 1:
            return self._one(place, arms[0], raw, hidden)
        return self._either(place, arms, raw, hidden)

    def _code_only(self, place: str, raw: Any) -> Any:
        if type(raw) in (bool, str, FromEnv, int, float, list, dict):
            name = place.rpartition(".")[2]
            owner = "Target" if name == "backend" else "Pool"
            self.note(place, raw, f"is given in code only, as an object: {owner}(..., {name}=...)", hidden=True)
        return raw

    def _either(self, place: str, arms: Sequence[Any], raw: Any, hidden: bool) -> Any:
        for arm in arms:
            attempt = Coercer()
            read = attempt.value(place, arm, raw, hidden=hidden)
            if not attempt.problems:
                return read
        self.note(place, raw, f"must be {' or '.join(_word(arm) for arm in arms)}", hidden=hidden)
        return None

    def _secret(self, place: str, raw: Any) -> Any:
        if isinstance(raw, str):
            if not raw.strip():
                self.note(place, raw, "must not be empty", hidden=True)
            return SecretStr(str(raw))
        if not callable(getattr(raw, "get_secret_value", None)):
            self.note(place, raw, 'must be text, best "${NAME}" for an environment variable', hidden=True)
        return raw

    def _one(self, place: str, annotation: Any, raw: Any, hidden: bool) -> Any:
        origin, args = get_origin(annotation), get_args(annotation)
        if annotation is Any:
            return _plain(raw)
        if is_dataclass(annotation):
            cls: type[Any] = cast("Any", annotation)
            return self.build(place, cls, _fields(raw) if isinstance(raw, cls) else raw)
        if origin is frozenset:
            return self._set(place, args[0], raw, hidden)
        if origin is Mapping:
            items = self.table(place, raw, hidden=hidden).items()
            return {key: self.value(_join(place, key), args[1], item, hidden=hidden) for key, item in items}
        if hasattr(annotation, "_fields"):
            return self._named_tuple(place, annotation, raw, hidden)
        read = _scalar(annotation, raw)
        if read is None:
            self.note(place, raw, f"must be {_word(annotation)}", hidden=hidden)
        return read

    def _set(self, place: str, item: Any, raw: Any, hidden: bool) -> frozenset[Any]:
        members = [raw] if isinstance(raw, str) else _members(raw)
        if not is_list(members):
            self.note(place, raw, f"must be a list of {_word(item)}", hidden=hidden)
            return frozenset()
        return frozenset(self.value(f"{place}[{n}]", item, member, hidden=hidden) for n, member in enumerate(members))

    def _named_tuple(self, place: str, cls: Any, raw: Any, hidden: bool) -> Any:
        names: tuple[str, ...] = cls._fields
        needed = len(names) - len(cls._field_defaults)
        if is_list(raw) and needed <= len(raw) <= len(names):
            raw = dict(zip(names, raw, strict=False))
        if not is_table(raw) or not {*names[:needed]} <= {*raw} <= {*names}:
            shape = ", ".join([*names[:needed], *(f"[{name}]" for name in names[needed:])])
            self.note(place, raw, f"must be a list or a table of {shape}", hidden=hidden)
            return None
        hints = get_type_hints(cls)
        return cls(**{key: self.value(_join(place, key), hints[key], item, hidden=hidden) for key, item in raw.items()})


def _fields(instance: Any) -> dict[str, Any]:
    return {knob.name: getattr(instance, knob.name) for knob in fields(instance)}


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, localns=_CODE_ONLY)


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _members(raw: Any) -> Any:
    if not isinstance(raw, Set):
        return raw
    return list(raw)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - of anything


def _plain(raw: Any) -> Any:
    """Free data (`extra`) with its text as plain strings."""
    if isinstance(raw, FromEnv):
        return str(raw)
    if is_table(raw):
        return {key: _plain(value) for key, value in raw.items()}
    return [_plain(item) for item in raw] if is_list(raw) else raw


def _scalar(annotation: Any, raw: Any) -> Any:
    """`raw` as a text, number, truth value or choice; None if it is not one."""
    if get_origin(annotation) is Literal:
        return str(raw) if isinstance(raw, str) and raw in get_args(annotation) else None
    if issubclass(annotation, StrEnum):
        return annotation(raw) if isinstance(raw, str) and raw in list(annotation) else None
    if annotation is str:
        return str(raw) if isinstance(raw, str) else None
    if annotation is bool:
        return {"true": True, "false": False}.get(raw.lower()) if isinstance(raw, FromEnv) else _only(bool, raw)
    return _number(annotation, raw)


def _only(cls: type, raw: Any) -> Any:
    return raw if isinstance(raw, cls) else None


def _number(annotation: type, raw: Any) -> Any:
    if isinstance(raw, FromEnv):
        try:
            raw = annotation(raw)
        except ValueError:
            return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        return None
    if annotation is int:
        return raw if isinstance(raw, int) else None
    return float(raw)


def _word(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(str(arg) for arg in get_args(annotation))}"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return f"one of {', '.join(annotation)}"
    return _WORDS.get(annotation, "a table")


_WORDS: Mapping[Any, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
