"""Faults: what an endpoint of the embedded provider does wrong, to which requests, and how often."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypedDict

from hotspare.errors import ConfigError, Problem, did_you_mean

KINDS: Final[Mapping[str, str]] = {
    "refused": "the port is closed and open connections are reset, until the fault is cleared; takes no option",
    "reset": "the request is read, then the connection is reset (TCP RST)",
    "close": "the request is read, then the connection is closed (TCP FIN) without a response",
    "blackhole": "the request is read and never answered",
    "delay": "the first byte of every response, errors included, is sent `seconds` late",
    "latency": "an answer starts after `seconds`, its tokens are `gap` seconds apart; errors are not delayed",
    "drip": "one token every `gap` seconds (default 1)",
    "status": "HTTP `status` with the provider's own error body, with `message` in it, or with the raw `body`; "
    "`retry_after` adds a Retry-After header, `headers` any others; a 502 is an HTML page of a gateway",
    "rate_limited": "HTTP 429; `retry_after_form` says where the `retry_after` seconds (default 1) are stated",
    "quota": "the quota is exhausted: `limit` is `day` (resets tomorrow) or `balance` (no credit left)",
    "cut": "after `at` tokens the connection ends inside a chunk; `how` is `reset` or `close`",
    "stall": "after `at` tokens nothing more is sent; the connection stays open",
    "malformed": "after `at` tokens one malformed event; then the stream ends if `ends` is true, else it continues",
    "lost_event": "after `at` tokens the event of the next one is cut short; then the stream continues",
    "half_character": "after `at` tokens one token that is half a surrogate pair; then the answer continues",
    "null_reason": "after `at` tokens a regular end, but the finish reason is the text `null`",
    "malformed_call": "after `at` tokens a regular end, but the finish reason says that the tool call was malformed",
    "reasoning_only": "reasoning, then a regular end without any text",
    "unended": "after the finish reason the regular end is missing: `how` is `hang`, `reset` or `close`",
    "late_error": "after the finish reason an error event for `status`, and no regular end",
    "error_event": "after `at` tokens an error event for `status`, then the end; if not streamed, an error body in a 200",
    "eof": "after `at` tokens a clean end of the body, without the format's proof of completion",
    "empty": "HTTP 200 with an empty body",
    "empty_choices": "HTTP 200 of the right shape, without any choice, content block or candidate",
    "keepalives": "HTTP 200 headers, then only keep-alive comments or pings, `gap` seconds apart (default 1)",
    "silence": "HTTP 200 headers and the role chunk, then nothing",
    "html": "HTTP 200 with an HTML page",
    "half_json": "HTTP 200 with half of the JSON body, or with half of the first event",
    "oversized": "HTTP 200 with `size` bytes of white space (default ten million)",
    "no_usage": "the correct answer without usage",
    "content_type": "the correct answer with the content type `message` (default text/plain)",
}
"""Every fault by name. In an answer that is not streamed, `at` means the corresponding fraction of the body's bytes."""

RETRY_AFTER_FORMS: Final = ("retry-after", "http-date", "retry-after-ms", "reset-headers", "phrase", "body", "none")
"""Where a 429 states the time to wait: in a standard header, in the provider's rate-limit headers (`reset-headers`), in
the error message (`phrase`), in Gemini's RetryInfo (`body`; for others as `phrase`), or nowhere."""

_TIMING: Final = frozenset({"delay", "latency", "drip"})
_HARMLESS: Final = _TIMING | {"no_usage", "content_type"}


class FaultError(ConfigError):
    """A fault, a setting or an endpoint that does not exist, or an option that is out of range."""


class FaultOptions(TypedDict, total=False):
    """The options of `Provider.fault`; see `Fault`."""

    at: int
    seconds: float
    gap: float | None
    status: int
    message: str | None
    body: str | None
    headers: Mapping[str, str] | None
    retry_after: float | None
    retry_after_form: str
    limit: Literal["day", "balance"]
    how: Literal["reset", "close", "hang"]
    ends: bool
    size: int
    probability: float
    count: int | None
    skip: int
    model: str
    dialect: str
    streaming: bool | None


@dataclass(slots=True)
class Fault:
    """One scripted fault: its kind, the options that `KINDS` names, and which requests it applies to.

    model: applies to models whose name contains it. Default: every model.
    dialect: `openai`, `responses`, `anthropic` or `gemini`. Default: all four.
    streaming: True for streamed requests, False for others. Default: both.
    skip: number of matching requests that pass before the first one is hit. 0.
    count: maximum number of requests that are hit. Default: no limit.
    probability: of a hit, for each matching request, 0 to 1. 1.
    """

    kind: str
    at: int = 0
    seconds: float = 0.0
    gap: float | None = None
    status: int = 500
    message: str | None = None
    body: str | None = None
    headers: Mapping[str, str] | None = None
    retry_after: float | None = None
    retry_after_form: str = "retry-after"
    limit: str = "balance"
    how: str = "reset"
    ends: bool = False
    size: int = 10_000_000
    probability: float = 1.0
    count: int | None = None
    skip: int = 0
    model: str = ""
    dialect: str = ""
    streaming: bool | None = None
    matched: int = field(default=0, init=False)
    applied: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            hint = did_you_mean(self.kind, tuple(KINDS), f"use one of {', '.join(KINDS)}")
            raise FaultError(Problem.at("fault", self.kind, f"is unknown; {hint}"))
        self._require("at", self.at >= 0, "a number of tokens, 0 or more")
        self._require("seconds", self.seconds >= 0, "seconds, 0 or more")
        self._require("gap", self.gap is None or self.gap >= 0, "seconds, 0 or more")
        self._require("status", 100 <= self.status <= 599, "an HTTP status")
        self._require("probability", 0 <= self.probability <= 1, "between 0 and 1")
        self._require_one_of("retry_after_form", RETRY_AFTER_FORMS)
        self._require_one_of("limit", ("day", "balance"))
        self._require_one_of("how", ("reset", "close", "hang") if self.kind == "unended" else ("reset", "close"))
        self._require_one_of("dialect", ("", "openai", "responses", "anthropic", "gemini"))
        if self.kind == "refused":
            for option in fields(self)[1:]:
                self._require(option.name, getattr(self, option.name) == option.default, "left out: the port is closed")

    def _require(self, name: str, valid: bool, rule: str) -> None:
        if not valid:
            raise FaultError(Problem.at(f"fault {self.kind}: {name}", getattr(self, name), f"must be {rule}"))

    def _require_one_of(self, name: str, allowed: Sequence[str]) -> None:
        self._require(name, getattr(self, name) in allowed, f"one of {', '.join(filter(None, allowed))}")

    @classmethod
    def of(cls, kind: str, options: Mapping[str, Any]) -> "Fault":
        """From a control message. Raises FaultError for an option that does not exist."""
        known = tuple(FaultOptions.__annotations__)
        for name, value in options.items():
            if name not in known:
                hint = did_you_mean(name, known, f"use one of {', '.join(known)}")
                raise FaultError(Problem.at(f"fault {kind}: {name}", value, f"is not an option; {hint}"))
        return cls(kind, **options)

    def applies_to(self, model: str, dialect: str, streaming: bool, rng: random.Random) -> bool:
        """Whether this request is hit. Counts it."""
        matches = self.model in model and self.dialect in ("", dialect) and self.streaming in (None, streaming)
        if not matches:
            return False
        self.matched += 1
        if self.matched <= self.skip or (self.count is not None and self.applied >= self.count):
            return False
        if self.probability < 1 and rng.random() >= self.probability:
            return False
        self.applied += 1
        return True


@dataclass(slots=True)
class FaultPlan:
    """What happens to one response: at most one fault, its timing, and changes to a correct answer.

    `delay` comes before every response, `latency` before an answer only, `token_gap` between tokens; all in seconds.
    """

    fault: Fault | None = None
    delay: float = 0.0
    latency: float = 0.0
    token_gap: float = 0.0
    usage: bool = True
    content_type: str | None = None


def plan_faults(faults: Sequence[Fault], model: str, dialect: str, streaming: bool, rng: random.Random) -> FaultPlan:
    """The first fault that breaks this response, with every timing and every change that applies to it."""
    plan = FaultPlan()
    for fault in faults:
        breaks = fault.kind not in _HARMLESS
        if (breaks and plan.fault is not None) or not fault.applies_to(model, dialect, streaming, rng):
            continue
        if fault.kind == "delay":
            plan.delay += fault.seconds
        elif fault.kind in _TIMING:
            plan.latency += fault.seconds
            default_gap = 1.0 if fault.kind == "drip" else 0.0
            plan.token_gap = max(plan.token_gap, default_gap if fault.gap is None else fault.gap)
        elif fault.kind == "no_usage":
            plan.usage = False
        elif fault.kind == "content_type":
            plan.content_type = fault.message or "text/plain"
        else:
            plan.fault = fault
    return plan
