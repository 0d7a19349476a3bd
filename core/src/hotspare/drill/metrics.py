"""What a drill saw, and the figures that are made of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hotspare.drill.scenarios import ENDPOINTS, Phase, Scenario
from hotspare.outcome import Kind

EVIDENCE = 2.0
"""Seconds into an outage after which the breakers have their evidence (five consecutive_failures spanning one second)."""
PROMPT = 5.0
"""Seconds within which a call of the surge has to be answered."""
HERD = 0.1
"""Seconds: how closely together calls that waited for a recovery are counted as coming back at once."""

Figure = str | int | float | None


@dataclass(slots=True)
class Asked:
    """One call of the drill, and how it went. `at` and `seconds` in seconds; `ended` is false while it runs.

    `heard`: when something of a stream came last, in seconds from `at`; `silence`: the longest time between two such moments.
    """

    phase: int
    at: float
    seconds: float = 0.0
    ttft: float | None = None
    right: bool = False
    error: str = ""
    attempts: int = 0
    seams: int = 0
    heard: float = 0.0
    silence: float = 0.0
    ended: bool = False

    def hear(self, seconds: float) -> None:
        """Something of a stream came, or its end, so many seconds after the question."""
        self.silence, self.heard = max(self.silence, seconds - self.heard), seconds

    @property
    def interrupted(self) -> bool:
        """Whether it ended with the text so far and an honest error."""
        return self.error.startswith("StreamInterrupted")


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt, from `at` to `ended` in seconds since the drill's start."""

    at: float
    ended: float
    target: str
    kind: Kind
    why: str

    @property
    def failed(self) -> bool:
        """Whether it failed; one that lost against another attempt did not."""
        return self.kind not in (Kind.OK, Kind.CANCELLED)


@dataclass(slots=True)
class Result:
    """Everything that a drill saw. `states` holds each target's state at a moment, in seconds since the start."""

    name: str
    scenario: Scenario
    starts: list[float] = field(default_factory=list[float])
    calls: list[Asked] = field(default_factory=list[Asked])
    tried: list[Tried] = field(default_factory=list[Tried])
    states: list[tuple[float, dict[str, str]]] = field(default_factory=list[tuple[float, dict[str, str]]])

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What was played."""
        return self.scenario.phases

    @property
    def good(self) -> bool:
        """Whether every call was answered word for word within its deadline."""
        return all(call.right for call in self.calls)

    def of(self, role: str) -> list[Asked]:
        """The calls made in phases of this role."""
        return [call for call in self.calls if self.phases[call.phase].role == role]

    def span(self, index: int) -> tuple[float, float]:
        """When a phase began and ended."""
        end = self.starts[index + 1] if index + 1 < len(self.starts) else self.states[-1][0] if self.states else 0.0
        return self.starts[index], max(end, self.starts[index])

    def wasted(self, index: int) -> int:
        """Attempts begun in a phase at targets that were sick, and lost."""
        begun, ended = self.span(index)
        sick = self.phases[index].sick
        return sum(one.target in sick and one.failed and begun <= one.at < ended for one in self.tried)

    def settled(self, index: int) -> list[Asked]:
        """The calls of an outage made once the breakers had their evidence; in other phases all."""
        wait = EVIDENCE if self.phases[index].role == "outage" else 0.0
        return [call for call in self.calls if call.phase == index and call.at >= self.starts[index] + wait]

    def noticed(self) -> float | None:
        """Seconds from the region's return to the first answer of its first target."""
        for index, phase in enumerate(self.phases):
            if phase.role == "recovery" and index < len(self.starts):
                back = self.starts[index]
                answers = (
                    t.ended for t in self.tried if t.at > back and t.target == ENDPOINTS[0] and t.kind is Kind.OK
                )
                return next((at - back for at in answers), None)
        return None

    def returned(self) -> tuple[int, int]:
        """Calls of a blackout that were answered after its end, and how many of them at most within 100 ms."""
        reached = range(len(self.starts))
        ends = [self.span(index)[1] for index in reached if self.phases[index].role == "blackout"]
        answers = sorted(call.at + call.seconds for call in self.of("blackout") if call.right)
        answers = [at for at in answers if ends and at > ends[0]]
        return len(answers), max(
            (bisect_left(answers, at + HERD) - place for place, at in enumerate(answers)), default=0
        )


def by_phase(result: Result) -> list[dict[str, Figure]]:
    """One row a phase."""
    rows: list[dict[str, Figure]] = []
    for index, phase in enumerate(result.phases[: len(result.starts)]):
        calls = [call for call in result.calls if call.phase == index]
        rows.append({
            "phase": phase.name, **counts(calls), **latencies(calls), "wasted": result.wasted(index),
            "attempts_per_call": mean(call.attempts for call in result.settled(index)),
        })  # fmt: skip
    return rows


def overall(result: Result) -> dict[str, Figure]:
    """The drill in one column, by name."""
    outages = [index for index, phase in enumerate(result.phases[: len(result.starts)]) if phase.role == "outage"]
    surge, blackout, (waited, at_once) = result.of("surge"), result.of("blackout"), result.returned()
    return {
        **counts(result.calls),
        "answered_in_outages": share(call.right for call in result.of("outage")),
        "answered_in_blackout": share(call.right for call in blackout),
        "answered_in_faults": share(call.right for call in result.of("fault")),
        **latencies(result.calls),
        "attempts_per_call": mean(call.attempts for call in result.calls),
        "attempts_per_call_in_outages": mean(call.attempts for index in outages for call in result.settled(index)),
        "wasted": sum(map(result.wasted, range(len(result.starts)))),
        "noticed": result.noticed(),
        "waited": waited if blackout else None,
        "returned_at_once": at_once if blackout else None,
        "surge_prompt": share(call.right and call.seconds <= PROMPT for call in surge),
        "surge_p99": quantile([call.seconds for call in surge if call.right], 0.99),
        "hedges": sum(one.why == "hedge" for one in result.tried) or None,
        "resumed": sum(call.seams > 0 for call in result.calls) or None,
        "seams": sum(call.seams for call in result.calls) or None,
    }


def counts(calls: Sequence[Asked]) -> dict[str, Figure]:
    """What became of these calls."""
    extra = sum(max(0, call.attempts - 1) for call in calls)
    return {
        "calls": len(calls),
        "answered": share(call.right for call in calls),
        "failovers": extra,
        "extra": extra / len(calls) if calls else None,
        "resumed": sum(call.seams > 0 for call in calls),
        "seams": sum(call.seams for call in calls),
        "interrupted": sum(call.interrupted for call in calls),
        "wrong": sum(call.error == "wrong text" for call in calls),
        "longest_silence": max((call.silence for call in calls), default=None),
    }


def latencies(calls: Iterable[Asked]) -> dict[str, Figure]:
    """Times of those calls that were answered, in seconds."""
    right = [call for call in calls if call.right]
    times, firsts = [call.seconds for call in right], [call.ttft for call in right if call.ttft is not None]
    found: dict[str, Figure] = {f"p{round(100 * q)}": quantile(times, q) for q in (0.5, 0.95, 0.99)}
    return found | {f"ttft_p{round(100 * q)}": quantile(firsts, q) for q in (0.5, 0.95, 0.99)}


def share(held: Iterable[bool]) -> float | None:
    """How many of them held, between 0 and 1; None of none."""
    values = list(held)
    return sum(values) / len(values) if values else None


def mean(values: Iterable[int]) -> float | None:
    """The arithmetic mean; None of none."""
    found = list(values)
    return sum(found) / len(found) if found else None


def quantile(values: Iterable[float], at: float) -> float | None:
    """Nearest rank; None of none."""
    ranked = sorted(values)
    return ranked[min(int(at * len(ranked)), len(ranked) - 1)] if ranked else None
