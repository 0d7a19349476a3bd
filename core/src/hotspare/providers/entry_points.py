"""Backends that other distributions bring: the entry points of group `hotspare.backends`.

A distribution that makes calls for ``Target("<name>/…")`` names, under ``<name>``, what takes the Target and returns its
Backend::

    [project.entry-points."hotspare.backends"]
    litellm = "litellm_hotspare.member:LiteLLMBackend"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotspare.backend import Backend
    from hotspare.target import Target

GROUP = "hotspare.backends"
BROUGHT_BY: Mapping[str, str] = {"litellm": "litellm-hotspare"}
"""Known names, and the distribution to install for each."""


def has_entry_point(provider: str) -> bool:
    """Whether an installed distribution makes the calls of this provider's targets."""
    return bool(entry_points(group=GROUP, name=provider))


def backend_maker(provider: str) -> Callable[[Target], Backend]:
    """What makes the backend of one of this provider's targets. Raises KeyError when nobody brings it."""
    for entry in entry_points(group=GROUP, name=provider):
        maker: Callable[[Target], Backend] = entry.load()
        return maker
    raise KeyError(provider)
