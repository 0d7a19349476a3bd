"""Shows for each setting of the policy that another value changes a decision: the table in docs/recordings.md.

For each setting, its scenario in tests/core/settings is recorded with one value, and the recording is replayed with another. A
setting that acts before or after the scheduler (on the chunks of a stream, say) leaves a replay as it is: there the scenario
is recorded with the other value too, and the first decision that differs is shown. A setting without a row is an error.

    python -m tests.support.decisions      # writes the table; a test in tests/docs fails if it is not up to date
"""

import re
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import permutations, zip_longest
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hotspare import Breaker, Hedge, Kind, Outcome, Pool, RetryBudget
from hotspare._recording.changes import changes
from hotspare._recording.explanation import describe_decision
from hotspare._recording.file import RecordingFile
from hotspare._recording.lines import LEFT_OUT, JsonLine
from hotspare._recording.replayer import Replayer
from hotspare.testing import ScriptedTarget, VirtualClock, scripted_pool

from tests.core.settings import test_breaker, test_brownout, test_budgets, test_policy, test_timeouts
from tests.support.calls import Ask, run_calls
from tests.support.drawn import FixedRandom
from tests.support.settings import Effects, Two

PAGE = Path(__file__).parents[2] / "docs" / "recordings.md"
SILENCE = re.compile(r", then [\d.]+ s of silence$")
MARK = re.compile(r"(<!-- decisions -->\n).*?(\n<!-- end -->)", re.S)
GROUPS: dict[str, Effects] = {
    "": test_policy.EFFECTS, "breaker": test_breaker.EFFECTS, "timeouts": test_timeouts.EFFECTS,
    "retry_budget": test_budgets.RETRIES, "hedge": test_budgets.HEDGES, "brownout": test_brownout.EFFECTS,
}  # fmt: skip
"""The classes of settings, by the field of `Policy` that holds each."""
DOWN = Outcome(Kind.SERVER, "down", 500)


def _windows(pause: float, **breaker: Any) -> None:
    """Calls to a target that is down, so many seconds apart: its breaker opens once its window holds enough of them."""
    Two(DOWN, breaker=Breaker(consecutive_failures=99, failure_span=0, **breaker)).calls(9, pause=pause)


def _recovery(pause: float, **breaker: Any) -> None:
    """A target recovers beside an equal one, and is tried first or last, so many seconds later, by the share that it has."""
    clock = VirtualClock(0)
    pair = [ScriptedTarget("a", [DOWN, "a"], id="p/m"), ScriptedTarget("b", id="q/m")]
    settings = Breaker(consecutive_failures=1, failure_span=0, **breaker)
    pool = scripted_pool(*pair, clock=clock, rng=FixedRandom(0.3), breaker=settings, retry_same_target="never")
    run_calls("sync", pool, clock, [Ask(), Ask(pause=10), Ask(pause=pause)])


def _cheapest(prices: bool) -> None:
    """A call to the cheapest of two models, whose prices are known, or looked up."""
    clock = VirtualClock(0)
    pair = [ScriptedTarget("a", id="openai/gpt-4.1"), ScriptedTarget("b", id="openai/gpt-4.1-nano")]
    run_calls("sync", scripted_pool(*pair, clock=clock, strategy="cost", prices=prices), clock, [Ask()])


SCENARIOS: dict[str, tuple[Callable[[Any], object], tuple[Any, ...]]] = {
    "retry_budget": (
        lambda value: test_budgets.attempts(value),
        (RetryBudget(), RetryBudget(tokens_per_minute=1, tokens_per_call=0)),
    ),
    "breaker.window_calls": (
        lambda value: _windows(10, window_calls=value, window_seconds=1, window_max=1000, minimum_throughput=4),
        (3, 5),
    ),
    "breaker.window_seconds": (
        lambda value: _windows(1, window_calls=1, window_seconds=value, minimum_throughput=5),
        (2.5, 5.5),
    ),
    "breaker.window_max": (
        lambda value: _windows(10, window_calls=100, window_max=value, minimum_throughput=4),
        (25.0, 45.0),
    ),
    "prices": (_cheapest, (False, True)),
    "breaker.slow_start": (lambda value: _recovery(5, slow_start=value), (10.0, 20.0)),
    "breaker.slow_start_min_share": (lambda value: _recovery(0, slow_start_min_share=value), (0.125, 0.5)),
    "retry_budget.tokens_per_call": (
        lambda value: test_budgets.attempts(RetryBudget(tokens_per_call=value, tokens_per_minute=0), calls=4),
        (0.25, 0.5),
    ),
    "retry_budget.tokens_per_minute": (
        lambda value: test_budgets.attempts(RetryBudget(tokens_per_minute=value, tokens_per_call=0)),
        (2.0, 4.0),
    ),
    "retry_budget.max_tokens": (lambda value: test_budgets.attempts(RetryBudget(max_tokens=value)), (1.0, 3.0)),
}
"""Scenarios for settings whose scenario in tests/core/settings looks at the health, which no later call meets."""
DECISIONS = ("call", "next", "alternative", "stream_end", "end")
AFTERWARDS = (0.5, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Seconds between the further calls that each recorded pool gets, so that what it has learnt decides something."""
NO_DECISION = {
    "continue_instruction": ("none", "another text", "decides nothing: it is the text of a request"),
    "check_jitter": (
        "1.0",
        "5.0",
        "decides nothing: it moves the moment of a background check, which is a call like others",
    ),
}
"""Settings that change no decision by their nature: two values, and why."""


@dataclass(frozen=True)
class Row:
    """A setting, two values, how the difference was found, and both decisions."""

    name: str
    value: str
    other: str
    how: str
    before: str
    after: str

    def __str__(self) -> str:
        before, after = self.before, self.after
        if (same := SILENCE.search(before)) and after.endswith(same[0]):
            before, after = before.removesuffix(same[0]), after.removesuffix(same[0])
        cells = (f"`{self.name}`", f"{self.value} → {self.other}", self.how, before, after)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


@contextmanager
def recorded(folder: Path, *, afterwards: bool) -> Generator[list[Path]]:
    """Every pool that is built inside records into a file of its own. `afterwards`: it gets further calls at the end."""
    paths: list[Path] = []
    pools: list[tuple[Pool, VirtualClock]] = []
    build = Pool.__init__

    def init(self: Pool, *arguments: Any, **given: Any) -> None:
        paths.append(folder / f"{len(paths)}.jsonl")
        build(self, *arguments, **{**given, "record": paths[-1]})
        if isinstance(given.get("clock"), VirtualClock):
            pools.append((self, given["clock"]))

    with patch.object(Pool, "__init__", init):
        yield paths
    for pool, clock in pools:
        for pause in AFTERWARDS if afterwards else ():
            run_calls("sync", pool, clock, [Ask(pause=pause)])
        pool.close()


def names() -> Iterator[tuple[str, str]]:
    """Every setting, with its group."""
    for group, effects in GROUPS.items():
        for name in effects.names:
            yield group, name


def row(group: str, name: str) -> Row:
    """The row of a setting. Raises AssertionError if no value of its scenario changes anything."""
    path = f"{group}.{name}" if group else name
    if path in NO_DECISION:
        return Row(path, *NO_DECISION[path], "", "")
    probe, expected = SCENARIOS.get(path) or GROUPS[group].probe(name)
    for afterwards in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            files: list[tuple[Any, list[Path]]] = []
            for place, value in enumerate(expected):
                (Path(folder) / str(place)).mkdir()
                with recorded(Path(folder) / str(place), afterwards=afterwards) as paths:
                    probe(value)
                files.append((value, paths))
            found = _difference(files, group, name, also_compared=afterwards)
        if found is not None:
            value, other, how, before, after = found
            return Row(path, _shown(value), _shown(other), how, before, after)
    raise AssertionError(f"{path}: no decision differs between {', '.join(map(_shown, expected))}")


def _difference(
    files: list[tuple[Any, list[Path]]], group: str, name: str, *, also_compared: bool
) -> tuple[Any, Any, str, str, str] | None:
    """Two values, how a decision was found that differs between them, and that decision with each."""
    for (value, recordings), (other, _) in permutations(files, 2):
        for file in recordings:
            shown = _by_replay(file, group, name, other)
            if shown is not None:
                return value, other, "replay", *shown
    for (value, ones), (other, others) in permutations(files, 2) if also_compared else ():
        for one, two in zip(ones, others, strict=False):
            shown = _by_comparison(one, two)
            if shown is not None:
                return value, other, "recorded with both", *shown
    return None


def _by_replay(file: Path, group: str, name: str, value: Any) -> tuple[str, str] | None:
    if name in LEFT_OUT:
        return None
    policy = Replayer(RecordingFile(file).header).recorded
    if group:
        value = replace(getattr(policy, group) or Hedge(), **{name: value})
    found = changes(file, replace(policy, **{group or name: value}), stop_at=1)
    return next(((describe_decision(one.recorded), describe_decision(one.changed)) for one in found.all), None)


def _by_comparison(one: Path, two: Path) -> tuple[str, str] | None:
    both = ([line for _, _, line, _ in RecordingFile(file).lines() if line["do"] in DECISIONS] for file in (one, two))
    shown = ((_decision(a), _decision(b)) for a, b in zip_longest(*both))
    return next((pair for pair in shown if pair[0] != pair[1]), None)


def _decision(line: JsonLine | None) -> str:
    if line is None:
        return "nothing is decided"
    ends = {"stream_end": "the stream is complete", "end": f"the call is {line.get('result')}"}
    if line["do"] == "call":
        ends["call"] = f"a call with a prompt of about {line['prompt_tokens']:.0f} tokens"
    return f"at {line['at']:.3f} s: {ends.get(line['do']) or describe_decision(line)}"


def _shown(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        others = [f for f in fields(value) if getattr(value, f.name) != f.default]
        return f"`{', '.join(f'{f.name}={getattr(value, f.name)}' for f in others) or 'defaults'}`"
    if callable(value):
        name = getattr(value, "__name__", "")
        return f"`{name}`" if name else f"`{type(value).__name__}({', '.join(map(str, vars(value).values()))})`"
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value)) or "none"
    return f"`{sorted(map(str, value))}`" if isinstance(value, frozenset) else f"`{value}`"


def table() -> str:
    """One row per setting."""
    head = ["| setting | values | shown by | decision | with the other value |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(str(row(*one)) for one in names())])


def updated(page: str) -> str:
    """The page with the table as it is now."""
    return MARK.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
