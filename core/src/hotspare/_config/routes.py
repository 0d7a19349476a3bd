"""Routes: which targets a call may ask, tier by tier. The checks that code, config files and `Pool` share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hotspare.errors import ConfigError, Problem, did_you_mean
from hotspare.target import Target

DEFAULT = "default"
"""The route of a call that names no model."""

Tiers = tuple[tuple[Target, ...], ...]
"""A route: its tiers in the order in which they are asked, each of targets of equal standing."""


def check_targets(targets: Sequence[Target]) -> None:
    """Whether these can be a pool: at least one, no name twice, every provider known, every key there.

    Raises:
        ConfigError: with every mistake found, each placed as ``targets[2].name``.
    """
    if not targets:
        raise ConfigError(Problem("targets: a pool needs at least one target, e.g. Target('openai/gpt-4.1')"))
    problems = target_problems(enumerate(targets))
    if problems:
        raise ConfigError(problems)


def target_problems(numbered: Iterable[tuple[int, Target]], *, called: bool = True) -> list[Problem]:
    """What is wrong with targets and between them, each given with its place in the list. `called`: by hotspare itself,
    which needs a provider it knows, an address and a key."""
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for index, target in numbered:
        place = f"targets[{index}]"
        if not isinstance(target, Target):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            problems.append(Problem.at(place, target, "must be a Target, e.g. Target('openai/gpt-4.1')"))
            continue
        if target.name in first:
            way_out = f"is the name of targets[{first[target.name]}] too: give one of them another `name` or `region`"
            problems.append(Problem.at(f"{place}.name", target.name, way_out))
        first.setdefault(target.name, index)
        if called:
            problems += _provider_problems(place, target)
    return problems


def _provider_problems(place: str, target: Target) -> list[Problem]:
    """An unknown provider; else no address and no key, each in the words of the presets."""
    if target.backend is not None:
        return []
    from hotspare.providers.entry_points import has_entry_point
    from hotspare.providers.presets import PRESETS, preset_of

    if target.provider not in PRESETS and has_entry_point(target.provider):
        return []
    problems: list[Problem] = []
    try:
        preset = preset_of(target)
        for check in (preset.base_url_of, preset.key_of):
            try:
                check(target)
            except ConfigError as error:
                problems += _placed(error, place, target)
    except ConfigError as error:
        problems += _placed(error, place, target)
    return problems


def _placed(error: ConfigError, place: str, target: Target) -> list[Problem]:
    named = f"target {target.name!r}: "
    return [Problem(problem.removeprefix(named)).moved("target", place) for problem in error.problems]


def tiers_of(targets: Sequence[Target], routes: Mapping[str, Sequence[Any]] | None = None) -> dict[str, Tiers]:
    """Every route of a pool, by name.

    Args:
        targets: the pool's, in the order in which they were written.
        routes: name -> tiers -> names of targets, e.g. ``{"default": [["a", "b"], ["c"]]}``. A tier of one target may be
            written as its bare name. Without a ``default`` route, one is made of all targets by their `tier`.

    Raises:
        ConfigError: with every mistake found, each placed as ``routes.default[0][1]``.
    """
    by_name = {target.name: target for target in targets}
    problems: list[Problem] = []
    found: dict[str, Tiers] = {}
    if routes is not None and not isinstance(routes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(Problem.at("routes", routes, "must be a table: name -> list of tiers"))
    for name, tiers in (routes or {}).items():
        found[str(name)] = _tiers(f"routes.{name}", tiers, by_name, problems)
    if problems:
        raise ConfigError(problems)
    if DEFAULT not in found:
        found = {DEFAULT: _by_tier(targets), **found}
    return found


def _by_tier(targets: Sequence[Target]) -> Tiers:
    levels = sorted({target.tier for target in targets})
    return tuple(tuple(target for target in targets if target.tier == level) for level in levels)


def _tiers(place: str, tiers: Any, by_name: Mapping[str, Target], problems: list[Problem]) -> Tiers:
    if not _is_list(tiers) or not tiers:
        problems.append(Problem.at(place, tiers, "must be a list of tiers, e.g. [['a', 'b'], ['c']]"))
        return ()
    seen: dict[str, str] = {}
    route: list[tuple[Target, ...]] = []
    for index, tier in enumerate(tiers):
        here = f"{place}[{index}]"
        names = [tier] if isinstance(tier, str) else tier
        if not _is_list(names) or not names:
            problems.append(Problem.at(here, tier, "must be a list of target names, at least one"))
            continue
        members = [_member(f"{here}[{n}]", name, by_name, seen, problems) for n, name in enumerate(names)]
        route.append(tuple(member for member in members if member is not None))
    return tuple(route)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _member(
    place: str, name: object, by_name: Mapping[str, Target], seen: dict[str, str], problems: list[Problem]
) -> Target | None:
    if not isinstance(name, str):
        problems.append(Problem.at(place, name, "must be a target's name"))
        return None
    if name not in by_name:
        known = f"the targets are {', '.join(by_name)}"
        problems.append(Problem.at(place, name, f"names no target; {did_you_mean(name, list(by_name), known)}"))
        return None
    if name in seen:
        problems.append(Problem.at(place, name, f"stands at {seen[name]} already: a route asks a target once"))
        return None
    seen[name] = place
    return by_name[name]
