# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Values that are valid for a JSON schema: the arguments of tool calls, and structured answers."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

Schema = Mapping[str, Any]

_FORMATS: Final = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "PT5M",
    "email": "spare@example.com",
    "uri": "https://example.com/spare",
    "url": "https://example.com/spare",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
    "binary": "aGVsbG8=",
    "byte": "aGVsbG8=",
}
_WORDS: Final = ("Seoul", "Busan", "Tokyo", "서울", "Oslo", "Lima", "Quito", "東京")
_MAX_DEPTH: Final = 8


def sample(schema: Schema, seed: str) -> Any:
    """A value that is valid for `schema`. It depends on `schema` and `seed` only.

    Supports `$ref`, `allOf`, `anyOf`, `oneOf`, `const`, `enum`, objects, arrays, strings (length, format, simple patterns),
    numbers (bounds, multiples), and Gemini's upper-case type names. Optional properties are included down to a depth of
    eight levels, required ones always.
    """
    return _Sampler(schema).value(schema, seed, 0)


class _Sampler:
    """Samples the parts of one schema; references are looked up in its root."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def value(self, raw: Any, seed: str, depth: int) -> Any:
        """A value for `raw`, which is `depth` levels below the root."""
        schema = self._resolve(raw)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            values = [v for v in schema["enum"] if v is not None] or schema["enum"]
            return values[_number(seed) % len(values)]
        for union in ("anyOf", "oneOf"):
            if schema.get(union):
                return self.value(self._branch(schema, union, depth), seed, depth)
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, seed, depth)
        if kind == "array":
            return self._array(schema, seed, depth)
        return _SCALARS.get(kind, _string)(schema, seed)

    def _resolve(self, schema: Any) -> dict[str, Any]:
        """Follow `$ref` and merge `allOf`. The schema `true` becomes {}."""
        if not isinstance(schema, Mapping):
            return {}
        found = dict(cast("Schema", schema))
        while isinstance(ref := found.pop("$ref", None), str):
            node: Any = self._root
            for part in ref.removeprefix("#").strip("/").split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")] if part else node
            found = {**node, **found}
        for part in found.pop("allOf", ()):
            merged = self._resolve(part)
            properties = {**found.get("properties", {}), **merged.get("properties", {})}
            required = [*found.get("required", ()), *merged.get("required", ())]
            found = {**found, **merged}
            if properties:
                found["properties"], found["required"] = properties, required
        return found

    def _branch(self, schema: Schema, union: str, depth: int) -> Schema:
        branches = [self._resolve(branch) for branch in schema[union]]
        real = [branch for branch in branches if branch.get("type") not in ("null", "NULL")] or branches
        # the first branch is usually the main one; the last one usually ends a recursive type (`Node | str`)
        branch = real[-1] if depth >= _MAX_DEPTH else real[0]
        rest = {name: v for name, v in schema.items() if name not in (union, "description", "title", "default")}
        return {**rest, **branch}

    def _object(self, schema: Schema, seed: str, depth: int) -> dict[str, Any]:
        properties = cast("Mapping[str, Any]", schema.get("properties") or {})
        required = cast("Sequence[str]", schema.get("required") or ())
        names = [name for name in properties if depth < _MAX_DEPTH or name in required]
        made = {name: self.value(properties[name], f"{seed}.{name}", depth + 1) for name in names}
        extra = schema.get("additionalProperties")
        for name in required:
            made.setdefault(name, self.value(extra, f"{seed}.{name}", depth + 1))
        if not properties and isinstance(extra, Mapping) and depth < _MAX_DEPTH:
            made["key"] = self.value(extra, f"{seed}.key", depth + 1)
        return made

    def _array(self, schema: Schema, seed: str, depth: int) -> list[Any]:
        fixed = cast("Sequence[Any]", schema.get("prefixItems") or ())
        made = [self.value(item, f"{seed}[{i}]", depth + 1) for i, item in enumerate(fixed)]
        least = int(schema.get("minItems") or 0)
        most = int(schema["maxItems"]) if schema.get("maxItems") is not None else max(least, len(made), 2)
        wanted = max(least, min(most, len(made) or 2)) if depth < _MAX_DEPTH else max(least, len(made))
        items = schema.get("items")
        if items is False:
            return made
        for number in range(len(made), wanted + 64):  # more tries than items, because unique items may repeat at first
            if len(made) >= wanted:
                break
            item = self.value(items, f"{seed}[{number}]", depth + 1)
            if not (schema.get("uniqueItems") and item in made):
                made.append(item)
        return made


def _number(seed: str) -> int:
    return int.from_bytes(hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")


def _kind(schema: Schema) -> str:
    kind: Any = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind.lower()
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _string(schema: Schema, seed: str) -> str:
    if (known := _FORMATS.get(str(schema.get("format")))) is not None:
        return known
    if isinstance(pattern := schema.get("pattern"), str) and (fitting := _from_pattern(pattern)) is not None:
        return fitting
    text = _WORDS[_number(seed) % len(_WORDS)].ljust(int(schema.get("minLength") or 0), "x")
    most = schema.get("maxLength")
    return text[: int(most)] if most is not None else text


def _from_pattern(pattern: str) -> str | None:
    """A string for the simple patterns of tools (character classes with counts). None for any other pattern."""
    out = ""
    for match in re.finditer(r"(\\d|\\w|\[[^\]]+\]|\\?[^\\\[\](){}*+?^$|])(?:\{(\d+)(?:,\d*)?\}|[+*?])?", pattern):
        atom, count = match[1], int(match[2] or 1)
        sign = "7" if atom == "\\d" else "a" if atom == "\\w" else atom[1] if len(atom) > 1 else atom
        out += sign * count
    try:
        return out if re.search(pattern, out) else None
    except re.error:
        return None


def _bounds(schema: Schema, step: float) -> tuple[float | None, float | None]:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lows = [float(v) for v in (low, above + step if isinstance(above, int | float) else None) if v is not None]
    highs = [float(v) for v in (high, below - step if isinstance(below, int | float) else None) if v is not None]
    return (max(lows) if lows else None), (min(highs) if highs else None)


def _integer(schema: Schema, seed: str) -> int:
    low, high = _bounds(schema, 1)
    value = float(_number(seed) % 90 + 10)
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    whole = int(value) if high is not None or value == int(value) else int(value) + 1
    multiple = schema.get("multipleOf")
    if isinstance(multiple, int | float) and multiple:
        whole = int(-(-whole // multiple) * multiple)
        whole = whole - int(multiple) if high is not None and whole > high else whole
    return whole


def _float(schema: Schema, seed: str) -> float:
    low, high = _bounds(schema, 0.25)
    if low is not None and high is not None:
        return (low + high) / 2
    value = (_number(seed) % 360) / 4
    value = max(value, low) if low is not None else value
    return min(value, high) if high is not None else value


_SCALARS: Final[Mapping[str, Callable[[Schema, str], Any]]] = {
    "integer": _integer,
    "number": _float,
    "boolean": lambda schema, seed: _number(seed) % 2 == 0,
    "null": lambda schema, seed: None,
}
