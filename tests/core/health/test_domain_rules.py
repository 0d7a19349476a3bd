"""Failure domains: which ones a target belongs to, and when a whole domain is down."""

from math import inf
from typing import Any

import pytest
from hotspare import SecretStr
from hotspare._health.accounts import account_of, signer_of
from hotspare._health.breaker import State
from hotspare._health.domains import domains_of, is_down
from hotspare._health.target_state import TargetState
from hotspare.target import Domain, Target

from tests.support.engine import NoBackend, state_of


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"id": "openai/m"}, ["openai/default", "openai/default", "openai"]),
        ({"id": "openai/m", "region": "us", "account": "x"}, ["openai/us", "openai/x", "openai"]),
        ({"id": "openai/m", "base_url": "http://user:pw@host:1/v1"}, ["openai/host:1", "openai/host:1", "openai"]),
        ({"id": "openai-compatible/m", "name": "own"}, ["openai-compatible/own", "openai-compatible/default"]),
        ({"id": "openai-compatible/m", "region": "r"}, ["openai-compatible/r", "openai-compatible/default"]),
        ({"id": "litellm/bedrock/m", "region": "r"}, ["bedrock/r", "bedrock/default", "bedrock"]),
        ({"id": "litellm/bedrock/a/b"}, ["bedrock/default", "bedrock/default", "bedrock"]),
        ({"id": "litellm/m", "name": "one"}, ["litellm/one", "litellm/default"]),
        ({"id": "litellm/openai/m"}, ["openai/default", "openai/default", "openai"]),
        ({"id": "litellm/openai/m", "base_url": "http://h/v1"}, ["litellm/h", "litellm/h"]),
        ({"id": "litellm/groq/m", "base_url": "http://h/v1"}, ["groq/h", "groq/h", "groq"]),
        ({"id": "openai/groq/m"}, ["openai/default", "openai/default", "openai"]),
    ],
)
def test_domains_of_a_target(fields: dict[str, Any], names: list[str]) -> None:
    """Region, account and provider in this order; what only names a way of calling is no provider that targets share."""
    found = domains_of(Target(**fields))
    assert [str(domain) for domain in found] == names
    assert [domain.level for domain in found] == ["region", "account", "provider"][: len(names)]


def test_accounts_of_keys() -> None:
    """Equal keys are one account and different keys are two, however they are wrapped; the key itself is not shown."""
    plain = domains_of(Target("openai/m", api_key="secret-1"))[1]
    wrapped = domains_of(Target("openai/m", api_key=SecretStr("secret-1")))[1]
    other = domains_of(Target("openai/m", api_key="secret-2"))[1]
    assert plain == wrapped == Domain("account", "openai", "key-f7e7c36e")
    assert other not in (plain, Domain("account", "openai", "default"))
    assert domains_of(Target("openai/m", api_key="secret-1", account="x"))[1].name == "x"


def test_a_key_is_an_account_at_its_host() -> None:
    """Two servers that share a dummy key, or have none, share no account; two models of one server do."""

    def account(host: str, key: str | None, model: str = "m") -> Domain:
        return domains_of(Target(f"vllm/{model}", base_url=f"http://{host}/v1", api_key=key))[1]

    for key in (None, "EMPTY"):
        assert account("one:8000", key) != account("two:8000", key)
        assert account("one:8000", key) == account("one:8000", key, "other")


class Vault:
    """An object whose key has to be fetched from a server."""

    def get_secret_value(self) -> str:
        raise AssertionError("a key is fetched for a call only")


def first_key() -> str:
    return "secret-1"


def second_key() -> str:
    return "secret-1"


def at(host: str, **fields: Any) -> Target:
    return Target("openai/m", base_url=f"http://{host}/v1" if host else None, **fields)


def test_a_function_is_an_account_at_its_host() -> None:
    """What it will return is not known: two functions are two accounts, and so is one function at two hosts, unless
    the account is named."""
    function = f"function-{id(first_key):x}"
    assert account_of(at("", api_key=first_key)) == function
    assert account_of(at("one", api_key=first_key)) == f"{function}@one"
    assert account_of(at("one", api_key=second_key)) == f"function-{id(second_key):x}@one"
    assert account_of(at("one", api_key=first_key, account="x")) == "x"


def test_signers() -> None:
    """They are the same in every process: a key counts by its digest, and one that a function or another object will
    give counts as none."""
    assert signer_of(at("", api_key="secret-1")) == "openai/m#key-f7e7c36e"
    for host in ("", "one"):
        without = signer_of(at(host))
        assert without == f"openai/m#{host or 'default'}"
        assert signer_of(at(host, api_key=first_key)) == signer_of(at(host, api_key=Vault())) == without
        assert signer_of(at(host, api_key=Vault(), account="x")) == "openai/m#x"


def member(state: State, region: str = "r1", used: float = 100.0, success: float = -inf) -> TargetState:
    found = state_of("t", id="p/m", region=region)
    found.breaker.state, found.breaker.last_used, found.breaker.last_success_start = state, used, success
    return found


OPEN, CLOSED = State.OPEN, State.CLOSED
REGION, PROVIDER, ACCOUNT = Domain("region", "p", "r1"), Domain("provider", "p"), Domain("account", "p", "x")


@pytest.mark.parametrize(
    ("domain", "members", "down"),
    [
        (REGION, [member(OPEN)], False),  # one alone says nothing
        (REGION, [member(OPEN), member(OPEN)], True),
        (REGION, [member(OPEN), member(OPEN), member(CLOSED), member(CLOSED)], True),  # half of them
        (REGION, [member(OPEN), member(OPEN), member(CLOSED), member(CLOSED), member(CLOSED)], False),
        (REGION, [member(OPEN), member(OPEN), *[member(CLOSED, used=40.0)] * 9], True),  # the others were not used
        (REGION, [member(OPEN), member(OPEN, used=80.0)], False),  # exactly 120 s ago is too long ago
        (REGION, [member(OPEN), member(OPEN, used=80.1)], True),
        (REGION, [member(OPEN), member(State.HALF_OPEN)], False),
        (REGION, [member(OPEN), member(OPEN), member(CLOSED, success=90.1)], False),  # it has answered a moment ago
        (REGION, [member(OPEN), member(OPEN), member(CLOSED, success=90.0)], True),  # ten seconds are too long ago
        (PROVIDER, [member(OPEN), member(OPEN)], False),  # the trouble of one region
        (PROVIDER, [member(OPEN), member(OPEN, region="r2")], True),
        (PROVIDER, [member(OPEN), member(OPEN), member(CLOSED, region="r2")], False),
        (ACCOUNT, [member(OPEN), member(OPEN, region="r2")], False),  # only evidence about the account opens it
    ],
)
def test_is_down(domain: Domain, members: list[TargetState], down: bool) -> None:
    """Two open targets that are half of those in use; those of a provider in two regions; an account never."""
    assert is_down(domain, members, now=200.0, recent=120.0) is down


class LeastBackend(NoBackend):
    """A backend that states none of the abilities that have defaults."""

    def __init__(self) -> None:
        self.cannot = ()


def test_a_new_state() -> None:
    """A target starts with the abilities of its backend, and with an empty record of its own."""
    one, two = state_of("a", backend=NoBackend(prefill=True, streaming=False)), state_of("b")
    assert (one.name, one.prefill, one.streaming) == ("a", True, False)
    assert (two.prefill, two.streaming, two.invalid_streaks, two.rejection) == (False, True, {}, None)
    assert state_of("c", prefill=True).prefill, "as its settings say"
    least = state_of("d", backend=LeastBackend())
    assert (least.prefill, least.streaming, least.prefers_streaming) == (False, True, False)
    one.first_token.add(1.0)
    assert len(two.first_token) == 0
    assert len({id(p) for p in (two.first_token, two.completion, two.gaps, two.throughput)}) == 4
