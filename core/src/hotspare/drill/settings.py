"""The settings of an endpoint of the embedded provider, and its rate limiter."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

from hotspare.drill.conversation import CONTINUATION_MODES, PREFILL_MODES
from hotspare.drill.dialects.base import RateLimit
from hotspare.drill.faults import RETRY_AFTER_FORMS, FaultError
from hotspare.errors import Problem, did_you_mean


class SettingsOptions(TypedDict, total=False):
    """The keywords of `Provider.configure`; see `Settings`."""

    rpm: float | None
    burst: float | None
    concurrency: int | None
    retry_after_form: str
    prefill: str | None
    continuation: str
    context_window: int
    streaming: bool
    replies: Mapping[str, dict[str, Any]]


@dataclass(slots=True)
class Settings:
    """How an endpoint behaves without faults.

    rpm: requests per minute that it admits; further ones get a 429. Default: no limit.
    burst: requests that it admits at once. Default: `rpm`.
    concurrency: requests that it serves at the same time; further ones get a 503. Default: no limit.
    retry_after_form: where its 429 states the time to wait, see `hotspare.drill.faults.RETRY_AFTER_FORMS`.
    prefill: how a trailing assistant message is continued, or `refuse`. Default: as the provider of the dialect does.
    continuation: how an instruction to continue is followed, see `hotspare.drill.conversation.CONTINUATION_MODES`.
    context_window: tokens; a longer prompt is rejected. 128000.
    streaming: False rejects streamed requests with a 400.
    replies: prepared answers to prompts that contain a phrase. `{"weather": {"call": {"get_weather": {"city": "Seoul"}}}}`
        calls that tool with these arguments as soon as the request offers it, and each of several tools once, also after
        the results of others. `{"joke": {"json": {…}}}` is the answer if the request asks for JSON.
    """

    rpm: float | None = None
    burst: float | None = None
    concurrency: int | None = None
    retry_after_form: str = "retry-after"
    prefill: str | None = None
    continuation: str = "continue"
    context_window: int = 128_000
    streaming: bool = True
    replies: Mapping[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def __post_init__(self) -> None:
        for name, allowed in (
            ("prefill", (None, *PREFILL_MODES)),
            ("continuation", CONTINUATION_MODES),
            ("retry_after_form", RETRY_AFTER_FORMS),
        ):
            if (value := getattr(self, name)) not in allowed:
                raise FaultError(Problem.at(f"setting {name}", value, f"must be one of {', '.join(map(str, allowed))}"))
        if self.rpm is not None and self.rpm <= 0:
            raise FaultError(Problem.at("setting rpm", self.rpm, "must be above 0 requests per minute, or None"))
        if self.concurrency is not None and self.concurrency < 1:
            raise FaultError(Problem.at("setting concurrency", self.concurrency, "must be 1 or more requests, or None"))
        for phrase, reply in self.replies.items():
            if not reply or not set(reply) <= {"call", "json"}:
                raise FaultError(Problem.at(f"setting replies[{phrase!r}]", reply, "must contain call, json or both"))

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Settings":
        """From a control message. Raises FaultError for a setting that does not exist."""
        known = tuple(setting.name for setting in fields(cls))
        for name, value in options.items():
            if name not in known:
                hint = did_you_mean(name, known, f"use one of {', '.join(known)}")
                raise FaultError(Problem.at(f"setting {name}", value, f"is unknown; {hint}"))
        return cls(**options)


class RateLimiter:
    """A token bucket: `rpm / 60` requests per second, `burst` of them at once."""

    def __init__(self, rpm: float, burst: float) -> None:
        self._rate, self._burst, self._level, self._updated = rpm / 60, burst, burst, time.monotonic()

    def acquire(self) -> tuple[bool, float, RateLimit]:
        """Whether a request is admitted, the seconds until the next one would be, and the limiter's state."""
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._updated) * self._rate)
        self._updated = now
        admitted = self._level >= 1
        self._level -= 1 if admitted else 0
        wait = max(0.0, (1 - self._level) / self._rate)
        reset = (self._burst - self._level) / self._rate
        return admitted, wait, RateLimit(round(self._rate * 60), int(self._level), reset)
