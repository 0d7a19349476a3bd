"""The limits of a target, configured or learnt from its provider's answers, and the calls that wait for them.

A call that a limit blocks takes a ticket: calls are admitted in the order of their tickets. Pure; the scheduler holds the lock while
any of these methods runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from hotspare._routing.gauges import Daily, Learnt, Rate, Slots, Unit
from hotspare._routing.shared_rate import SharedDaily, SharedRate
from hotspare.errors import ConfigError, Problem
from hotspare.messages import Usage
from hotspare.outcome import Kind, Outcome, RateLimit
from hotspare.target import Domain, Limits, Target

if TYPE_CHECKING:
    from hotspare._health.target_state import TargetState

_DEFAULT_ANSWER = 500.0
"""Tokens reserved for an answer without `max_tokens`, until the average of the target's answers is known."""
_ANSWER_WEIGHT = 0.2
"""Weight of the latest answer in that average."""
_RECHECK = 0.1
"""Seconds after which a call checks again if it was not admitted at the estimated time."""
RELEASED_AFTER = 5.0
"""Seconds without a blocked call after which a limit counts as no longer reached: under load it is reached many times a second."""


class Need(NamedTuple):
    """What a call takes from limits: the estimated tokens of its prompt, and its `max_tokens`."""

    prompt: float
    max_tokens: float | None = None


@dataclass(slots=True, eq=False)
class Reserved:
    """What an attempt has taken. `learnt`: the totals of the learnt limits (`Learnt.taken`) at that time."""

    started: float
    costs: Mapping[Unit, float]
    learnt: Mapping[Unit, float]


@dataclass(slots=True, eq=False)
class Ticket:
    """The place of a call in the queue of a target's limits. `at`: when it is admitted, estimated when it joined. `waiter`: what wakes
    the call."""

    limits: TargetLimits
    costs: Mapping[Unit, float]
    at: float
    waiter: Any = None


class Group:
    """The gauges of one `Limits`, shared by all targets that it counts for. `waiting`: those of them whose limits have a queue, in order."""

    def __init__(self, config: Limits) -> None:
        self.config = config
        self.gauges: list[Rate | Daily | SharedRate] = []
        for unit, minute, day in (("requests", config.rpm, config.rpd), ("tokens", config.tpm, config.tpd)):
            if minute is not None:
                burst = max(1.0, minute * config.burst / 60)
                self.gauges.append(Rate(cast("Unit", unit), minute, 60.0, burst))
            if day is not None:
                self.gauges.append(Daily(cast("Unit", unit), day))
        self.slots = None if config.concurrency is None else Slots(config.concurrency)
        self.waiting: dict[TargetLimits, None] = {}

    def share(self, name: Callable[[str], str]) -> None:
        """Turn its rates and daily limits into fleet-wide limits. `name`: gives the name of a limit in the store."""
        self.gauges = [self._shared(one, name) for one in self.gauges]

    def _shared(self, one: Rate | Daily | SharedRate, name: Callable[[str], str]) -> Rate | Daily | SharedRate:
        if isinstance(one, Daily):
            return SharedDaily(one, name(f"{one.unit}/{one.limit:g}/day"))
        if isinstance(one, Rate):
            burst = max(1.0, one.limit * self.config.burst / 60)
            return SharedRate(one, name(f"{one.unit}/{one.limit:g}/{one.period:g}"), burst)
        return one

    @property
    def shared(self) -> list[SharedRate]:
        """The fleet-wide limits among its gauges."""
        return [one for one in self.gauges if isinstance(one, SharedRate)]


@dataclass(slots=True, eq=False)
class TargetLimits:
    """All limits of one target.

    `held_at`: when they last blocked a call. `is_reached`: `LimitReached` was emitted, `LimitReleased` not yet. `shares`: some of them
    are fleet-wide. `_ahead`: what the calls in the queue need, by unit.
    """

    groups: tuple[Group, ...] = ()
    learnt: dict[Unit, Learnt] = field(default_factory=dict[Unit, Learnt])
    tickets: dict[Ticket, None] = field(default_factory=dict[Ticket, None])
    is_reached: bool = False
    held_at: float = -inf
    shares: bool = False
    _ahead: dict[Unit, float] = field(default_factory=dict[Unit, float])
    _usual_answer: float = _DEFAULT_ANSWER

    # --- getters; they change nothing ----------------------------------------------------------------------------

    def costs_of(self, need: Need) -> dict[Unit, float]:
        """The expected cost of a call, by unit."""
        answer = self._usual_answer if need.max_tokens is None else need.max_tokens
        return {
            "requests": 1.0,
            "tokens": need.prompt + answer,
            "input_tokens": need.prompt,
            "output_tokens": min(answer, self._usual_answer),  # Anthropic counts the answer, not `max_tokens`
        }

    def ready_at(self, need: Need, now: float, ticket: Ticket | None = None) -> float:
        """When a call is admitted, after those before it in the queue; `now` or earlier: immediately. `ticket`: the call's, if it waits."""
        return self._binding(need, now, ticket)[0]

    def reason(self, need: Need, now: float) -> str:
        """The limit that blocks a call."""
        _, gauge = self._binding(need, now, None)
        return f"its limit is reached: {gauge}"

    def free(self, now: float) -> float:
        """How many more requests are admitted now, by the limits that count requests."""
        if self.tickets:
            return 0.0
        return min((gauge.left(now) for gauge in self._all() if gauge.unit == "requests"), default=inf)

    def left(self, now: float) -> dict[str, float]:
        """The units left of each limit now, by its name."""
        return {str(gauge): max(0.0, gauge.left(now)) for gauge in self._all()}

    def used(self, now: float) -> dict[str, float]:
        """The used share of each limit now, by its name: of its burst, or of a day."""
        found: dict[str, float] = {}
        for gauge in self._all():
            if gauge.capacity > 0:
                found[str(gauge)] = min(1.0, max(0.0, 1.0 - gauge.left(now) / gauge.capacity))
        return found

    def is_fetching(self, need: Need, now: float, ticket: Ticket | None) -> bool:
        """Whether the only obstacle of a call is that the store has not answered yet."""
        gauge = self._binding(need, now, ticket)[1]
        if not isinstance(gauge, SharedRate):
            return False
        ahead = 0.0 if ticket is not None and self.is_first(ticket) else self._ahead.get(gauge.unit, 0.0)
        return gauge.is_fetching(self.costs_of(need)[gauge.unit], now, ahead)

    def hold(self, need: Need, now: float) -> bool:
        """A limit blocks a call. Returns whether units have to be requested from the store."""
        if not self.shares:
            return False
        costs, needs_request = self.costs_of(need), False
        for gauge in (one for group in self.groups for one in group.shared):
            ahead = self._ahead.get(gauge.unit, 0.0)
            if gauge.ready_at(costs[gauge.unit], now, ahead) > now:
                needs_request = gauge.hold(costs[gauge.unit], now, ahead) or needs_request
        return needs_request

    @property
    def is_low(self) -> bool:
        """Whether more units should be requested from the store before a call is blocked."""
        return self.shares and any(gauge.is_low for group in self.groups for gauge in group.shared)

    def _binding(self, need: Need, now: float, ticket: Ticket | None) -> tuple[float, object]:
        """When a call is admitted, and the gauge that admits it last, or text in its place."""
        is_next = ticket is not None and self.is_first(ticket)
        if ticket is not None and ticket.limits is self and not is_next:
            return max(ticket.at, now + _RECHECK), "earlier calls are waiting"
        costs = self.costs_of(need)
        latest, binding = -inf, cast("object", "")
        for gauge in self._all():
            ahead = 0.0 if is_next else self._ahead.get(gauge.unit, 0.0)
            at = gauge.ready_at(costs[gauge.unit], now, ahead)
            if at > latest:
                latest, binding = at, gauge
        return latest, binding

    def _all(self) -> list[Rate | Daily | SharedRate | Slots | Learnt]:
        found: list[Rate | Daily | SharedRate | Slots | Learnt] = []
        for group in self.groups:
            found += group.gauges
            if group.slots is not None:
                found.append(group.slots)
        found += self.learnt.values()
        return found

    # --- attempts ------------------------------------------------------------------------------------------------

    def take(self, need: Need, now: float) -> Reserved:
        """An attempt starts."""
        costs = self.costs_of(need)
        for gauge in self._all():
            gauge.take(costs[gauge.unit], now)
        return Reserved(now, costs, {unit: gauge.taken for unit, gauge in self.learnt.items()})

    def settle(self, reserved: Reserved, outcome: Outcome, usage: Usage | None, now: float) -> None:
        """An attempt has ended. What it did not use is given back. Once for each `Reserved`."""
        if usage is not None and usage.known:
            self._usual_answer += _ANSWER_WEIGHT * (usage.output_tokens - self._usual_answer)
        used = _used(reserved.costs, outcome, usage)
        for group in self.groups:
            if group.slots is not None:
                group.slots.release(now - reserved.started)
            for gauge in group.gauges:
                difference = used[gauge.unit] - reserved.costs[gauge.unit]
                if difference:
                    gauge.correct(difference, now)

    def observe(self, found: Iterable[RateLimit], reserved: Reserved | None, outcome: Outcome, now: float) -> list[str]:
        """The answer of an attempt states limits. Returns the names of those that are new or have another size than before."""
        changed: list[str] = []
        for one in found:
            if one.limit is None or one.remaining is None:
                continue
            gauge = self.learnt.setdefault(one.unit, Learnt(one.unit))
            before = gauge.limit
            gauge.observe(
                one.limit,
                one.remaining,
                one.reset or 0.0,
                cost=0.0 if reserved is None else reserved.costs[one.unit],
                taken=0.0 if reserved is None else reserved.learnt.get(one.unit, 0.0),
                started=now if reserved is None else reserved.started,
                now=now,
                # If a rejection names a time, the breaker waits until then: it may be earlier than the reset to a full limit.
                until_reset=outcome.retry_after is None,
            )
            if gauge.limit != before:
                changed.append(str(gauge))
        return changed

    def forget_attempts(self) -> None:
        """In a child process: no attempt is in flight, and no call waits."""
        self.tickets.clear()
        self._ahead.clear()
        for group in self.groups:
            group.waiting.clear()
            for gauge in group.shared:
                gauge.after_fork()
            if group.slots is not None:
                group.slots.active = 0

    # --- calls that wait -----------------------------------------------------------------------------------------

    def join(self, need: Need, now: float) -> Ticket:
        """Join the queue at its end."""
        at = self.ready_at(need, now)
        ticket = Ticket(self, self.costs_of(need), at)
        self.tickets[ticket] = None
        for unit, cost in ticket.costs.items():
            self._ahead[unit] = self._ahead.get(unit, 0.0) + cost
        for group in self.groups:
            group.waiting[self] = None
        return ticket

    def is_first(self, ticket: Ticket) -> bool:
        """Whether no earlier call waits."""
        return ticket is next(iter(self.tickets), None)

    def leave(self, ticket: Ticket) -> None:
        """Leave the queue."""
        if ticket not in self.tickets:
            return
        del self.tickets[ticket]
        for unit, cost in ticket.costs.items():
            self._ahead[unit] -= cost
        if not self.tickets:
            self._ahead.clear()  # remove the rounding errors of the sums
            for group in self.groups:
                group.waiting.pop(self, None)

    def next_tickets(self) -> list[Ticket]:
        """The tickets that may be admitted now: the first of this target, and of each target that shares slots with it."""
        members = [self, *(next(iter(group.waiting)) for group in self.groups if group.waiting)]
        return [next(iter(one.tickets)) for one in dict.fromkeys(members) if one.tickets]


def _used(costs: Mapping[Unit, float], outcome: Outcome, usage: Usage | None) -> Mapping[Unit, float]:
    """What an attempt used, if its usage is unknown: nothing if the request never reached the provider, no tokens if it was rejected,
    else all that was reserved."""
    if usage is not None and usage.known:
        return {
            "requests": 1.0,
            "tokens": float(usage.total_tokens),
            "input_tokens": float(usage.input_tokens),
            "output_tokens": float(usage.output_tokens),
        }
    if outcome.before_connect:
        return dict.fromkeys(costs, 0.0)
    if outcome.kind in (Kind.OK, Kind.CANCELLED, Kind.SERVER, Kind.TRANSPORT, Kind.TIMEOUT):
        return costs
    return {unit: cost if unit == "requests" else 0.0 for unit, cost in costs.items()}


def attach(states: Iterable[TargetState], known: dict[tuple[object, ...], Group]) -> None:
    """Give each of these targets its configured limits. `known`: the pool's groups, by the scope that shares them.

    Raises ConfigError if two targets state different limits for the same scope.
    """
    for state in states:
        target, groups = state.target, list[Group]()
        before = {} if state.limits is None else {group.config: group for group in state.limits.groups}
        for config in sorted(cast("Iterable[Limits]", target.limits), key=str):
            key = (config.per, *_scope(config, target, state.domains))
            group = known.setdefault(key, before.get(config) or Group(config))
            if group.config != config:
                hint = f"differs from another target's limits for the same {config.per}: {group.config}"
                raise ConfigError(Problem.at(f"target {target.name!r}: limits", config, hint))
            groups.append(group)
        if groups != list(before.values()):
            learnt = {} if state.limits is None else state.limits.learnt
            state.limits = TargetLimits(tuple(groups), learnt)


def _scope(config: Limits, target: Target, domains: tuple[Domain, ...]) -> tuple[object, ...]:
    if config.per == "target":
        return (target.name,)
    account = next(domain for domain in domains if domain.level == "account")
    return (account,) if config.per == "account" else (account, target.model)
