"""What is read of an error's body, and how much of it: depth, lengths and numbers of items, each at its bound."""

import json
from typing import Any

import pytest
from hotspare._classify.error_body import read_body, without_quotations


def body(value: Any) -> Any:
    return read_body(json.dumps(value))


def mappings(count: int, leaf: Any = "m", name: str = "message") -> Any:
    """So many mappings around a value."""
    for _ in range(count):
        leaf = {name: leaf}
    return leaf


def lists(count: int, leaf: Any = "m") -> Any:
    """So many lists around a value."""
    for _ in range(count):
        leaf = [leaf]
    return leaf


def texts(count: int) -> Any:
    """So many mappings, each of them written as JSON inside the text of the next one."""
    found: Any = "m"
    for place in range(count):
        found = {"message": found if not place else json.dumps(found)}
    return found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (mappings(5), "m"),
        (mappings(6), ""),
        ({"detail": lists(4)}, "m"),
        ({"detail": lists(5)}, ""),
        (texts(3), "m"),
        (texts(4), '{"message": "m"}'),
        ({"detail": [str(n) for n in range(21)]}, "; ".join(str(n) for n in range(20))),
        ({"message": "o", "metadata": {"raw": mappings(4)}}, "o: m"),
        ({"message": "o", "metadata": {"raw": mappings(5)}}, "o"),
        ({"metadata": {"raw": "m"}}, "m"),
        ({"message": "o m", "metadata": {"raw": "m"}}, "o m"),
        ({"message": "o", "metadata": "m"}, "o"),
        ({"error": {"message": "inner"}, "message": "outer"}, "inner"),
        ({"error": "Bad Request", "message": "outer"}, "outer"),
        ({"error": "Bad Request", "message": 5}, "Bad Request"),
        ([], ""),
        ([{"error": {"message": "first"}}, {"error": {"message": "second"}}], "first"),
    ],
)
def test_messages(value: Any, message: str) -> None:
    """Down to the sixth level, of at most 20 items, with the upstream's message that a relay repeats."""
    assert body(value).message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 499 + '{"message": "m"}', "m"),
        ("x" * 500 + '{"message": "m"}', "x" * 500 + '{"message": "m"}'),
        ('{"message": "a"} {"message": "b"}', "a"),
        ('{  "message": "m"}', "m"),
        ('{   "message": "m"}', '{   "message": "m"}'),
        ("no JSON", "no JSON"),
    ],
)
def test_json_inside_a_message(text: str, message: str) -> None:
    """The first one that begins within 500 characters, with a name within four."""
    assert body({"message": text}).message == message


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        (mappings(5, {"code": "c"}, "error"), ["c"]),
        (mappings(6, {"code": "c"}, "error"), []),
        ({"details": lists(4, {"code": "c"})}, ["c"]),
        ({"details": lists(5, {"code": "c"})}, []),
        ({"errors": [{"code": n} for n in range(21)]}, [str(n) for n in range(20)]),
        ({"error": 'of the upstream: {"code": "c"}'}, ["c"]),
        ({"error": "text"}, []),
        ({"code": 5, "type": "t", "reason": ["r"], "other": "o", "status": None}, ["5", "t"]),
        ({"code": "c" * 100, "type": "t" * 101}, ["c" * 100]),
        ({"other": {"code": "c"}}, []),
    ],
)
def test_codes(value: Any, codes: list[str]) -> None:
    """Of each mapping that belongs to the error, in the fields for codes, numbers and short texts only."""
    assert body(value).codes == codes


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"code": "", "status": "S", "type": "t"}, "S"),
        ({"Code": 5}, "5"),
        ({"type": ["t"], "message": "m"}, ""),
        ({"message": "m"}, ""),
    ],
)
def test_the_code(value: Any, code: str) -> None:
    """The first of code, status and type that says something."""
    assert body({"error": value}).code == code


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"param": "p", "field": "f"}, "p"),
        ({"field": "f"}, "f"),
        ({"param": None, "field": "f" * 101}, "f" * 100),
        ({"param": "outer", "error": {"param": "inner"}}, "outer"),
        ({"param": 5}, ""),
        ({}, ""),
    ],
)
def test_the_field_that_is_named(value: Any, param: str) -> None:
    """In `param` or `field`, of the outermost mapping, at most 100 characters."""
    assert body(value).param == param


def test_what_a_relay_repeats_and_gemini_adds() -> None:
    """Headers of the upstream in lower case, the time to wait, and the quotas that are exceeded; each of a bounded length."""
    found = body({"error": {"metadata": {"headers": {"Retry-After": 7} | {f"n{n}": n for n in range(50)}}}})
    assert found.headers == {"retry-after": "7"} | {f"n{n}": str(n) for n in range(49)}
    assert body({"headers": "none"}).headers == {}
    assert body({"retryDelay": "38s", "details": [{"retryDelay": "9s"}]}).retry_delay == "38s"
    assert body({"retryDelay": "3" * 41}).retry_delay == "3" * 40
    quotas = [{"quotaId": "i" * 201, "quotaValue": "1" * 21}, {"quotaId": "j"}, {"quotaValue": "5"}]
    assert body({"details": quotas}).quotas == [("i" * 200, "1" * 20), ("j", "")]


@pytest.mark.parametrize(
    ("value", "is_overflow"),
    [
        ({"n_prompt_tokens": 10, "n_ctx": 10}, True),
        ({"n_prompt_tokens": 9, "n_ctx": 10}, False),
        ({"n_prompt_tokens": 10}, False),
        ({"n_ctx": 10}, False),
        ({"n_prompt_tokens": "10", "n_ctx": 5}, False),
    ],
)
def test_a_prompt_that_is_longer_than_the_context(value: Any, is_overflow: bool) -> None:
    """llama.cpp: as many tokens as the context holds, or more."""
    assert body({"error": value}).is_context_overflow is is_overflow


@pytest.mark.parametrize("start", ['{"', '{ "', '{\n"', '[{"', ' {"', '{\r\n  "', '[ {"'])
def test_json_that_was_cut(start: str) -> None:
    """Its fields are read as far as they are there, codes and the first message."""
    found = read_body(start + f'code": "{"c" * 101}", "status": 429, "message": "first", "error": {{"message": "cut')
    assert (found.message, found.code, found.codes, found.is_cut) == ("first", "c" * 100, ["c" * 100, "429"], True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain {text}", "plain {text}"),
        ("<html><title> a  b </title><title>c</title>", "a b"),
        ("<html><h1 class=x>a</h1>", "a"),
        ("<html><title></title><h1>a</h1>", "a"),
        ("<html><title>", ""),
        ("<x <", ""),
        ("<title", ""),
    ],
)
def test_what_is_no_json(text: str, message: str) -> None:
    """The text itself; of a web page its first title or heading."""
    found = read_body(text)
    assert (found.message, found.is_cut) == (message, False)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("the \"secret\" isn't `known` to 'us'", "the   isn't   to  "),
        ("no key 'abc", "no key 'abc"),
        ("litellm.BadRequestError: no", "no"),
        ("a" * 4000, "a" * 4000),
        ("a" * 2000 + "b" * 2000 + "c", "a" * 2000 + " … " + "b" * 1999 + "c"),
    ],
)
def test_quotations(message: str, found: str) -> None:
    """They are removed, with the class that LiteLLM adds; of a long message only its beginning and its end are kept."""
    assert without_quotations(message) == found


def test_a_quotation_that_was_cut() -> None:
    """Of a body that was cut, the last quotation has no end."""
    assert without_quotations("no key 'abc", is_cut=True) == "no key  "
    assert without_quotations("no key", is_cut=True) == "no key'"
