"""The recordings as files: all there, none too many, untouched, and nothing in them that must stay private."""

import shutil
from pathlib import Path

import pytest

from tests.support.cassettes import ROOT, Leak, Writer, expected, leaks, path_of, problems, table


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the cassettes, to be spoilt."""
    return Path(shutil.copytree(ROOT, tmp_path / "cassettes"))


def test_the_cassettes_are_as_recorded() -> None:
    """No orphan, none missing, none edited, nothing private."""
    assert problems() == []
    assert set(table()) == expected()


def test_a_deleted_line_is_found(copy: Path) -> None:
    """Whichever line of a cassette goes, and whichever cassette it is."""
    path = path_of("anthropic/tools-stream", copy)
    lines = path.read_bytes().splitlines(keepends=True)
    for place in range(len(lines)):
        path.write_bytes(b"".join(lines[:place] + lines[place + 1 :]))
        assert problems(copy) == ["anthropic/tools-stream: is not what was recorded: make record, do not edit"]
    path.write_bytes(b"".join(lines))
    for name in sorted(expected()):
        path = path_of(name, copy)
        path.write_bytes(path.read_bytes().partition(b"\n")[2])
    assert len(problems(copy)) == len(expected())


def test_a_missing_and_an_orphaned_cassette_are_found(copy: Path) -> None:
    """By the name of their file."""
    path_of("openai/plain", copy).rename(path_of("openai/simple", copy))
    assert sorted(problem.partition(": ")[0] for problem in problems(copy)) == [
        "openai/plain", "openai/plain", "openai/simple", "openai/simple",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a key", "sk-" + "abcdefgh1234"),
        ("a key", "sk-ant-" + "REDACTED00"),
        ("a key", "AIza" + "SyA0123456789012345678"),
        ("a key", "gsk_" + "abcdefgh1234"),
        ("a key", "AKIA" + "ABCDEFGHIJKLMNOP"),
        ("a key", "eyJ" + "hbGciOiJI.eyJzdWIiOiIx"),
        ("a key", "Bearer " + "x1"),
        ("a header with a secret", "      authorization: test"),
        ("a header with a secret", "      set-cookie:"),
        ("a header with a secret", "      x-api-key:"),
        ("a key in a URL", "http://127.0.0.1/v1?key=" + "x"),
        ("an organisation's or a request's id", "org-" + "Ab12Ab12Ab12Ab"),
        ("a path of a machine", "/home/" + "someone"),
        ("an e-mail address", "someone@" + "example.org"),
        ("a private host", "http://build-7.internal/v1"),
        ("a private host", "http://10.0.0.7/v1"),
    ],
)
def test_what_must_not_be_published_is_found_and_never_written(what: str, line: str, copy: Path) -> None:
    """In a file, with its line, and at write time, when nothing is written."""
    path = path_of("gemini/plain", copy)
    path.write_text(path.read_text(encoding="utf-8") + f"{line}\n", encoding="utf-8")
    assert any(what in problem for problem in problems(copy))
    exchange = {
        "request": {"method": "POST", "uri": "http://127.0.0.1:4010/v1", "headers": {}, "body": "{}"},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": f"{{}}\n{line}\n"}},
    }
    if what == "an organisation's or a request's id":
        assert "scrubbed" in Writer.serialize({"interactions": [exchange]})
    else:
        with pytest.raises(Leak, match=what):
            Writer.serialize({"interactions": [exchange]})


def test_scrubbing_keeps_what_the_wire_needs() -> None:
    """Keys, cookies, organisations, their addresses and request ids go with their headers; limits and Retry-After stay."""
    exchange = {
        "request": {
            "method": "POST",
            "uri": "https://my-company.openai.azure.com/openai/v1/chat/completions",
            "headers": {"Authorization": ["Bearer test"], "Content-Type": ["application/json"], "api-key": ["test"]},
            "body": b"{}",
        },
        "response": {
            "status": {"code": 429, "message": "Too Many Requests"},
            "headers": {"Set-Cookie": ["a=b"], "openai-organization": ["me"], "x-request-id": ["1"], "Retry-After": ["7"],
                        "x-ratelimit-limit-requests": ["60"], "date": ["Mon"]},
            "body": {"string": '{"id":"chatcmpl-1","request_id":"req_1","created":5,"error":{"message":"org-abcdefgh123"}}'},
        },
    }  # fmt: skip
    text = Writer.serialize({"interactions": [exchange]})
    written = Writer.deserialize(text)["interactions"][0]
    assert written["request"]["uri"] == "https://scrubbed.openai.azure.com/openai/v1/chat/completions"
    assert written["request"]["headers"] == {"content-type": ["application/json"]}
    assert written["response"]["headers"] == {"retry-after": ["7"], "x-ratelimit-limit-requests": ["60"]}
    assert written["response"]["body"]["string"] == (
        '{"id":"chatcmpl-scrubbed","request_id":"scrubbed","created":1764000000,"error":{"message":"org-scrubbed"}}'
    )
    assert leaks(text) == []
