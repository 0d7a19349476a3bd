"""The parts that a pool builds from its settings: each is built once, and its modules are loaded only if it is used."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from random import Random
from typing import TYPE_CHECKING

from hotspare._config.routes import check_targets
from hotspare._drivers import fork
from hotspare._drivers.notifier import Notifier
from hotspare._engine.scheduler import Scheduler
from hotspare._health.breaker import CircuitBreaker
from hotspare._health.domains import domains_of
from hotspare._health.target_state import TargetState
from hotspare._routing.candidates import Tier, Tiers
from hotspare.errors import ConfigError, Problem
from hotspare.policy import Policy
from hotspare.secret import Redactor
from hotspare.target import Target

if TYPE_CHECKING:
    from hotspare._cache.flow import Caching
    from hotspare._cost.budgets import Budgets
    from hotspare._drivers.spend_file import SpendFile
    from hotspare._engine.call import Call
    from hotspare._engine.commands import Flow
    from hotspare._http import Http
    from hotspare._shared.agent import Agent
    from hotspare.recorder import Recorder


def states_of(
    targets: Iterable[Target], policy: Policy, http: Http, before: Iterable[TargetState] = ()
) -> tuple[TargetState, ...]:
    """The state of each target, with the backend that makes its calls.

    `before`: the states of the previous configuration. A target keeps its health if its name, id, address and account are the same.
    """
    from hotspare.providers.http_backend import backend_for
    from hotspare.providers.presets import known_secrets

    targets = tuple(targets)
    redactor = Redactor(known_secrets(targets))
    previous = {state.name: state for state in before}
    found: list[TargetState] = []
    for position, target in enumerate(targets):
        backend, domains, old = backend_for(target, http), domains_of(target), previous.get(target.name)
        same = (target.id, target.base_url, domains)
        if old is not None and (old.target.id, old.target.base_url, old.domains) == same:
            state = replace(old, target=target, backend=backend, domains=domains, position=position, redactor=redactor)
        else:
            state = TargetState(target, backend, CircuitBreaker(policy.breaker), domains, position, redactor=redactor)
        found.append(state)
    return tuple(found)


def window_and_http(states: Iterable[TargetState]) -> tuple[float, bool]:
    """The smallest known context window in tokens, and whether hotspare itself calls any of the targets over HTTP."""
    from hotspare.providers.http_backend import HttpBackend

    states = tuple(states)
    windows = (state.target.context_window or inf for state in states)
    return min(windows, default=inf), any(isinstance(state.backend, HttpBackend) for state in states)


def with_states(tiers: Mapping[str, Sequence[Sequence[Target]]], states: Iterable[TargetState]) -> dict[str, Tiers]:
    """Every route, with the states of its targets."""
    by_name = {state.name: state for state in states}
    return {
        name: tuple(Tier(by_name[target.name] for target in tier) for tier in route) for name, route in tiers.items()
    }


def names_of(routes: Mapping[str, Tiers]) -> dict[str, list[list[str]]]:
    """Every route as tiers of names."""
    return {name: [[state.name for state in tier] for tier in route] for name, route in routes.items()}


def scheduler_of(
    states: tuple[TargetState, ...],
    policy: Policy,
    rng: Random | None,
    budgets: Budgets | None,
    recorder: Recorder | None,
    clock: Callable[[], float],
) -> Scheduler:
    """The pool's scheduler; with a recorder, one that writes down its decisions."""
    rng = rng or Random()
    if recorder is None:
        return Scheduler(states, policy, rng, budgets)
    return recorder.scheduler(states, policy, rng, clock, budgets)


def with_prices(targets: tuple[Target, ...], policy: Policy) -> tuple[Target, ...]:
    """The validated targets, with the prices and context windows that are looked up for them. Raises ConfigError, MissingExtra."""
    check_targets(targets)
    if not policy.prices:
        return targets
    from hotspare._cost.dataset import complete

    return complete(targets, datetime.now(UTC))


def budgets_of(
    policy: Policy,
    targets: Sequence[Target],
    routes: Mapping[str, Sequence[Sequence[Target]]],
    calendar: Callable[[], float],
    shared: object,
) -> Budgets | None:
    """The budgets of a pool, or None. `shared`: the pool's argument. Raises ConfigError for a budget that cannot be enforced."""
    if not policy.budgets:
        return None
    from hotspare._config.budgets import check_budgets
    from hotspare._cost.budgets import Budgets

    check_budgets(policy.budgets, targets, routes)
    if shared is None:
        return Budgets(policy.budgets, calendar)
    from hotspare._cost.shares import SharedBudgets

    return SharedBudgets(policy.budgets, calendar, getattr(shared, "expected_processes", None) or 1)


def spend_file_of(path: str | None, budgets: Budgets | None, scheduler: Scheduler) -> SpendFile | None:
    """The file that keeps the amounts spent. Those already in it are added to the budgets."""
    if budgets is None or path is None:
        return None
    from hotspare._drivers.spend_file import SpendFile

    return SpendFile(path, budgets, scheduler.locked)


def agent_of(
    pool: object,
    shared: object,
    budgets: Budgets | None,
    recorder: Recorder | None,
    scheduler: Scheduler,
    notify: Notifier,
    clock: Callable[[], float],
) -> Agent | None:
    """The started agent that connects a pool with the store of its fleet; None if nothing is shared. Raises ConfigError, MissingExtra."""
    if shared is None:
        return None
    from hotspare._shared.joining import join

    if recorder is not None:
        raise ConfigError(
            Problem("shared: cannot be combined with record: a replay would lack the observations of other processes")
        )
    agent = join(shared, scheduler, budgets, notify, clock)
    fork.watch(agent, *([] if agent.spending is None else [agent.spending]))
    weakref.finalize(pool, agent.abandon).atexit = False  # of a pool that is dropped without `close`
    return agent


def budgeted(fleet: Agent | None, spend_file: SpendFile | None, call: Call, inner: Flow) -> Flow:
    """The flow `inner` of a call: before it, a part of each shared budget is reserved for this process; after it, the cost is written
    to the spend file."""
    if call.pays_itself:
        return inner
    if spend_file is not None:
        inner = spend_file.flow(call, inner)
    return inner if fleet is None or fleet.spending is None else fleet.spending.flow(call, inner)


def caching_of(
    policy: Policy, calendar: Callable[[], float], clock: Callable[[], float], notify: Notifier
) -> Caching | None:
    """The cache of a pool; None if it has none."""
    if policy.cache is None:
        return None
    from hotspare._cache.flow import Caching

    caching = Caching(policy.cache, calendar, clock, notify.publish)
    fork.watch(caching.flights)
    return caching
