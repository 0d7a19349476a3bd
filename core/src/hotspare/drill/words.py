"""The figures of a drill in words, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hotspare.drill.figures import EVIDENCE, HERD, PROMPT, Figure, Result, by_phase


def percent(value: Figure) -> str:
    """A share; 100 % only if it is."""
    if not isinstance(value, int | float):
        return "-"
    return "100 %" if value == 1 else f"{min(99.9, 100 * value):.1f} %"


def seconds(value: Figure) -> str:
    """Milliseconds below ten seconds' worth of detail."""
    if not isinstance(value, int | float):
        return "-"
    return f"{value * 1000:,.0f} ms" if value < 1 else f"{value:.1f} s"


def ratio(value: Figure) -> str:
    """Two places."""
    return f"{value:.2f}" if isinstance(value, int | float) else "-"


def count(value: Figure) -> str:
    """A whole number."""
    return f"{value:,}" if isinstance(value, int) else "-"


Form = Callable[[Figure], str]
_FORMS: Mapping[str, Form] = {
    "answered": percent, "answered_in_outages": percent, "answered_in_blackout": percent, "surge_prompt": percent,
    "attempts_per_call": ratio, "attempts_per_call_in_outages": ratio,
    "calls": count, "failovers": count, "wasted": count, "waited": count, "returned_at_once": count, "wrong": count,
}  # fmt: skip

OVERALL = (
    ("calls", "calls"),
    ("answered", "answered word for word within the deadline"),
    ("answered_in_outages", "… of those asked while a region was dead or throttled"),
    ("answered_in_blackout", "… of those asked while everything was dead"),
    ("p50", "time of the answered, p50"),
    ("p95", "time of the answered, p95"),
    ("p99", "time of the answered, p99"),
    ("ttft_p50", "first token, p50"),
    ("ttft_p95", "first token, p95"),
    ("failovers", "failovers"),
    ("attempts_per_call", "attempts per call"),
    ("attempts_per_call_in_outages", f"… in outages, {EVIDENCE:g} s after their beginning"),
    ("wasted", "calls wasted on dead or throttled targets"),
    ("noticed", "recovery of the region noticed after"),
    ("waited", "answered when everything was back"),
    ("returned_at_once", f"… of them within any {1000 * HERD:g} ms, at most"),
    ("surge_prompt", f"surge answered within {PROMPT:g} s"),
    ("surge_p99", "surge answered in, p99"),
    ("wrong", "wrong or truncated texts"),
)
"""Every figure of `overall`, and what it is called."""

PHASE_COLUMNS = (
    ("phase", "phase"), ("calls", "calls"), ("answered", "answered"), ("p50", "p50"), ("p95", "p95"), ("p99", "p99"),
    ("first token p50", "ttft_p50"), ("p95", "ttft_p95"), ("failovers", "failovers"), ("attempts/call", "attempts_per_call"),
    ("wasted", "wasted"), ("wrong", "wrong"),
)  # fmt: skip
"""Head and figure of each column of the table of phases."""


def shown(name: str, figures: Mapping[str, Figure]) -> str:
    """One figure, in its own form; those that are told for the pool alone are '-' for a client without one."""
    return _FORMS.get(name, seconds)(figures[name])


def phase_cells(result: Result) -> list[list[str]]:
    """The rows of the table of phases."""
    names = [name for _, name in PHASE_COLUMNS[1:]]
    return [[str(row["phase"]), *(shown(name, row) for name in names)] for row in by_phase(result)]
