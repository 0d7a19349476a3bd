"""Backends of other distributions: the entry points of group `hotspare.backends`.

A distribution that provides the backend of ``Target("<name>/…")`` registers under ``<name>`` a callable that takes the Target
and returns its Backend::

    [project.entry-points."hotspare.backends"]
    litellm = "litellm_hotspare:LiteLLMBackend"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotspare.backend import Backend
    from hotspare.target import Target

GROUP = "hotspare.backends"
DISTRIBUTIONS: Mapping[str, str] = {"litellm": "litellm-hotspare"}
"""Known provider names, and the distribution to install for each."""


def has_entry_point(provider: str) -> bool:
    """Whether an installed distribution provides backends for this provider."""
    return bool(entry_points(group=GROUP, name=provider))


def backend_factory(provider: str) -> Callable[[Target], Backend]:
    """The callable that makes backends for this provider's targets. Raises KeyError if no distribution provides one."""
    for entry in entry_points(group=GROUP, name=provider):
        factory: Callable[[Target], Backend] = entry.load()
        return factory
    raise KeyError(provider)
