"""The tutorial's pool in front of the embedded provider: no key, no network. Endpoint `a` stands for the relay, `b` for the direct provider."""

import logging
import tomllib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hotspare import Pool
from hotspare.drill.provider import KEY, Provider

CONFIG = Path(__file__).with_name("hotspare.toml")
PATIENCE = {"completion": 1.0, "completion_min": 1.0, "first_token": 1.0, "first_token_min": 1.0}
"""Seconds for an attempt in a rehearsal, so that nothing takes long. The defaults suit real models."""

logging.getLogger("hotspare").addHandler(logging.NullHandler())  # the scripts print what happened themselves


@contextmanager
def rehearsal() -> Generator[tuple[Provider, Callable[..., Pool]]]:
    """The provider, and a function that makes a pool from `hotspare.toml`; its keywords replace tables of the file."""
    with Provider(["a", "b"]) as provider:
        addresses = {"holysheep": provider.base_url("a"), "openai": provider.base_url("b")}
        keys = {"HOLYSHEEP_API_KEY": KEY, "OPENAI_API_KEY": KEY}

        def make_pool(**tables: Any) -> Pool:
            config = {**tomllib.loads(CONFIG.read_text(encoding="utf-8")), **tables}
            targets = [{**one, "base_url": addresses[one["id"].partition("/")[0]]} for one in config["targets"]]
            return Pool.from_config({**config, "targets": targets, "policy": {"timeouts": PATIENCE}}, env=keys)

        yield provider, make_pool
