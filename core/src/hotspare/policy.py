"""Every knob, its default, and the reason for the default. Times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from hotspare.errors import ConfigError, Problem
from hotspare.outcome import Kind

if TYPE_CHECKING:
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a target is left alone, and for how long.

    strikes: failures in a row that open it. 5, as gRPC's and Envoy's outlier detection count consecutive errors.
    strikes_span: seconds those failures must span, so that one burst of concurrent calls is one observation. 1.
    ratio: share of failures in the recent window that opens it. 0.5: worse than a coin toss is not worth the latency.
    ratio_min: outcomes the window must hold before the ratio counts. 10: fewer say little (Polly's minimum throughput).
    window_calls, window_seconds: the window is the last 20 outcomes or the last 10 s, whichever is more.
    window_max: nothing older than 120 s is evidence.
    stall_calls: calls waiting too long that open it without any having failed yet. 3: one slow answer is an accident.
    rest: first rest; it doubles with each trip. 5, jittered to 2.5-5 so that processes do not return together.
    rest_max: longest own rest. 30: recovery is noticed within half a minute.
    retry_after_max: longest provider-named rest that is believed. 3600.
    denied_rest: rest after 401/403 or an exhausted quota that names no reset. 300: a human has to act.
    throttle_rest, throttle_rest_max: rest after a 429 that names no time; doubles from 1 to 30.
    forgive: seconds closed that take back one trip. 60.
    lease: seconds after which a probe that never came back frees its place. 60.
    ramp: seconds over which a recovered target's share grows to full. 30.
    ramp_floor: share it begins with. 0.1: enough to learn from, little to lose.
    """

    strikes: int = 5
    strikes_span: float = 1.0
    ratio: float = 0.5
    ratio_min: int = 10
    window_calls: int = 20
    window_seconds: float = 10.0
    window_max: float = 120.0
    stall_calls: int = 3
    rest: float = 5.0
    rest_max: float = 30.0
    retry_after_max: float = 3600.0
    denied_rest: float = 300.0
    throttle_rest: float = 1.0
    throttle_rest_max: float = 30.0
    forgive: float = 60.0
    lease: float = 60.0
    ramp: float = 30.0
    ramp_floor: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long one attempt may take while other targets are left; the last one gets the rest of the deadline.

    factor: an attempt gets this many times the target's own p95. 3: beyond it, another target is the better bet.
    first_token_min, first_token_max: bounds of that for a stream's first token. 5 and 30.
    first_token: for a stream's first token without a record. 10.
    first_token_reasoning: the same where the model or the request reasons. 45.
    whole_min: lower bound for a whole answer. 15.
    whole: for a whole answer without a record. 60.
    stall, stall_factor, stall_min: longest silence inside a stream once it has begun. 30 s, until the target's own gaps
        are known; then `stall_factor` times the p95 of its streams' longest gaps, between `stall_min` and `stall`.
    drip_rate, drip_window: a plain-text stream that brings fewer bytes a second than this over so many seconds is left
        for a target that is free, if there is one. 8 and 15: a token a second is below what anybody reads.
    drip_share: the same below this share of the target's own median rate, once that is known. 0.1: ten times slower
        than usual is a fault, not a mood.
    share: never more than this share of what remains of the deadline. 0.5, so that another target always has its turn.
    start_min: never start an attempt with less than this (or the target's p50) left. 1.
    record: answers a target must have given before its percentiles count. 8.
    """

    factor: float = 3.0
    first_token_min: float = 5.0
    first_token_max: float = 30.0
    first_token: float = 10.0
    first_token_reasoning: float = 45.0
    whole_min: float = 15.0
    whole: float = 60.0
    stall: float = 30.0
    stall_factor: float = 5.0
    stall_min: float = 5.0
    drip_rate: float = 8.0
    drip_window: float = 15.0
    drip_share: float = 0.1
    share: float = 0.5
    start_min: float = 1.0
    record: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """How many return visits a pool may make. First visits to a target are free: a budget on failover would refuse it
    exactly in an outage.

    per_call: tokens each call adds. 0.2: at most 20 % extra load (the SRE book's client-side retry budget is 10 %).
    floor: tokens a minute that come without calls. 10: a quiet pool may still retry.
    cap: most tokens saved up. 20.
    domain_visits: visits inside one failure domain that a call has free; later ones draw on the budget. 3.
    """

    per_call: float = 0.2
    floor: float = 10.0
    cap: float = 20.0
    domain_visits: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """A second attempt beside the first, before that has failed. Off unless given: both are billed.

    It goes once a call, to another failure domain, to a target that is well, and only before the first content (of a
    whole answer: before it is there). The loser's connection is closed at once; its prompt counts into the cost.

    after: seconds the first attempt has in any case. 0.5: below it nobody notices.
    factor: times the first target's own p95, which it has as well. 1.25: at the p95 itself one call in twenty is late by
        nature, and would use up the share before a sick one comes. Without a record of 8 answers nothing is hedged.
    share: hedges per call, at most, at any moment. 0.05 ("The Tail at Scale", Dean and Barroso 2013: 5 % extra load).
    saved: most hedges that a quiet time may save up. 10.
    price_cap: a hedge never goes to a target whose known prices are above so many times the first one's. 2.
    """

    after: float = 0.5
    factor: float = 1.25
    share: float = 0.05
    saved: float = 10.0
    price_cap: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a call may do. Every field can be given to `Pool(...)`; `deadline` and `max_attempts` to a call too.

    deadline: seconds to the first content of a stream, or to a whole answer. 120: the longest wait of common gateways.
    total_deadline: seconds to the end of a stream. None: the stall watch rules.
    max_attempts: attempts of one call in all. 6.
    strategy: who is asked first inside a tier. `ordered`: as written; `weighted`: by weight, at random.
    second_try: the one return visit. `same`: at once, at the target that failed; `other`: after all others;
        `auto`: `same` if the failure was fast, of kind SERVER or a reset, and the target's record is good.
    patience: Retry-After that a call sits out on the same target before it fails over. 0: another target answers sooner.
    wait: pause before a return visit, any of tenacity's `wait_*`. None: 50-250 ms at random.
    stop: end of trying, any of tenacity's `stop_*`, asked before each attempt after the first. None: no further bound.
    when_all_down: `wait` for the soonest recovery while the deadline lasts, or `fail` at once.
    max_waiters: calls that may wait in a pool; the rest fail at once and are told when to come back. 1000.
    failover_on: kinds that go to another target though they are the request's own fault (REFUSED, INVALID). None of them.
    whole: how `chat` gets its answer: `wait` for it, or `stream` it underneath, so that a black hole or a stall is seen
        at first-token time. A target that refuses to stream is waited for, and that is remembered.
        `Target.whole` and the call's own `whole` win over it.
    on_slow: what follows when an attempt's time is up while other targets are left. `abandon`: it is ended; `race`: the
        next one starts beside it, and the first to answer wins. Sync callers race in threads.
    hedge: a `Hedge`: start a second attempt before the first has failed. None: never.
    on_break: what follows when a stream breaks after its first content. `resume`: the next target continues plain text,
        joined without a repeated or lost word; `restart`: it begins anew and what was shown is skipped; `raise`:
        StreamInterrupted with the text so far. Whatever is no plain text is never continued.
    continue_instruction: what a target without prefill is told. None: `hotspare._engine.continuation.INSTRUCTION`.
    panic_cap: highest probability with which a call is turned away when nobody is admissible. 0.8 (SRE book,
        "client-side throttling", capped so that recovery is always noticed).
    """

    deadline: float = 120.0
    total_deadline: float | None = None
    max_attempts: int = 6
    strategy: Literal["ordered", "weighted"] = "ordered"
    second_try: Literal["auto", "same", "other"] = "auto"
    patience: float = 0.0
    wait: wait_base | None = None
    stop: stop_base | None = None
    when_all_down: Literal["wait", "fail"] = "wait"
    max_waiters: int = 1000
    failover_on: frozenset[Kind] = frozenset()
    whole: Literal["wait", "stream"] = "wait"
    on_slow: Literal["abandon", "race"] = "abandon"
    hedge: Hedge | None = None
    on_break: Literal["resume", "restart", "raise"] = "resume"
    continue_instruction: str | None = None
    panic_cap: float = 0.8
    breaker: Breaker = field(default_factory=Breaker)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry_budget: RetryBudget = field(default_factory=RetryBudget)

    def __post_init__(self) -> None:
        from hotspare._config.coercion import typed

        for name, value in typed("policy", self).items():
            object.__setattr__(self, name, value)
        problems = _out_of_range("policy", self)
        for group in ("breaker", "timeouts", "retry_budget", "hedge"):
            if getattr(self, group) is not None:
                problems += _out_of_range(f"policy.{group}", getattr(self, group))
        if self.max_attempts < 1:
            problems.append(Problem.at("policy.max_attempts", self.max_attempts, "must be at least 1"))
        if self.deadline <= 0:
            problems.append(Problem.at("policy.deadline", self.deadline, "must be above 0 seconds"))
        if problems:
            raise ConfigError(problems)


def policy_of(policy: Policy | None, given: Mapping[str, Any]) -> Policy:
    """`policy` (default: the defaults) with the fields in `given`. Raises ConfigError for a field that does not exist."""
    names = [knob.name for knob in fields(Policy)]
    unknown = sorted(set(given).difference(names))
    if unknown:
        known = ", ".join(sorted(names))
        raise ConfigError([Problem.at(name, given[name], f"is no field of Policy; known: {known}") for name in unknown])
    if policy is None:
        return Policy(**given)
    if not isinstance(policy, Policy):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise ConfigError(Problem.at("policy", policy, "must be a Policy, e.g. Policy(deadline=30)"))
    return replace(policy, **given) if given else policy


_SHARES = frozenset({"ratio", "ramp_floor", "share", "panic_cap"})


def _out_of_range(place: str, group: Any) -> list[Problem]:
    found: list[Problem] = []
    for knob in fields(group):
        value = getattr(group, knob.name)
        if isinstance(value, int | float) and value < 0:
            found.append(Problem.at(f"{place}.{knob.name}", value, "must not be negative"))
        elif knob.name in _SHARES and value > 1:
            found.append(Problem.at(f"{place}.{knob.name}", value, "must be a share between 0 and 1"))
    return found
