"""The names and formats of the metrics, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hotspare.drill.metrics import BURST_WINDOW, DETECTION_TIME, ON_TIME, Metric, Result, by_phase, overall
from hotspare.drill.scenarios import Scenario


def percent(value: Metric) -> str:
    """A fraction as a percentage. 100 % only if it is exactly 1."""
    if not isinstance(value, int | float):
        return "-"
    return "100 %" if value == 1 else f"{min(99.9, 100 * value):.1f} %"


def seconds(value: Metric) -> str:
    """Milliseconds below one second, else seconds."""
    if not isinstance(value, int | float):
        return "-"
    return f"{value * 1000:,.0f} ms" if value < 1 else f"{value:.1f} s"


def ratio(value: Metric) -> str:
    """A number with two decimals."""
    return f"{value:.2f}" if isinstance(value, int | float) else "-"


def _count(value: Metric) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def _rate(value: Metric) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "-"


def _load(value: Metric) -> str:
    return f"{value:,.0f}/s" if isinstance(value, int | float) else "-"


_FORMATS: Mapping[str, Callable[[Metric], str]] = {
    "answered": percent, "answered_in_outages": percent, "answered_in_total_outage": percent,
    "answered_in_faults": percent, "surge_on_time": percent, "extra_attempt_rate": _rate, "attempts_per_call": ratio,
    "attempts_per_call_in_outages": ratio, "calls": _count, "extra_attempts": _count, "wasted_attempts": _count,
    "answered_after_total_outage": _count, "largest_burst": _count, "wrong": _count, "resumed": _count,
    "rejected": _count, "rejected_rate": _rate, "limit_used": percent, "splice_points": _count, "interrupted": _count, "hedges": _count, "planned_load": _load, "achieved_load": _load,
}  # fmt: skip

OVERALL = {
    "calls": "calls",
    "answered": "answered exactly, within the deadline",
    "answered_in_outages": "answered during a region's outage or rate limits",
    "answered_in_total_outage": "answered while all targets were down",
    "answered_in_faults": "answered while a region was faulty",
    "p50": "latency of successful calls, p50",
    "p95": "latency of successful calls, p95",
    "p99": "latency of successful calls, p99",
    "ttft_p50": "time to first token, p50",
    "ttft_p95": "time to first token, p95",
    "ttft_p99": "time to first token, p99",
    "longest_gap": "longest gap in a stream",
    "extra_attempts": "attempts after the first",
    "hedges": "hedges",
    "resumed": "streams resumed at another target",
    "splice_points": "splice points in resumed streams",
    "attempts_per_call": "attempts per call",
    "attempts_per_call_in_outages": f"attempts per call in outages, from {DETECTION_TIME:g} s after their start",
    "wasted_attempts": "attempts wasted on faulted targets",
    "rejected_rate": "attempts that drew a 429",
    "limit_used": "share of the limit that was used under load",
    "recovery_time": "time from a region's recovery to its first answer",
    "answered_after_total_outage": "calls that waited until targets recovered",
    "aftermath_p95": "from the end of the total outage to their answers, p95",
    "largest_burst": f"largest burst of these answers within {1000 * BURST_WINDOW:g} ms",
    "surge_on_time": f"answered in the surge within {ON_TIME:g} s",
    "surge_p99": "latency in the surge, p99",
    "interrupted": "streams interrupted (StreamInterrupted)",
    "wrong": "wrong or truncated texts",
}
"""Every metric of `overall`, and its label."""

_HEADS: Mapping[str, str] = {
    "ttft_p50": "TTFT\np50", "ttft_p95": "TTFT\np95", "ttft_p99": "TTFT\np99", "attempts_per_call": "attempts\nper call",
    "longest_gap": "longest\ngap", "extra_attempt_rate": "extra\nattempts", "extra_attempts": "extra\nattempts",
    "wasted_attempts": "wasted\nattempts", "rejected": "429s", "limit_used": "limit\nused", "planned_load": "planned\nload", "achieved_load": "achieved\nload", "splice_points": "splice\npoints",
}  # fmt: skip
"""Column heads that are not the metric's own name. Two lines, so that the table fits into a terminal."""

_HIGHLIGHTS: Mapping[str, str] = {
    "answered_in_total_outage": "answered while all targets were down",
    "attempts_per_call_in_outages": "attempts per call in outages, once detected",
    "recovery_time": "from a region's recovery to its first answer",
    "surge_p99": "p99 latency in the surge",
    "extra_attempt_rate": "extra attempts",
    "ttft_p99": "p99 time to first token",
}


def formatted(name: str, metrics: Mapping[str, Metric]) -> str:
    """One metric in its own format; '-' if there is no value."""
    return _FORMATS.get(name, seconds)(metrics[name])


def highlights(scenario: Scenario, metrics: Mapping[str, Metric]) -> list[tuple[str, str]]:
    """The metrics at the top of the report, as (value, label). Those without a value are left out."""
    names = (name for name in scenario.highlights if metrics[name] is not None)
    return [(formatted(name, metrics), _HIGHLIGHTS.get(name) or OVERALL[name]) for name in names]


def comparison(results: Sequence[Result]) -> list[list[str]]:
    """A row per metric, a column per client. Rows without any value are left out."""
    found = [overall(result) for result in results]
    names = [name for name in OVERALL if any(metrics[name] is not None for metrics in found)]
    return [[OVERALL[name], *(formatted(name, metrics) for metrics in found)] for name in names]


def phase_heads(scenario: Scenario) -> list[str]:
    """The column heads of the table of phases."""
    return ["phase", *(_HEADS.get(name, name) for name in scenario.columns)]


def phase_rows(result: Result) -> list[list[str]]:
    """The rows of the table of phases."""
    return [
        [str(row["phase"]), *(formatted(name, row) for name in result.scenario.columns)] for row in by_phase(result)
    ]
