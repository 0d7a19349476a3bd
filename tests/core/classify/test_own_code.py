"""Exceptions of a framework's model: whether the model's own code or its provider has failed, read from the traceback."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hotspare._classify.model_errors import own_code_outcome, with_class_name
from hotspare._classify.rules import classify
from hotspare.outcome import Kind, Outcome, Scope

UNKNOWN = Outcome(Kind.SERVER, "what the rules found")
UNSUPPORTED = Outcome(Kind.INVALID, "ValueError: what the rules found", scope=Scope.TARGET)
UNREADABLE = Outcome(Kind.SERVER, "ValueError: what the rules found")


def raised(function: Callable[..., object], *arguments: object) -> Exception:
    try:
        function(*arguments)
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


def method(name: str, variable: str, value: object) -> Callable[..., object]:
    """A method of this name that holds `value` when it raises."""
    space: dict[str, Any] = {}
    exec(f"def {name}(error, value):\n    {variable} = value\n    raise error", space)
    function = space[name]

    def call(error: Exception) -> object:
        return function(error, value)

    return call


@pytest.mark.parametrize("variable", ["response", "raw_response", "completion", "chunk"])
def test_an_answer_that_could_not_be_read(variable: str) -> None:
    """The method that calls the provider holds an answer: SERVER."""
    error = raised(method("_generate", variable, {}), ValueError("x"))
    assert own_code_outcome(error, UNKNOWN, {"_generate"}) == UNREADABLE


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [("_generate", "response", None), ("_generate", "payload", {}), ("_other", "response", {})],
)
def test_a_request_that_the_model_does_not_support(name: str, variable: str, value: object) -> None:
    """Nothing was received, or only another function holds something: INVALID, and the next target is tried."""
    error = raised(method(name, variable, value), ValueError("x"))
    assert own_code_outcome(error, UNKNOWN, {"_generate"}) == UNSUPPORTED


@pytest.mark.parametrize(
    ("module", "found"), [("httpx", UNREADABLE), ("openai._models", UNREADABLE), ("mine.httpx", UNSUPPORTED)]
)
def test_json_that_a_client_could_not_decode(module: str, found: Outcome) -> None:
    """An HTTP client or an SDK decodes only answers; a model's own code may decode what the caller gave it."""
    space: dict[str, Any] = {"__name__": module, "json": json}
    exec("def decode(): json.loads('{')", space)
    error = raised(space["decode"])
    assert own_code_outcome(error, UNKNOWN, set()) == Outcome(
        found.kind, f"JSONDecodeError: {UNKNOWN.message}", scope=found.scope
    )
    space["json"] = None
    other = own_code_outcome(raised(space["decode"]), UNKNOWN, set())
    assert other is not None and other.kind is Kind.INVALID, "an AttributeError"


def chained(error: Exception, cause: Exception, *, hidden: bool = False, explicit: bool = True) -> Exception:
    if explicit:
        error.__cause__ = cause
    else:
        error.__context__ = cause
        error.__suppress_context__ = hidden
    return error


@pytest.mark.parametrize(
    ("error", "outcome", "is_own"),
    [
        (ValueError("x"), UNKNOWN, True),
        (UnicodeError("x"), UNKNOWN, True),
        (NotImplementedError("x"), UNKNOWN, True),
        (OSError("x"), UNKNOWN, False),
        (OSError("x"), Outcome(Kind.INVALID, "no"), True),
        (ValueError("x"), Outcome(Kind.SERVER, "no", 500), False),
        (ValueError("x"), Outcome(Kind.INVALID, "no", 400), False),
        (chained(ValueError("x"), KeyError("y")), UNKNOWN, True),
        (chained(ValueError("x"), OSError("y")), UNKNOWN, False),
        (chained(ValueError("x"), chained(KeyError("y"), OSError("z"))), UNKNOWN, False),
        (chained(ValueError("x"), OSError("y"), explicit=False), UNKNOWN, False),
        (chained(ValueError("x"), OSError("y"), explicit=False, hidden=True), UNKNOWN, True),
        (chained(ValueError("x"), chained(KeyError("y"), OSError("z"), explicit=False)), UNKNOWN, False),
        (chained(ValueError("x"), chained(KeyError("y"), OSError("z"), explicit=False, hidden=True)), UNKNOWN, True),
    ],
)
def test_whose_failure_it_is(error: Exception, outcome: Outcome, is_own: bool) -> None:
    """The model's own code's, if the error and its causes are of Python's own kinds and no status is known."""
    found = own_code_outcome(error, outcome, set())
    assert (found is not None) is is_own
    if found is not None:
        assert found == Outcome(Kind.INVALID, f"{type(error).__name__}: {outcome.message}", scope=Scope.TARGET)


def test_causes_in_a_circle() -> None:
    """They end."""
    one, other = ValueError("x"), KeyError("y")
    one.__cause__, other.__cause__ = other, one
    assert own_code_outcome(one, UNKNOWN, set()) == UNSUPPORTED
    first = ValueError("z")
    first.__cause__ = one
    assert own_code_outcome(first, UNKNOWN, set()) == UNSUPPORTED


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("no", "ValueError: no"),
        ("ValueError", "ValueError"),
        ("ValueError: no", "ValueError: no"),
        ("ValueErrors", "ValueError: ValueErrors"),
        ("", "ValueError"),
        ("x" * 600, "ValueError: " + "x" * 488),
    ],
)
def test_the_name_of_the_class(message: str, found: str) -> None:
    """It stands before the message, once, and the whole has a bounded length."""
    assert with_class_name(ValueError(), message) == found


def test_classify_asks_for_frameworks_only() -> None:
    """Without `methods`, the rules alone decide."""
    error = raised(method("_generate", "response", {}), ValueError("x"))
    assert classify(error, methods={"_generate"}).kind is Kind.SERVER
    assert classify(error).kind is Kind.INVALID
    assert (
        classify(raised(method("_other", "response", {}), ValueError("x")), methods={"_generate"}).kind is Kind.INVALID
    )
    assert classify(chained(ValueError("x"), ConnectionRefusedError("y")), methods={"m"}).kind is Kind.TRANSPORT
