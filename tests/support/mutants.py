"""`make mutants`: changes `_classify`, `_engine` and `_health` one small step at a time, and counts the changes that no test notices.

mutmut does the work, in `.mutants/`: a copy of the sources, and of their fast tests. What it changes and
which tests it runs stands in mutmut.toml. The survivors that no test can notice are listed with the
reason in surviving_mutants.toml; they count as survivors all the same.
"""

import argparse
import ast
import difflib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
STAGE = ROOT / ".mutants"
MUTATED = STAGE / "mutants" / "src" / "hotspare"
SETTINGS = Path(__file__).with_name("mutmut.toml")
LISTED = Path(__file__).with_name("surviving_mutants.toml")
REQUIRED = {"_engine": 0.9, "_health": 0.9, "_classify": 0.9}
"""The share of mutants that has to be killed, by package."""
KILLED = frozenset({1, 3, 36, 24, -24, 152, 255})
"""mutmut's codes of a mutant that a test noticed, or that ran into its time limit."""


class Change(NamedTuple):
    """A mutant, as it can be found again in a later version of the sources."""

    function: str
    before: str
    after: str


@dataclass
class Package:
    """What became of the mutants of one package. `survivors`: their files and names."""

    counts: Counter[str] = field(default_factory=Counter[str])
    survivors: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])

    @property
    def rate(self) -> float:
        """The share of killed ones among the mutants that were tested."""
        tested = self.counts["killed"] + self.counts["survived"]
        return self.counts["killed"] / tested if tested else 0.0


def stage() -> None:
    """Make a new copy of the sources and of the tests."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "core" / "src", STAGE / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(SETTINGS, STAGE / "pyproject.toml")
    support = [path.relative_to(ROOT) for path in Path(__file__).parent.glob("*.py")]
    tests = tomllib.loads(SETTINGS.read_text())["tool"]["mutmut"]["pytest_add_cli_args_test_selection"]
    for name in (*support, *tests):
        (STAGE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, STAGE / name)


def run(minutes: float, workers: int, only: Sequence[str] = ()) -> bool:
    """Run mutmut for at most `minutes`, on the mutants that match a pattern. Returns whether it tested all of them."""
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(workers), *only]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with (STAGE / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=STAGE, env=environment, stdout=log, stderr=log)
        try:
            status = process.wait(minutes * 60)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)  # the results so far are in its files
            process.wait()
            return False
    if status:
        raise SystemExit(f"mutmut failed with status {status}; its output is in {STAGE / 'log'}")
    return True


def packages(only: Sequence[str] = ()) -> dict[str, Package]:
    """The results, by package: of the mutants that match one of the patterns, or of all."""
    found: dict[str, Package] = {}
    for path in sorted(MUTATED.glob("*/*.meta")):
        package = found.setdefault(path.parent.name, Package())
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items():
            if only and not any(fnmatch(name, pattern) for pattern in only):
                continue
            word = "untested" if code is None else "killed" if code in KILLED else "survived"
            package.counts[word] += 1
            if word == "survived":
                package.survivors.append((path.with_suffix(""), name))
    return found


def changes(survivors: list[tuple[Path, str]]) -> Iterator[Change]:
    """What was changed in each of these mutants, from the files that mutmut has written."""
    functions: dict[Path, dict[str, list[str]]] = {}
    for path, mutant in survivors:
        if path not in functions:
            source = path.read_text()
            lines = source.splitlines()
            functions[path] = {
                node.name: lines[node.lineno - 1 : node.end_lineno]
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.FunctionDef)
            }
        module, _, mangled = mutant.rpartition(".")
        original = mangled.partition("__mutmut_")[0]
        old = functions[path][f"{original}__mutmut_orig"]
        new = [line.replace(mangled, f"{original}__mutmut_orig") for line in functions[path][mangled]]
        differing = [line for line in difflib.ndiff(old, new) if line[0] in "-+"]
        before, after = (" ".join(line[2:].strip() for line in differing if line[0] == sign) for sign in "-+")
        plain = original.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        shown = [line.replace(f"{original}__mutmut_orig", plain.rpartition(".")[2]) for line in (before, after)]
        yield Change(f"{module.removeprefix('hotspare.')}.{plain}", *shown)


def report(results: dict[str, Package], *, whole: bool) -> Iterator[str]:
    """A row for each package, the survivors that are not listed, and, of a whole run, what is listed but did not survive."""
    yield f"{'package':<12}{'killed':>8}{'survived':>10}{'untested':>10}{'rate':>9}"
    for name, package in results.items():
        counts = package.counts
        yield f"{name:<12}{counts['killed']:>8}{counts['survived']:>10}{counts['untested']:>10}{package.rate:>9.1%}"
    groups = tomllib.loads(LISTED.read_text())["equivalent"]
    listed = {Change(*mutant) for group in groups for mutant in group["mutants"]}
    survived = [change for package in results.values() for change in changes(package.survivors)]
    unlisted = [change for change in survived if change not in listed]
    yield f"\n{len(survived) - len(unlisted)} survivors are listed in {LISTED.relative_to(ROOT)}, {len(unlisted)} are not:"
    for change in unlisted:
        yield f"\n{change.function}\n- {change.before}\n+ {change.after}"
    if whole:
        for change in sorted(listed.difference(survived)):
            yield f"\nlisted, but it did not survive: {change.function}\n- {change.before}\n+ {change.after}"


def main() -> int:
    """Copy, run and report. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="stop after so many minutes")
    parser.add_argument("--workers", type=int, default=2, help="how many mutants are tested at the same time")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="only the mutants with such names, e.g. 'hotspare._engine.fleet*'",
    )
    options = parser.parse_args()
    stage()
    finished = run(options.minutes, options.workers, options.only)
    results = {name: package for name, package in packages(options.only).items() if package.counts}
    print("\n".join(report(results, whole=finished and not options.only)))
    if not finished:
        print(f"\nstopped after {options.minutes:g} minutes: the rates are those of the mutants that were tested")
    if options.only:
        return 0
    low = {name: results[name].rate for name, least in REQUIRED.items() if results[name].rate < least}
    for name, rate in low.items():
        print(f"\n{name}: {rate:.1%} of the mutants were killed, at least {REQUIRED[name]:.0%} have to be")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
