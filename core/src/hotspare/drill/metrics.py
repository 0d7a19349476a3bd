"""The calls, attempts and states recorded while a scenario ran, and the metrics computed from them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from hotspare.drill.scenarios import Phase, Role, Scenario
from hotspare.outcome import Kind

DETECTION_TIME = 2.0
"""Seconds after the start of an outage within which every breaker has time to open."""
MIN_ACHIEVED = 0.9
"""A phase whose load is smaller than this share of the planned one is reported: the client, or this machine, was too slow."""
ON_TIME = 5.0
"""Seconds within which a call of the surge should be answered."""
BURST_WINDOW = 0.1
"""Seconds within which answers after a total outage count as one burst."""
WRONG_TEXT = "wrong text"

Metric = str | int | float | None


@dataclass(slots=True)
class CallRecord:
    """One call. `started`: its arrival in the script, in seconds since the scenario's start. `seconds`, `ttft`: from then to the end
    and to the first token.

    late: seconds from `started` until the client started the call, included in `seconds`.
    last_progress: seconds from `started` to the latest part of a stream. longest_gap: longest time between two parts.
    """

    phase: int
    started: float
    seconds: float = 0.0
    ttft: float | None = None
    correct: bool = False
    error: str = ""
    attempts: int = 0
    splice_points: int = 0
    last_progress: float = 0.0
    longest_gap: float = 0.0
    done: bool = False
    late: float = 0.0

    def note_progress(self, seconds: float) -> None:
        """Record that a part of the stream, or its end, arrived `seconds` after the start."""
        self.longest_gap = max(self.longest_gap, seconds - self.last_progress)
        self.last_progress = seconds

    @property
    def ended(self) -> float:
        """When the call ended, in seconds since the scenario's start."""
        return self.started + self.seconds


@dataclass(frozen=True, slots=True)
class AttemptSample:
    """One attempt. `started` and `ended` in seconds since the scenario's start."""

    started: float
    ended: float
    target: str
    kind: Kind
    reason: str

    @property
    def failed(self) -> bool:
        """Whether it failed. A cancelled attempt did not fail: another one was faster."""
        return self.kind not in (Kind.OK, Kind.CANCELLED)


@dataclass(slots=True)
class Result:
    """Everything recorded about one client. `states`: the state of each target at a moment, in seconds since the start."""

    name: str
    scenario: Scenario
    phase_starts: list[float] = field(default_factory=list[float])
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    attempts: list[AttemptSample] = field(default_factory=list[AttemptSample])
    states: list[tuple[float, dict[str, str]]] = field(default_factory=list[tuple[float, dict[str, str]]])

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The scenario's phases."""
        return self.scenario.phases

    @property
    def correct_calls(self) -> int:
        """Calls that got the exact answer within the deadline."""
        return sum(call.correct for call in self.calls)

    @property
    def succeeded(self) -> bool:
        """Whether every call got the exact answer within the deadline."""
        return self.correct_calls == len(self.calls)

    def calls_in(self, role: Role) -> list[CallRecord]:
        """The calls that started in phases of this role."""
        return [call for call in self.calls if self.phases[call.phase].role == role]

    def started_phases(self, role: Role) -> list[int]:
        """Indices of the phases of this role that have started."""
        return [i for i, phase in enumerate(self.phases[: len(self.phase_starts)]) if phase.role == role]

    def span(self, index: int) -> tuple[float, float]:
        """When a phase started and ended."""
        start, following = self.phase_starts[index], self.phase_starts[index + 1 : index + 2]
        end = following[0] if following else self.states[-1][0] if self.states else 0.0
        return start, max(end, start)

    def wasted_attempts(self, index: int) -> int:
        """Attempts of a phase that were sent to a faulted target and failed."""
        start, end = self.span(index)
        faulted = self.phases[index].faulted
        return sum(one.target in faulted and one.failed and start <= one.started < end for one in self.attempts)

    def after_detection(self, index: int) -> list[CallRecord]:
        """The calls of an outage that started after `DETECTION_TIME`; of any other phase all calls."""
        wait = DETECTION_TIME if self.phases[index].role == "outage" else 0.0
        return [call for call in self.calls if call.phase == index and call.started >= self.phase_starts[index] + wait]

    def recovery_time(self) -> float | None:
        """Seconds from the end of the region's outage to the first answer of its first target."""
        first = next(iter(self.scenario.endpoints))
        for index in self.started_phases("recovery")[:1]:
            start = self.phase_starts[index]
            for one in self.attempts:
                if one.started > start and one.target == first and one.kind is Kind.OK:
                    return one.ended - start
        return None

    def after_total_outage(self) -> list[float]:
        """When calls of a total outage were answered after its end, in seconds from the end, sorted."""
        ends = [self.span(index)[1] for index in self.started_phases("total_outage")]
        answers = sorted(call.ended for call in self.calls_in("total_outage") if call.correct)
        return [at - ends[0] for at in answers if ends and at > ends[0]]

    def attempts_in(self, index: int) -> list[AttemptSample]:
        """The attempts that started in a phase."""
        start, end = self.span(index)
        return [one for one in self.attempts if start <= one.started < end]

    def limit_used(self, index: int) -> float | None:
        """Answered attempts at the rate-limited endpoints in a phase of role `surge`, as a share of those that the limits admit, bursts
        included. None for other phases, or without limits."""
        start, end = self.span(index)
        limited = {name: one for name, one in self.scenario.settings.items() if one.get("rpm")}
        most = sum((one.get("rpm") or 0) / 60 * (end - start) + (one.get("burst") or 0) for one in limited.values())
        if not most or self.phases[index].role != "surge":
            return None
        return sum(one.target in limited and one.kind is Kind.OK for one in self.attempts_in(index)) / most

    def load(self, index: int) -> tuple[float, float]:
        """The planned and the achieved load of a phase, in calls per second."""
        count, seconds = self._offered(index)
        return self.phases[index].rate, count / seconds

    def _offered(self, index: int) -> tuple[int, float]:
        """The number of calls of a phase, and the seconds in which the client started them: the length of the phase, or more if calls were late."""
        calls = [call for call in self.calls if call.phase == index]
        ends = (call.started + call.late - self.phase_starts[index] for call in calls)
        return len(calls), max(self.phases[index].seconds, *ends, 0.0)

    def shortfalls(self) -> list[str]:
        """The phases whose planned load was not achieved, as sentences. Their figures are for a smaller load than planned."""
        found: list[str] = []
        for index, phase in enumerate(self.phases[: len(self.phase_starts)]):
            count, seconds = self._offered(index)
            if phase.seconds < MIN_ACHIEVED * seconds:
                found.append(f"{phase.name}: offered {count:,} calls in {seconds:.3g} s instead of {phase.seconds:g} s")
        return found


def by_phase(result: Result) -> list[dict[str, Metric]]:
    """One row per phase."""
    rows: list[dict[str, Metric]] = []
    for index, phase in enumerate(result.phases[: len(result.phase_starts)]):
        calls = [call for call in result.calls if call.phase == index]
        planned, achieved = result.load(index)
        rows.append({
            "phase": phase.name, "planned_load": planned, "achieved_load": achieved, **_counts(calls), **_latencies(calls), "wasted_attempts": result.wasted_attempts(index),
            "rejected": sum(one.kind is Kind.RATE_LIMITED for one in result.attempts_in(index)), "limit_used": result.limit_used(index),
            "attempts_per_call": _mean(call.attempts for call in result.after_detection(index)),
        })  # fmt: skip
    return rows


def overall(result: Result) -> dict[str, Metric]:
    """The metrics of the whole scenario. None: the scenario has no such phase, or nothing was measured."""
    outages = result.started_phases("outage")
    total_outage, surge = result.calls_in("total_outage"), result.calls_in("surge")
    aftermath = result.after_total_outage()
    bursts = (bisect_left(aftermath, at + BURST_WINDOW) - i for i, at in enumerate(aftermath))
    counts = _counts(result.calls)
    return {
        **counts,
        "answered_in_outages": share(call.correct for call in result.calls_in("outage")),
        "answered_in_total_outage": share(call.correct for call in total_outage),
        "answered_in_faults": share(call.correct for call in result.calls_in("fault")),
        **_latencies(result.calls),
        "attempts_per_call": _mean(call.attempts for call in result.calls),
        "attempts_per_call_in_outages": _mean(call.attempts for i in outages for call in result.after_detection(i)),
        "wasted_attempts": sum(map(result.wasted_attempts, range(len(result.phase_starts)))),
        "recovery_time": result.recovery_time(),
        "answered_after_total_outage": len(aftermath) if total_outage else None,
        "aftermath_p95": quantile(aftermath, 0.95),
        "largest_burst": max(bursts, default=0) if total_outage else None,
        "rejected_rate": share(one.kind is Kind.RATE_LIMITED for one in result.attempts)
        if result.scenario.settings
        else None,
        "limit_used": next((result.limit_used(index) for index in result.started_phases("surge")), None),
        "surge_on_time": share(call.correct and call.seconds <= ON_TIME for call in surge),
        "surge_p99": quantile([call.seconds for call in surge if call.correct], 0.99),
        "hedges": sum(one.reason == "hedge" for one in result.attempts) or None,
        "resumed": counts["resumed"] or None,
        "splice_points": counts["splice_points"] or None,
    }


def as_dict(result: Result) -> dict[str, object]:
    """All metrics, and every call that was lost, for JSON."""
    lost = [asdict(call) for call in result.calls if not call.correct]
    return {
        "overall": overall(result),
        "shortfalls": result.shortfalls(),
        "phases": by_phase(result),
        "lost_calls": lost,
    }


def _counts(calls: Sequence[CallRecord]) -> dict[str, Metric]:
    extra = sum(max(0, call.attempts - 1) for call in calls)
    return {
        "calls": len(calls),
        "answered": share(call.correct for call in calls),
        "extra_attempts": extra,
        "extra_attempt_rate": extra / len(calls) if calls else None,
        "resumed": sum(call.splice_points > 0 for call in calls),
        "splice_points": sum(call.splice_points for call in calls),
        "interrupted": sum(call.error.startswith("StreamInterrupted") for call in calls),
        "wrong": sum(call.error == WRONG_TEXT for call in calls),
        "longest_gap": max((call.longest_gap for call in calls), default=None),
    }


def _latencies(calls: Iterable[CallRecord]) -> dict[str, Metric]:
    """Of the successful calls, in seconds."""
    correct = [call for call in calls if call.correct]
    times, firsts = [call.seconds for call in correct], [call.ttft for call in correct if call.ttft is not None]
    found: dict[str, Metric] = {f"p{round(100 * q)}": quantile(times, q) for q in (0.5, 0.95, 0.99)}
    return found | {f"ttft_p{round(100 * q)}": quantile(firsts, q) for q in (0.5, 0.95, 0.99)}


def share(flags: Iterable[bool]) -> float | None:
    """The fraction of true flags, 0 to 1. None without flags."""
    values = list(flags)
    return sum(values) / len(values) if values else None


def _mean(values: Iterable[int]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None


def quantile(values: Iterable[float], at: float) -> float | None:
    """The quantile `at` (0 to 1), by nearest rank. None without values."""
    ranked = sorted(values)
    return ranked[min(int(at * len(ranked)), len(ranked) - 1)] if ranked else None
