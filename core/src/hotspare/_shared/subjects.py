"""Names of targets, accounts and limits in the store: digests that are equal in all processes with the same target, account and key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import cast
from urllib.parse import urlsplit

from hotspare._engine.fleet import Subjects
from hotspare._health.target_state import TargetState
from hotspare.errors import ConfigError
from hotspare.providers.presets import PRESETS
from hotspare.secret import Secret, is_key_function, reveal
from hotspare.target import Domain, Target


def subjects_of(env: Mapping[str, str] | None = None) -> Callable[[TargetState], Subjects]:
    """A function that names a target and its account. `env`: the environment from which keys are read. Default: that of the process."""

    def named(state: TargetState) -> Subjects:
        target, account = state.target, _account(state, env)
        address = urlsplit(target.base_url or "")
        place = [address.netloc.rpartition("@")[2], address.path.rstrip("/"), target.region, target.api]
        return Subjects(_digest("target", target.id, *place, *account), _digest("account", *account))

    return named


def limit_name(states: Callable[[], tuple[TargetState, ...]]) -> Callable[[tuple[object, ...], str], str]:
    """A function that names a limit by its scope and its unit."""
    name = subjects_of()

    def named(scope: tuple[object, ...], counted: str) -> str:
        words = [one for one in scope if not isinstance(one, Domain)]
        member = next((one for one in states() if any(part in (one.name, *one.domains) for part in scope[1:])), None)
        account = "" if member is None else name(member).account
        return _digest("limit", account, *words, counted)

    return named


def _account(state: TargetState, env: Mapping[str, str] | None) -> list[str]:
    """The provider, the account and the key of a target. Keys from a function rotate: only their account name counts."""
    domain = next(one for one in state.domains if one.level == "account")
    if is_key_function(state.target.api_key):
        return [domain.provider, state.target.account or "function", urlsplit(state.target.base_url or "").netloc]
    return [domain.provider, domain.name, _digest("key", _key(state.target, env))]


def _key(target: Target, env: Mapping[str, str] | None) -> str:
    given = cast("Secret | str | None", target.api_key)
    preset = PRESETS.get(target.provider)
    if given is not None or preset is None or target.backend is not None:
        return reveal(given)
    try:
        return reveal(preset.key_of(target, env))
    except ConfigError:
        return ""


def _digest(*parts: object) -> str:
    return blake2b(json.dumps([str(part) for part in parts]).encode(), digest_size=9).hexdigest()
