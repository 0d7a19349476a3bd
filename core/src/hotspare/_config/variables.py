"""`${NAME}` in a configuration: replaced by the environment variable's value, which no error shows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hotspare._config.scalars import UNRESOLVED, FromEnv, is_list, is_table
from hotspare.errors import Problem
from hotspare.secret import is_secret_name

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SYNTAX = "invalid variable; write ${NAME}, ${NAME:-default}, or $${ for a literal ${"
_MAX_DEPTH = 50
"""Tables and lists inside each other, and defaults inside defaults: far more than any real configuration has."""
_MAX_VALUES = 100_000
"""Values in all. Those that a YAML alias repeats count each time."""
_MIN_HIDDEN = 4
"""Characters: a shorter value is hidden only where it is the whole value of a field, since it also occurs inside ordinary words."""


class Variables:
    """Replaces variables in a configuration, and keeps their values out of its problems.

    `env`: where names are looked up. Default: the environment of the process. Its repr shows no value.
    `placeholder`: the value of a variable that is not set and has no default; "": such a variable is a problem.
    """

    __slots__ = ("_env", "_used", "_values", "placeholder")

    def __init__(self, env: Mapping[str, str] | None = None, placeholder: str = "") -> None:
        self._env = os.environ if env is None else env
        self.placeholder = placeholder
        self._used: dict[str, str] = {}
        self._values = 0

    def __repr__(self) -> str:
        return f"Variables({', '.join(sorted(set(self._used.values())))})"

    def expand(self, path: str, value: Any, problems: list[Problem], depth: int = 0) -> Any:
        """`value` with `${NAME}` and `${NAME:-default}` replaced in every string, at any depth."""
        self._values += 1
        if depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            self._report_size(path, problems, depth)
            return UNRESOLVED
        if is_table(value):
            return {key: self.expand(f"{path}.{key}", item, problems, depth + 1) for key, item in value.items()}
        if is_list(value):
            return [self.expand(f"{path}[{n}]", item, problems, depth + 1) for n, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        before = len(problems)
        filled = _Text(value, path, self, problems).expanded()
        if filled:  # an empty value stands in many messages, and hides nothing
            self._used[filled] = value
        return FromEnv(filled, value) if len(problems) == before else UNRESOLVED

    def _report_size(self, path: str, problems: list[Problem], depth: int) -> None:
        if depth > _MAX_DEPTH:
            problems.append(
                Problem(f"{_shortened(path)}: is nested more than {_MAX_DEPTH} levels deep: make it flatter")
            )
        elif self._values == _MAX_VALUES + 1:
            hint = f"has more than {_MAX_VALUES:,} values (YAML aliases count each time): make it smaller"
            problems.append(Problem(f"{_shortened(path)}: the configuration {hint}"))

    def get(self, name: str) -> str:
        """The value of a variable; "" if it is not set or empty."""
        value = self._env.get(name) or ""
        if value:
            self._used[value] = f"${{{name}}}"
        return value

    def missing(self, path: str, name: str) -> Problem:
        """The problem of a variable without a value. A default is not suggested where it would be a secret in a file."""
        state = "is empty" if name in self._env else "is not set"
        hint = "set it" if is_secret_name(path.rpartition(".")[2]) else f"set it, or write ${{{name}:-default}}"
        return Problem(f"{path}: the environment variable {name} {state}; {hint}")

    def hide(self, problems: Iterable[str]) -> list[Problem]:
        """The problems with `${NAME}` in place of the values that were read."""
        return [Problem(self._hidden(problem)) for problem in problems]

    def _hidden(self, text: str) -> str:
        for value in sorted(self._used, key=len, reverse=True):
            reference = self._used[value]
            text = text.replace(f" {value!r}", f" {reference!r}")
            for form in {value, repr(value)[1:-1]} if len(value) >= _MIN_HIDDEN else ():
                text = text.replace(form, reference)
                for length in range(min(len(form), 80), _MIN_HIDDEN - 1, -1):  # cut by `Problem.at`
                    text = text.replace(f"{form[:length]}...", f"{reference}...")
        return text


def _shortened(path: str) -> str:
    return path if len(path) <= 80 else f"{path[:77]}..."


class _Text:
    """One string of a configuration, read from left to right. A default is parsed even if it is not needed, to find its mistakes."""

    def __init__(self, text: str, path: str, variables: Variables, problems: list[Problem]) -> None:
        self._text, self._path, self._variables, self._problems = text, path, variables, problems
        self._at = 0

    def expanded(self) -> str:
        """The string with its variables replaced. Mistakes are reported; a syntax error replaces all others."""
        before = len(self._problems)
        try:
            return self._until("", 0, wanted=True)
        except SyntaxError:
            del self._problems[before:]
            self._problems.append(Problem(f"{self._path}: {_SYNTAX}"))
            return ""

    def _until(self, end: str, depth: int, *, wanted: bool) -> str:
        """The text up to the character `end` ("": the whole rest). `wanted`: whether it is used, so that its variables must be set."""
        if depth > _MAX_DEPTH:
            raise SyntaxError
        found: list[str] = []
        text = self._text
        while self._at < len(text):
            if text.startswith("$${", self._at):
                found.append("${")
                self._at += 3
            elif text.startswith("${", self._at):
                found.append(self._variable(depth, wanted=wanted))
            elif end and text[self._at] == end:
                self._at += 1
                return "".join(found)
            else:
                stop = min(
                    (n for n in (text.find(c, self._at + 1) for c in ("$", end) if c) if n > 0), default=len(text)
                )
                found.append(text[self._at : stop])
                self._at = stop
        if end:
            raise SyntaxError
        return "".join(found)

    def _variable(self, depth: int, *, wanted: bool) -> str:
        match = _NAME.match(self._text, self._at + 2)
        if match is None:
            raise SyntaxError
        self._at = match.end()
        # An empty variable counts as not set, as in the shell's ${NAME:-default}.
        value = self._variables.get(match[0]) if wanted else ""
        if self._text.startswith(":-", self._at):
            self._at += 2
            default = self._until("}", depth + 1, wanted=wanted and not value)
            return value or default
        if not self._text.startswith("}", self._at):
            raise SyntaxError
        self._at += 1
        if wanted and not value and not self._variables.placeholder:
            self._problems.append(self._variables.missing(self._path, match[0]))
        return value or self._variables.placeholder
