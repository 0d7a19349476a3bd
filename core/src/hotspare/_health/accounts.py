"""The account of a target, and the signer of the reasoning in its answers. Keys are told apart by a short digest, which does not
reveal them."""

from __future__ import annotations

from hashlib import sha256
from typing import cast
from urllib.parse import urlsplit

from hotspare.secret import Secret, is_key_function, may_wait, reveal
from hotspare.target import Target


def account_of(target: Target) -> str:
    """The target's `account`, else one account per key (or function that returns the key) and host. The host counts because
    self-hosted servers often share a dummy key, or have none."""
    if target.account is None and is_key_function(target.api_key):
        host = _host(target)
        return f"function-{id(target.api_key):x}" + (f"@{host}" if host else "")
    return _stable_account(target)


def signer_of(target: Target) -> str:
    """The identity that signs the reasoning in a target's answers: its model on its account. It is the same in every process, so
    that a stored history can be used again; therefore all functions that return keys for a host count as one account, and so do
    objects whose `get_secret_value` may wait: it is not called here."""
    if target.account is None and may_wait(target.api_key):
        return f"{target.id}#{_host(target) or 'default'}"
    return f"{target.id}#{_stable_account(target)}"


def _stable_account(target: Target) -> str:
    """The account; it is the same in every process. Targets of a host whose keys come from functions share one."""
    key, host = target.api_key, _host(target)
    if target.account is not None:
        return target.account
    if key is None or is_key_function(key):
        return host or "default"
    value = reveal(cast("Secret | str", key), f"target {target.name!r}: api_key")
    return f"key-{sha256(value.encode()).hexdigest()[:8]}" + (f"@{host}" if host else "")


def _host(target: Target) -> str:
    return urlsplit(target.base_url or "").netloc.rpartition("@")[2]
