"""Configuration files: what they may hold, and how every mistake in them is reported."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import pytest
from hotspare._config.loader import Config, Transport, load
from hotspare._http.transports import TRANSPORTS
from hotspare.errors import ConfigError
from hotspare.outcome import Kind
from hotspare.policy import Policy
from hotspare.secret import SecretStr
from hotspare.target import Price, Target
from hypothesis import given
from hypothesis import strategies as st

KEY = "not-a-key-but-secret"
TOML = """
    deadline = 30
    transport = "httpx"

    [policy]
    strategy = "weighted"
    failover_on = ["content_filter"]

    [policy.breaker]
    consecutive_failures = 3

    [timeouts]
    stall = 12

    [[targets]]
    id = "openai/gpt-4.1"
    region = "us"
    name = "primary"
    api_key = "${OPENAI_KEY}"
    weight = 2
    aliases = ["smart"]
    price = { input = 2, output = 8, cached = 0.5 }
    headers = { x-team = "${TEAM:-core}" }
    extra = { service_tier = "${TIER:-default}", nested = { a = ["$${HOME}"] } }

    [[targets]]
    id = "vllm/qwen3"
    name = "local"
    base_url = "http://127.0.0.1:8000/v1"
    price = [0, 0]

    [routes]
    default = [["primary"], ["local"]]
    batch = ["local", "primary"]
"""


def target(**more: Any) -> dict[str, Any]:
    """A valid target, with `more` fields."""
    return {"id": "vllm/qwen3", **more}


def mistakes(source: Any, env: dict[str, str] | None = None) -> list[str]:
    """The problems that `load` reports."""
    with pytest.raises(ConfigError) as caught:
        load(source, env or {})
    return [str(problem) for problem in caught.value.problems]


def write(folder: Path, name: str, text: str) -> Path:
    """A config file."""
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The TOML above, loaded."""
    return load(write(tmp_path, "hotspare.toml", TOML), {"OPENAI_KEY": KEY})


def test_policy_fields_at_the_top_level_and_under_policy_are_merged(config: Config) -> None:
    """Fields and groups of both are set, and all others keep their defaults."""
    assert (config.policy.deadline, config.policy.strategy) == (30.0, "weighted")
    assert config.policy.failover_on == frozenset({Kind.CONTENT_FILTER})
    assert (config.policy.breaker.consecutive_failures, config.policy.timeouts.stall) == (3, 12.0)
    assert config.policy.max_attempts == Policy().max_attempts


def test_fields_of_targets_are_converted_to_their_types(config: Config) -> None:
    """Lists become sets, prices a Price, integers floats, keys secrets."""
    primary, local = config.targets
    assert (primary.name, primary.region, primary.weight, primary.aliases) == ("primary", "us", 2.0, {"smart"})
    assert primary.price == Price(2, 8, 0.5)
    assert local.price == Price(0, 0)
    assert primary.api_key == SecretStr(KEY)


def test_variables_are_expanded_at_any_depth(config: Config) -> None:
    """Defaults apply, `$${` gives a literal `${`, and strings in free-form data are expanded too."""
    assert config.targets[0].headers == {"x-team": "core"}
    assert config.targets[0].extra == {"service_tier": "default", "nested": {"a": ["${HOME}"]}}
    assert type(config.targets[0].extra["service_tier"]) is str


def test_routes_and_transport(config: Config) -> None:
    """A tier of one target may be its name alone."""
    assert config.routes == {"default": (("primary",), ("local",)), "batch": (("local",), ("primary",))}
    assert (config.transport, config.verify) == ("httpx", True)


def test_no_key_is_shown(config: Config) -> None:
    """The repr of a configuration shows no key."""
    assert KEY not in repr(config)


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
def test_json_yaml_and_dict_are_equivalent(tmp_path: Path, suffix: str) -> None:
    """One text read as JSON and as YAML, and the same data as a dict, give the same configuration."""
    data = {"deadline": 9, "targets": [target(missing=["vision"], context_window=8192)], "verify": False}
    from_file = load(write(tmp_path, f"c.{suffix}", json.dumps(data)), {})
    from_dict = load(data, {})
    for config in (from_file, from_dict):
        assert (config.policy, config.verify) == (Policy(deadline=9), False)
        (only,) = config.targets
        assert (only.id, only.missing, only.context_window) == ("vllm/qwen3", {"vision"}, 8192)


def test_yaml_with_comments_and_anchors(tmp_path: Path) -> None:
    """Block style, comments, and a merged anchor."""
    text = """
        deadline: 20
        targets:
          - &base
            id: vllm/a  # the first
            region: us
          - <<: *base
            region: eu
    """
    config = load(write(tmp_path, "c.yaml", text), {})
    assert [t.name for t in config.targets] == ["vllm/a@us", "vllm/a@eu"]


def test_a_dict_may_hold_objects() -> None:
    """Objects that only code can give are kept: a Target, a group of Policy, tenacity's `wait_*`, a backend."""
    from tenacity import wait_fixed

    wait, backend = wait_fixed(1), object()
    ready = Target("vllm/a")
    config = load(
        {
            "wait": wait,
            "breaker": Policy().breaker,
            "targets": [ready, {"id": "any/b", "backend": backend, "api_key": SecretStr("k"), "aliases": {"x"}}],
        },
        {},
    )
    assert config.policy.wait is wait
    assert config.targets[0] is ready
    assert config.targets[1].backend is backend


def test_numbers_and_bools_may_come_from_variables() -> None:
    """The value of a variable is converted; a string in the file is not."""
    data: dict[str, Any] = {"deadline": "${D}", "max_attempts": "${N:-4}", "targets": [target(reasoning="${R:-TRUE}")]}
    config = load(data, {"D": "2.5"})
    assert (config.policy.deadline, config.policy.max_attempts, config.targets[0].reasoning) == (2.5, 4, True)
    assert mistakes({"deadline": "30", "targets": [target()]}) == ["deadline: '30' must be a number"]
    assert mistakes(data, {"D": "soon"}) == ["deadline: '${D}' must be a number"]


MISTAKES: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"targets": [target(), target(name="b"), target(name="c", regoin="us")]},
        ["targets[2].regoin: unknown field; did you mean 'region'?"],
    ),
    ({"deadlin": 3, "targets": [target()]}, ["deadlin: unknown field; did you mean 'deadline'?"]),
    ({"deadline": -3, "targets": [target()]}, ["deadline: -3.0 must not be negative"]),
    ({"policy": {"deadline": 0}, "targets": [target()]}, ["policy.deadline: 0.0 must be above 0"]),
    ({"breaker": {"break_duration": -1}, "targets": [target()]}, ["breaker.break_duration: -1.0 must not be negative"]),
    (
        {"policy": {"breaker": {"break_durtion": 1}}, "targets": [target()]},
        ["policy.breaker.break_durtion: unknown field; did you mean 'break_duration'?"],
    ),
    (
        {"policy": {"deadline": 1}, "deadline": 2, "targets": [target()]},
        ["policy.deadline: 1 is also given at the top level: keep one of them"],
    ),
    ({"deadline": True, "targets": [target()]}, ["deadline: True must be a number"]),
    ({"deadline": float("nan"), "targets": [target()]}, ["deadline: nan must be a number"]),
    ({"max_attempts": 1.5, "targets": [target()]}, ["max_attempts: 1.5 must be an integer"]),
    ({"strategy": "best", "targets": [target()]}, ["strategy: 'best' must be one of ordered, weighted"]),
    ({"failover_on": ["sad"], "targets": [target()]}, ["failover_on[0]: 'sad' must be one of ok, server, "]),
    ({"wait": 3, "targets": [target()]}, ["wait: can only be given in code, as an object: Pool(..., wait=...)"]),
    ({"policy": [], "targets": [target()]}, ["policy: [] must be a table"]),
    ({"targets": [target(weight="heavy")]}, ["targets[0].weight: 'heavy' must be a number"]),
    ({"targets": [target(weight=-1)]}, ["targets[0].weight: -1.0 must be above 0"]),
    ({"targets": [target(base_url="ftp://x")]}, ["targets[0].base_url: 'ftp://x' must begin with http://"]),
    (
        {"targets": [target(price=[1])]},
        ["targets[0].price: [1] must be a list or a table of input, output, [cached], [cache_write], [long]"],
    ),
    ({"targets": [target(price={"input": 1, "output": 2, "cost": 3})]}, ["targets[0].price: "]),
    ({"targets": [target(price=[1, "x"])]}, ["targets[0].price.output: 'x' must be a number"]),
    ({"targets": [target(missing=["sight"])]}, ["targets[0].missing[0]: 'sight' must be one of tools, vision"]),
    ({"targets": [target(missing=3)]}, ["targets[0].missing: 3 must be a list, each item one of tools, vision"]),
    ({"targets": [target(backend="mine")]}, ["targets[0].backend: can only be given in code, as an object: Target("]),
    ({"targets": [{"region": "us"}]}, ["targets[0].id: is missing"]),
    ({"targets": [3]}, ["targets[0]: 3 must be a table"]),
    ({"targets": {"id": "vllm/a"}}, ["targets: {'id': 'vllm/a'} must be a list of tables"]),
    ({"targets": []}, ["targets: a pool needs at least one target"]),
    ({}, ["targets: a pool needs at least one target"]),
    (
        {"targets": [target(), target()]},
        ["targets[1].name: 'vllm/qwen3' is also the name of targets[0]: give one of them another `name`"],
    ),
    (
        {"targets": [{"id": "opnai/x"}]},
        ["targets[0].id: 'opnai/x' has an unknown provider; did you mean 'openai'? known: openai, azure"],
    ),
    (
        {"targets": [{"id": "azure/x", "api_key": "k"}]},
        ["targets[0]: base_url: None is required for provider 'azure', e.g. base_url='https://"],
    ),
    ({"targets": [target(api_key="")]}, ["targets[0].api_key: must not be empty"]),
    ({"targets": [target()], "routes": [1]}, ["routes: [1] must be a table"]),
    ({"targets": [target()], "routes": {"r": []}}, ["routes.r: [] must be a list of tiers"]),
    ({"targets": [target()], "routes": {"r": [[]]}}, ["routes.r[0]: [] must be a list of at least one target name"]),
    ({"targets": [target()], "routes": {"r": [[7]]}}, ["routes.r[0][0]: 7 must be the name of a target"]),
    (
        {"targets": [target(name="primary")], "routes": {"r": [["primry"]]}},
        ["routes.r[0][0]: 'primry' is not the name of a target; did you mean 'primary'?"],
    ),
    (
        {"targets": [target(name="a")], "routes": {"r": [["a"], ["a"]]}},
        ["routes.r[1][0]: 'a' is already at routes.r[0][0]: a route uses a target once"],
    ),
    ({"targets": [target()], "transport": 3}, ["transport: 3 must be one of auto, httpx"]),
    ({"targets": [target()], "verify": 3}, ["verify: 3 must be true or false or a string"]),
    ({"targets": [target(tier=None)]}, ["targets[0].tier: None must be an integer"]),
    ({"targets": [target()], 5: 6}, ["config: 5 must be a string"]),
]


@pytest.mark.parametrize(("data", "expected"), MISTAKES, ids=[want[0][:48] for _, want in MISTAKES])
def test_each_mistake_is_reported_with_its_path(data: dict[str, Any], expected: list[str]) -> None:
    """Path, value and hint of each mistake, and no other problem."""
    found = mistakes(data)
    assert [line[: len(want)] for line, want in zip(found, expected, strict=True)] == expected


def test_all_mistakes_are_reported_at_once() -> None:
    """One run of the check lists all of them."""
    found = mistakes(
        {
            "targets": [target(regoin="us"), target(name="b", api_key="${NOPE}"), {"id": "zzz/x"}],
            "deadlin": 3,
            "breaker": {"break_duration": -1},
        }
    )
    paths = {line.partition(":")[0] for line in found}
    assert paths == {"targets[0].regoin", "targets[1].api_key", "targets[2].id", "deadlin", "breaker.break_duration"}


def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target without the key that its provider needs is a ConfigError."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    (problem,) = mistakes({"targets": [{"id": "anthropic/claude"}]})
    assert problem.startswith("targets[0]: no key: set the environment variable ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert load({"targets": [{"id": "anthropic/claude"}]}).targets[0].provider == "anthropic"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${GONE}", "the environment variable GONE is not set"),
        ("${EMPTY}", "the environment variable EMPTY is empty"),
        ("a ${PRIVATE} b ${GONE}", "the environment variable GONE is not set"),
        ("${PRIVATE", "invalid variable; write ${NAME}"),
        ("${a b}", "invalid variable; write ${NAME}"),
        ("${}", "invalid variable; write ${NAME}"),
        ("${PRIVATE-x}", "invalid variable; write ${NAME}"),
    ],
)
def test_a_missing_variable_is_named_and_no_value_is_shown(text: str, expected: str) -> None:
    """Path and name of the variable; the values of other variables are not shown."""
    (problem,) = mistakes({"targets": [target(region=text)]}, {"PRIVATE": KEY, "EMPTY": ""})
    assert problem.startswith(f"targets[0].region: {expected}")
    assert KEY not in problem


@pytest.mark.parametrize("field", ["api_key", "headers", "extra"])
def test_a_misplaced_secret_is_not_shown(field: str) -> None:
    """A value of a wrong type in a field for secrets is reported without the value."""
    for value in ([KEY], {"authorization": [KEY], 3: KEY}, 7):
        if field == "extra" and isinstance(value, dict):
            continue  # free-form data: that is valid
        assert KEY not in "".join(mistakes({"targets": [target(**{field: value})]}))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("c.toml", "deadline = \n", "invalid TOML: Invalid value (at line 1"),
        ("c.toml", "deadline = 1\ndeadline = 2\n", "line 2"),
        ("c.json", '{"deadline": 1,\n}', "line 2, column 1: invalid JSON"),
        ("c.json", '{"deadline": 1, "deadline": 2}', "duplicate key 'deadline'"),
        ("c.yaml", "deadline: [1\n", "line 2, column 1: invalid YAML"),
        ("c.yaml", "deadline: 1\ndeadline: 2\n", "line 2, column 1: invalid YAML: duplicate key 'deadline'"),
        ("c.yaml", "- a\n", "must contain a table"),
        ("c.json", "[]", "must contain a table"),
        ("c.ini", "", "must end in one of .toml, .yaml, .yml, .json"),
    ],
)
def test_a_syntax_error_is_reported_with_its_line(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """Syntax errors, duplicate keys, other data than a table, and unknown file formats."""
    (problem,) = mistakes(write(tmp_path, name, text))
    assert expected in problem
    assert name in problem


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A path that does not exist, a folder, and bytes that are not UTF-8."""
    assert "does not exist" in mistakes(tmp_path / "none.toml")[0]
    (tmp_path / "folder.toml").mkdir()
    assert "cannot be read" in mistakes(str(tmp_path / "folder.toml"))[0]
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8" in mistakes(tmp_path / "bytes.toml")[0]


def test_the_error_names_the_file(tmp_path: Path) -> None:
    """The file stands before each problem in the text of the error; `problems` does not repeat it."""
    path = write(tmp_path, "c.toml", "x = 1")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value).splitlines() == [f"{path}: {problem}" for problem in caught.value.problems]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["targets", "routes", "policy", "deadline", "breaker", "transport", "verify", "wait", "x"])
IN_TARGET = st.sampled_from(["id", "region", "price", "missing", "extra", "headers", "api_key", "weight", "backend"])


@given(st.dictionaries(FIELDS, PLAIN, max_size=4), st.lists(st.dictionaries(IN_TARGET, PLAIN, max_size=4), max_size=2))
def test_any_data_gives_a_config_or_a_config_error(data: dict[str, Any], targets: list[dict[str, Any]]) -> None:
    """No shape of plain data raises another exception."""
    try:
        load({"targets": targets, **data}, {})
    except ConfigError as error:
        assert all(":" in problem for problem in error.problems)


def test_the_shipped_examples_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both examples are valid and equivalent."""
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.setenv(name, KEY)
    folder = Path(__file__).parents[3] / "examples"
    toml, yaml = load(folder / "hotspare.toml"), load(folder / "hotspare.yaml")
    assert [t.name for t in toml.targets] == [t.name for t in yaml.targets]
    assert (toml.policy, toml.routes) == (yaml.policy, yaml.routes)


def test_the_transports_are_those_of_the_http_client() -> None:
    """The type of `Config.transport` names exactly the transports that exist."""
    assert get_args(Transport) == TRANSPORTS


def test_a_placeholder_replaces_only_what_is_missing() -> None:
    """For `simulate` and `replay`, which send nothing: a variable's value and its default come first, and an address stays valid."""
    raw = {
        "targets": [{"id": "azure/m", "region": "${A}", "account": "${B:-b}", "base_url": "${C}", "api_key": "${D}"}]
    }
    (target,) = load(raw, {"A": "eu"}, placeholder="http://unused.invalid").targets
    assert (target.region, target.account, target.base_url) == ("eu", "b", "http://unused.invalid")
