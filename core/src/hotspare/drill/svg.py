"""A timeline of a scenario as SVG: what the callers saw, and the state and the traffic of each target."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby, pairwise
from math import ceil, floor, sqrt

from hotspare.drill.labels import seconds
from hotspare.drill.metrics import Result, quantile
from hotspare.drill.scenarios import ENDPOINTS, Phase
from hotspare.outcome import Kind

STATES = {
    "closed": "#3aa876", "recovering": "#b5d56a", "half-open": "#f2c94c", "open": "#d9534f", "rate-limited": "#f0a04b",
}  # fmt: skip
"""Colours of the states of a target."""
_OK, _FAILED, _WAITING, _INK, _DIM = "#33507a", "#d9534f", "#f7ddb0", "#1f2937", "#6b7280"
_ROLES = {"outage": "#fdecea", "fault": "#fdecea", "total_outage": "#f9d4d1", "surge": "#e8effb"}
_STEP = 0.25  # seconds per bar
_LEFT, _WIDTH, _LANE, _BAR, _TOP = 186, 922, 62, 40, 54  # pixels
_STYLE = (
    f"text{{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:{_INK}}}"
    f".d{{font-size:11px;fill:{_DIM}}}.p{{font-weight:600;font-size:11.5px}}.l{{font-weight:600}}"
)
_HATCHING = (
    '<pattern id="h" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<path d="M0 0v6" stroke="{_FAILED}" stroke-width="1.6" opacity=".45"/></pattern>'
)

Bars = dict[int, float]


def draw_timeline(results: Sequence[Result]) -> str:
    """A lane for the callers of each result, then a lane for each target of the first result."""
    canvas = _Canvas(results[0], lanes=len(results) + len(ENDPOINTS))
    for result in results:
        canvas.add_callers(result)
    for name in ENDPOINTS:
        canvas.add_target(name)
    return canvas.svg()


class _Canvas:
    """Draws one lane below the other. Times are seconds since the start of the first result."""

    def __init__(self, result: Result, lanes: int) -> None:
        self._result = result
        self._end = result.span(len(result.phase_starts) - 1)[1]
        self._bottom = _TOP + lanes * _LANE
        self._row = 0
        self._out: list[str] = []
        for index, phase in enumerate(result.phases):
            self._add_phase(phase, *result.span(index))
        for second in range(0, ceil(self._end), 5):
            self._out.append(f'<text x="{self._x(second):.0f}" y="{self._bottom + 16}" class="d">{second} s</text>')

    def _x(self, at: float) -> float:
        return _LEFT + _WIDTH * min(at, self._end) / self._end

    def _add_phase(self, phase: Phase, start: float, end: float) -> None:
        x, width = self._x(start), self._x(end) - self._x(start)
        size = f'width="{width - 1:.1f}" height="{self._bottom - 8}"'
        self._out.append(f'<rect x="{x:.1f}" y="8" {size} fill="{_ROLES.get(phase.role, "#f6f7f9")}"/>')
        for number, line in enumerate(_wrap(phase.name, width)):
            self._out.append(f'<text x="{x + 5:.1f}" y="{24 + 14 * number}" class="p">{escape(line)}</text>')

    def add_callers(self, result: Result) -> None:
        """How many calls waited, were answered and were lost in each quarter of a second."""
        align = _Align(result, self._result)
        answered, lost = Counter[int](), Counter[int]()
        waiting: Bars = {}
        for call in result.calls:
            start, end = align(call.started), align(call.ended)
            (answered if call.correct else lost)[_slot(end)] += 1
            for slot in range(_slot(start) + 1, _slot(end)):
                waiting[slot] = waiting.get(slot, 0) + 1
        percentage = floor(1000 * result.correct_calls / len(result.calls)) / 10  # never rounded up to 100
        p99 = quantile((call.seconds for call in result.calls if call.correct), 0.99)
        self._add_label(f"callers: {result.name}", f"{percentage:g} % answered, p99 {seconds(p99)}")
        self._add_bars([(waiting, _WAITING), (dict(answered), STATES["closed"]), (dict(lost), _FAILED)], _BAR + 12)
        self._row += 1

    def add_target(self, name: str) -> None:
        """Its attempts, its state in the pool (the band below them), and when it was faulted (the hatching)."""
        result, top = self._result, _TOP + self._row * _LANE
        for index, phase in enumerate(result.phases):
            if name in phase.faulted:
                x, end = (self._x(at) for at in result.span(index))
                size = f'width="{end - x - 1:.1f}" height="{_LANE - 6}"'
                self._out.append(f'<rect x="{x:.1f}" y="{top + 4}" {size} fill="url(#h)"/>')
        self._add_label(name)
        mine = [one for one in result.attempts if one.target == name]
        answered = Counter(_slot(one.ended) for one in mine if one.kind is Kind.OK)
        failed = Counter(_slot(one.ended) for one in mine if one.failed)
        self._add_bars([(dict(answered), _OK), (dict(failed), _FAILED)], _BAR)
        samples = [(at, states[name]) for at, states in result.states]
        runs = [(state, next(run)[0]) for state, run in groupby(samples, key=lambda sample: sample[1])]
        for (state, start), (_, end) in pairwise([*runs, ("", self._end)]):
            x = self._x(max(0.0, start - _STEP))
            width = self._x(end - _STEP if end < self._end else end) - x
            band = f'<rect x="{x:.1f}" y="{top + _LANE - 13}" width="{width:.1f}" height="8" fill="{STATES[state]}">'
            self._out.append(f"{band}<title>{name}: {state}</title></rect>")
        self._row += 1

    def _add_label(self, name: str, note: str = "") -> None:
        y = _TOP + self._row * _LANE + _LANE / 2 + (0 if note else 4)
        self._out.append(f'<text x="12" y="{y:.0f}" class="l">{escape(name)}</text>')
        if note:
            self._out.append(f'<text x="12" y="{y + 15:.0f}" class="d">{escape(note)}</text>')

    def _add_bars(self, layers: Iterable[tuple[Bars, str]], room: float) -> None:
        """The bars of all layers on one square-root scale, which shows a few beside hundreds; one path per layer."""
        drawn = [layer for layer in layers if layer[0]]
        most = max((max(bars.values()) for bars, _ in drawn), default=1)
        foot = _TOP + self._row * _LANE + 6 + room
        for bars, colour in drawn:
            path = ""
            for slot, count in sorted(bars.items()):
                height = max(2.5, room * sqrt(count / most))
                x, end = self._x(slot * _STEP), self._x((slot + 1) * _STEP)
                path += f"M{x:.1f} {foot:g}h{max(1.0, end - x - 0.6):.1f}v-{height:.1f}H{x:.1f}z"
            self._out.append(f'<path d="{path}" fill="{colour}"/>')

    def _legend(self) -> str:
        calls = [
            (STATES["closed"], "answered"),
            (_WAITING, "waiting"),
            (_FAILED, "lost or failed"),
            (_OK, "attempts answered"),
        ]
        states = [(colour, state) for state, colour in STATES.items()]
        x, y, out = 12, self._bottom + 34, ""
        for group in (calls, states, [("url(#h)", "fault injected")]):
            for colour, label in group:
                out += f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
                out += f'<text x="{x + 15}" y="{y}" class="d">{label}</text>'
                x += 30 + round(6.1 * len(label))
            x += 18
        return out

    def svg(self) -> str:
        """The whole picture."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 12} {self._bottom + 46}" role="img">'
            f"<title>hotspare drill</title><style>{_STYLE}</style><defs>{_HATCHING}</defs>"
            f'<rect width="100%" height="100%" rx="8" fill="#fff"/>{"".join(self._out)}{self._legend()}</svg>'
        )


class _Align:
    """Maps the times of one run to those of another run of the same scenario, phase by phase."""

    def __init__(self, source: Result, target: Result) -> None:
        self._source, self._target = source.phase_starts, target.phase_starts

    def __call__(self, at: float) -> float:
        index = max(0, bisect_right(self._source, at) - 1)
        return self._target[index] + at - self._source[index]


def _slot(at: float) -> int:
    return int(at / _STEP)


def _wrap(text: str, width: float) -> list[str]:
    """In two lines of similar length, if the text is wider than the phase."""
    if 7.2 * len(text) <= width or " " not in text:
        return [text]
    spaces = [i for i, letter in enumerate(text) if letter == " "]
    middle = min(spaces, key=lambda i: abs(2 * i - len(text)))
    return [text[:middle], text[middle + 1 :]]
