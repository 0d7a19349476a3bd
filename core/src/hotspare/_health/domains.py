"""Failure domains: what targets share, and when a shared thing rests.

A region rests on connect and DNS failures of its members, or when most of its targets are open; a provider when its
open targets span regions; an account on a refused key or a used-up quota. One probe serves the whole domain.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from hotspare._engine.call import TargetState
from hotspare._health.breaker import State
from hotspare.target import Domain, Target

NO_PROVIDER = frozenset({"openai-compatible", "litellm"})
"""Prefixes that say how a target is spoken to, not who runs it: their targets share no provider."""


def domains_of(target: Target) -> tuple[Domain, ...]:
    """The region, account and provider of a target. An unnamed region is the provider's one default region."""
    provider = _provider(target)
    account = target.account or _account(target)
    region = target.region or ("" if provider not in NO_PROVIDER else target.name)
    found = [Domain("region", provider, region or "default"), Domain("account", provider, account)]
    if provider not in NO_PROVIDER:
        found.append(Domain("provider", provider))
    return tuple(found)


def should_rest(domain: Domain, members: Iterable[TargetState], now: float, recent: float) -> bool:
    """Whether a domain's members say that the domain itself is down.

    At least 2 open, and at least half of those with traffic in the last `recent` seconds; for a provider they must
    span at least two regions, else it is one region's trouble.
    """
    if domain.level == "account":
        return False
    used = [member for member in members if member.breaker.last_used > now - recent]
    down = [member for member in used if member.breaker.state is State.OPEN]
    if len(down) < 2 or len(down) < 0.5 * len(used):
        return False
    return domain.level == "region" or len({member.domains[0] for member in down}) >= 2


def _provider(target: Target) -> str:
    """Who runs it. Behind ``litellm/`` stands the provider's own name, unless ``openai/`` is only how an address of one's
    own is spoken to."""
    inner, _, model = target.model.partition("/")
    if target.provider != "litellm" or not model or (inner == "openai" and target.base_url):
        return target.provider
    return inner


def _account(target: Target) -> str:
    """One account a key: a short digest tells keys apart and says nothing about them."""
    key = target.api_key
    if key is None:
        return "default"
    value = key if isinstance(key, str) else key.get_secret_value()
    return f"key-{sha256(value.encode()).hexdigest()[:8]}"
