"""Joins a pool to its fleet."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import cast

from hotspare._config.store_urls import file_of
from hotspare._cost.budgets import Budgets
from hotspare._cost.shares import SharedBudgets
from hotspare._drivers.notifier import Notifier
from hotspare._engine.fleet import Fleet
from hotspare._engine.scheduler import Scheduler
from hotspare._health.tracker import HealthTracker
from hotspare._shared.agent import Agent
from hotspare._shared.file_store import FileStore
from hotspare._shared.memory import MemoryStore
from hotspare._shared.overview import FleetStore
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.spending import Spending
from hotspare._shared.store import Store
from hotspare._shared.subjects import limit_name, subjects_of
from hotspare.errors import ConfigError, Problem
from hotspare.shared import Shared


def join(
    given: object, scheduler: Scheduler, budgets: Budgets | None, notify: Notifier, now: Callable[[], float]
) -> Agent:
    """The agent of a pool, with its thread started. `given`: the value of `Pool(shared=…)`. Raises ConfigError, MissingExtra."""
    settings = Shared(given) if isinstance(given, str) else given
    if not isinstance(settings, Shared):
        raise ConfigError(
            Problem.at(
                "shared",
                given,
                "must be the URL of a Redis, 'redis://host:6379/0', a file for the processes of one host, 'sqlite:///run/app/hotspare.db', or a Shared",
            )
        )
    store = store_of(settings)
    agent = agent_for(settings, store, scheduler, notify, now, random.random())
    if isinstance(budgets, SharedBudgets):
        agent.spending = Spending(store, lambda: agent.member, budgets, scheduler.locked)
        notify.subscribe(agent.spending.after_call, inline=True)
    agent.start()
    return agent


def store_of(settings: Shared) -> Store:
    """The store at this address."""
    given = cast("object", settings.url)
    if isinstance(given, MemoryStore):  # in tests and simulations
        return given
    return outer_store_of(settings)


def outer_store_of(settings: Shared) -> FleetStore:
    """The store at this address, which other processes and operators can access too."""
    path = file_of(settings.url) if isinstance(settings.url, str) else None
    if path is not None:
        return FileStore(path, settings.prefix, settings.timeout)
    return RedisStore(settings.url, settings.prefix, settings.timeout)


def agent_for(
    settings: Shared, store: Store, scheduler: Scheduler, notify: Notifier, now: Callable[[], float], place: float
) -> Agent:
    """The agent of a pool, without its thread. `place`: position among the processes, from 0 to 1."""

    def member(tracker: HealthTracker) -> Fleet:
        names = limit_name(lambda: tracker.states)
        return Fleet(tracker, subjects_of(), names, place, settings.expected_processes)

    scheduler.join(member)
    agent = Agent(store, scheduler, notify, now, settings.refresh)
    notify.on_news = agent.poke
    return agent
