"""The options of a call that are no fields of its request."""

from __future__ import annotations

from collections.abc import Mapping

from hotspare.errors import Problem, RequestError
from hotspare.policy import MAX_NUMBER

MAX_LABELS = 16
"""Labels of one call: each is a dimension of reports."""


def check_options(deadline: object, max_attempts: object, completion: object, labels: object) -> None:
    """Check `deadline` (seconds), `max_attempts`, `completion` and `labels`. Raises RequestError, which lists every mistake."""
    problems: list[Problem] = []
    if deadline is not None and not (isinstance(deadline, int | float) and _in_range(deadline)):
        hint = f"must be a number above 0, in seconds, and at most {MAX_NUMBER} (30 days)"
        problems.append(Problem.at("deadline", deadline, hint))
    if max_attempts is not None and not (type(max_attempts) is int and max_attempts > 0):
        problems.append(Problem.at("max_attempts", max_attempts, "must be an integer above 0"))
    if completion not in (None, "auto", "wait", "stream"):
        problems.append(Problem.at("completion", completion, "must be auto, wait or stream"))
    if not _are_labels(labels):
        problems.append(
            Problem.at("labels", labels, f"must be at most {MAX_LABELS} short words by name, e.g. {{'team': 'search'}}")
        )
    if problems:
        raise RequestError(problems)


def _in_range(seconds: float) -> bool:
    return not isinstance(seconds, bool) and 0 < seconds <= MAX_NUMBER


def _are_labels(labels: object) -> bool:
    if not isinstance(labels, Mapping):
        return False
    words: list[object] = [*labels.keys(), *labels.values()]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return len(words) <= 2 * MAX_LABELS and all(isinstance(word, str) and len(word) <= 100 for word in words)
