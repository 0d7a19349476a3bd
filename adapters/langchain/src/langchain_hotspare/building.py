"""From what `ChatHotspare(...)` is given to the pool behind it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from hotspare import Pool
from hotspare.errors import ConfigError, Problem
from langchain_core.language_models import BaseChatModel

from langchain_hotspare.members import targets_of

log = logging.getLogger("hotspare")

_SOURCES = ("pool", "targets", "models", "config")
_OF_MEMBERS = frozenset({"api_key", "base_url", "max_retries"})
"""Words of other chat models that belong to targets here; they are taken, so that a swap of classes is one, and say nothing."""


def with_pool(given: dict[str, Any], cls: type[BaseChatModel]) -> dict[str, Any]:
    """One of `pool`, `targets`, `models`, `config` becomes the pool; every other word must be a field."""
    problems = list(_unknown(given.keys() - _OF_MEMBERS, cls))
    sources = [name for name in _SOURCES if given.get(name) is not None]
    if len(sources) != 1:
        problems.append(Problem.at("ChatHotspare", sources, f"must be given one of {', '.join(_SOURCES)}"))
    if given.get("policy") is not None and sources in (["pool"], ["config"]):
        problems.append(Problem(f"policy: a pool that comes by `{sources[0]}` has its own; give it there"))
    if given.get("pool") is not None and not isinstance(given["pool"], Pool):
        problems.append(Problem.at("pool", given["pool"], "must be a hotspare.Pool"))
    if problems:
        raise ConfigError(problems)
    if given.get("pool") is None:
        given["pool"] = _pool_of(given)
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    for name in sorted(given.keys() & {"api_key", "base_url"}):
        log.warning("ChatHotspare: %s is a target's own and is not used here", name)
    return {name: value for name, value in given.items() if name not in (*_SOURCES[1:], "policy", *_OF_MEMBERS)}


def _pool_of(given: Mapping[str, Any]) -> Pool:
    if given.get("config") is not None:
        return Pool.from_config(given["config"])
    targets = given["targets"] if given.get("targets") is not None else targets_of(given["models"])
    return Pool(targets, policy=given.get("policy"))


def _unknown(names: set[str], cls: type[BaseChatModel]) -> Iterator[Problem]:
    """Words that are no field: a misspelt one must not be silently without effect."""
    fields = [*cls.model_fields, "timeout", "route"]
    for name in sorted(names - set(fields)):
        near = get_close_matches(name, fields, 1)
        hint = f"did you mean {near[0]!r}?" if near else "further words of a call go into model_kwargs"
        yield Problem(f"ChatHotspare: {name!r} is no field; {hint}")
