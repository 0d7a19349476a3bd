"""Writes the tables of defaults into the pages, from the docstrings in which each default stands beside its reason.

`<!-- table: Policy -->` begins a table of all fields, `<!-- table: Policy on_break hedge -->` one of these.

python docs/defaults.py      # tests/docs checks that it was run
"""

import inspect
import re
from collections.abc import Collection
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from hotspare.policy import Breaker, Hedge, Policy, RetryBudget, Timeouts
from hotspare.target import Target

PAGES = [Path(__file__).with_name(name) for name in ("configuration.md", "streams.md")]
CLASSES: dict[str, type] = {cls.__name__: cls for cls in (Target, Policy, Breaker, Timeouts, RetryBudget, Hedge)}
MARK = re.compile(r"(<!-- table: (\w+)((?: \w+)*) -->\n).*?(\n<!-- end -->)", re.S)


def table(cls: type, only: Collection[str]) -> str:
    """A row for each entry of a class's docstring: its fields (`only` these, if any are named), their defaults, what they
    are and why so."""
    known: dict[str, Field[Any]] = {knob.name: knob for knob in fields(cls)}
    rows = ["| field | default | what it is, and why so |", "|---|---|---|"]
    told: set[str] = set()
    for names, words in re.findall(
        r"^ *([a-z_]+(?:, [a-z_]+)*): (.*?)(?=^ *[a-z_]+(?:, [a-z_]+)*: |^\w|^$|\Z)",
        inspect.getdoc(cls) or "",
        re.M | re.S,
    ):
        found = [name for name in names.split(", ") if name in known]
        if not found or told.intersection(found):
            continue
        told.update(found)
        if only and not set(only).intersection(found):
            continue
        text = " ".join(words.replace("``", "`").split()).replace("|", "\\|")
        rows.append(f"| {', '.join(f'`{n}`' for n in found)} | {', '.join(_shown(known[n]) for n in found)} | {text} |")
    missing = [name for name in known if name not in told and not is_dataclass(_value(known[name]))]
    if missing:
        raise SystemExit(f"{cls.__name__}: its docstring does not tell {', '.join(missing)}")
    return "\n".join(rows)


def _value(knob: Field[Any]) -> Any:
    return knob.default if knob.default_factory is MISSING else knob.default_factory()


def _shown(knob: Field[Any]) -> str:
    value = _value(knob)
    if value is MISSING:
        return "required"
    if isinstance(value, frozenset | dict):
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)


def written(page: str) -> str:
    """The page with every table as the code has it."""

    def fill(found: re.Match[str]) -> str:
        begin, name, only, end = found.groups()
        return f"{begin}\n{table(CLASSES[name], only.split())}\n{end}"

    return MARK.sub(fill, page)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
