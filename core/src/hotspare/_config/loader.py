"""Configuration from a TOML, YAML or JSON file, or from a dict, with `${NAME}` for environment variables.

::

    deadline = 30                          # any field of Policy, here or under [policy]

    [policy.breaker]
    break_duration = 5

    [[targets]]
    id = "openai/gpt-4.1"
    region = "us"
    api_key = "${OPENAI_API_KEY}"          # ${NAME:-default} for a default, $${ for a literal ${

    [routes]
    default = [["openai/gpt-4.1@us"]]      # tiers of target names

Every mistake is reported with the path of its field.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from hotspare._config.coercion import Coercer
from hotspare._config.routes import target_problems, tiers_of
from hotspare._config.scalars import UNRESOLVED, FromEnv, is_list, is_table
from hotspare.errors import ConfigError, MissingExtra, Problem
from hotspare.policy import Policy
from hotspare.target import Target

Transport = Literal["auto", "httpx", "aiohttp"]
"""The HTTP transports, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What `Pool.from_config` builds a pool from.

    routes: name -> tiers -> names of targets. Empty: one default route, by the targets' `tier`.
    transport: the HTTP transport.
    verify: whether TLS certificates are verified, or the path of a CA bundle.
    """

    targets: tuple[Target, ...]
    policy: Policy = field(default_factory=Policy)
    routes: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict[str, tuple[tuple[str, ...], ...]])
    transport: Transport = "auto"
    verify: bool | str = True


def load(source: str | Path | Mapping[str, Any], env: Mapping[str, str] | None = None) -> Config:
    """Read and check a configuration.

    Args:
        source: the path of a `.toml`, `.yaml`, `.yml` or `.json` file, or its content as a dict.
        env: where `${NAME}` is looked up. Default: the environment of the process.

    Raises:
        ConfigError: lists every mistake, not only the first. Values of variables are not shown.
        MissingExtra: for a YAML file without the extra `yaml`.
    """
    if isinstance(source, Mapping):
        return _build(source, os.environ if env is None else env)
    if not isinstance(source, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise ConfigError(Problem.at("config", source, "must be the path of a config file, or its content as a dict"))
    try:
        return _build(_read(Path(source)), os.environ if env is None else env)
    except ConfigError as error:
        error.add_note(f"in {source}")
        raise


def _build(raw: Mapping[str, Any], env: Mapping[str, str]) -> Config:
    coercer = Coercer()
    table: dict[str, Any] = {
        key: _expand(key, value, env, coercer.problems) for key, value in coercer.table("", raw).items()
    }
    targets = _targets(table.pop("targets", []), coercer)
    routes = table.pop("routes", None)
    transport = coercer.value("transport", Transport, table.pop("transport", "auto"))
    verify = coercer.value("verify", bool | str, table.pop("verify", True))
    policy = _policy(table, coercer)
    routes_by_name = _routes(targets, routes, coercer)
    if coercer.problems or policy is None:
        raise ConfigError(coercer.problems)
    return Config(
        targets=tuple(target for target in targets if target),
        policy=policy,
        routes=routes_by_name,
        transport=transport,
        verify=verify,
    )


def _targets(raw: object, coercer: Coercer) -> list[Target | None]:
    """The targets; None in place of an invalid one."""
    if not is_list(raw):
        coercer.report("targets", raw, "must be a list of tables, written [[targets]] in TOML")
        return [None]
    if not raw:
        coercer.problems.append(Problem("targets: a pool needs at least one target, written [[targets]] in TOML"))
        return [None]
    found: list[Target | None] = []
    for index, item in enumerate(raw):
        before = len(coercer.problems)
        target = item if isinstance(item, Target) else coercer.build(f"targets[{index}]", Target, item, prefix="target")
        found.append(target if len(coercer.problems) == before and not _has_unresolved(item) else None)
    coercer.problems += target_problems((index, target) for index, target in enumerate(found) if target)
    return found


def _has_unresolved(item: object) -> bool:
    return is_table(item) and any(value is UNRESOLVED for value in item.values())


def _policy(table: dict[str, Any], coercer: Coercer) -> Policy | None:
    """The policy, from the fields at the top level and those under `policy`."""
    known = [field.name for field in fields(Policy)]
    nested = coercer.table("policy", table.pop("policy", {}))
    for key in [key for key in table if key not in known]:
        coercer.report_unknown("", key, ["targets", "routes", "policy", "transport", "verify", *known])
        del table[key]
    for key in table.keys() & nested.keys():
        coercer.report(f"policy.{key}", nested[key], "is also given at the top level: keep one of them")
    given = {**coercer.values("policy", Policy, nested), **coercer.values("", Policy, table)}
    try:
        return Policy(**given)
    except ConfigError as error:
        for problem in error.problems:
            name = problem.removeprefix("policy.").partition(":")[0].partition(".")[0]
            coercer.problems.append(Problem(problem).replace_prefix("policy", "" if name in table else "policy"))
        return None


def _routes(targets: list[Target | None], raw: Any, coercer: Coercer) -> dict[str, tuple[tuple[str, ...], ...]]:
    if raw is None or not all(targets):
        return {}
    try:
        tiers = tiers_of([target for target in targets if target], raw)
    except ConfigError as error:
        coercer.problems += [Problem(problem) for problem in error.problems]
        return {}
    return {name: tuple(tuple(t.name for t in tier) for tier in route) for name, route in tiers.items() if name in raw}


_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[^}:]*)(?P<default>:-[^}]*)?(?P<end>[^}]*\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _expand(path: str, value: Any, env: Mapping[str, str], problems: list[Problem]) -> Any:
    """`value` with `${NAME}` and `${NAME:-default}` replaced in every string, at any depth."""
    if is_table(value):
        return {key: _expand(f"{path}.{key}", item, env, problems) for key, item in value.items()}
    if is_list(value):
        return [_expand(f"{path}[{n}]", item, env, problems) for n, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    before = len(problems)
    filled = _VARIABLE.sub(lambda match: _look_up(path, match, env, problems), value)
    return FromEnv(filled, value) if len(problems) == before else UNRESOLVED


def _look_up(path: str, match: re.Match[str], env: Mapping[str, str], problems: list[Problem]) -> str:
    if match[0] == "$${":
        return "${"
    name, default = match["name"], match["default"]
    if match["end"] != "}" or not _NAME.fullmatch(name):
        problems.append(
            Problem(f"{path}: invalid variable; write ${{NAME}}, ${{NAME:-default}}, or $${{ for a literal ${{")
        )
        return ""
    # An empty variable counts as not set, as in the shell's ${NAME:-default}.
    if env.get(name):
        return env[name]
    if default is not None:
        return default.removeprefix(":-")
    state = "is empty" if name in env else "is not set"
    problems.append(Problem(f"{path}: the environment variable {name} {state}; set it, or write ${{{name}:-default}}"))
    return ""


def _read(path: Path) -> Mapping[str, Any]:
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ConfigError(Problem.at("config", str(path), f"must end in one of {', '.join(_PARSERS)}"))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(Problem.at("config", str(path), "does not exist: give the path of a config file")) from None
    except UnicodeDecodeError:
        raise ConfigError(Problem.at("config", str(path), "is not UTF-8 text")) from None
    except OSError as error:
        raise ConfigError(Problem.at("config", str(path), f"cannot be read: {error.strerror}")) from None
    raw = parse(text, path)
    if not is_table(raw):
        raise ConfigError(Problem(f"{path}: must hold a table with `targets`, not a {type(raw).__name__}"))
    return raw


def _toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(Problem(f"{path}: invalid TOML: {error}")) from None


def _json(text: str, path: Path) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            duplicate = next(name for name in names if names.count(name) > 1)
            raise ConfigError(Problem(f"{path}: duplicate key {duplicate!r} in one table: keep one of them"))
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ConfigError(
            Problem(f"{path}: line {error.lineno}, column {error.colno}: invalid JSON: {error.msg}")
        ) from None


def _yaml(text: str, path: Path) -> Any:
    try:
        from hotspare._config.yaml_reader import parse
    except ImportError:
        raise MissingExtra(f"{path}: reading YAML", "yaml") from None
    return parse(text, path)


_PARSERS: dict[str, Callable[[str, Path], Any]] = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml, ".json": _json}
