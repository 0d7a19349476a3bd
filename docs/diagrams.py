"""A hook of MkDocs: draws diagrams into the pages when the site is built, from the tables in the code.

`<!-- diagram: breaker -->` becomes the circuit breaker's states and transitions, `<!-- diagram: rules -->` the rules that decide what a
call does next, and `<!-- diagram: breaks -->` what happens to a stream that breaks. They are SVG inside the page, so that they
take the colours of the page (`stylesheets/extra.css`), and 360 units wide, so that a phone shows them in full.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape
from textwrap import wrap
from typing import Any

from hotspare._engine.reasons import RULES
from hotspare._health.breaker import TRANSITIONS, State

WIDTH, LINE, BOX = 360, 15, 34
MARK = re.compile(r"<!-- diagram: (\w+) -->")
ANSWERS = {
    0: "wait, or hedge", 1: "give up", 2: "attempt", 3: "attempt", 4: "attempt", 5: "give up", 6: "attempt", 7: "wait", 8: "attempt, or give up",
}  # fmt: skip
"""What a call does if the rule of that number decides."""
BREAKS = (
    ("nothing was delivered yet, or reasoning alone", "failover"),
    ("more than plain text was delivered, or JSON was requested", "raise"),
    ("on_break is raise, or no attempt is left", "raise"),
    ("resume: the next target continues. restart: it begins again, and what was delivered is skipped", ""),
    ("the two texts cannot be joined", "raise"),
    ("the stream continues", ""),
)
"""The checks made when a stream breaks, in order, with the result of each that applies ("": the next check)."""


def _text(x: int, y: int, lines: Iterable[str], style: str = "") -> str:
    """Lines of text; `y` is the baseline of the first one."""
    spans = (f'<tspan x="{x}" y="{y + LINE * n}">{escape(line)}</tspan>' for n, line in enumerate(lines))
    return f'<text class="{style}">{" ".join(spans)}</text>'


def _svg(height: int, name: str, parts: Iterable[str]) -> str:
    """One element, without an empty line: Markdown leaves such a block as it is."""
    arrow = f'<marker id="{name}-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker>'
    return (
        f'<svg class="diagram" id="diagram-{name}" viewBox="0 0 {WIDTH} {height}" role="img" style="--arrow:url(#{name}-arrow)">'
        f"<defs>{arrow}</defs>{''.join(parts)}</svg>"
    )


def states(transitions: Sequence[tuple[State, str, State]]) -> str:
    """States in a column. A transition to the next one goes down, one to the first on the right, any other one on the left."""
    order, middle, left, right = list(State), 180, 125, 235
    steps = {before: wrap(cause, 21) for before, cause, after in transitions if _is_next(before, after)}
    tops, y = dict[State, int](), 8
    for state in order:
        tops[state] = y
        y += BOX + LINE * len(steps.get(state, [])) + 36
    parts = list[str]()
    lanes = {"left": 46, "right": 338}
    for before, cause, after in transitions:
        if _is_next(before, after):
            path = f"M{middle} {tops[before] + BOX}V{tops[after]}"
            label = _text(middle + 9, tops[before] + BOX + 26, steps[before])
        else:
            side, edge, out = ("right", right, 1) if after is order[0] else ("left", left, -1)
            begin, end = tops[before] + BOX // 2 - 6 * out, tops[after] + BOX // 2 + 6
            path = f"M{edge} {begin}H{lanes[side]}V{end}H{edge}"
            words = wrap(cause, 15 if out > 0 else 10)
            label = _text(lanes[side] + 6 if out < 0 else edge + 8, begin - 6 - LINE * (len(words) - 1), words)
            lanes[side] += out * 22
        parts.append(
            f'<g class="edge" data-from="{before.name}" data-to="{after.name}"><path class="line" d="{path}"/>{label}</g>'
        )
    for state, top in tops.items():
        box = f'<rect class="box" x="{left}" y="{top}" width="{right - left}" height="{BOX}" rx="17"/>'
        parts.append(f'<g class="state">{box}{_text(middle, top + 22, [str(state)], "name")}</g>')
    return _svg(y - 28, "breaker", parts)


def _is_next(before: State, after: State) -> bool:
    order = list(State)
    return order.index(after) == order.index(before) + 1


def ladder(name: str, steps: Sequence[tuple[str, str]]) -> str:
    """Conditions in a column, each with its result; if one does not apply, the next one is checked."""
    parts, y, left, width, answer = list[str](), 8, 8, 214, 254
    for number, (condition, result) in enumerate(steps):
        lines, words = wrap(condition, 30), wrap(result, 12)
        height = LINE * max(len(lines), len(words)) + 18
        box = f'<rect class="box" x="{left}" y="{y}" width="{width}" height="{height}" rx="6"/>'
        group = box + _text(left + 12, y + 22 + (height - 18 - LINE * len(lines)) // 2, lines)
        if words:
            middle = y + height // 2
            kind = result.split(",")[0].replace(" ", "-")
            group += f'<path class="line" d="M{left + width} {middle}H{answer}"/>'
            group += (
                f'<rect class="box {kind}" x="{answer}" y="{y}" width="{WIDTH - answer - 4}" height="{height}" rx="6"/>'
            )
            group += _text((answer + WIDTH - 4) // 2, middle + 4 - LINE * (len(words) - 1) // 2, words, "name")
        if number + 1 < len(steps):
            group += f'<path class="line" d="M{left + width // 2} {y + height}v20"/>'
        parts.append(f'<g class="step">{group}</g>')
        y += height + 20
    return _svg(y - 12, name, parts)


def drawn(name: str) -> str:
    """The diagram of this name. Raises KeyError for one that does not exist."""
    rules = [(f"{number}. {words}", ANSWERS[number]) for number, words in RULES.items()]
    draw = {
        "breaker": lambda: states(TRANSITIONS),
        "rules": lambda: ladder("rules", rules),
        "breaks": lambda: ladder("breaks", BREAKS),
    }
    return draw[name]()


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page."""
    return MARK.sub(lambda found: drawn(found[1]), markdown)
