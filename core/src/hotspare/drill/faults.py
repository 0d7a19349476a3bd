"""Faults: what an endpoint of the embedded provider does wrong, when, and how often."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

KINDS: Final[Mapping[str, str]] = {
    "refused": "the port is closed and open connections are reset, until cleared (whole endpoint: takes no option)",
    "reset": "the request is read, then the connection is reset (RST)",
    "close": "the request is read, then the connection is closed (FIN) without an answer",
    "blackhole": "the request is read, nothing is ever answered",
    "slow": "the first byte comes `seconds` late, an error's too",
    "latency": "an answer's first byte comes after about `seconds` (median of a log-normal, shape `spread`), "
    "its tokens `gap` seconds apart",
    "drip": "one token every `gap` seconds (1 by default)",
    "status": "HTTP `status` with the provider's own body, or `message` in it, or the raw `body`; "
    "`after` adds Retry-After, `headers` anything; 502 comes as HTML from the edge",
    "throttled": "429; `form` says where the `after` seconds to wait are told, see FORMS",
    "quota": "the quota is used up: `form` = day | balance",
    "cut": "after `at` tokens the connection ends inside a chunk: `how` = reset | close",
    "stall": "after `at` tokens nothing more comes, the connection stays open",
    "malformed": "after `at` tokens one broken event; then the stream ends if `ends`, else goes on",
    "error_event": "after `at` tokens an error event with `status`, then the end; inside a 200 where nothing streams",
    "eof": "after `at` tokens a clean end, without any proof of completion",
    "empty": "200 with an empty body",
    "empty_choices": "200 of the right shape with no choice, block or candidate in it",
    "keepalives": "headers, then only keep-alive comments or pings every `gap` seconds",
    "silence": "headers and the role chunk, then nothing",
    "html": "200 with an HTML page",
    "half_json": "200 with half of the JSON, or half of one event",
    "flood": "200 with `size` bytes of blanks (ten million by default)",
    "no_usage": "the right answer, without usage",
    "content_type": "the right answer under the content type `message` (text/plain by default)",
}
"""Every fault by name, and what it does. Where nothing is streamed, `at` means the same share of the body's bytes."""

FORMS: Final = ("retry-after", "http-date", "retry-after-ms", "reset-headers", "phrase", "body", "none")
"""Where a 429 tells its time: headers, the provider's reset headers, words, Gemini's RetryInfo (words elsewhere),
nowhere.
"""

_TIMING: Final = frozenset({"slow", "latency", "drip"})
_DECORATION: Final = frozenset({"no_usage", "content_type"})


class FaultError(ValueError):
    """A fault that is not one: the message names the option, the value and what may stand there."""


@dataclass(slots=True)
class Fault:
    """One scripted fault. It meets requests number `start`.. of those that pass its filters, at most `count` of them,
    each with `probability`. `model` matches models that contain it, `wire` is a wire's name, `streaming` is None for
    both.
    """

    kind: str
    at: int = 0
    seconds: float = 0.0
    spread: float = 0.0
    gap: float | None = None
    status: int = 500
    message: str | None = None
    body: str | None = None
    headers: Mapping[str, str] | None = None
    after: float | None = None
    form: str = "retry-after"
    how: str = "reset"
    ends: bool = False
    size: int = 10_000_000
    probability: float = 1.0
    count: int | None = None
    start: int = 0
    model: str = ""
    wire: str = ""
    streaming: bool | None = None
    seen: int = field(default=0, init=False)
    done: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"fault: {self.kind!r} is unknown; use one of {', '.join(KINDS)}")
        if self.kind == "quota" and self.form == "retry-after":
            self.form = "balance"
        self._demand("probability", 0 <= self.probability <= 1, "a share between 0 and 1")
        self._demand("at", self.at >= 0, "a number of tokens, 0 or more")
        self._demand("seconds", self.seconds >= 0, "seconds, 0 or more")
        self._demand("gap", self.gap is None or self.gap >= 0, "seconds, 0 or more")
        self._demand("how", self.how in ("reset", "close"), "reset or close")
        self._demand("status", 100 <= self.status <= 599, "an HTTP status")
        self._demand("form", self.form in FORMS or self.kind == "quota", f"one of {', '.join(FORMS)}")
        self._demand("wire", self.wire in ("", "openai", "anthropic", "gemini"), "openai, anthropic or gemini")
        if self.kind == "quota":
            self._demand("form", self.form in ("day", "balance"), "day or balance")
        if self.kind == "refused":
            touched = [
                f.name for f in fields(self) if f.init and f.name != "kind" and getattr(self, f.name) != f.default
            ]
            self._demand("refused", not touched, f"a fault of the whole endpoint, without {', '.join(touched)}")

    def _demand(self, name: str, holds: bool, way_out: str) -> None:
        if not holds:
            raise FaultError(f"fault {self.kind}: {name}={getattr(self, name, True)!r} must be {way_out}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Fault":
        """From a control message. Raises FaultError for an option that no fault has."""
        known = {f.name for f in fields(cls) if f.init}
        for name in options:
            if name not in known:
                raise FaultError(
                    f"fault {options.get('kind')}: option {name!r} is unknown; use one of {', '.join(sorted(known))}"
                )
        return cls(**options)

    def meets(self, model: str, wire: str, streaming: bool, rng: random.Random) -> bool:
        """Whether this request is hit; counts it."""
        if self.model not in model or (self.wire and self.wire != wire) or self.streaming not in (None, streaming):
            return False
        self.seen += 1
        if self.seen <= self.start or (self.count is not None and self.done >= self.count):
            return False
        if self.probability < 1 and rng.random() >= self.probability:
            return False
        self.done += 1
        return True


@dataclass(slots=True)
class Fate:
    """What befalls one request: at most one fault, its timing, and what its answer wears.

    `hold` delays whatever comes, `first` only an answer, `gap` lies between tokens (all in seconds).
    """

    fault: Fault | None = None
    hold: float = 0.0
    first: float = 0.0
    gap: float = 0.0
    usage: bool = True
    content_type: str | None = None


def fate(faults: list[Fault], model: str, wire: str, streaming: bool, rng: random.Random) -> Fate:
    """The first breaking fault that meets the request, together with all timings that do."""
    met = Fate()
    for fault in faults:
        breaking = fault.kind not in _TIMING and fault.kind not in _DECORATION
        if (breaking and met.fault is not None) or not fault.meets(model, wire, streaming, rng):
            continue
        if fault.kind == "slow":
            met.hold += fault.seconds
        elif fault.kind in _TIMING:
            met.first += fault.seconds * (rng.lognormvariate(0, fault.spread) if fault.spread else 1)
            met.gap = max(met.gap, (1.0 if fault.kind == "drip" else 0.0) if fault.gap is None else fault.gap)
        elif fault.kind == "no_usage":
            met.usage = False
        elif fault.kind == "content_type":
            met.content_type = fault.message or "text/plain"
        else:
            met.fault = fault
    return met
