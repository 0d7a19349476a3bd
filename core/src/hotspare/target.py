"""Target: one model at one provider, in one region, on one account. Domain: what targets share and can fail together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict
from urllib.parse import urlsplit

from hotspare.errors import ConfigError, Problem
from hotspare.secret import HiddenStr, KeyFunction, Secret, shown_url

if TYPE_CHECKING:
    from hotspare.backend import Backend

Capability = Literal["tools", "vision", "json_mode", "json_schema", "seed", "reasoning"]


ReasoningReplay = Literal["off", "reasoning", "reasoning_content", "reasoning_details"]
"""The message field that carries the reasoning of an earlier answer, or `off`."""
RequestField = Literal[
    "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "temperature", "top_p", "top_k",
    "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort", "user",
]  # fmt: skip
"""The fields of a ChatRequest that a wire format may be unable to carry."""

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token of RFC 9110, 5.6.2."""
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding"})
"""Headers that hotspare writes itself. Servers reject a request that has one of them twice."""


class LongPrice(NamedTuple):
    """The price of a request whose prompt has more than `above` tokens, for all of its tokens, not only those above. USD per million
    tokens; None: the price of short prompts."""

    above: int
    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None


class Price(NamedTuple):
    """USD per million tokens. `cached`: for prompt tokens read from a cache; `cache_write`: for those written to one (None: the
    price of `input`). `long`: the prices of long prompts."""

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    long: LongPrice | None = None

    def of_prompt(self, tokens: int) -> Price:
        """The prices of a request whose prompt has this many tokens."""
        long = self.long
        if long is None or tokens <= long.above:
            return self
        cached = self.cached if long.cached is None else long.cached
        return Price(
            long.input, long.output, cached, self.cache_write if long.cache_write is None else long.cache_write
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a provider. A call that would exceed a limit goes to another target, or waits in the queue if its
    deadline allows, or fails immediately with the time to wait.

    rpm: requests a minute. None: no limit, here and below.
    tpm: tokens a minute, prompts and answers together. The prompt's estimate and `max_tokens` are reserved; tokens that the answer
        did not use are returned.
    rpd, tpd: requests and tokens in any 24 hours.
    concurrency: attempts in flight at the same time; a stream counts until its end.
    burst: how much of the limits per minute may be used in a single moment, in seconds of their refill. 50: less than a whole minute,
        so that requests that arrive out of order do not exceed the limit. Servers that count per second (Azure) need 1 to 10.
    per: what the limits count for: the `target` itself, all targets of its `model` on the same account, or all on the
        `account`.

    Raises ConfigError for a number that is not above 0.
    """

    rpm: float | None = None
    tpm: float | None = None
    rpd: float | None = None
    tpd: float | None = None
    concurrency: int | None = None
    burst: float = 50.0
    per: Literal["target", "model", "account"] = "target"

    def __post_init__(self) -> None:
        from hotspare._config.coercion import coerce

        problems: list[Problem] = []
        for name, value in coerce("limits", self).items():
            object.__setattr__(self, name, value)
            if isinstance(value, int | float) and not value > 0:
                problems.append(Problem.at(f"limits.{name}", value, "must be above 0; leave it out for no limit"))
        if problems:
            raise ConfigError(problems)


class Domain(NamedTuple):
    """What targets share and can fail together. `level` is `provider`, `region` or `account`."""

    level: Literal["provider", "region", "account"]
    provider: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}" if self.name else self.provider


class TargetFields(TypedDict, total=False):
    """The fields of `Target` without `id`, `name` and `backend`, for callers for whom an adapter sets those."""

    region: str | None
    account: str | None
    base_url: str | None
    api_key: Secret | str | KeyFunction | None
    api: Literal["chat", "responses"] | None
    prefill: bool | None
    replay_reasoning: ReasoningReplay | None
    tier: int
    weight: float
    aliases: Collection[str]
    context_window: int | None
    max_output_tokens: int
    missing: Collection[Capability]
    droppable: Collection[RequestField]
    drop: Collection[RequestField]
    system: str
    extra: Mapping[str, Any]
    headers: Mapping[str, str]
    price: Price | None
    completion: Literal["auto", "wait", "stream"] | None
    reasoning: bool
    limits: Limits | Collection[Limits]
    check: bool


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One model at one provider, in one region, on one account: the smallest unit that can be called.

    Args:
        id: ``provider/model``, e.g. ``openai/gpt-4.1``. The provider is a preset (`hotspare.providers.presets`).
        region: where it runs. Targets in two regions of one provider fail independently of each other. Default: the host
            of `base_url`, if one is given.
        account: the account whose key and quota it uses. Default: one account per key.
        base_url: the provider's address. Default: the preset's own.
        api_key: a `SecretStr` (hotspare's or pydantic's), a plain string, or a function that gives either, async or not. It is
            read, or called, at each attempt, because keys rotate. Default: the preset's environment variable.
        api: which of OpenAI's APIs is called: Chat Completions or Responses. Default: Chat Completions; but at OpenAI
            Responses if only it serves the model (`*-pro`, `*-codex*`) or the model's tools (GPT-5.4 and
            later). A refusal that names Responses is remembered.
        prefill: whether it continues an assistant message at the end of a request, so that a broken answer is continued exactly and not
            by an instruction. Default: depends on the provider and the model; a refusal is remembered.
        replay_reasoning: the message field that carries the reasoning of earlier answers to a Chat Completions server:
            `reasoning`, `reasoning_content`, or `reasoning_details` (only what this model itself sent there); `off`: no field.
            Default: depends on the provider; `off` for `openai-compatible` servers, because some reject the field.
        name: its name in reports and errors, unique in a pool. Default: ``id@region``.
        tier: lower tiers are tried first; targets of one tier are of equal standing. Default 0.
        weight: relative share of the traffic under the strategy `weighted`. Must be above 0. Default 1.
        aliases: further model names that this target serves.
        context_window: in tokens. None: unknown, which never excludes a target.
        max_output_tokens: sent if the provider requires a limit and the request has none (Anthropic). Default 4096.
        missing: capabilities that the model does not have, e.g. ``{"vision"}``. A request that needs one of them goes to
            another target.
        droppable: request fields that may be left out for this target if its wire format cannot carry them, e.g.
            ``{"seed"}``. `parallel_tool_calls` always may.
        drop: request fields that are always left out for this target, e.g. ``{"temperature"}``.
        system: a system message that is put before the messages of every request to this target: a prompt for this model. Not
            for a framework's own model behind a target, which has its own.
        extra: body fields sent with every request to this target, merged over the fields that hotspare writes.
        headers: HTTP headers sent with every request to this target.
        price: USD per million tokens. None: unknown, unless `Pool(prices=True)` finds it.
        completion: how `chat` gets this target's answers: see `Policy.completion`. Default: the policy's.
        reasoning: whether the model reasons before its first token. If so, `Timeouts.first_token_reasoning` applies to it
            until it has a record.
        limits: the provider's limits: one `Limits`, or several, e.g. of the model and of the account. Limits stated in
            the provider's responses are learnt in any case.
        check: whether it is probed in the background: when the breaker becomes half-open or the rate limit is over, the pool sends a
            short request ("Say ok.", 16 tokens, billed as any other), so that no caller's call has to be the probe. Default False.
        backend: an object that makes the calls itself (a framework's own model). Then `id` is only a label.

    Raises:
        ConfigError: naming the field, its value and what to write instead.
    """

    id: str
    region: str | None = None
    account: str | None = None
    base_url: str | None = field(default=None, repr=False)
    api_key: Secret | str | KeyFunction | None = field(default=None, repr=False)
    api: Literal["chat", "responses"] | None = None
    prefill: bool | None = None
    replay_reasoning: ReasoningReplay | None = None
    name: str = ""
    tier: int = 0
    weight: float = 1.0
    aliases: Collection[str] = frozenset()
    context_window: int | None = None
    max_output_tokens: int = 4096
    missing: Collection[Capability] = frozenset()
    droppable: Collection[RequestField] = frozenset()
    drop: Collection[RequestField] = frozenset()
    system: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    price: Price | None = None
    completion: Literal["auto", "wait", "stream"] | None = None
    reasoning: bool = False
    limits: Limits | Collection[Limits] = frozenset()
    check: bool = False
    backend: Backend | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        from hotspare._config.coercion import coerce

        for name, value in coerce("target", self).items():
            object.__setattr__(self, name, value)
        problems = self._problems()
        if problems:
            raise ConfigError(problems)
        if self.region is None and self.base_url:
            object.__setattr__(self, "region", urlsplit(shown_url(self.base_url)).netloc)
        if not self.name:
            object.__setattr__(self, "name", f"{self.id}@{self.region}" if self.region else self.id)

    def _problems(self) -> list[Problem]:
        found = [*self._id_problems(), *self._number_problems()]
        if self.base_url is not None and (mistake := _url_mistake(self.base_url)):
            found.append(Problem.at("target.base_url", shown_url(self.base_url), mistake))
        for name, value in self.headers.items():
            if mistake := _header_mistake(name, value):
                found.append(Problem(f"target.headers.{name!r}: {mistake}"))
        try:
            json.dumps(self.extra, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            found.append(Problem(f"target.extra: cannot be sent as JSON: {error}"))
        return found

    def _id_problems(self) -> list[Problem]:
        if self.backend is None and self.id != self.id.strip():
            return [Problem.at("target.id", self.id, "must not have spaces around it")]
        if not (self.provider and self.model):
            from hotspare._config.hints import id_hint

            hint = f"must be 'provider/model', e.g. 'openai/gpt-4.1'; {id_hint(self.id)}"
            return [Problem.at("target.id", self.id, hint.removesuffix("; "))]
        if self.backend is None and not {".", ".."}.isdisjoint(self.model.split("/")):
            return [
                Problem.at("target.id", self.id, "must not have '.' or '..' as a part: it would change the URL's path")
            ]
        return []

    def _number_problems(self) -> list[Problem]:
        found: list[Problem] = []
        if not self.weight > 0:
            found.append(Problem.at("target.weight", self.weight, "must be above 0"))
        for name in ("context_window", "max_output_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                found.append(Problem.at(f"target.{name}", value, "must be above 0 tokens"))
        if self.price is not None and min(_amounts(self.price)) < 0:
            found.append(Problem.at("target.price", tuple(self.price), "must not be negative: USD per million tokens"))
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

    def __repr__(self) -> str:
        # A traceback with locals shows targets that are not complete yet.
        values = {one.name: getattr(self, one.name, None) for one in fields(self) if one.repr}
        if getattr(self, "base_url", None) is not None:
            values["base_url"] = shown_url(str(self.base_url))
        return f"Target({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def _amounts(price: Price) -> list[float]:
    return [amount for amount in (*price[:4], *(price.long or ())) if amount is not None]


def _header_mistake(name: str, value: str) -> str:
    """Why this header cannot be sent; "" if it can."""
    if not (value.isascii() and value.isprintable() and name.isascii() and name.isprintable()):
        return "must be printable ASCII without line breaks"
    if not _HEADER_NAME.fullmatch(name):
        return "is not the name of a header: it must be a word like X-Team, without spaces or a colon"
    if name.lower() in _OWN_HEADERS:
        return "is set by hotspare itself in each request: leave it out"
    return ""


def _url_mistake(url: str) -> str:
    """Why this is not a base URL, and what to write instead; "" if it is one."""
    if url.startswith("$"):
        return "is not a URL: in a file write ${NAME} for an environment variable"
    if not url.startswith(("http://", "https://")):
        return "must begin with http:// or https://"
    if not url.isprintable() or " " in url:
        return "must not have spaces or line breaks in it"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        usable = bool(host if host.isascii() else host.encode("idna")) and parts.port != 0
    except ValueError:
        usable = False
    return "" if usable else "is not a URL: it must be like 'https://api.example.com/v1'"


def _checked_keywords(build: Callable[..., None]) -> Callable[..., None]:
    """`Target.__init__`, which raises ConfigError for unknown keywords with the likely correct name, and hides the key and the
    headers from tracebacks with locals before anything can be raised."""
    names = [one.name for one in fields(Target)]

    @wraps(build)
    def init(*arguments: Any, **given: Any) -> None:
        given = _with_hidden_secrets(given)
        unknown = [name for name in given if name not in names]
        if unknown:
            from hotspare._config.hints import TARGET_HINTS, hint_for, unknown_field

            hints = {name: hint_for(name, TARGET_HINTS, names) for name in unknown}
            raise ConfigError([unknown_field(name, given[name], "Target", hints[name]) for name in unknown])
        build(*arguments, **given)

    return init


def _with_hidden_secrets(given: dict[str, Any]) -> dict[str, Any]:
    key, headers = given.get("api_key"), given.get("headers")
    if isinstance(key, str):
        given["api_key"] = HiddenStr(key)
    if isinstance(headers, Mapping):
        plain: dict[Any, Any] = {**headers}
        given["headers"] = {
            name: HiddenStr(value) if isinstance(value, str) else value for name, value in plain.items()
        }
    return given


if not TYPE_CHECKING:
    Target.__init__ = _checked_keywords(Target.__init__)
