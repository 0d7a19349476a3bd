"""The circuit breaker of one target or one failure domain: its states, its transitions, and the evidence for them.

Pure: it is passed the time, does no I/O and takes no lock (the scheduler holds it).

*Rate-limited* (a 429, or another answer that stated a time to wait) is independent of the state and does not count as a failure. *Disabled*
is an operator's command and overrides every state.
The result of an attempt that began before the breaker opened is stale and changes nothing: each opening starts a new epoch.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from hotspare._health.admission import AFTER_PROBE, AdmissionWindow, Part
from hotspare._health.probe_lease import ProbeLease
from hotspare._health.sliding_window import SlidingWindow
from hotspare.policy import Breaker


class State(StrEnum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    RECOVERING = "recovering"


BROKEN = (State.OPEN, State.HALF_OPEN)
"""States in which only a probe or an attempt of last resort is admitted. Constants, because Python 3.11 takes 0.1 µs to look a member up in
its class, and each call reads several breakers several times."""
_RECOVERING = State.RECOVERING


TRANSITIONS: tuple[tuple[State, str, State], ...] = (
    (State.CLOSED, "consecutive failures, failure ratio, stall, or a rejected key", State.OPEN),
    (State.OPEN, "break over: one attempt takes the probe lease", State.HALF_OPEN),
    (State.HALF_OPEN, "probe succeeds", State.RECOVERING),
    (State.HALF_OPEN, "probe fails", State.OPEN),
    (State.RECOVERING, "slow start over", State.CLOSED),
    (State.RECOVERING, "failure", State.OPEN),
)
"""Every transition of a target's breaker: from, because, to. (A domain's breaker closes without a slow start, and an
attempt of last resort that succeeds takes an open breaker to recovering.)"""


@dataclass(slots=True, eq=False)
class Permit:
    """The right to make one attempt. Settled exactly once.

    `started`: when it was acquired, on the pool's clock. `epoch`: the breaker's epoch at that time. `probe`: it holds the
    half-open lease. `last_resort`: it was acquired although the target was not available. `stall_after`: seconds without an
    answer after which it is evidence of a stall. `failed_at`: when its failure was recorded.
    """

    started: float
    epoch: int
    probe: bool = False
    last_resort: bool = False
    stall_after: float = inf
    settled: bool = False
    failed_at: float | None = None


class CircuitBreaker:
    """A circuit breaker. `config`: from the policy. All times are in seconds on the pool's clock. `active`: attempts in flight, streams until
    their first content; `streams`: streams after it; `in_flight`: the attempts that may show a stall. `window`: recent outcomes;
    `failures_in_a_row`: since its last success. `rate_limits`: 429s in a row. `rejected_until`: as stated by the provider.

    `counts`: it counts attempts. The breaker of an account or a provider does not: it opens on evidence from its targets.

    For a fleet: `cause`: the kind of the outcome that opened it, if that is evidence for other processes too, else "". `evidence_at`: when it
    last opened or recovered. `recovered_at`: when it last recovered from a break that the fleet knew of. `lease`: of its probe (None: this
    process decides alone). `part`: this process's places in its admission window. `probes_members`: a domain's probes need not be one by one.
    """

    __slots__ = (
        "_first_failure_start", "_last_failure", "_probe", "_probe_lease_until", "_rate_limited_at", "active", "admission", "cause", "changed_at", "config", "counts", "disabled", "epoch",
        "evidence_at", "failures_in_a_row", "in_flight", "last_success_start", "last_used", "lease", "next_stall_check",
        "open_until", "part", "probes_members", "rate_limited_until", "rate_limits", "reason", "recovered_at", "recovering_since",
        "rejected_until", "state", "streams", "trips", "window",
    )  # fmt: skip

    def __init__(self, config: Breaker, *, counts: bool = True) -> None:
        self.config, self.counts = config, counts
        self.state = State.CLOSED
        self.epoch = self.trips = self.active = self.streams = 0
        self.open_until = self.recovering_since = -inf
        self.reason = self.disabled = self.cause = ""
        self.rate_limited_until = self._rate_limited_at = self.rejected_until = -inf
        self.rate_limits = 0
        self.next_stall_check = -inf
        self.last_used = self.changed_at = self.last_success_start = -inf
        self.in_flight: dict[Permit, None] = {}
        self.admission: AdmissionWindow | None = None
        self.evidence_at = self.recovered_at = self._probe_lease_until = -inf
        self.lease: ProbeLease | None = None
        self.part = Part()
        self.probes_members = False
        self._probe: Permit | None = None
        self.window = SlidingWindow()
        self.failures_in_a_row = 0
        self._first_failure_start, self._last_failure = inf, -inf

    # --- getters; they change nothing ----------------------------------------------------------------------------

    def available_at(self, now: float) -> float:
        """When the next attempt is admitted; `now` or earlier: immediately. `inf`: not before an operator enables it."""
        if self.disabled:
            return inf
        if self.state in BROKEN:
            over = self.open_until if self.state is State.OPEN or self.probes_members else self._probe_lease_until
            over = max(over, self.rate_limited_until)
            return self.lease.ready_at(over, now) if self.lease is not None and self.cause else over
        if self.admission is None or self.rate_limited_until > now:
            return self.rate_limited_until
        free_at = self.admission.free_at(self.active, now)
        return free_at if free_at > now else self.rate_limited_until

    def wants_lease(self, now: float) -> bool:
        """Whether its break is over, and a probe only waits for the fleet's lease. The first time, the lease has to be requested."""
        if self.lease is None or not self.cause or max(self.open_until, self.rate_limited_until) > now:
            return False
        return self._probe is None and self.state in BROKEN and self.lease.want(now)

    def state_at(self, now: float) -> State:
        """The state at `now`: closed after the slow start is over, even if `advance` has not been called yet."""
        if self.state is _RECOVERING and self.traffic_share(now) >= 1:
            return State.CLOSED
        return self.state

    def traffic_share(self, now: float) -> float:
        """The share of its usual traffic that it gets: below 1 during a slow start."""
        if self.state is not _RECOVERING or not self.config.slow_start:
            return 1.0
        share = (now - self.recovering_since) / self.config.slow_start
        return 1.0 if share >= 1 else max(self.config.slow_start_min_share, share)

    def mostly_successful(self) -> bool:
        """Whether at least 80 % of the attempts before the latest failure succeeded, or there were none."""
        return self.window.failures - 1 <= 0.2 * (len(self.window) - 1)

    @property
    def is_suspect(self) -> bool:
        """Whether it has failed since its last success, or is not closed."""
        return self.failures_in_a_row > 0 or self.state is not State.CLOSED

    def stall_reason(self, now: float) -> str:
        """Why this breaker should open for a stall, or "": several attempts, started one after the other, wait longer than their
        `stall_after`, and no attempt that started after them has succeeded."""
        stalled = [
            permit
            for permit in self.in_flight  # ordered by start
            if now - permit.started >= permit.stall_after and permit.started > self.last_success_start
        ]
        if len(stalled) < self.config.stalled_calls:
            return ""
        if stalled[-1].started - stalled[0].started < self.config.failure_span - 1e-9:  # a burst is one observation
            return ""
        return f"{len(stalled)} calls without an answer for over {now - stalled[-1].started:.1f} s"

    def is_waited_for(self, now: float, part: float = 1.0) -> bool:
        """Whether an attempt waits longer than this part of its `stall_after`, and no later attempt was answered."""
        first = next((permit for permit in self.in_flight if permit.started > self.last_success_start), None)
        return first is not None and now - first.started >= part * first.stall_after

    def free(self, now: float) -> float:
        """How many more attempts it admits now."""
        return inf if self.admission is None else self.admission.free(self.active, now)

    @property
    def recent(self) -> tuple[int, int]:
        """Attempts and failures in the sliding window."""
        return len(self.window), self.window.failures

    # --- permits -------------------------------------------------------------------------------------------------

    def probe(self, permit: Permit, now: float) -> None:
        """An attempt was admitted: the first one after a break becomes the probe, and takes the lease."""
        if self.state in BROKEN and not permit.last_resort:
            self.state = State.HALF_OPEN
            if self.lease is not None:
                self.lease.in_use = True
            self._probe, self._probe_lease_until = permit, now + self.config.probe_lease
            permit.probe = True

    def release(self, permit: Permit) -> None:
        """Release a permit. A probe that ends without a verdict frees the lease."""
        self.in_flight.pop(permit, None)
        self.active = max(0, self.active - 1)  # after a fork, the parent's are not counted
        self.end_probe(permit)

    def end_probe(self, permit: Permit) -> None:
        """A probe has ended: free the lease for the next one."""
        if self._probe is permit:
            self._release_probe()

    def reset(self) -> None:
        """Start again: closed, without a record. Attempts in flight still count, but their results are stale."""
        self._release_probe()
        fresh = CircuitBreaker(self.config, counts=self.counts)
        fresh.disabled, fresh.active, fresh.in_flight = self.disabled, self.active, self.in_flight
        fresh.streams, fresh.lease, fresh.part = self.streams, self.lease, self.part
        fresh.epoch = self.epoch + 1
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def forget_attempts(self) -> None:
        """Forget all attempts in flight, and the lease of a probe among them."""
        self.in_flight.clear()
        self.active = self.streams = 0
        self._release_probe()

    # --- transitions ---------------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Close if the slow start is over."""
        self.state = self.state_at(now)
        if self.state is State.CLOSED:
            self.admission = None

    def record_success(self, started: float, now: float) -> None:
        """An attempt that began at `started` succeeded."""
        if started > self.last_success_start:
            self.last_success_start = started
        self.rate_limits = 0
        if self.counts:
            self.window.record(now, False, self.config)
        if self.admission is not None:
            self.admission.record_success(started, now)
            if self.admission.is_unbound(now):
                self.admission = None
        if started > self._first_failure_start:  # an older attempt's success does not cancel later failures
            self._clear_consecutive_failures()
        if self.state in BROKEN:
            self.recover(now, fastest=now - started)

    def record_failure(self, started: float, now: float, *, needs_span: bool = True, fast: bool = False) -> bool:
        """An attempt that began at `started` failed. Returns whether the breaker should open. `needs_span`: failures within
        `failure_span` are one observation. `fast`: it failed within `Policy.fast_failure`, as a refusal by an overloaded server does.
        In a slow start, the fast failures of one round are one observation: the window was too large, and has been halved."""
        is_recovering = self.state is State.RECOVERING
        if fast and needs_span and is_recovering and self.admission and self.admission.was_halved_since(started):
            return False
        self.window.record(now, True, self.config)
        self.failures_in_a_row += 1
        self._first_failure_start = min(self._first_failure_start, started)
        self._last_failure = max(self._last_failure, now)
        if self.state in BROKEN:
            return True
        if self.admission is not None and self.admission.record_failure(started, now) and is_recovering:
            return True
        config = self.config
        span = self._last_failure - self._first_failure_start
        if self.failures_in_a_row >= config.consecutive_failures and (span >= config.failure_span or not needs_span):
            self.reason = f"{self.failures_in_a_row} consecutive failures"
            return True
        size, failures = self.recent
        if size >= config.minimum_throughput and failures >= config.failure_ratio * size:
            self.reason = f"{failures} of the last {size} attempts failed"
            return True
        return False

    def open(
        self, now: float, rng: random.Random, *, at_least: float = 0.0, fast: bool = False, most: float = inf, cause: str = "",
        since: float = inf,
    ) -> None:  # fmt: skip
        """Open, or stay open longer; a break is never shortened. `at_least`: seconds. `fast`: a failing probe would cost its caller
        little time. `most`: upper bound of the doubled duration, in addition to `max_break_duration`. `cause`: see the attribute.
        `since`: start of the failed probe: its duration counts towards the break, up to half of it, so that a recovery is noticed in time.

        The first duration has equal jitter: half fixed, half random (AWS Architecture Blog, "Exponential Backoff And Jitter"). After a
        failed probe three quarters are fixed: fewer probes for the same longest duration.
        """
        config = self.config
        if self.state is not State.OPEN:
            closed_for = now - self.recovering_since if self.recovering_since > -inf else 0.0
            forgiven = int(closed_for / config.backoff_reset) if config.backoff_reset else 0
            self.trips = max(0, self.trips - forgiven) + 1
        base = min(config.fast_break_duration, config.break_duration) if fast else config.break_duration
        longest = min(base * 2 ** min(self.trips - 1, 30), config.max_break_duration, most)
        duration = longest * (0.5 + rng.random() / 2 if self.trips == 1 else 0.75 + rng.random() / 4)
        taken = min(max(0.0, now - since), duration / 2)
        self._open(now + max(duration - taken, min(at_least, config.max_retry_after)), now, cause)

    def open_as_others(self, until: float, trips: int, cause: str, at: float) -> None:
        """Another process opened this breaker at `at`: open it here too, at least until `until`."""
        self.trips = max(self.trips, trips)
        if self.state is State.HALF_OPEN:  # the result of this process's own probe counts
            self.open_until = max(self.open_until, until)
        else:
            self.reason = self.reason if self.state is State.OPEN and self.reason else f"{cause}, in another process"
            self._open(until, max(at, self.evidence_at), cause)

    def _open(self, until: float, at: float, cause: str) -> None:
        self.state, self.cause, self.evidence_at = State.OPEN, cause, at
        self.open_until = max(self.open_until, until)
        self.epoch += 1
        self.admission, self.probes_members = None, False
        self._release_probe()

    def recover(self, now: float, *, slow_start: bool = True, by_others: bool = False, fastest: float = inf) -> None:
        """Admit traffic again: gradually, or (a domain) without a slow start. `by_others`: another process's probe succeeded, at `now`.
        `fastest`: duration of the probe's answer in seconds."""
        self.state = State.RECOVERING if slow_start else State.CLOSED
        part = self.part.behind_first() if by_others else self.part._replace(place=0.0)
        self.admission = AdmissionWindow(now, places=AFTER_PROBE, part=part, fastest=fastest) if slow_start else None
        if self.cause:
            self.recovered_at, self.cause = now, ""
        self.recovering_since, self.evidence_at, self.reason = now, now, ""
        self.open_until = self.rejected_until = -inf
        self.probes_members = False
        self._release_probe()
        self.window.clear()  # kept until now for display: outcomes from before the break do not count any more
        self._clear_consecutive_failures()

    def probe_from(self, now: float) -> None:
        """Allow a probe from `now` on: another target of the same domain has recovered."""
        self.open_until, self.rejected_until = min(self.open_until, now), -inf

    def rate_limit(self, now: float, rng: random.Random, retry_after: float | None, started: float) -> None:
        """An attempt that began at `started` was rate-limited: admit nothing for `retry_after` seconds. Without a `retry_after`, or if
        it is 0, use exponential backoff with equal jitter, and admit half as many concurrent attempts afterwards.

        If the previous attempt was rate-limited too, the provider's time was too short: wait at least for that backoff. Rejections
        of concurrent attempts are one observation.
        """
        if started < self._rate_limited_at:
            if retry_after:
                self.stay_away(now, retry_after)
            return
        self._rate_limited_at = now
        config, seconds = self.config, retry_after
        longest = min(config.rate_limit_backoff * 2.0 ** min(self.rate_limits, 30), config.max_rate_limit_backoff)
        if not seconds or self.rate_limits:
            seconds = max(seconds or 0.0, longest * (0.5 + rng.random() / 2))
        self.rate_limits += 1
        concurrent = self.active if self.admission is None else min(self.active, self.admission.limit(now))
        self.stay_away(now, seconds)
        if not retry_after and self.state is State.CLOSED:
            self.admission = AdmissionWindow(
                self.rate_limited_until, halved_to=max(1.0, concurrent / 2), part=self.part
            )

    def stay_away(self, now: float, seconds: float) -> None:
        """Admit nothing for this many seconds, as stated by the provider."""
        self.rate_limited_until = max(self.rate_limited_until, now + min(seconds, self.config.max_retry_after))
        if self.state is State.CLOSED:
            self.admission = AdmissionWindow(self.rate_limited_until, part=self.part)

    def record_first_content(self, started: float, now: float) -> None:
        """A stream has begun. This closes a half-open breaker and is evidence against a stall; the outcome is recorded at its end."""
        if self.state in BROKEN:
            self.rate_limits = 0
            self.recover(now)  # the duration of its answer is not known yet
        self.last_success_start = max(self.last_success_start, started)

    def retract_failure(self, failed_at: float) -> None:
        """Remove a failure that the request caused."""
        if self.window.remove_failure(failed_at):
            self.failures_in_a_row = max(0, self.failures_in_a_row - 1)

    def record_rejection(self, now: float) -> None:
        """An error about the key, the account or the model: shown as a failed attempt until the breaker recovers."""
        self.window.record(now, True, self.config)

    def _release_probe(self) -> None:
        self._probe, self._probe_lease_until = None, -inf
        if self.lease is not None:
            self.lease.in_use = False

    def _clear_consecutive_failures(self) -> None:
        self.failures_in_a_row, self._first_failure_start, self._last_failure = 0, inf, -inf
