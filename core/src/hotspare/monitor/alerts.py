"""Decides when alerts fire and resolve, and which of them are sent. Pure: values and the time are passed in.

A rule fires once its condition has been true for `hold` seconds, and resolves when the condition is false; within `cooldown` of its last
firing it does not fire again. All rules that fire while another rule is firing belong to one incident. An incident is reported when it begins,
again if a rule of higher severity joins it, and when its last rule has resolved, so that an outage causes one alert, not one per rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from hotspare.events import AlertFired, AlertResolved
from hotspare.monitor.rules import RANK, Rule


@dataclass(slots=True)
class _State:
    """The state of one rule. `since`: when its condition became true. `fired`: when it fired last. `is_firing`: it has not resolved yet."""

    since: float | None = None
    fired: float = -inf
    is_firing: bool = False


@dataclass(slots=True)
class _Incident:
    """The rules that fire together. `reported`: the highest severity that was sent (-1: none)."""

    rules: set[str] = field(default_factory=set[str])
    reported: int = -1


class Alerts:
    """The state of all rules of a monitor."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._incident = _Incident()

    @property
    def firing(self) -> frozenset[str]:
        """The rules that fire now."""
        return frozenset(self._incident.rules)

    def evaluate(
        self, values: Iterable[tuple[Rule, float | None, int]], silenced: frozenset[str], now: float
    ) -> list[AlertFired | AlertResolved]:
        """Update the states of the rules. Returns the alerts that fired or resolved. `values`: each rule, its metric's value, and the number of
        calls in its window. `silenced`: names of rules. `now`: seconds."""
        fired: list[tuple[Rule, float]] = []
        resolved: list[tuple[Rule, float]] = []
        for rule, value, calls in values:
            state = self._states.setdefault(rule.name, _State())
            if not rule.holds(value, calls):
                state.since = None
                if state.is_firing:
                    state.is_firing = False
                    resolved.append((rule, now - state.fired))
                continue
            if state.since is None:
                state.since = now
            is_due = now - state.since >= rule.hold and now - state.fired >= rule.cooldown
            if is_due and not state.is_firing and value is not None:
                state.is_firing, state.fired = True, now
                fired.append((rule, value))
        return [*self._fire(fired, silenced), *self._resolve(resolved, silenced)]

    def _fire(self, fired: list[tuple[Rule, float]], silenced: frozenset[str]) -> list[AlertFired]:
        """The alerts of these rules. Of those in one incident, only the most severe is sent."""
        found: list[AlertFired] = []
        for rule, value in sorted(fired, key=lambda one: -RANK[one[0].severity]):
            delivery = "grouped"
            if rule.name in silenced:
                delivery = "silenced"
            elif RANK[rule.severity] > self._incident.reported:
                self._incident.reported, delivery = RANK[rule.severity], "sent"
            self._incident.rules.add(rule.name)
            found.append(AlertFired(rule.name, rule.severity, value, rule.message(value), delivery))
        return found

    def _resolve(self, resolved: list[tuple[Rule, float]], silenced: frozenset[str]) -> list[AlertResolved]:
        found: list[AlertResolved] = []
        for rule, seconds in resolved:
            self._incident.rules.discard(rule.name)
            delivery = "silenced" if rule.name in silenced else "grouped"
            if not self._incident.rules:
                delivery = "sent" if self._incident.reported >= 0 else delivery
                self._incident = _Incident()
            found.append(AlertResolved(rule.name, rule.severity, seconds, delivery))
        return found
