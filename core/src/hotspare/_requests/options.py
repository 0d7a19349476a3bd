"""The options of a call that are not fields of its request."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast, get_args

from hotspare._config.ranges import MAX_NUMBER
from hotspare._routing.acceptance import Rule
from hotspare.errors import ConfigError, Problem, RequestError
from hotspare.messages import CallOptions
from hotspare.secret import HiddenStr, key_mistake, reveal
from hotspare.target import Capability

MAX_SESSION = 200
"""Maximum length of a session's name, in characters."""
MAX_LABELS = 16
"""Maximum number of labels of one call, since each label is a dimension of reports."""


OPTIONS = (
    "deadline", "max_attempts", "completion", "labels", "regions", "prefer_regions", "max_price", "substitute", "require", "only",
    "avoid", "session", "accept", "cache", "api_key", "targets",
)  # fmt: skip
"""The options of a call that are not fields of its request."""
_OPTIONS = frozenset(OPTIONS)
_NAMES = ("regions", "prefer_regions", "require", "only", "avoid")
_CHOICES = frozenset({*_NAMES, "max_price", "substitute", "accept", "session"})
_RULES: tuple[str, ...] = get_args(Rule)
_CAPABILITIES: tuple[str, ...] = get_args(Capability)


def take_options(fields: dict[str, Any]) -> dict[str, Any]:
    """Remove the options from `fields`, and validate them. Raises RequestError, which lists every mistake."""
    options = {name: fields.pop(name) for name in fields.keys() & _OPTIONS}
    if not options:
        return options
    problems = _own_problems(options)
    if not _CHOICES.isdisjoint(options):
        problems += _choice_problems(options)
    if "api_key" in options:
        problems += _key_problems(options)
    if problems:
        raise RequestError(problems)
    return options


def _choice_problems(options: Mapping[str, Any]) -> Iterator[Problem]:
    """Mistakes in the options that restrict the targets."""
    for name in _NAMES:
        value = options.get(name)
        if isinstance(value, str) or (value is not None and not _are_words(value)):
            yield Problem.at(name, value, "must be a collection of strings, e.g. {'eu'}")
        elif name == "require":
            for word in sorted({*(value or ())}.difference(_CAPABILITIES)):
                yield Problem.at(name, word, f"is not a capability; they are {', '.join(_CAPABILITIES)}")
    price = options.get("max_price")
    if price is not None and not (isinstance(price, int | float) and not isinstance(price, bool) and price >= 0):
        yield Problem.at("max_price", price, "must be a number of USD per million tokens")
    if options.get("substitute") not in (None, True, False):
        yield Problem.at("substitute", options["substitute"], "must be True or False")
    accept = options.get("accept")
    if accept is not None and not callable(accept) and not (_are_words(accept) and {*accept} <= {*_RULES}):
        yield Problem.at("accept", accept, f"must be a function, or any of {', '.join(_RULES)}")
    session = options.get("session")
    if session is not None and not (isinstance(session, str) and 0 < len(session) <= MAX_SESSION):
        yield Problem.at("session", session, f"must be a string of 1 to {MAX_SESSION} characters")


def _key_problems(options: Mapping[str, Any]) -> Iterator[Problem]:
    """Mistakes in the caller's own keys. The messages never contain a part of a key."""
    given = options.get("api_key")
    if given is None:
        return
    if options.get("targets") is not None:
        yield Problem("api_key: give each of `targets` its own: Target('openai/gpt-4.1', api_key=…)")
    by_name = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {"": given}
    for name, key in by_name.items():
        path = f"api_key.{name}" if name else "api_key"
        if not (isinstance(key, str) or callable(getattr(key, "get_secret_value", None))):
            yield Problem(f"{path}: must be a key, or keys by provider or target: {{'openai': '…'}}")
            continue
        try:
            text = reveal(key, path)
        except ConfigError as error:
            yield from map(Problem, error.problems)
        else:
            if mistake := key_mistake(text) if text else "must not be empty":
                yield Problem(f"{path}: {mistake}")
    if not by_name:
        yield Problem("api_key: is empty: give a key, or leave it out")


def fields_of(options: CallOptions) -> dict[str, Any]:
    """A copy of the caller's options. Keys are wrapped, in the given dict too, so that tracebacks with locals do not show them."""
    if "api_key" in options:
        _hide_key(options)
    return {**options}


def _hide_key(options: CallOptions) -> None:
    given = options.get("api_key")
    if isinstance(given, str):
        options["api_key"] = HiddenStr(given)
    elif isinstance(given, Mapping):
        options["api_key"] = {name: HiddenStr(key) if isinstance(key, str) else key for name, key in given.items()}


def _are_words(value: object) -> bool:
    return isinstance(value, Collection) and all(isinstance(word, str) for word in cast("Collection[object]", value))


def _own_problems(options: Mapping[str, Any]) -> list[Problem]:
    """Mistakes in the other options."""
    deadline, max_attempts = options.get("deadline"), options.get("max_attempts")
    completion, cache = options.get("completion"), options.get("cache")
    labels: Mapping[str, Any] = options.get("labels") or {}
    problems: list[Problem] = []
    if deadline is not None and not (isinstance(deadline, int | float) and _in_range(deadline)):
        hint = f"must be a number above 0, in seconds, and at most {MAX_NUMBER} (30 days)"
        problems.append(Problem.at("deadline", deadline, hint))
    if max_attempts is not None and not (type(max_attempts) is int and max_attempts > 0):
        problems.append(Problem.at("max_attempts", max_attempts, "must be an integer above 0"))
    if completion not in (None, "auto", "wait", "stream"):
        problems.append(Problem.at("completion", completion, "must be auto, wait or stream"))
    if cache not in (None, "off", "read", "refresh"):
        problems.append(Problem.at("cache", cache, "must be off, read or refresh"))
    if labels and not _are_labels(labels):
        problems.append(
            Problem.at(
                "labels",
                labels,
                f"must be at most {MAX_LABELS} names and values of up to 100 characters, e.g. {{'team': 'search'}}",
            )
        )
    return problems


def _in_range(seconds: float) -> bool:
    return not isinstance(seconds, bool) and 0 < seconds <= MAX_NUMBER


def _are_labels(labels: object) -> bool:
    if not isinstance(labels, Mapping):
        return False
    words: list[object] = [*labels.keys(), *labels.values()]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return len(words) <= 2 * MAX_LABELS and all(isinstance(word, str) and len(word) <= 100 for word in words)
