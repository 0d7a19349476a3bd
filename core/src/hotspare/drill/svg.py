"""The picture of a drill: what the callers saw, and each target's state and traffic, over time. SVG, loading nothing."""

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
    "closed": "#3aa876", "recovering": "#b5d56a", "half-open": "#f2c94c", "open": "#d9534f", "throttled": "#f0a04b",
}  # fmt: skip
ANSWERED, FAILED, WAITING, INK, DIM = "#33507a", "#d9534f", "#f7ddb0", "#1f2937", "#6b7280"
_ROLES = {"outage": "#fdecea", "fault": "#fdecea", "blackout": "#f9d4d1", "surge": "#e8effb"}
_STEP = 0.25
_LEFT, _WIDTH, _LANE, _BAR, _TOP = 186, 922, 62, 40, 54
Bars = dict[int, float]


def picture(results: Sequence[Result]) -> str:
    """A lane for the callers of each result, then one for each target of the first."""
    ours = results[0]
    canvas = _Canvas(ours, lanes=len(results) + len(ENDPOINTS))
    for result in results:
        canvas.callers(result)
    for name in ENDPOINTS:
        canvas.target(name)
    return canvas.svg()


class _Canvas:
    """Draws lane under lane; times are seconds since the first result's start."""

    def __init__(self, result: Result, lanes: int) -> None:
        self._result = result
        self._end = result.span(len(result.starts) - 1)[1]
        self._bottom = _TOP + lanes * _LANE
        self._row = 0
        self._out: list[str] = []
        for index, phase in enumerate(result.phases):
            self._phase(phase, *result.span(index))
        for second in range(0, ceil(self._end), 5):
            self._out.append(f'<text x="{self._x(second):.0f}" y="{self._bottom + 16}" class="d">{second} s</text>')

    def _x(self, at: float) -> float:
        return _LEFT + _WIDTH * min(at, self._end) / self._end

    def _phase(self, phase: Phase, begun: float, ended: float) -> None:
        x, wide = self._x(begun), self._x(ended) - self._x(begun)
        colour = _ROLES.get(phase.role, "#f6f7f9")
        self._out.append(
            f'<rect x="{x:.1f}" y="8" width="{wide - 1:.1f}" height="{self._bottom - 8}" fill="{colour}"/>'
        )
        self._out += [
            f'<text x="{x + 5:.1f}" y="{24 + 14 * line}" class="p">{escape(words)}</text>'
            for line, words in enumerate(_folded(phase.name, wide))
        ]

    def callers(self, result: Result) -> None:
        """How many waited, were answered and were lost in each quarter of a second."""
        align = _Align(result, self._result)
        answered, lost = Counter[int](), Counter[int]()
        waiting: Bars = {}
        for call in result.calls:
            begun, ended = align(call.at), align(call.at + call.seconds)
            (answered if call.right else lost)[_slot(ended)] += 1
            for slot in range(_slot(begun) + 1, _slot(ended)):
                waiting[slot] = waiting.get(slot, 0) + 1
        right = sum(call.right for call in result.calls)
        share = floor(1000 * right / len(result.calls)) / 10  # never rounded up to 100
        p99 = quantile((call.seconds for call in result.calls if call.right), 0.99)
        note = f"{share:g} % answered, p99 {seconds(p99)}"
        self._label(f"callers: {result.name}" if len(result.name) < 12 else result.name, note)
        self._bars([(waiting, WAITING), (dict(answered), STATES["closed"]), (dict(lost), FAILED)], room=_BAR + 12)
        self._row += 1

    def target(self, name: str) -> None:
        """Its traffic, the state that the pool saw (the band), and when it really was sick (the hatching)."""
        result, top = self._result, _TOP + self._row * _LANE
        for index, phase in enumerate(result.phases):
            if name in phase.sick:
                x, end = (self._x(at) for at in result.span(index))
                where = f'x="{x:.1f}" y="{top + 4}" width="{end - x - 1:.1f}" height="{_LANE - 6}"'
                self._out.append(f'<rect {where} fill="url(#h)"/>')
        self._label(name, "")
        answered = Counter(_slot(t.ended) for t in result.tried if t.target == name and t.kind is Kind.OK)
        failed = Counter(_slot(t.ended) for t in result.tried if t.target == name and t.failed)
        self._bars([(dict(answered), ANSWERED), (dict(failed), FAILED)], room=_BAR)
        moments = [(at, states[name]) for at, states in result.states]
        runs = [(state, next(run)[0]) for state, run in groupby(moments, key=lambda moment: moment[1])]
        for (state, begun), (_, ended) in pairwise([*runs, ("", self._end)]):
            x = self._x(max(0.0, begun - _STEP))
            wide = self._x(ended - _STEP if ended < self._end else ended) - x
            where = f'x="{x:.1f}" y="{top + _LANE - 13}" width="{wide:.1f}" height="8"'
            self._out.append(f'<rect {where} fill="{STATES[state]}"><title>{name}: {state}</title></rect>')
        self._row += 1

    def _label(self, name: str, note: str) -> None:
        y = _TOP + self._row * _LANE + _LANE / 2 + (0 if note else 4)
        self._out.append(f'<text x="12" y="{y:.0f}" class="l">{escape(name)}</text>')
        if note:
            self._out.append(f'<text x="12" y="{y + 15:.0f}" class="d">{escape(note)}</text>')

    def _bars(self, layers: Iterable[tuple[Bars, str]], room: float) -> None:
        """Bars of all layers on one scale (square root, so that a handful can be seen beside hundreds), as one path each."""
        drawn = [layer for layer in layers if layer[0]]
        most = max((max(bars.values()) for bars, _ in drawn), default=1)
        foot = _TOP + self._row * _LANE + 6 + room
        for bars, colour in drawn:
            path = ""
            for slot, count in sorted(bars.items()):
                tall = max(2.5, room * sqrt(count / most))
                x, end = self._x(slot * _STEP), self._x((slot + 1) * _STEP)
                path += f"M{x:.1f} {foot:g}h{max(1.0, end - x - 0.6):.1f}v-{tall:.1f}H{x:.1f}z"
            self._out.append(f'<path d="{path}" fill="{colour}"/>')

    def svg(self) -> str:
        """The whole picture with its key."""
        keys = [
            (STATES["closed"], "answered"),
            (WAITING, "waiting"),
            (FAILED, "lost or failed"),
            (ANSWERED, "attempts answered"),
        ]
        keys += [(colour, state) for state, colour in STATES.items()]
        x, y, key = 12, self._bottom + 34, ""
        for place, (colour, words) in enumerate([*keys, ("url(#h)", "really sick")]):
            if place in (4, 9):
                x += 18
            key += f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
            key += f'<text x="{x + 15}" y="{y}" class="d">{words}</text>'
            x += 30 + round(6.1 * len(words))
        height = self._bottom + 46
        style = (
            f"text{{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:{INK}}}"
            f".d{{font-size:11px;fill:{DIM}}}.p{{font-weight:600;font-size:11.5px}}.l{{font-weight:600}}"
        )
        hatch = (
            '<pattern id="h" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<path d="M0 0v6" stroke="{FAILED}" stroke-width="1.6" opacity=".45"/></pattern>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 12} {height}" role="img">'
            f"<title>hotspare drill</title><style>{style}</style><defs>{hatch}</defs>"
            f'<rect width="100%" height="100%" rx="8" fill="#fff"/>{"".join(self._out)}{key}</svg>'
        )


class _Align:
    """Lays another run's times over the first one's, phase by phase: both played the same scenario."""

    def __init__(self, source: Result, onto: Result) -> None:
        self._from, self._to = source.starts, onto.starts

    def __call__(self, at: float) -> float:
        index = max(0, bisect_right(self._from, at) - 1)
        return self._to[index] + at - self._from[index]


def _slot(at: float) -> int:
    return int(at / _STEP)


def _folded(words: str, wide: float) -> list[str]:
    """In two lines, as equal as can be, where one is too long for the phase."""
    if 7.2 * len(words) <= wide or " " not in words:
        return [words]
    blanks = [place for place, letter in enumerate(words) if letter == " "]
    middle = min(blanks, key=lambda place: abs(2 * place - len(words)))
    return [words[:middle], words[middle + 1 :]]
