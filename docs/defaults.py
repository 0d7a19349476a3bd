"""Writes into the documentation what the code knows: the tables of settings.

`<!-- table: Policy -->` begins a table of all fields of a class (or of the parameters of its constructor), from its docstring;
`<!-- table: Policy on_break hedge -->` one of the named fields. `<!-- end -->` ends each.

    python docs/defaults.py      # a test in tests/docs fails if the tables are not up to date
"""

import inspect
import re
from collections.abc import Collection
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from hotspare.brownout import Brownout
from hotspare.budget import Budget
from hotspare.cache import Cache
from hotspare.ledger import Ledger
from hotspare.monitor import Rule
from hotspare.policy import Breaker, Hedge, Policy, RetryBudget, Timeouts
from hotspare.pool import Pool
from hotspare.recorder import Recorder
from hotspare.shared import Shared
from hotspare.target import Limits, Target
from hotspare.testing import ScriptedTarget, VirtualClock

PAGES = [
    page for page in sorted(Path(__file__).parent.glob("*.md")) if "<!-- table: " in page.read_text(encoding="utf-8")
]
CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (Target, Limits, Policy, Breaker, Timeouts, RetryBudget, Brownout, Hedge, Budget, Cache)
}
OTHERS: dict[str, type] = {
    cls.__name__: cls for cls in (Ledger, Pool, Recorder, Rule, ScriptedTarget, Shared, VirtualClock)
}
"""What has settings too, but is no part of a policy."""
MARK = re.compile(r"(<!-- table: (\w+)((?: \w+)*) -->\n).*?(\n<!-- end -->)", re.S)
NAMES = r"[a-z][a-z0-9_]*(?:, [a-z][a-z0-9_]*)*"
ONLY_THE_DEFAULT = re.compile(r"(?<=\.) (?:Default )?\d[\d.]*(?: and \d[\d.]*)?\.$")
"""A last sentence that only repeats the default, which has a column of its own."""
ENTRY = re.compile(rf"^ *({NAMES}): (.*?)(?=^ *{NAMES}: |^\w|^$|\Z)", re.M | re.S)


def table(cls: type, only: Collection[str]) -> str:
    """One row per docstring entry of `cls`: field names, defaults, meaning. `only`: these fields; empty: all of them.

    Raises ValueError for a field that the docstring does not describe, and for a name in `only` that is no field.
    """
    settings = _settings(cls)
    rows = ["| field | default | meaning, and the reason for the default |", "|---|---|---|"]
    described: set[str] = set()
    for names, words in ENTRY.findall(inspect.getdoc(cls) or ""):
        found = [name for name in names.split(", ") if name in settings]
        if not found or described.intersection(found):
            continue
        described.update(found)
        if only and not set(only).intersection(found):
            continue
        text = ONLY_THE_DEFAULT.sub("", " ".join(words.replace("``", "`").split())).replace("|", "\\|")
        defaults = ", ".join(_default(settings[name]) for name in found)
        rows.append(f"| {', '.join(f'`{name}`' for name in found)} | {defaults} | {text} |")
    missing = [name for name, default in settings.items() if name not in described and not is_dataclass(default)]
    if missing and not only:
        raise ValueError(f"{cls.__name__}: the docstring does not describe {', '.join(missing)}")
    unknown = sorted(set(only).difference(described))
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {', '.join(unknown)}: correct the page's `<!-- table: … -->`")
    return "\n".join(rows)


def _settings(cls: type) -> dict[str, Any]:
    """The fields of a dataclass, or the parameters of another class, with their defaults."""
    parameters = inspect.signature(cls).parameters
    if is_dataclass(cls):
        return {
            one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(cls)
        }
    return {name: one.default for name, one in parameters.items()}


def _default(value: Any) -> str:
    """A default as the table shows it."""
    if value is MISSING or value is inspect.Parameter.empty:
        return "required"
    if isinstance(value, frozenset | dict):
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)


def updated(page: str) -> str:
    """The page with every table as the code has it now."""

    def fill(found: re.Match[str]) -> str:
        begin, name, only, end = found.groups()
        return f"{begin}\n{table((CLASSES | OTHERS)[name], only.split())}\n{end}"

    return MARK.sub(fill, page)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
