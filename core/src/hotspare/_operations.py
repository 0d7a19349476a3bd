"""An operator's commands to a pool, from code and from another process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from hotspare import events
from hotspare._drivers import fork, threads
from hotspare._drivers.clock import Clock
from hotspare._drivers.notifier import Notifier
from hotspare._engine.checking import check_of
from hotspare._engine.flow import flow
from hotspare._engine.scheduler import Scheduler
from hotspare._health.target_state import TargetState
from hotspare._routing.constraints import RouteTable
from hotspare.errors import CallError, ConfigError, Problem
from hotspare.policy import Policy
from hotspare.status import PoolHealth
from hotspare.target import Target

if TYPE_CHECKING:
    from hotspare._config.per_call import PerCall
    from hotspare._control.server import StatusServer
    from hotspare._http import Http
    from hotspare.shared import Shared


class Operations:
    """The methods of a pool for operators. An operator's command overrides every breaker."""

    targets: tuple[Target, ...] = ()  # for the repr of an incomplete pool in a traceback with locals
    policy: Policy
    _scheduler: Scheduler
    _http: Http
    _states: tuple[TargetState, ...]
    _table: RouteTable
    _smallest_window: float
    _uses_http: bool
    _source: str | Path | None = None
    _shared: Shared | None = None  # from the configuration of the pool
    _notify: Notifier
    _clock: Clock
    _now: Callable[[], float]
    _at_close: list[Callable[[], object]]
    _ids: Iterator[int]
    _rng: Random
    _per_call: PerCall | None = None
    _status_server: StatusServer | None = None
    _has_checks = False

    def health(self) -> PoolHealth:
        """A typed snapshot of the state of every target and domain. Changes nothing."""
        return self._scheduler.health(self._now())

    def disable(self, name: str, reason: str = "by an operator") -> None:
        """Send no further call to this target until `enable`; calls in flight continue. It overrides every breaker. In a `shared`
        pool it applies to all processes.

        Raises KeyError for an unknown name.
        """
        self._scheduler.disable(name, reason or "by an operator")
        self._scheduler.fleet_change(lambda fleet: fleet.record_command(name, self._now()))
        self._notify()

    def enable(self, name: str) -> None:
        """Enable a target again, as far as its health allows; in a `shared` pool, in all processes. Raises KeyError for an unknown name."""
        self._scheduler.enable(name)
        self._scheduler.fleet_change(lambda fleet: fleet.record_command(name, self._now()))
        self._notify()

    def drain(self, name: str, timeout: float | None = None, reason: str = "draining") -> bool:
        """Disable a target and wait until no attempt is in flight there, streams included: then it can be removed.

        Returns False if `timeout` seconds were not enough (None: no limit), else True. Raises KeyError for an unknown name.
        """
        self.disable(name, reason)
        ended, until = threading.Event(), None if timeout is None else self._now() + timeout
        unsubscribe = self._notify.subscribe(lambda _: ended.set(), inline=True)
        try:
            while self._scheduler.in_flight_at(name):
                left = None if until is None else until - self._now()
                if left is not None and left <= 0:
                    return False
                self._clock.wait(ended, left)
                ended.clear()
            return True
        finally:
            unsubscribe()

    async def adrain(self, name: str, timeout: float | None = None, reason: str = "draining") -> bool:
        """`drain`, for asyncio and trio."""
        from anyio.to_thread import run_sync

        return await run_sync(self.drain, name, timeout, reason, abandon_on_cancel=True)

    def reset(self, name: str) -> None:
        """Forget this target's recorded health: breaker, percentiles, learnt limits, refused features. An operator's command and
        the health of its domains are kept. Raises KeyError for an unknown name."""
        self._scheduler.reset(name, self._now())
        self._notify()

    def reload(
        self, source: str | Path | Mapping[str, Any] | None = None, *, env: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Switch to another configuration: its targets, routes and policy. Returns the changes, one line each. `source`: None:
        the file that the pool was built from, read again.

        It is validated first and then takes effect immediately for new calls; calls in flight finish with the previous one. The
        health of a target and an operator's command are kept if its name, id, address and account stay the same.
        Raises ConfigError, and changes nothing, if it is invalid or changes a setting that needs a new pool.
        """
        from hotspare._config import assembly
        from hotspare._config.changes import changes_between, unchangeable
        from hotspare._config.loader import load
        from hotspare._config.routes import route_policies, tiers_of

        source = source or self._source
        if source is None:
            raise ConfigError(
                Problem.at("source", source, "give the path of a config file: the pool was not built from one")
            )
        config = load(source, env)
        with config.reporting():
            if problems := unchangeable((self.policy, self._shared), (config.policy, config.shared)):
                raise ConfigError(problems)
            targets = assembly.with_prices(config.targets, config.policy)
            tiers = tiers_of(targets, config.routes)
            states = assembly.states_of(targets, config.policy, self._http, self._states)
            policies = route_policies(config.routes, config.policy)
            table = RouteTable(assembly.with_states(tiers, states), states, config.policy, policies)
            self._scheduler.replace(states, config.policy)
        before = (self.targets, self.policy, assembly.names_of(self._table.routes))
        changes = tuple(changes_between(before, (targets, config.policy, assembly.names_of(table.routes))))
        self._table, self._states, self.targets, self.policy = table, states, targets, config.policy
        self._smallest_window, self._uses_http = assembly.window_and_http(states)
        self._after_reload()
        self._notify.publish(events.ConfigReloaded(changes))
        return changes

    def _after_reload(self) -> None:
        if self._per_call is not None:
            self._per_call.forget(self.policy)
        self._start_checks()

    def _start_checks(self) -> None:
        """Start background checks, if any target has `Target.check`."""
        if self._has_checks or not any(target.check for target in self.targets):
            return
        from hotspare._drivers.checks import Checks

        self._has_checks = True
        checks = Checks(self._scheduler, self._clock, self._rng, self._check)
        fork.watch(checks)
        self._notify.subscribe(checks, inline=True)
        self._at_close.append(checks.close)

    def _check(self, state: TargetState) -> None:
        call = check_of(state, self.policy, next(self._ids), self._now())
        with suppress(CallError):  # the scheduler and its listeners know the outcome
            threads.complete(flow(call, self._scheduler, call.policy, self._now), self._notify, self._clock)

    def serve_status(self, file: str | Path | None = None) -> str:
        """Let `hotspare status`, `disable`, `enable`, `drain` and `reset` reach this pool, until it is closed. Returns its URL.

        It listens on loopback, and writes its address with a token into `file` (default: $HOTSPARE_STATUS, else
        `hotspare-status.json`), which only the owner can read. Raises ConfigError if that cannot be written.
        """
        from hotspare._control import status_file
        from hotspare._control.commands import commands_of
        from hotspare._control.server import StatusServer

        if self._status_server is None:
            self._status_server = StatusServer(status_file(file), commands_of(self))
            self._at_close.append(self._stop_serving)
        return self._status_server.url

    def _stop_serving(self) -> None:
        server, self._status_server = self._status_server, None
        if server is not None:
            server.close()
