"""Plain data -> dataclasses, by their annotations. Every mistake is reported with the path of its field.

The dataclasses of `target.py` and `policy.py` are the schema: their fields, annotations and defaults are read here, so that
config files know a new setting as soon as it exists. A field with ``repr=False`` may hold a secret: no message shows its
value.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from hotspare._config.hints import POOL_HINTS, TARGET_HINTS, hint_for
from hotspare._config.scalars import UNRESOLVED, FromEnv, describe, is_list, is_table, scalar, unwrap
from hotspare._routing.acceptance import Rule
from hotspare.errors import ConfigError, Problem
from hotspare.secret import HiddenStr, Secret, SecretStr

T = TypeVar("T")


def coerce(path: str, instance: Any) -> dict[str, Any]:
    """The fields of dataclass `instance`, each converted to the type of its annotation.

    Raises ConfigError with every mistake; `path` is the beginning of their paths.
    """
    coercer = Coercer()
    found = coercer.values(path, cast("type[object]", type(instance)), _fields(instance))
    if coercer.problems:
        raise ConfigError(coercer.problems)
    return found


class CodeOnly:
    """Replaces annotations whose values no file can hold: a backend, tenacity's `wait_*` and `stop_*`."""


_HINTS = {"Target": TARGET_HINTS, "Policy": POOL_HINTS}
_CODE_ONLY_TYPES = dict.fromkeys(
    ("Backend", "wait_base", "stop_base", "StrategyFunction", "AcceptFunction", "CacheStore", "Reducer", "Redis"),
    CodeOnly,
)


class Coercer:
    """Converts plain data by annotations and collects every mistake in `problems`."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def report(self, path: str, value: object, hint: str, *, secret: bool = False) -> None:
        """Add a problem; a secret value is not shown."""
        self.problems.append(Problem(f"{path}: {hint}") if secret else Problem.at(path, value, hint))

    def table(self, path: str, raw: object, *, secret: bool = False) -> Mapping[str, Any]:
        """`raw` as a table with string keys. Anything else is reported and gives an empty one."""
        if not is_table(raw):
            self.report(path or "config", raw, "must be a table", secret=secret)
            return {}
        for key in raw:
            if not isinstance(key, str):
                self.report(path or "config", key, "must be a string: it is the name of a field")
        return {key: value for key, value in raw.items() if isinstance(key, str)}

    def report_unknown(self, path: str, key: str, known: Sequence[str], hints: Mapping[str, str]) -> None:
        """Report a field that does not exist, with the probably intended one."""
        hint = hint_for(key, hints, known)
        self.problems.append(Problem(f"{_join(path, key)}: unknown field; {hint}"))

    def values(self, path: str, cls: type, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of dataclass `cls` that `raw` gives and that are valid; the others are reported."""
        hints = _hints(cls)
        known: dict[str, Field[Any]] = {field.name: field for field in fields(cls)}
        found: dict[str, Any] = {}
        for key, value in raw.items():
            if key not in known:
                names = [name for name in known if {*get_args(hints[name])} - {NoneType} != {CodeOnly}]
                self.report_unknown(path, key, names, _HINTS.get(cls.__name__, {}))
                continue
            before = len(self.problems)
            read = self.value(_join(path, key), hints[key], value, secret=not known[key].repr)
            if value is not UNRESOLVED and (len(self.problems) == before or is_dataclass(read)):
                found[key] = read
        return found

    def build(self, path: str, cls: type[T], raw: object, *, prefix: str = "") -> T | None:
        """An instance of `cls` made of `raw`; None if it is invalid.

        `prefix`: what the paths in the class's own ConfigError begin with; it is replaced by `path`.
        """
        given = self.values(path, cls, self.table(path, raw))
        missing = [
            field.name
            for field in fields(cast("Any", cls))
            if field.name not in given and field.default is MISSING and field.default_factory is MISSING
        ]
        if missing:
            self.problems += [
                Problem(f"{_join(path, name)}: is missing") for name in missing if is_table(raw) and name not in raw
            ]
            return None
        try:
            return cls(**given)
        except ConfigError as error:
            self.problems += [Problem(problem).replace_prefix(prefix, path) for problem in error.problems]
            return None

    def value(self, path: str, annotation: Any, raw: Any, *, secret: bool = False) -> Any:
        """`raw` converted to `annotation`. If it is invalid, that is reported, and the result must not be used."""
        alternatives = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        if raw is UNRESOLVED or (raw is None and NoneType in alternatives):
            return None
        alternatives = tuple(choice for choice in alternatives if choice is not NoneType)
        if Secret in alternatives:
            return self._secret(path, raw)
        if CodeOnly in alternatives:
            if len(alternatives) == 1 or callable(raw):
                return self._code_only(path, raw)
            alternatives = tuple(choice for choice in alternatives if choice is not CodeOnly)
        collection = next((choice for choice in alternatives if get_origin(choice) is Collection), None)
        if collection is not None and get_args(collection)[0] in alternatives:  # `Limits | Collection[Limits]`
            item = get_args(collection)[0]
            return self._set(path, item, [raw] if is_table(raw) or isinstance(raw, item) else raw, secret)
        if len(alternatives) == 1:
            return self._single(path, alternatives[0], raw, secret)
        return self._union(path, alternatives, raw, secret)

    def _code_only(self, path: str, raw: Any) -> Any:
        if type(raw) in (bool, str, FromEnv, int, float, list, dict):
            name = path.rpartition(".")[2]
            owner = "Target" if name == "backend" else "Pool"
            self.report(path, raw, f"can only be given in code, as an object: {owner}(..., {name}=...)", secret=True)
        return raw

    def _union(self, path: str, alternatives: Sequence[Any], raw: Any, secret: bool) -> Any:
        for choice in alternatives:
            attempt = Coercer()
            read = attempt.value(path, choice, raw, secret=secret)
            if not attempt.problems:
                return read
        self.report(path, raw, f"must be {' or '.join(describe(choice) for choice in alternatives)}", secret=secret)
        return None

    def _secret(self, path: str, raw: Any) -> Any:
        if isinstance(raw, str):
            if not raw.strip():
                self.report(path, raw, "must not be empty", secret=True)
            return SecretStr(str(raw))
        if not callable(getattr(raw, "get_secret_value", None)) and not callable(raw):
            self.report(path, raw, 'must be a string, preferably "${NAME}" for an environment variable', secret=True)
        return raw

    def _single(self, path: str, annotation: Any, raw: Any, secret: bool) -> Any:
        origin, args = get_origin(annotation), get_args(annotation)
        if annotation is Any:
            return unwrap(raw)
        if is_dataclass(annotation):
            cls: type[Any] = cast("Any", annotation)
            given = _fields(raw) if isinstance(raw, cls) else raw
            return self.build(path, cls, given, prefix=cls.__name__.lower())
        if origin in (Collection, frozenset):
            return self._set(path, args[0], raw, secret)
        if origin is Mapping:
            items = self.table(path, raw, secret=secret).items()
            read = {key: self.value(_join(path, key), args[1], item, secret=secret) for key, item in items}
            return {key: HiddenStr(item) for key, item in read.items()} if secret and args[1] is str else read
        if hasattr(annotation, "_fields"):
            return self._named_tuple(path, annotation, raw, secret)
        read = scalar(annotation, raw)
        if read is None:
            self.report(path, raw, f"must be {describe(annotation)}", secret=secret)
        return read

    def _set(self, path: str, item: Any, raw: Any, secret: bool) -> frozenset[Any]:
        members = [raw] if isinstance(raw, str) else _as_list(raw)
        if not is_list(members):
            self.report(path, raw, f"must be a list, each item {describe(item)}", secret=secret)
            return frozenset()
        return frozenset(self.value(f"{path}[{n}]", item, member, secret=secret) for n, member in enumerate(members))

    def _named_tuple(self, path: str, cls: Any, raw: Any, secret: bool) -> Any:
        names: tuple[str, ...] = cls._fields
        needed = len(names) - len(cls._field_defaults)
        if is_list(raw) and needed <= len(raw) <= len(names):
            raw = dict(zip(names, raw, strict=False))
        if not is_table(raw) or not {*names[:needed]} <= {*raw} <= {*names}:
            shape = ", ".join([*names[:needed], *(f"[{name}]" for name in names[needed:])])
            self.report(path, raw, f"must be a list or a table of {shape}", secret=secret)
            return None
        hints = get_type_hints(cls)
        return cls(**{key: self.value(_join(path, key), hints[key], item, secret=secret) for key, item in raw.items()})


def _fields(instance: Any) -> dict[str, Any]:
    return {field.name: getattr(instance, field.name) for field in fields(instance)}


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, localns={**_CODE_ONLY_TYPES, "Rule": Rule})


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _as_list(raw: Any) -> Any:
    """A set as a list; anything else as it is."""
    if not isinstance(raw, Set):
        return raw
    return list(raw)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - of anything
