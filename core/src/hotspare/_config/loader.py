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

    [routes.batch]                         # a route with a policy of its own
    tiers = ["openai/gpt-4.1@us"]
    deadline = 600

Every mistake is reported with the path of its field.
"""

import json
import os
import tomllib
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from hotspare._config.coercion import Coercer
from hotspare._config.hints import POOL_HINTS, provider_of_model
from hotspare._config.routes import target_problems, tiers_of
from hotspare._config.scalars import UNRESOLVED, is_list, is_table
from hotspare._config.variables import Variables
from hotspare.errors import ConfigError, MissingExtra, Problem
from hotspare.monitor.config import MonitorConfig, monitor_config
from hotspare.policy import Policy
from hotspare.route import Routes
from hotspare.shared import Shared
from hotspare.target import Target

Transport = Literal["auto", "httpx"]
"""The HTTP transports, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings from which `Pool.from_config` builds a pool.

    routes: name -> tiers -> names of targets, with fields of Policy where the route has its own. Empty: one default route, by the
        targets' `tier`.
    transport: the HTTP transport.
    verify: whether TLS certificates are verified, or the path of a CA bundle.
    cert: the path of a client certificate with its key.
    proxy: a proxy's URL; None: as in the environment; False: none.
    monitor: the settings of the ledger and the alerts; None: neither.
    record: the file to which decisions are written; None: no recording.
    shared: the store through which processes share health and limits; None: nothing is shared.
    source: the file's name ("" for a dict).
    variables: the environment variables that it uses.
    """

    targets: tuple[Target, ...]
    policy: Policy = field(default_factory=Policy)
    routes: Routes = field(default_factory=dict[str, Any])
    transport: Transport = "auto"
    verify: bool | str = True
    cert: str | None = None
    proxy: bool | str | None = None
    monitor: MonitorConfig | None = None
    record: str | None = None
    shared: Shared | None = None
    source: str = ""
    variables: Variables = field(default_factory=Variables, repr=False, compare=False)

    def reporting(self) -> AbstractContextManager[None]:
        """Inside the block every ConfigError names the file, and shows no variable's value."""
        return reported(self.source, self.variables)


_FIELDS = tuple(one.name for one in fields(Config) if one.name not in ("source", "variables"))
"""What a configuration may have at its top level, besides the fields of Policy."""


def load(
    source: str | Path | Mapping[str, Any], env: Mapping[str, str] | None = None, *, placeholder: str = ""
) -> Config:
    """Read and check a configuration.

    Args:
        source: the path of a `.toml`, `.yaml`, `.yml` or `.json` file, or its content as a dict.
        env: where `${NAME}` is looked up. Default: the environment of the process.
        placeholder: the value of variables that are not set and have no default. "": they are mistakes.

    Raises:
        ConfigError: lists every mistake, not only the first. Values of variables are not shown.
        MissingExtra: for a YAML file without the extra `yaml`.
    """
    name = "" if isinstance(source, Mapping) else str(source)
    variables, coercer = Variables(env, placeholder), Coercer()
    with reported(name, variables):
        config = _build(source if isinstance(source, Mapping) else _read(source), variables, coercer)
        if config is None:  # raised here, where no local holds the file's content
            raise ConfigError(coercer.problems)
    return replace(config, source=name, variables=variables)


@contextmanager
def reported(source: str, variables: Variables) -> Generator[None]:
    """Put the name of the file into every ConfigError, and keep the values of variables out of it."""
    try:
        yield
    except ConfigError as error:
        error.problems = tuple(variables.hide(error.problems))
        error.args = ("\n".join(error.problems),)
        error.source = source
        raise


def _build(raw: Mapping[str, Any], variables: Variables, coercer: Coercer) -> Config | None:
    """The configuration; None if the coercer has found mistakes."""
    table: dict[str, Any] = {
        key: variables.expand(key, value, coercer.problems) for key, value in coercer.table("", raw).items()
    }
    targets = _targets(table.pop("targets", []), coercer)
    routes = table.pop("routes", None)
    transport = coercer.value("transport", Transport, table.pop("transport", "auto"))
    verify = coercer.value("verify", bool | str, table.pop("verify", True))
    cert = coercer.value("cert", str | None, table.pop("cert", None))
    proxy = coercer.value("proxy", bool | str | None, table.pop("proxy", None))
    monitor = monitor_config(table.pop("monitor"), coercer) if "monitor" in table else None
    record = coercer.value("record", str | None, table.pop("record", None))
    shared = _shared(table.pop("shared", None), coercer)
    policy = _policy(table, coercer)
    routes_by_name = _routes(targets, routes, coercer)
    if coercer.problems or policy is None:
        return None
    return Config(
        targets=tuple(target for target in targets if target),
        policy=policy,
        routes=routes_by_name,
        transport=transport,
        verify=verify,
        cert=cert,
        proxy=proxy,
        monitor=monitor,
        record=record,
        shared=shared,
    )


def _shared(raw: object, coercer: Coercer) -> Shared | None:
    """A URL, or a table with the fields of `Shared`."""
    if raw is None or raw is UNRESOLVED:
        return None
    return coercer.build("shared", Shared, raw if is_table(raw) else {"url": raw}, prefix="shared")


def _targets(raw: object, coercer: Coercer) -> list[Target | None]:
    """The targets; None in place of an invalid one."""
    if isinstance(raw, str) and raw is not UNRESOLVED:
        raw = [raw]
    if not is_list(raw):
        coercer.report("targets", raw, "must be a list of tables, written [[targets]] in TOML")
        return [None]
    if not raw:
        coercer.problems.append(Problem("targets: a pool needs at least one target, written [[targets]] in TOML"))
        return [None]
    found: list[Target | None] = []
    for index, item in enumerate(raw):
        before = len(coercer.problems)
        item = _with_id(f"targets[{index}]", item, coercer)
        target = item if isinstance(item, Target) else coercer.build(f"targets[{index}]", Target, item, prefix="target")
        found.append(target if len(coercer.problems) == before and not _has_unresolved(item) else None)
    coercer.problems += target_problems((index, target) for index, target in enumerate(found) if target)
    return found


def _with_id(path: str, item: Any, coercer: Coercer) -> Any:
    """The target as a table, also if it is given as its id alone. `provider` and `model` instead of `id` are reported."""
    if isinstance(item, str) and item is not UNRESOLVED:
        return {"id": item}
    if not is_table(item) or "id" in item or not isinstance(item.get("model"), str):
        return item
    model = str(item["model"])
    provider = item.get("provider") or provider_of_model(model) or "openai"
    id = f"{provider}/{model}" if "provider" in item or "/" not in model else model
    coercer.problems.append(Problem(f'{path}.id: is missing; write id = "{id}" instead of provider and model'))
    return {"id": UNRESOLVED, **{name: value for name, value in item.items() if name not in ("provider", "model")}}


def _has_unresolved(item: object) -> bool:
    return is_table(item) and any(value is UNRESOLVED for value in item.values())


def _policy(table: dict[str, Any], coercer: Coercer) -> Policy | None:
    """The policy, from the fields at the top level and those under `policy`."""
    known = [field.name for field in fields(Policy)]
    nested = coercer.table("policy", table.pop("policy", {}))
    for key in [key for key in table if key not in known]:
        coercer.report_unknown("", key, [*_FIELDS, *known], POOL_HINTS)
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


def _routes(targets: list[Target | None], raw: Any, coercer: Coercer) -> Routes:
    if raw is None or not all(targets):
        return {}
    try:
        tiers = tiers_of([target for target in targets if target], raw)
    except ConfigError as error:
        coercer.problems += [Problem(problem) for problem in error.problems]
        return {}
    found: dict[str, Any] = {}
    for name, route in raw.items():
        names = tuple(tuple(target.name for target in tier) for tier in tiers[name])
        given = {key: value for key, value in route.items() if key != "tiers"} if is_table(route) else {}
        found[name] = {"tiers": names, **coercer.values(f"routes.{name}", Policy, given)} if given else names
    return found


def _read(source: Any) -> Mapping[str, Any]:
    if not isinstance(source, str | os.PathLike):
        raise ConfigError(Problem.at("config", source, "must be the path of a config file, or its content as a dict"))
    path = Path(cast("str", source))
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ConfigError(Problem(f"{path}: must end in one of {', '.join(_PARSERS)}"))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(Problem(f"{path}: does not exist: give the path of a config file")) from None
    except UnicodeDecodeError:
        raise ConfigError(Problem(f"{path}: is not UTF-8 text: save it as UTF-8")) from None
    except OSError as error:
        raise ConfigError(Problem(f"{path}: cannot be read: {error.strerror}")) from None
    try:
        raw = parse(text, path)
    except RecursionError:
        raise ConfigError(Problem(f"{path}: is nested too deeply: make it flatter")) from None
    if not is_table(raw):
        raise ConfigError(Problem(f"{path}: must contain a table with `targets`, not a {type(raw).__name__}"))
    return raw


def _toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also for integers of over 4,300 digits
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
    except ConfigError:
        raise
    except ValueError as error:  # integers of over 4,300 digits
        raise ConfigError(Problem(f"{path}: invalid JSON: {error}")) from None


def _yaml(text: str, path: Path) -> Any:
    try:
        from hotspare._config.yaml_reader import parse
    except ImportError:
        raise MissingExtra(f"{path}: reading YAML", "yaml") from None
    return parse(text, path)


_PARSERS: dict[str, Callable[[str, Path], Any]] = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml, ".json": _json}
