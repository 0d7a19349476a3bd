"""Failure domains: which targets share one, and when a whole domain is down.

A region is down after connect or DNS failures of its targets, or when most of them are open; a provider when its open
targets span regions; an account after a rejected key or a used-up quota. One probe serves the whole domain.
"""

from __future__ import annotations

from collections.abc import Iterable

from hotspare._health.accounts import account_of
from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState
from hotspare.target import Domain, Target

NO_PROVIDER = frozenset({"openai-compatible", "litellm"})
"""Prefixes that name a protocol or a library, not a provider: such targets share no provider."""

ALIVE_SECONDS = 10.0
"""A domain in which a target has succeeded within this many seconds is not down."""


def domains_of(target: Target) -> tuple[Domain, ...]:
    """The region, account and provider of a target. A target without a region is in its provider's default region."""
    provider = _provider(target)
    account = account_of(target)
    region = target.region or ("" if provider not in NO_PROVIDER else target.name)
    found = [Domain("region", provider, region or "default"), Domain("account", provider, account)]
    if provider not in NO_PROVIDER:
        found.append(Domain("provider", provider))
    return tuple(found)


def is_down(domain: Domain, states: Iterable[TargetState], now: float, recent: float) -> bool:
    """Whether the targets of a domain show that the domain itself is down.

    At least 2 of them are open, and at least half of those that were used in the last `recent` seconds, and none of the
    others has succeeded within `ALIVE_SECONDS`. The open targets of a provider must also span two regions; else only the region is down.
    """
    if domain.level == "account":
        return False
    used = [state for state in states if state.breaker.last_used > now - recent]
    down = [state for state in used if state.breaker.state is State.OPEN and state.rejection is None]
    if len(down) < 2 or len(down) < 0.5 * len(used):
        return False
    alive_since = max(state.breaker.last_used for state in down) - ALIVE_SECONDS
    if any(state.breaker.last_success_start > alive_since for state in used if state.breaker.state is not State.OPEN):
        return False
    return domain.level == "region" or len({state.domains[0] for state in down}) >= 2


def _provider(target: Target) -> str:
    """The provider's name. For ``litellm/…`` it is the name behind the prefix, except for ``openai/`` with a `base_url`,
    which only names the format."""
    inner, _, model = target.model.partition("/")
    if target.provider != "litellm" or not model or (inner == "openai" and target.base_url):
        return target.provider
    return inner
