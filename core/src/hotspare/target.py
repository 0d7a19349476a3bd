"""Target: one model at one provider, in one region, on one account. Domain: what targets share and can fail together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict
from urllib.parse import urlsplit

from hotspare.errors import ConfigError, Problem
from hotspare.secret import Secret

if TYPE_CHECKING:
    from hotspare.backend import Backend

Capability = Literal["tools", "vision", "json_mode", "json_schema", "seed", "reasoning"]


RequestField = Literal[
    "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "temperature", "top_p", "top_k",
    "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort", "user",
]  # fmt: skip
"""The fields of a ChatRequest that a wire format may be unable to carry."""


class Price(NamedTuple):
    """USD per million tokens."""

    input: float
    output: float
    cached: float | None = None


class Domain(NamedTuple):
    """What targets share and can fail together. `level` is `provider`, `region` or `account`."""

    level: Literal["provider", "region", "account"]
    provider: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}" if self.name else self.provider


class TargetFields(TypedDict, total=False):
    """The fields of `Target` that a caller may set where something else gives `id`, `name` and `backend`."""

    region: str | None
    account: str | None
    base_url: str | None
    api_key: Secret | str | None
    tier: int
    weight: float
    aliases: Collection[str]
    context_window: int | None
    max_output_tokens: int
    missing: Collection[Capability]
    droppable: Collection[RequestField]
    extra: Mapping[str, Any]
    headers: Mapping[str, str]
    price: Price | None
    completion: Literal["wait", "stream"] | None
    reasoning: bool


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One model at one provider, in one region, on one account: the smallest thing that can be called.

    Args:
        id: ``provider/model``, e.g. ``openai/gpt-4.1``. The provider is a preset (`hotspare.providers.presets`).
        region: where it runs. Targets in two regions of one provider fail independently of each other. Default: the host
            of `base_url`, if one is given.
        account: the account whose key and quota it uses. Default: one account per key.
        base_url: the provider's address. Default: the preset's own.
        api_key: a `SecretStr` (hotspare's or pydantic's) or a plain string. Default: the preset's environment variable.
        name: its name in reports and errors, unique in a pool. Default: ``id@region``.
        tier: lower tiers are tried first; targets of one tier are of equal standing. Default 0.
        weight: relative share of the traffic under the strategy `weighted`. Must be above 0. Default 1.
        aliases: further model names that this target serves.
        context_window: in tokens. None: unknown, which never excludes a target.
        max_output_tokens: sent if the provider requires a limit and the request has none (Anthropic). Default 4096.
        missing: capabilities that the model does not have, e.g. ``{"vision"}``. A request that needs one of them goes to
            another target.
        droppable: request fields that may be left out for this target if its wire format cannot carry them, e.g.
            ``{"seed"}``.
        extra: body fields sent with every request to this target, merged over the fields that hotspare writes.
        headers: HTTP headers sent with every request to this target.
        price: USD per million tokens.
        completion: how `chat` gets this target's answers, as `Policy.completion`. Default: the policy's.
        reasoning: whether the model reasons before its first token. If so, `Timeouts.first_token_reasoning` applies to it
            until it has a record.
        backend: an object that makes the calls itself (a framework's own model). Then `id` is only a label.

    Raises:
        ConfigError: naming the field, its value and what to write instead.
    """

    id: str
    region: str | None = None
    account: str | None = None
    base_url: str | None = None
    api_key: Secret | str | None = field(default=None, repr=False)
    name: str = ""
    tier: int = 0
    weight: float = 1.0
    aliases: Collection[str] = frozenset()
    context_window: int | None = None
    max_output_tokens: int = 4096
    missing: Collection[Capability] = frozenset()
    droppable: Collection[RequestField] = frozenset()
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    price: Price | None = None
    completion: Literal["wait", "stream"] | None = None
    reasoning: bool = False
    backend: Backend | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        from hotspare._config.coercion import coerce

        for name, value in coerce("target", self).items():
            object.__setattr__(self, name, value)
        problems = self._problems()
        if problems:
            raise ConfigError(problems)
        if self.region is None and self.base_url:
            object.__setattr__(self, "region", urlsplit(self.base_url).netloc.rpartition("@")[2])
        if not self.name:
            object.__setattr__(self, "name", f"{self.id}@{self.region}" if self.region else self.id)

    def _problems(self) -> list[Problem]:
        found: list[Problem] = []
        if self.id.count("/") < 1 or not all(self.id.partition("/")[::2]):
            found.append(Problem.at("target.id", self.id, "must be 'provider/model', e.g. 'openai/gpt-4.1'"))
        if not self.weight > 0:
            found.append(Problem.at("target.weight", self.weight, "must be above 0"))
        for name in ("context_window", "max_output_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                found.append(Problem.at(f"target.{name}", value, "must be above 0 tokens"))
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            found.append(Problem.at("target.base_url", self.base_url, "must begin with http:// or https://"))
        if self.price is not None and min(p for p in self.price if p is not None) < 0:
            found.append(Problem.at("target.price", tuple(self.price), "must not be negative: USD per million tokens"))
        for name, value in self.headers.items():
            if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
                found.append(Problem(f"target.headers.{name!r}: must be printable ASCII without line breaks"))
        return found

    @property
    def provider(self) -> str:
        """The part of `id` before the first slash."""
        return self.id.partition("/")[0]

    @property
    def model(self) -> str:
        """The part of `id` after the first slash: what the provider calls the model."""
        return self.id.partition("/")[2]

    def serves(self, model: str) -> bool:
        """Whether `model` names this target: its model, its id, its name or one of its aliases."""
        return model in (self.model, self.id, self.name) or model in self.aliases

    def __str__(self) -> str:
        return self.name
