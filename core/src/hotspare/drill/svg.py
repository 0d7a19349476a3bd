"""A timeline of a scenario as SVG: the results of the calls, and the state and the traffic of each target."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from math import ceil, floor, sqrt

from hotspare.drill.labels import seconds
from hotspare.drill.metrics import Result, quantile
from hotspare.outcome import Kind

STATES = {
    "closed": "#3aa876", "recovering": "#b5d56a", "half-open": "#f2c94c", "open": "#d9534f", "rate-limited": "#f0a04b",
}  # fmt: skip
"""Colours of the states of a target."""
_STEP = 0.25  # seconds per bar
_BAR, _HEAD = 40, 48  # pixels
_LETTER = 6.4  # widest mean of a label's letters, in pixels
_LIGHT = {
    "paper": "#fff", "ink": "#1f2937", "dim": "#5b6472", "ok": "#33507a", "failed": "#d9534f", "waiting": "#f2cf94", "answered": "#3aa876",
    "normal": "#f6f7f9", "outage": "#fdecea", "fault": "#fdecea", "total_outage": "#f9d4d1", "surge": "#e8effb",
}  # fmt: skip
_DARK = {
    "paper": "#182130", "ink": "#e5e7eb", "dim": "#a7b0bd", "ok": "#7aa7d9", "failed": "#ee7a73", "waiting": "#a5803f", "answered": "#46b985",
    "normal": "#1f2937", "outage": "#3b2429", "fault": "#3b2429", "total_outage": "#552a2e", "surge": "#22304a",
}  # fmt: skip
_FONTS = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif}.d{font-size:11px}.p{font-weight:600;font-size:11px}.l{font-weight:600}.n{font-size:10px}"
    f".h path{{stroke-width:1.6;opacity:.55;stroke:{_LIGHT['failed']}}}"
)

Bars = dict[int, float]


def _style() -> str:
    """Colours as classes, for a light page and for a dark one."""
    light, dark = (
        "".join(f".{name}{{fill:{colour}}}" for name, colour in colours.items()) + f"text{{fill:{colours['ink']}}}.d{{fill:{colours['dim']}}}"
        for colours in (_LIGHT, _DARK)
    )  # fmt: skip
    return f"{_FONTS}{light}@media(prefers-color-scheme:dark){{{dark}}}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes in pixels. left: width of the labels beside the lanes; below 100 the labels are above them. lane: height of a lane."""

    name: str
    left: int
    width: int
    lane: int

    @property
    def above(self) -> int:
        """Height of a lane's label above it."""
        return 0 if self.left > 100 else 18


WIDE = Layout("wide", 186, 922, 62)
NARROW = Layout("narrow", 8, 344, 80)
"""For phones, where the letters of `WIDE` would be 4 pixels high."""


def draw_timeline(results: Sequence[Result], layout: Layout = WIDE) -> str:
    """A lane for the callers of each result, then a lane for each target of the first result."""
    canvas = _Canvas(results[0], len(results) + len(results[0].scenario.endpoints), layout)
    for result in results:
        canvas.add_callers(result)
    for name in results[0].scenario.endpoints:
        canvas.add_target(name)
    return canvas.svg()


class _Canvas:
    """Draws one lane below the other. Times are seconds since the start of the first result."""

    def __init__(self, result: Result, lanes: int, layout: Layout) -> None:
        self._result, self._layout = result, layout
        self._end = result.span(len(result.phase_starts) - 1)[1]
        self._bottom = _HEAD + lanes * layout.lane
        self._hatching = f"url(#hatching-{layout.name})"
        self._row = 0
        self._out: list[str] = []
        spans = [result.span(index) for index in range(len(result.phase_starts))]
        names = [
            _wrap(phase.name, self._x(end) - self._x(start))
            for phase, (start, end) in zip(result.phases, spans, strict=False)
        ]
        self._numbered = not all(names)
        for index, (start, end) in enumerate(spans):
            self._add_phase(index, [str(index + 1)] if self._numbered else names[index], start, end)
        step = next((step for step in (5, 10, 15, 30, 60) if layout.width * step / self._end > 40), 120)
        for second in range(0, ceil(self._end), step):
            if self._x(second) <= layout.left + layout.width - 30:
                self._out.append(f'<text x="{self._x(second):.0f}" y="{self._bottom + 16}" class="d">{second} s</text>')

    def _x(self, at: float) -> float:
        return self._layout.left + self._layout.width * min(at, self._end) / self._end

    def _top(self) -> int:
        """The upper edge of the current lane, below its label."""
        return _HEAD + self._row * self._layout.lane + self._layout.above

    def _add_phase(self, index: int, lines: Sequence[str], start: float, end: float) -> None:
        phase = self._result.phases[index]
        x, width = self._x(start), self._x(end) - self._x(start)
        size = f'width="{max(1.0, width - 1):.1f}" height="{self._bottom - 8}"'
        role = phase.role if phase.role in _LIGHT else "normal"
        self._out.append(f'<rect x="{x:.1f}" y="8" {size} class="{role}"><title>{escape(phase.name)}</title></rect>')
        for number, line in enumerate(lines):
            self._out.append(
                f'<text x="{x + 3:.1f}" y="{24 + 14 * number}" class="p{" n" if self._numbered else ""}">{escape(line)}</text>'
            )

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
        self._add_bars([(waiting, "waiting"), (dict(answered), "answered"), (dict(lost), "failed")], _BAR + 12)
        self._row += 1

    def add_target(self, name: str) -> None:
        """Its attempts, its state in the pool (the band below them), and when it was faulted (the hatching)."""
        result, top = self._result, self._top()
        for index, phase in enumerate(result.phases):
            if name in phase.faulted:
                x, end = (self._x(at) for at in result.span(index))
                size = f'width="{max(1.0, end - x - 1):.1f}" height="56"'
                self._out.append(f'<rect x="{x:.1f}" y="{top + 4}" {size} fill="{self._hatching}"/>')
        self._add_label(name)
        mine = [one for one in result.attempts if one.target == name]
        answered = Counter(_slot(one.ended) for one in mine if one.kind is Kind.OK)
        failed = Counter(_slot(one.ended) for one in mine if one.failed)
        self._add_bars([(dict(answered), "ok"), (dict(failed), "failed")], _BAR)
        samples = [(at, states[name]) for at, states in result.states]
        runs = [(state, next(run)[0]) for state, run in groupby(samples, key=lambda sample: sample[1])]
        for (state, start), (_, end) in pairwise([*runs, ("", self._end)]):
            x = self._x(max(0.0, start - _STEP))
            width = self._x(end - _STEP if end < self._end else end) - x
            band = f'<rect x="{x:.1f}" y="{top + 49}" width="{max(0.0, width):.1f}" height="8" fill="{STATES[state]}">'
            self._out.append(f"{band}<title>{name}: {state}</title></rect>")
        self._row += 1

    def _add_label(self, name: str, note: str = "") -> None:
        """Beside the lane, the note below the name; or above it, in one line."""
        if self._layout.above:
            note = f'<tspan class="d" dx="8">{escape(note)}</tspan>' if note else ""
            self._out.append(
                f'<text x="{self._layout.left + 3}" y="{self._top()}" class="l">{escape(name)}{note}</text>'
            )
            return
        y = self._top() + self._layout.lane / 2 + (0 if note else 4)
        self._out.append(f'<text x="12" y="{y:.0f}" class="l">{escape(name)}</text>')
        if note:
            self._out.append(f'<text x="12" y="{y + 15:.0f}" class="d">{escape(note)}</text>')

    def _add_bars(self, layers: Iterable[tuple[Bars, str]], room: float) -> None:
        """The bars of all layers on one square-root scale, on which small counts stay visible beside large ones; one path per layer."""
        drawn = [layer for layer in layers if layer[0]]
        most = max((max(bars.values()) for bars, _ in drawn), default=1)
        foot = self._top() + 6 + room
        for bars, style in drawn:
            path = ""
            for slot, count in sorted(bars.items()):
                height = max(2.5, room * sqrt(count / most))
                x, end = self._x(slot * _STEP), self._x((slot + 1) * _STEP)
                path += f"M{x:.1f} {foot:g}h{max(1.0, end - x - 0.6):.1f}v-{height:.1f}H{x:.1f}z"
            self._out.append(f'<path d="{path}" class="{style}"/>')

    def _legend(self) -> tuple[str, int]:
        """The legend of the colours and of numbered phases, and its lower edge."""
        colours = [
            ("answered", "answered"),
            ("waiting", "waiting"),
            ("failed", "lost or failed"),
            ("ok", "attempts answered"),
        ]
        marks = [(f'<rect x="0" y="-9" width="10" height="10" class="{style}"/>', label) for style, label in colours]
        marks += [
            (f'<rect x="0" y="-9" width="10" height="10" fill="{colour}"/>', state) for state, colour in STATES.items()
        ]
        marks.append((f'<rect x="0" y="-9" width="10" height="10" fill="{self._hatching}"/>', "fault injected"))
        out, y = self._flow(marks, self._bottom + 34)
        if self._numbered:
            numbers = [
                (f'<text class="p">{index + 1}</text>', phase.name) for index, phase in enumerate(self._result.phases)
            ]
            more, y = self._flow(numbers, y + 20)
            out += more
        return out, y

    def _flow(self, marks: Sequence[tuple[str, str]], y: int) -> tuple[str, int]:
        """Marks with their labels, in as many lines as they need."""
        x, out = 12, ""
        for mark, label in marks:
            width = 32 + round(_LETTER * len(label))
            if x + width > self._layout.left + self._layout.width:
                x, y = 12, y + 18
            out += f'<g transform="translate({x} {y})">{mark}<text x="19" class="d">{escape(label)}</text></g>'
            x += width
        return out, y

    def svg(self) -> str:
        """The whole picture."""
        legend, bottom = self._legend()
        hatching = (
            f'<pattern id="hatching-{self._layout.name}" class="h" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<path d="M0 0v6"/></pattern>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._layout.left + self._layout.width + 8} {bottom + 14}" role="img">'
            f"<title>hotspare drill</title><style>{_style()}</style><defs>{hatching}</defs>"
            f'<rect width="100%" height="100%" rx="8" class="paper"/>{"".join(self._out)}{legend}</svg>'
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
    """The text in one line or in two of similar length; empty if neither fits."""
    spaces = [i for i, letter in enumerate(text) if letter == " "]
    middle = min(spaces, key=lambda i: abs(2 * i - len(text)), default=0)
    lines = [text] if _fits(text, width) or not spaces else [text[:middle], text[middle + 1 :]]
    return lines if all(_fits(line, width) for line in lines) else []


def _fits(text: str, width: float) -> bool:
    return 7.0 * len(text) + 4 <= width
