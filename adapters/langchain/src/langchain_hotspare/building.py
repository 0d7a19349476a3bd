"""The pool behind a `ChatHotspare`, from the constructor's arguments."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from hotspare import ConfigError, Pool, Problem
from langchain_core.language_models import BaseChatModel

from langchain_hotspare.targets import targets_of

log = logging.getLogger("hotspare")

_SOURCES = ("pool", "targets", "models", "config")
_UNUSED = frozenset({"api_key", "base_url", "max_retries"})
"""Arguments of other chat models that belong to targets here. They are accepted and ignored, so that ChatHotspare can replace such a
model without further changes."""


def with_pool(given: dict[str, Any], cls: type[BaseChatModel]) -> dict[str, Any]:
    """The constructor's arguments with `pool` in place of `targets`, `models`, `config` and `policy`.

    Raises ConfigError naming every mistake.
    """
    problems = list(_problems(given, cls))
    if problems:
        raise ConfigError(problems)
    if given.get("pool") is None:
        given["pool"] = build_pool(given)
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    for name in sorted(given.keys() & {"api_key", "base_url"}):
        log.warning("ChatHotspare: %s is not used: set it on each target", name)
    return {name: value for name, value in given.items() if name not in (*_SOURCES[1:], "policy", *_UNUSED)}


def build_pool(given: dict[str, Any]) -> Pool:
    """A pool from `config`, `targets` or `models`."""
    if given.get("config") is not None:
        return Pool.from_config(given["config"])
    targets = given["targets"] if given.get("targets") is not None else targets_of(given["models"])
    return Pool(targets, policy=given.get("policy"))


def _problems(given: dict[str, Any], cls: type[BaseChatModel]) -> Iterator[Problem]:
    """Mistakes in the constructor's arguments. An unknown argument is a mistake, because a misspelt name must not be ignored."""
    fields = [*cls.model_fields, "timeout", "route"]
    for name in sorted(given.keys() - _UNUSED - set(fields)):
        near = get_close_matches(name, fields, 1)
        hint = f"did you mean {near[0]!r}?" if near else "further arguments of a call go into model_kwargs"
        yield Problem(f"ChatHotspare: {name!r} is not a field; {hint}")
    sources = [name for name in _SOURCES if given.get(name) is not None]
    if len(sources) != 1:
        yield Problem.at("ChatHotspare", sources, f"must be exactly one of {', '.join(_SOURCES)}")
    if given.get("policy") is not None and sources in (["pool"], ["config"]):
        yield Problem(f"policy: cannot be combined with {sources[0]}, which has its own: set it there")
    if given.get("pool") is not None and not isinstance(given["pool"], Pool):
        yield Problem.at("pool", given["pool"], "must be a hotspare.Pool")
