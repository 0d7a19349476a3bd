"""Prints, after a run, how many recorded exchanges passed: by provider, and by feature."""

import re
from collections import Counter

import pytest

from tests.conformance.traffic import ALL, FOREIGN, NOT_SUPPORTED

_MODULES = (
    "tests/conformance/test_answers.py",
    "tests/conformance/test_requests.py",
    "tests/conformance/test_errors.py",
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One row per provider. An exchange passed if all of its tests did."""
    tests = {outcome: _exchanges(terminalreporter, outcome) for outcome in ("passed", "failed", "error")}
    failed = tests["failed"] | tests["error"]
    if not tests["passed"] | failed:
        return
    terminalreporter.section("recorded provider traffic")
    passed = [item for item in ALL if item.name in tests["passed"] - failed]
    for host in dict.fromkeys(item.host for item in passed):
        own = [item for item in passed if item.host == host]
        modes = Counter("error" if item.status != 200 else "stream" if item.stream else "plain" for item in own)
        features = Counter(feature for item in own for feature in item.features)
        terminalreporter.line(f"{host:40} {len(own):3}: {_counts(modes)}; {_counts(features)}")
    terminalreporter.line(
        f"{len(passed)} of {len(ALL)} recorded exchanges were read and passed"
        + (f", failed: {sorted(failed)}" if failed else "")
    )
    terminalreporter.line(f"{len(FOREIGN)} not read: {NOT_SUPPORTED}")


def _exchanges(reporter: pytest.TerminalReporter, outcome: str) -> set[str]:
    ids = (report.nodeid for report in reporter.stats.get(outcome, []) if hasattr(report, "nodeid"))
    return {found[1] for one in ids if one.startswith(_MODULES) and (found := re.search(r"\[(.+)\]$", one))}


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())
