"""The pool behind a `Hotspare`, from the constructor's arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

from llama_index.core.llms.llm import LLM
from llama_index.llms.hotspare.targets import targets_of

from hotspare import ConfigError, Policy, Pool, Problem, Target

Config = str | PathLike[str] | Mapping[str, Any]


def build_pool(
    pool: Pool | None,
    targets: Sequence[Target] | None,
    config: Config | None,
    llms: Sequence[LLM | Target] | None,
    policy: Policy | None,
) -> Pool:
    """The pool that is given, or one built from `targets`, `config` or `llms`. Raises ConfigError naming the mistake."""
    given = {"pool": pool, "targets": targets, "config": config, "llms": llms}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        way_out = "give exactly one of pool=Pool(…), targets=[Target(…)], config='hotspare.toml', llms=[OpenAI(…)]"
        raise ConfigError(Problem.at("Hotspare", names, way_out))
    if policy is not None and (pool is not None or config is not None):
        raise ConfigError(Problem(f"policy: cannot be combined with {names[0]}, which has its own: set it there"))
    if pool is not None:
        return pool
    if config is not None:
        return Pool.from_config(config if isinstance(config, Mapping) else fspath(config))
    return Pool(targets_of(llms or ()) if targets is None else targets, policy=policy)


def path_of(config: Config | None) -> str | None:
    """The configuration file's path. None for a mapping, which may hold keys and is not stored."""
    return None if config is None or isinstance(config, Mapping) else fspath(config)
