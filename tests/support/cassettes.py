"""Cassettes: recorded exchanges in `cassettes/<provider>/<case>.yaml`, and how a test replays them.

Any test, of the core or of an adapter, replays one or several of them in one call, without a network::

    from tests.support.cassettes import replay

    with replay("openai/error-429", "anthropic/plain") as targets:      # one target a provider, in this order
        with Pool(targets, transport="httpx") as pool:                  # vcrpy stands in for httpx's own transport
            reply = pool.chat(CASES["plain"].request)                   # tests.support.cases: the recorded questions
    assert [attempt.kind for attempt in reply.attempts] == ["throttled", "ok"]

* A framework's own client takes the same place: `targets[0].base_url`, `.model` and `cases.KEY` point it there. It writes
  its bodies in its own way: replay with ``bodies=False``, and only the address must be the recorded one.
* Every answer must be played exactly once: a call that is not recorded, or a cassette that no call asked for, fails the
  test. An error cassette (`error-429`…) answers every call to its provider, streamed or not, any number of times, because
  a pool may retry a target that fails fast (not with ``retry_same_target="never"``).
* Agent loops take `tools` and `tool-result` (or `tools-stream` and `tool-result-stream`) of one provider together.
* `recording(name)` gives the raw exchange, to be read without hotspare.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import vcr
import yaml
from hotspare import Target
from pytest_recording.network import blocking_context
from vcr.request import Request
from vcr.serialize import deserialize
from vcr.serializers import yamlserializer

from tests.support.cases import PROVIDERS

ROOT = Path(__file__).parents[2] / "cassettes"
README = ROOT / "README.md"
_ROW = re.compile(r"^\| ([a-z]+/[a-z0-9-]+) \| ([^|]+) \| (\d{4}-\d\d-\d\d) \| ([0-9a-f]{16}) \|$", re.M)


def path_of(name: str, root: Path = ROOT) -> Path:
    """The file of `provider/case`."""
    return root / f"{name}.yaml"


def expected() -> set[str]:
    """The names of all cassettes that there must be."""
    return {f"{provider.name}/{case.name}" for provider in PROVIDERS.values() for case in provider.cases()}


def digest(path: Path) -> str:
    """What the table says of a file: a recording is made, not edited."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def table(readme: Path = README) -> dict[str, tuple[str, str, str]]:
    """What README.md says of every cassette: the server, the day, the digest."""
    found = _ROW.findall(readme.read_text(encoding="utf-8"))
    return {name: (server.strip(), day, sha) for name, server, day, sha in found}


def recording(name: str, root: Path = ROOT) -> Mapping[str, Any]:
    """The one exchange of a cassette: `request` and `response`, as YAML has them."""
    (exchange,) = yaml.safe_load(path_of(name, root).read_text(encoding="utf-8"))["interactions"]
    found: Mapping[str, Any] = exchange
    return found


def problems(root: Path = ROOT) -> list[str]:
    """What is wrong with the recordings: missing, orphaned, edited by hand, or holding what must not be published."""
    rows = table(root / "README.md")
    files = {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.yaml"))}
    wrong = [f"{name}: missing: make record" for name in sorted(expected() - files.keys())]
    wrong += [f"{name}: orphan: no case of tests/support/cases.py" for name in sorted(files.keys() - expected())]
    wrong += [f"{name}: README.md has no row" for name in sorted(files.keys() - rows.keys())]
    wrong += [f"{name}: README.md has a row, but there is no file" for name in sorted(rows.keys() - files.keys())]
    for name, path in files.items():
        wrong += [f"{name}: {leak}" for leak in leaks(path.read_text(encoding="utf-8"))]
        if name in rows and digest(path) != rows[name][2]:
            wrong.append(f"{name}: is not what was recorded: make record, do not edit")
    return wrong


# --- replaying ---------------------------------------------------------------------------------------------------


@contextmanager
def replay(*names: str, bodies: bool = True) -> Iterator[list[Target]]:
    """Targets whose calls are answered from these cassettes; nothing else answers, for the network is closed.

    Args:
        names: `provider/case`, in the order in which their providers are to be asked.
        bodies: whether a request must be the recorded one to the last field, or only go to the recorded address.

    Raises FileNotFoundError for a cassette that does not exist.
    """
    player = vcr.VCR(record_mode="none", match_on=["recorded"])
    player.register_matcher("recorded", _is_recorded if bodies else _goes_there)
    player.register_persister(_Several)
    with blocking_context(), player.use_cassette(" ".join(names)) as cassette:
        yield list({_base(uri): _target(name, uri) for name, uri in _uris(names)}.values())
        played = {cassette.data[index][0].headers["x-case"] for index in cassette.play_counts}
        assert played == set(names), f"recorded, but never asked for: {', '.join(sorted(set(names) - played))}"


_REFUSALS = 6
"""How often an error is played at most: a pool's attempts."""


class _Several:
    """Loads the exchanges of several cassettes as if they were one."""

    @staticmethod
    def load_cassette(names: str, serializer: Any) -> tuple[list[Request], list[Any]]:
        requests: list[Request] = []
        responses: list[Any] = []
        for name in names.split():
            asked, answered = deserialize(path_of(name).read_text(encoding="utf-8"), yamlserializer)
            for request in asked:
                request.headers["x-case"] = name
            times = _REFUSALS if "/error-" in name else 1
            requests += asked * times
            responses += answered * times
        return requests, responses

    @staticmethod
    def save_cassette(names: str, cassette: Any, serializer: Any) -> None:
        raise AssertionError(f"a replay does not write: {names}")


def _uris(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, recording(name)["request"]["uri"]) for name in names]


def _target(name: str, uri: str) -> Target:
    provider, _, case = name.partition("/")
    return PROVIDERS[provider].target(case, base_url=_base(uri))


def _base(uri: str) -> str:
    """The base URL behind a request's address."""
    if "/openai/deployments/" in uri:
        return re.sub(r"/openai/deployments/[^?]*", "", uri)
    return re.sub(r"(/chat/completions|/v1/messages|/models/[^/]+:\w+)(\?.*)?$", "", uri)


def _goes_there(asked: Request, recorded: Request) -> None:
    assert asked.method == recorded.method
    if "/error-" in recorded.headers["x-case"]:
        assert _base(asked.uri) == _base(recorded.uri)
    else:
        assert asked.uri == recorded.uri


def _is_recorded(asked: Request, recorded: Request) -> None:
    _goes_there(asked, recorded)
    if "/error-" not in recorded.headers["x-case"]:
        assert json.loads(asked.body) == json.loads(recorded.body)


# --- writing -----------------------------------------------------------------------------------------------------

KEPT = re.compile(
    r"accept|content-type|anthropic-version|x-should-retry|(llm_provider-)?(retry-after(-ms)?|(x|anthropic)-ratelimit-.*)",
    re.I,
)
"""Headers that a cassette keeps: what the wire needs. Keys, cookies, organisations and request ids are not among them."""

_SCRUBBED = (
    (re.compile(r"(\"(?:request_id|requestId|responseId|system_fingerprint)\": ?\")[^\"]*"), r"\1scrubbed"),
    (re.compile(r"(\"id\": ?\"(?:chatcmpl|gen|msg|resp)[-_])[^\"]*"), r"\1scrubbed"),
    (re.compile(r"(\"created\": ?)\d+"), r"\g<1>1764000000"),
    (re.compile(r"(https://)[\w-]+(\.[\w.]*azure\.com)"), r"\1scrubbed\2"),
    (re.compile(r"\b(org|proj|user|req)[-_][A-Za-z0-9]{8,}"), r"\1-scrubbed"),
)
_LEAKS = {
    "a key": r"\b(sk|pk|rk|xai|gsk|hf|ghp|gho|github_pat|glpat|xox[abp])[-_][A-Za-z0-9_*-]{8,}|AIza[\w-]{20,}|\bya29\.|AKIA[0-9A-Z]{12,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}|-----BEGIN|Bearer \S",
    "a header with a secret": r"(?im)^\s*(authorization|(x-)?api-key|x-goog-api-key|(set-)?cookie|openai-organization)\s*:",
    "a key in a URL": r"[?&](key|api_key|token|sig)=",
    "an organisation's or a request's id": r"\b(org|proj|req)[-_][A-Za-z0-9]{12,}",
    "a path of a machine": r"/(root|home|work|Users|tmp|private|site-packages)/",
    "an e-mail address": r"[\w.+-]+@[\w-]+\.[a-z]{2,}",
    "a private host": r"https?://(?!127\.0\.0\.1|localhost\b)[\w.-]*(\.internal|\.local|\.lan|\b(10|172|192)\.\d+\.\d+\.\d+)",
}


class Leak(Exception):
    """Something that must not be published stood in a recording; nothing was written."""


def leaks(text: str) -> list[str]:
    """What in a cassette must not be published, each with the place."""
    found = [(what, match) for what, pattern in _LEAKS.items() for match in re.finditer(pattern, text)]
    return [f"line {text[: match.start()].count(chr(10)) + 1}: {what}" for what, match in found]


def scrub(exchange: Mapping[str, Any]) -> dict[str, Any]:
    """An exchange without secrets, cookies, ids of accounts and requests, and times of day."""
    request, response = exchange["request"], exchange["response"]
    return {
        "request": {
            "method": request["method"],
            "uri": _text(request["uri"]),
            "headers": _headers(request["headers"]),
            "body": _text(request["body"]),
        },
        "response": {
            "status": response["status"],
            "headers": _headers(response["headers"]),
            "body": {"string": _text(response["body"]["string"])},
        },
    }


def _headers(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): raw[name] for name in sorted(raw, key=str.lower) if KEPT.fullmatch(name)}


def _text(body: Any) -> str:
    text = body.decode() if isinstance(body, bytes) else str(body)
    for pattern, instead in _SCRUBBED:
        text = pattern.sub(instead, text)
    return text


class _Dumper(yaml.SafeDumper):
    """Texts of several lines, as event streams are, stand line by line."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


class Writer:
    """vcrpy's serializer for recordings: scrubs, refuses what leaks, and writes so that it can be read."""

    @staticmethod
    def serialize(cassette: Mapping[str, Any]) -> str:
        """The file's text. Raises Leak."""
        scrubbed = {"interactions": [scrub(exchange) for exchange in cassette["interactions"]], "version": 1}
        text = yaml.dump(scrubbed, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
        if found := leaks(text):
            raise Leak("; ".join(found))
        return text

    @staticmethod
    def deserialize(text: str) -> Any:
        """The reverse."""
        return yaml.safe_load(text)
