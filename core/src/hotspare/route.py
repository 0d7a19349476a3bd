"""Routes: named orders of tiers, each with a policy of its own where it needs one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Required

from hotspare.policy import PolicyFields


class RouteFields(PolicyFields, total=False):
    """A route with a policy of its own: its tiers, and fields of Policy that take precedence over the pool's."""

    tiers: Required[Sequence[str | Sequence[str]]]


Routes = Mapping[str, Sequence[str | Sequence[str]] | RouteFields]
"""Routes by name: tiers of target names, or a table of `tiers` and fields of Policy."""

SHARED = (
    "breaker",
    "retry_budget",
    "max_waiters",
    "early_probe_interval",
    "check_jitter",
    "max_rejection",
    "prices",
    "budgets",
    "spend_file",
    "cache",
)
"""Fields of Policy that concern all calls of a pool: a route cannot set them."""
