"""The figures of a drill in words, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hotspare.drill.metrics import EVIDENCE, HERD, PROMPT, Figure, Result, by_phase, overall
from hotspare.drill.scenarios import Scenario


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


def extra(value: Figure) -> str:
    """A share that may be above one."""
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "-"


Form = Callable[[Figure], str]
_FORMS: Mapping[str, Form] = {
    "answered": percent, "answered_in_outages": percent, "answered_in_blackout": percent, "answered_in_faults": percent,
    "surge_prompt": percent, "extra": extra, "attempts_per_call": ratio, "attempts_per_call_in_outages": ratio,
    "calls": count, "failovers": count, "wasted": count, "waited": count, "returned_at_once": count, "wrong": count,
    "resumed": count, "seams": count, "interrupted": count, "hedges": count,
}  # fmt: skip

OVERALL = {
    "calls": "calls",
    "answered": "answered word for word within the deadline",
    "answered_in_outages": "… of those asked while a region was dead or throttled",
    "answered_in_blackout": "… of those asked while everything was dead",
    "answered_in_faults": "… of those asked while a region was ill",
    "p50": "time of the answered, p50",
    "p95": "time of the answered, p95",
    "p99": "time of the answered, p99",
    "ttft_p50": "first token, p50",
    "ttft_p95": "first token, p95",
    "ttft_p99": "first token, p99",
    "longest_silence": "longest silence in a stream",
    "failovers": "attempts after the first",
    "hedges": "… of them hedges",
    "resumed": "broken streams that another target continued",
    "seams": "… seams in them",
    "attempts_per_call": "attempts per call",
    "attempts_per_call_in_outages": f"… in outages, {EVIDENCE:g} s after their beginning",
    "wasted": "attempts wasted on sick targets",
    "noticed": "recovery of the region noticed after",
    "waited": "answered when everything was back",
    "returned_at_once": f"… of them within any {1000 * HERD:g} ms, at most",
    "surge_prompt": f"surge answered within {PROMPT:g} s",
    "surge_p99": "surge answered in, p99",
    "interrupted": "ended with the text so far and an error",
    "wrong": "wrong or truncated texts",
}
"""Every figure of `overall`, and what it is called."""

_HEADS: Mapping[str, str] = {
    "answered": "exact", "ttft_p50": "1st token\np50", "ttft_p95": "p95", "ttft_p99": "p99", "attempts_per_call": "attempts\n/call",
    "longest_silence": "longest\nsilence", "extra": "extra\nattempts", "failovers": "fail-\novers", "interrupted": "inter-\nrupted",
}  # fmt: skip
"""Where another word than the figure's own name heads its column; in two lines, so that a table fits into a terminal."""

_CARDS: Mapping[str, str] = {
    "answered": "answered word for word, in time",
    "answered_in_blackout": "of those asked while everything was dead",
    "attempts_per_call_in_outages": "attempts a call, once an outage was known",
    "noticed": "from the region's return to its first answer",
    "surge_p99": "p99 in the surge",
    "extra": "extra attempts",
    "ttft_p99": "p99 to the first token",
}


def shown(name: str, figures: Mapping[str, Figure]) -> str:
    """One figure, in its own form; those that are told for the pool alone are '-' for a client without one."""
    return _FORMS.get(name, seconds)(figures[name])


def cards(scenario: Scenario, figures: Mapping[str, Figure]) -> list[tuple[str, str]]:
    """What a reader should see first: the figures that there are, and what they mean."""
    told = (name for name in scenario.cards if figures[name] is not None)
    return [(shown(name, figures), _CARDS.get(name) or OVERALL[name]) for name in told]


def side_by_side(results: Sequence[Result]) -> list[list[str]]:
    """A row a figure, a column a client. What no client has a figure for is left out."""
    found = [overall(result) for result in results]
    told = [name for name in OVERALL if any(figures[name] is not None for figures in found)]
    return [[OVERALL[name], *(shown(name, figures) for figures in found)] for name in told]


def phase_heads(scenario: Scenario) -> list[str]:
    """The heads of the table of phases."""
    return ["phase", *(_HEADS.get(name, name) for name in scenario.columns)]


def phase_cells(result: Result) -> list[list[str]]:
    """The rows of the table of phases."""
    return [[str(row["phase"]), *(shown(name, row) for name in result.scenario.columns)] for row in by_phase(result)]
