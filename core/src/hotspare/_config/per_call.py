"""Targets that are passed with one call, and the pool's targets with a caller's own key: each is a separate account with separate health.

Their health is kept for the most recent callers only, so that memory is bounded. The health of regions and providers is shared with
the pool's own targets.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from hotspare._config.assembly import states_of, with_states
from hotspare._config.routes import check_targets, targets_of, tiers_of
from hotspare._engine.scheduler import Scheduler
from hotspare._health.target_state import OWN_KEY, TargetState
from hotspare._routing.candidates import Tier
from hotspare._routing.constraints import RouteTable, Selection
from hotspare._routing.explain import Exclusion, SkipReason
from hotspare.errors import ConfigError, Problem, RequestError
from hotspare.policy import Policy
from hotspare.secret import HiddenStr, Secret, is_key_function, reveal
from hotspare.target import Target

if TYPE_CHECKING:
    from hotspare._http import Http

MAX_ACCOUNTS = 256
"""Accounts whose health is kept; the least recently used is dropped first. One target takes some 10 kB."""
_MAX_SELECTIONS = 64
"""Selections that are kept for one key. When there are more, all are dropped: they are cheap to make again."""


@dataclass(slots=True)
class _Account:
    """What is kept for one key, or for one list of targets.

    `table`: the routes of a list of targets. `states`: for each of the pool's targets, the state of the same target on this key.
    `selections`: the selections on this key, by the `id()` of the pool's selection, which is kept too: its `id()` must not be reused.
    """

    table: RouteTable | None = None
    states: dict[TargetState, TargetState] = field(default_factory=dict[TargetState, TargetState])
    selections: dict[int, tuple[Selection, Selection]] = field(default_factory=dict[int, tuple[Selection, Selection]])


class PerCall:
    """The options `targets` and `api_key` of a pool's calls. Any thread may call it."""

    def __init__(self, scheduler: Scheduler, http: Http, policy: Policy) -> None:
        self._scheduler, self._http, self._policy = scheduler, http, policy
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self.after_fork()

    def after_fork(self) -> None:
        """In a child process: a thread that does not exist here may have held the lock."""
        self._lock = threading.Lock()

    def on_targets(self, given: Any, model: str | None, options: Mapping[str, Any]) -> Selection:
        """The selection of a call with targets of its own. Raises RequestError, which lists every mistake in them."""
        try:
            targets = targets_of(given)
            check_targets(targets)
        except ConfigError as error:
            raise RequestError(error.problems) from None
        with self._lock:
            account = self._account("targets " + _digest([_identity(target) for target in targets]))
            if account.table is None:
                account.table = self._table(account, targets)
            table = account.table
        return table.selection(model, options)

    def on_key(self, selected: Selection, given: Any) -> Selection:
        """The same selection on the caller's own key. Raises RequestError if it is not clear to which provider the key belongs."""
        keys = _keys(given, selected)
        with self._lock:
            account = self._account("key " + _digest(sorted((name, str(key)) for name, key in keys.items())))
            known = account.selections.get(id(selected))
            if known is None:
                if len(account.selections) >= _MAX_SELECTIONS:
                    account.selections.clear()
                known = account.selections[id(selected)] = selected, self._derive(account, selected, keys)
            return known[1]

    def forget(self, policy: Policy) -> None:
        """Forget all accounts, because the pool has switched to another configuration."""
        with self._lock:
            self._policy = policy
            accounts, self._accounts = self._accounts, OrderedDict()
        self._scheduler.remove_guests(state for account in accounts.values() for state in account.states.values())

    def _account(self, key: str) -> _Account:
        found = self._accounts.get(key)
        if found is None:
            found = self._accounts[key] = _Account()
            if len(self._accounts) > MAX_ACCOUNTS:
                _, oldest = self._accounts.popitem(last=False)
                self._scheduler.remove_guests(oldest.states.values())
        self._accounts.move_to_end(key)
        return found

    def _table(self, account: _Account, targets: tuple[Target, ...]) -> RouteTable:
        states = states_of(targets, self._policy, self._http)
        try:
            table = RouteTable(with_states(tiers_of(targets), states), states, self._policy, {})
            self._add(account, dict(zip(states, states, strict=True)))
        except ConfigError as error:  # the policy allows none of them, or their limits contradict each other
            raise RequestError(error.problems) from None
        return table

    def _add(self, account: _Account, new: Mapping[TargetState, TargetState]) -> None:
        self._scheduler.add_guests(new.values())
        account.states.update(new)

    def _derive(self, account: _Account, selected: Selection, keys: Mapping[str, HiddenStr]) -> Selection:
        bases = [state for tier in selected.tiers for state in tier]
        new = [base for base in bases if base not in account.states and _key_of(base.target, keys)]
        targets = [_with_key(base.target, _key_of(base.target, keys)) for base in new]
        derived = states_of(targets, self._policy, self._http)
        for base, state in zip(new, derived, strict=True):
            state.position, state.breaker.disabled = base.position, base.breaker.disabled
        self._add(account, dict(zip(new, derived, strict=True)))
        tiers = [[account.states[base] for base in tier if base in account.states] for tier in selected.tiers]
        own_tiers = sum(bool(tier) for tier in tiers[: selected.own_tiers])
        without_key = {
            base: Exclusion(SkipReason.EXCLUDED, "none of the caller's keys is for it")
            for base in bases
            if base not in account.states
        }
        kept = tuple(Tier(tier) for tier in tiers if tier)
        if not kept:
            raise RequestError(Problem("api_key: no target of this call accepts it: their models have their own keys"))
        return replace(selected, tiers=kept, own_tiers=own_tiers, excluded={**selected.excluded, **without_key})


def _with_key(target: Target, key: HiddenStr | None) -> Target:
    """The target on the caller's key. The configured limits are those of the pool's own account; the limits of this one are learnt."""
    return replace(
        target, api_key=key, account=None, limits=frozenset(), check=False, name=target.name + OWN_KEY,
        aliases={*target.aliases, target.name},
    )  # fmt: skip


def _keys(given: Any, selected: Selection) -> dict[str, HiddenStr]:
    """The keys by provider or target. A single key is accepted only if all targets of the call have one provider: no other may see it."""
    targets = [state.target for tier in selected.tiers for state in tier]
    if isinstance(given, Mapping):
        keys = {str(name): reveal(key) for name, key in cast("Mapping[str, Secret | str]", given).items()}
        unknown = [name for name in keys if not any(name in (one.name, one.provider) for one in targets)]
        problems = [Problem(f"api_key.{name}: no target of this call has this provider or name") for name in unknown]
        if problems:
            raise RequestError(problems)
        return keys
    providers = sorted({target.provider for target in targets if target.backend is None})
    if not providers:
        raise RequestError(Problem("api_key: no target of this call accepts a key: their backends have their own"))
    if len(providers) > 1:
        known, hint = ", ".join(providers), "name the provider: api_key={'openai': '…'}"
        raise RequestError(Problem(f"api_key: the targets of this call have several providers ({known}): {hint}"))
    return {providers[0]: reveal(cast("Secret | str", given))}


def _key_of(target: Target, keys: Mapping[str, HiddenStr]) -> HiddenStr | None:
    """The caller's key for this target; None for a framework's own model, which has its own key."""
    return None if target.backend is not None else keys.get(target.name) or keys.get(target.provider)


def _identity(target: Target) -> list[object]:
    """The values by which a target is recognised when a later call passes an equal one."""
    found: list[object] = []
    for one in fields(target):
        value: Any = getattr(target, one.name)
        if one.name == "api_key" and not is_key_function(value):
            value = str(reveal(value))
        elif isinstance(value, Mapping):
            value = _pairs(cast("Mapping[str, object]", value))
        elif isinstance(value, frozenset | set):
            value = sorted(map(repr, cast("Iterable[object]", value)))
        found.append(id(value) if callable(value) or one.name == "backend" else value)
    return found


def _pairs(values: Mapping[str, object]) -> list[tuple[str, str]]:
    return sorted((str(name), str(value)) for name, value in values.items())


def _digest(value: object) -> str:
    """A hash, from which no key can be read."""
    return sha256(repr(value).encode()).hexdigest()
