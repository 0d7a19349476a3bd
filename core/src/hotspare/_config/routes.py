"""Routes: which targets a call may use, tier by tier; and the checks of targets that config files and `Pool` share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from hotspare.errors import ConfigError, Problem, did_you_mean
from hotspare.policy import Policy, policy_of
from hotspare.route import SHARED
from hotspare.target import Target

DEFAULT = "default"
"""The route of a call that names no model."""
_CALL_METHODS = ("send", "asend", "stream", "astream")
"""The methods of a backend that make calls. A backend that is used for some kinds of calls only need not have all."""
Tiers = tuple[tuple[Target, ...], ...]
"""A route: its tiers in the order in which they are tried. The targets of a tier are of equal standing."""


def targets_of(given: Any, more: Iterable[object] = ()) -> tuple[Target, ...]:
    """The targets of a pool, from its argument: `Target`s and ids, one or several.

    Raises:
        ConfigError: lists every mistake, with paths like ``targets[2].id``.
    """
    if isinstance(given, str) and given.lower().endswith((".toml", ".yaml", ".yml", ".json")):
        raise ConfigError(Problem.at("targets", given, f"is the name of a file: Pool.from_config({given!r})"))
    if isinstance(given, Mapping) or not isinstance(given, Iterable | Target):
        hint = "must be Targets or ids: Pool(['openai/gpt-4.1']); a configuration is read by Pool.from_config"
        raise ConfigError(Problem.at("targets", cast("object", given), hint))
    found = [*([given] if isinstance(given, str | Target) else cast("Iterable[object]", given)), *more]
    problems: list[Problem] = []
    for index, item in enumerate(found):
        if isinstance(item, str):
            try:
                found[index] = Target(item)
            except ConfigError as error:
                problems += [Problem(one).replace_prefix("target", f"targets[{index}]") for one in error.problems]
    if problems:
        raise ConfigError(problems)
    return cast("tuple[Target, ...]", tuple(found))  # `check_targets` reports items that are not Targets


def check_targets(targets: Sequence[Target]) -> None:
    """Check the targets of a pool: at least one, unique names, known providers, base URLs and keys present.

    Raises:
        ConfigError: lists every mistake, with paths like ``targets[2].name``.
    """
    if not targets:
        raise ConfigError(Problem("targets: a pool needs at least one target, e.g. Target('openai/gpt-4.1')"))
    problems = target_problems(enumerate(targets))
    problems += [problem for index, target in enumerate(targets) for problem in _backend_problems(index, target)]
    if problems:
        raise ConfigError(problems)


def _backend_problems(index: int, target: Target) -> list[Problem]:
    backend = getattr(target, "backend", None)  # items that are not Targets are reported elsewhere
    if backend is None:
        return []
    missing = [name for name in ("unsupported", "classify") if not callable(getattr(backend, name, None))]
    if not any(callable(getattr(backend, name, None)) for name in _CALL_METHODS):
        missing += _CALL_METHODS
    hint = f"has no {', '.join(missing)}: a backend has the methods of hotspare.Backend"
    return [Problem(f"targets[{index}].backend: {type(backend).__name__} {hint}")] if missing else []


def target_problems(numbered: Iterable[tuple[int, Target]], *, check_provider: bool = True) -> list[Problem]:
    """The mistakes in these targets; each target comes with its index in the pool's list.

    `check_provider`: whether hotspare makes the calls itself, so that it needs a known provider, a base URL and a key.
    """
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for index, target in numbered:
        path = f"targets[{index}]"
        if not isinstance(target, Target):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            problems.append(
                Problem.at(path, target, f"must be a Target, e.g. Target('openai/gpt-4.1'){_place_for(target)}")
            )
            continue
        if target.name in first:
            hint = f"is also the name of targets[{first[target.name]}]: give one of them another `name` or `region`"
            problems.append(Problem.at(f"{path}.name", target.name, hint))
        first.setdefault(target.name, index)
        if check_provider:
            problems += _provider_problems(path, target)
    return problems


def _provider_problems(path: str, target: Target) -> list[Problem]:
    """An unknown provider; or, of a known one, a missing base URL and a missing key."""
    if target.backend is not None:
        return []
    from hotspare.providers.entry_points import has_entry_point
    from hotspare.providers.presets import PRESETS, preset_of

    if target.provider not in PRESETS and has_entry_point(target.provider):
        return []
    problems: list[Problem] = []
    try:
        preset = preset_of(target)
        for check in (preset.wire, preset.base_url_of, preset.key_of):
            try:
                check(target)
            except ConfigError as error:
                problems += _with_path(error, path, target)
    except ConfigError as error:
        problems += _with_path(error, path, target)
    return problems


def _place_for(value: object) -> str:
    """The adapter for a framework's model, or the keyword for a policy, that was given as a target; "" for anything else."""
    package = type(value).__module__.partition(".")[0]
    if package.startswith("langchain"):
        return "; a model of LangChain: pip install langchain-hotspare, ChatHotspare(models=[…])"
    if package.startswith("llama_index"):
        return "; a model of LlamaIndex: pip install llama-index-llms-hotspare, Hotspare(llms=[…])"
    if type(value).__name__ == "Policy":
        return "; a policy is a keyword: policy=…"
    return ""


def _with_path(error: ConfigError, path: str, target: Target) -> list[Problem]:
    named = f"target {target.name!r}: "
    return [Problem(problem.removeprefix(named)).replace_prefix("target", path) for problem in error.problems]


def tiers_of(targets: Sequence[Target], routes: Mapping[str, Any] | None = None) -> dict[str, Tiers]:
    """Every route of a pool, by name.

    Args:
        targets: the pool's, in order.
        routes: name -> tiers -> names of targets, e.g. ``{"default": [["a", "b"], ["c"]]}``. A tier of one target may be
            written as its name alone; a route with a policy of its own is a table with its `tiers`. Without a ``default``
            route, one is made of all targets by their `tier`.

    Raises:
        ConfigError: lists every mistake, with paths like ``routes.default[0][1]``.
    """
    by_name = {target.name: target for target in targets}
    problems: list[Problem] = []
    found: dict[str, Tiers] = {}
    if routes is not None and not isinstance(routes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(Problem.at("routes", routes, "must be a table: name -> list of tiers"))
    for name, tiers in (routes or {}).items():
        path = f"routes.{name}"
        if isinstance(tiers, Mapping):
            path, tiers = f"{path}.tiers", cast("Mapping[str, Any]", tiers).get("tiers")
        found[str(name)] = _tiers(path, tiers, by_name, problems)
    if problems:
        raise ConfigError(problems)
    if DEFAULT not in found:
        found = {DEFAULT: _by_tier(targets), **found}
    return found


def route_policies(routes: Mapping[str, Any] | None, policy: Policy) -> dict[str, Policy]:
    """The policies of the routes that have one of their own: the pool's, with the fields that the route sets.

    Raises ConfigError, with paths like ``routes.batch.deadline``.
    """
    found: dict[str, Policy] = {}
    problems: list[Problem] = []
    for name, route in (routes or {}).items():
        if not isinstance(route, Mapping):
            continue
        given = {key: value for key, value in cast("Mapping[str, Any]", route).items() if key != "tiers"}
        hint = "is shared by all calls of the pool: set it there"
        problems += [Problem.at(f"routes.{name}.{key}", given[key], hint) for key in SHARED if key in given]
        try:
            found[str(name)] = policy_of(policy, given)
        except ConfigError as error:
            problems += [Problem(f"routes.{name}.{one.removeprefix('policy.')}") for one in error.problems]
    if problems:
        raise ConfigError(problems)
    return found


def _by_tier(targets: Sequence[Target]) -> Tiers:
    levels = sorted({target.tier for target in targets})
    return tuple(tuple(target for target in targets if target.tier == level) for level in levels)


def _tiers(path: str, tiers: Any, by_name: Mapping[str, Target], problems: list[Problem]) -> Tiers:
    if not _is_list(tiers) or not tiers:
        problems.append(Problem.at(path, tiers, "must be a list of tiers, e.g. [['a', 'b'], ['c']]"))
        return ()
    seen: dict[str, str] = {}
    route: list[tuple[Target, ...]] = []
    for index, tier in enumerate(tiers):
        tier_path = f"{path}[{index}]"
        names = [tier] if isinstance(tier, str) else tier
        if not _is_list(names) or not names:
            problems.append(Problem.at(tier_path, tier, "must be a list of at least one target name"))
            continue
        members = [_member(f"{tier_path}[{n}]", name, by_name, seen, problems) for n, name in enumerate(names)]
        route.append(tuple(member for member in members if member is not None))
    return tuple(route)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _member(
    path: str, name: object, by_name: Mapping[str, Target], seen: dict[str, str], problems: list[Problem]
) -> Target | None:
    if not isinstance(name, str):
        problems.append(Problem.at(path, name, "must be the name of a target"))
        return None
    if name not in by_name:
        known = f"the targets are {', '.join(by_name)}"
        problems.append(
            Problem.at(path, name, f"is not the name of a target; {did_you_mean(name, list(by_name), known)}")
        )
        return None
    if name in seen:
        problems.append(Problem.at(path, name, f"is already at {seen[name]}: a route uses a target once"))
        return None
    seen[name] = path
    return by_name[name]
