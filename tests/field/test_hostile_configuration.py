"""Configurations that are broken, huge or hostile: an immediate, clear ConfigError without the value of a variable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hotspare import Breaker, ConfigError, Policy, Pool, RequestError, Target, Timeouts
from hotspare._config.loader import load
from hotspare.testing import ScriptedTarget, scripted_pool

SECRET = "sk-value-of-a-variable-" + "x" * 100
HUGE = 10**5000
TARGET = 'targets = ["openai/x"]\n'


def problems(source: Any, env: dict[str, str] | None = None) -> list[str]:
    """What `load` reports."""
    with pytest.raises(ConfigError) as caught:
        load(source, {} if env is None else env)
    assert str(caught.value)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        ("${A:-${B}}", {"A": "a", "B": "b"}, "a"),
        ("${A:-${B}}", {"B": "b"}, "b"),
        ("${A:-${B:-c}}", {}, "c"),
        ("${A:-x-${B:-c}-y}", {}, "x-c-y"),
        ("${A:-${B:-${C:-${D}}}}", {"D": "d"}, "d"),
        ("${A:-${B}}", {"A": "a"}, "a"),
        ("${A:-}", {}, ""),
        ("http://${H:-h}:${P:-1}/$x", {"P": "2"}, "http://h:2/$x"),
        ("$${A} ${A:-$${B}}", {}, "${A} ${B}"),
        ("}${A}{", {"A": "${B}"}, "}${B}{"),
    ],
)
def test_nested_defaults(text: str, env: dict[str, str], expected: str) -> None:
    """As in a shell: the inner variable is needed only if the outer one has no value. A value is not expanded again."""
    config = load({"targets": [{"id": "ollama/x", "extra": {"v": text}}]}, env)
    assert config.targets[0].extra == {"v": expected}


@pytest.mark.parametrize(
    "text", ["${A:-${B}", "${A:-${}}", "${A:-${B-c}}", "${A:-$", "${A" + ":-${A" * 2000, "${" * 5000]
)
def test_broken_nesting(text: str) -> None:
    """One problem, with the forms that exist."""
    (problem,) = problems({"targets": [{"id": "ollama/x", "region": text}]})
    assert problem.startswith("targets[0].region: invalid variable; write ${NAME}, ${NAME:-default}")


def test_the_innermost_missing_variable_is_named() -> None:
    """Nothing of `${A:-${B}}` is set."""
    assert problems({"targets": [{"id": "ollama/x", "region": "${A:-${B}}"}]}) == [
        "targets[0].region: the environment variable B is not set; set it, or write ${B:-default}"
    ]


VALUES: list[dict[str, Any]] = [
    {"targets": [{"id": "${S}"}]},
    {"targets": [{"id": "${S}/x"}]},
    {"targets": [{"id": "openai/x", "base_url": "${S}"}]},
    {"targets": [{"id": "openai/x", "base_url": "http://h:${S}/v1"}]},
    {"targets": [{"id": "openai/x", "name": "${S}"}, {"id": "openai/y", "name": "${S}"}]},
    {"targets": [{"id": "openai/x", "name": "${S}"}], "routes": {"r": ["nope"]}},
    {"targets": [{"id": "openai/x"}], "routes": {"r": ["${S}"]}},
    {"targets": [{"id": "openai/x", "tier": "${S}", "weight": "${S}", "missing": ["${S}"], "price": ["${S}", 1]}]},
    {"targets": [{"id": "openai/x", "api_key": "ä${S}"}]},
    {"targets": [{"id": "openai/x", "headers": {"a": "${S}\n"}}]},
    {"targets": ["openai/x"], "verify": "${S}"},
    {"targets": ["openai/x"], "transport": "${S}"},
    {"targets": ["openai/x"], "deadline": "${S}", "strategy": "${S}", "failover_on": ["${S}"]},
    {"targets": "${S}"},
    {"targets": ["${S}"]},
]


@pytest.mark.parametrize("value", [SECRET, "abc'\"\\xyz\t4711", "q7x9"])
@pytest.mark.parametrize("data", VALUES, ids=str)
def test_no_error_shows_the_value_of_a_variable(data: dict[str, Any], value: str) -> None:
    """Whole, as a part, shortened, in quotes, and of whatever field; the variable's name stands there instead."""
    with pytest.raises(ConfigError) as caught:
        Pool.from_config(data, env={"S": value})
    text = str(caught.value)
    assert value not in text
    assert repr(value)[1:-1] not in text
    assert value[:12] not in text
    assert value not in "".join(map(repr, caught.value.args))


def test_an_empty_value_is_not_shown_as_a_variable() -> None:
    """A missing variable gives an empty text, and other fields may be empty too."""
    data = {"targets": [{"id": "openai/x", "api_key": "${MISSING}"}], "transport": ""}
    assert problems(data)[1:] == ["transport: '' must be one of auto, httpx"]


BOMBS = {
    "aliases.yaml": "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(12)
    ) + "targets: *m\n",
    "merges.yaml": "a: &a {x: 1, y: 2}\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)}\n  <<: [{','.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(12)
    ),
    "endless.yaml": "targets: &a [*a]\n",
    "endless_table.yaml": "targets: &a\n  - id: openai/x\n    extra: {loop: *a}\n",
    "deep.yaml": "targets: " + "[" * 5000 + "]" * 5000,
    "deep.json": '{"targets": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep_object.json": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep.toml": "targets = " + "[" * 5000 + "]" * 5000,
    "deep_keys.toml": "[" + ".".join("a" * 3000) + "]\nx = 1\n",
    "digits.toml": TARGET + "max_attempts = " + "9" * 5000,
    "digits.json": '{"max_attempts": ' + "9" * 5000 + "}",
    "digits.yaml": "max_attempts: " + "9" * 5000,
    "date.yaml": "deadline: 2001-99-99\n",
    "float.toml": TARGET + "deadline = 1e999\n",
    "nan.toml": TARGET + "deadline = nan\n",
    "float.json": '{"targets": ["openai/x"], "deadline": 1e999}',
    "nan.json": '{"targets": ["openai/x"], "deadline": NaN}',
    "inf.yaml": "targets: [openai/x]\ndeadline: .inf\n",
    "huge.toml": TARGET + "deadline = 1e308\n",
    "surrogate.json": '{"targets": ["\\ud800/x"]}',
    "tag.yaml": "targets: !!python/object/apply:os.system ['true']\n",
    "bom.toml": "\ufeff\ufeffdeadline = 1\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_file(name: str, tmp_path: Path) -> None:
    """A ConfigError of at most a few lines that names the file."""
    path = tmp_path / name
    path.write_text(BOMBS[name], encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_file_with_usual_aliases_loads(tmp_path: Path) -> None:
    """Aliases that real configurations have are no bomb."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "targets:\n- &a {id: ollama/x, name: n}\n" + "".join(f"- {{<<: *a, name: n{n}}}\n" for n in range(300))
    )
    assert len(load(path, {}).targets) == 301


def test_data_that_holds_itself() -> None:
    """A dict given in code."""
    loop: list[Any] = []
    loop.append(loop)
    for data in ({"targets": loop}, {"targets": [{"id": "openai/x", "extra": {"a": loop}}]}, {"routes": {"a": loop}}):
        assert any("nested more than 50 levels" in problem for problem in problems(data))
    assert any(
        "more than 100,000 values" in one
        for one in problems({"targets": [{"id": "a/b", "extra": {"a": ["x"] * 100_001}}]})
    )


NUMBERS = [
    float("inf"),
    float("-inf"),
    float("nan"),
    1e308,
    1e12,
    -1,
    0,
    -0.0,
    HUGE,
    -HUGE,
    True,
    "30",
    None,
    b"3",
    [3],
    2_592_001,
]


@pytest.mark.parametrize(
    "value",
    [one for one in NUMBERS if one is not None],
    ids=lambda value: f"{type(value).__name__}-{value!r:.9}" if value not in (HUGE, -HUGE) else "huge",
)
@pytest.mark.anyio
async def test_an_absurd_deadline_of_a_call(value: Any) -> None:
    """A RequestError that names the field and the bounds, from every kind of call, before anything is sent."""
    scripted = ScriptedTarget("a")
    pool = scripted_pool(scripted)
    words = "deadline: .* must be a number above 0, in seconds, and at most 2592000"
    with pytest.raises(RequestError, match=words):
        pool.chat("hi", deadline=value)
    with pytest.raises(RequestError, match=words):
        list(pool.stream("hi", deadline=value))
    with pytest.raises(RequestError, match=words):
        await pool.achat("hi", deadline=value)
    assert scripted.calls == 0
    assert pool.chat("hi", deadline=2_592_000).text == "ok"


@pytest.mark.parametrize(
    "value",
    [one for one in NUMBERS if one is not None],
    ids=lambda value: f"{type(value).__name__}-{value!r:.9}" if value not in (HUGE, -HUGE) else "huge",
)
@pytest.mark.parametrize("name", ["deadline", "total_deadline", "timeouts", "breaker"])
def test_an_absurd_time_of_a_policy(name: str, value: Any) -> None:
    """A ConfigError that names the field. Of `stall` and `break_duration` 0 is a valid value."""
    build: dict[str, Callable[[], object]] = {
        "deadline": lambda: Policy(deadline=value),
        "total_deadline": lambda: Policy(total_deadline=value),
        "timeouts": lambda: Policy(timeouts=Timeouts(stall=value)),
        "breaker": lambda: Policy(breaker=Breaker(break_duration=value)),
    }
    if value == 0 and value is not False and name in ("timeouts", "breaker"):
        build[name]()
        return
    with pytest.raises(ConfigError, match=name):
        build[name]()


@pytest.mark.parametrize("name", ["max_tokens", "top_k", "seed", "temperature", "top_p"])
@pytest.mark.parametrize("value", [HUGE, -HUGE, 10**400, float("nan")], ids=["huge", "minus-huge", "400", "nan"])
def test_an_absurd_number_in_a_request(name: str, value: Any) -> None:
    """A RequestError that names it: JSON could not carry it."""
    scripted = ScriptedTarget("a")
    with pytest.raises(RequestError, match=f"{name}: "):
        scripted_pool(scripted).chat("hi", **{name: value})
    assert scripted.calls == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": HUGE}, {"price": (HUGE, 1)}, {"tier": 1.5},
        {"extra": {"a": {1, 2}}}, {"extra": {"a": float("nan")}}, {"extra": {"a": HUGE}},
        {"base_url": "https://" + "\u00fc" * 70 + ".test/v1"}, {"base_url": "https://\u00fc..test/v1"},
        *({"headers": {name: "x"}} for name in ("", "a b", "a:", "(a)", "Content-Length", "host", "Transfer-Encoding")),
    ],
)  # fmt: skip
def test_an_absurd_target(fields: dict[str, Any]) -> None:
    """A ConfigError that names the field. Free-form data must be what JSON can carry; a host and a header, what can be sent."""
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Target("openai/x", **fields)


class Odd:
    """An object whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_a_value_without_a_repr() -> None:
    """The message names the type instead."""
    with pytest.raises(ConfigError, match=r"targets\[0\]: <Odd> must be a Target"):
        Pool([Odd()])  # type: ignore[list-item]
