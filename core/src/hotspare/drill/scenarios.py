"""The scenarios of a drill: phases with their faults and their traffic, and the policies that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from hotspare import Limits
from hotspare.drill.settings import SettingsOptions
from hotspare.policy import Breaker, Hedge, Policy, Timeouts

US, EU = ("us-openai", "us-anthropic"), ("eu-openai", "eu-anthropic")
ENDPOINTS = (*US, *EU)


class Served(NamedTuple):
    """What an endpoint serves: the target's id and region, and the wire format by its name in the embedded provider."""

    id: str
    region: str
    wire: str


_GPT, _CLAUDE = "openai/gpt-4.1", "anthropic/claude-sonnet-4-20250514"
REGIONS: Mapping[str, Served] = {
    "us-openai": Served(_GPT, "us-east", "openai"),
    "us-anthropic": Served(_CLAUDE, "us-east", "anthropic"),
    "eu-openai": Served(_GPT, "eu-west", "openai"),
    "eu-anthropic": Served(_CLAUDE, "eu-west", "anthropic"),
}
"""Two providers in two regions each."""
WIRES: Mapping[str, Served] = {
    "chat": Served(_GPT, "chat", "openai"),
    "responses": Served("openai/gpt-5.6", "responses", "responses"),
    "messages": Served(_CLAUDE, "messages", "anthropic"),
    "generate": Served("gemini/gemini-2.5-flash", "generate", "gemini"),
}
"""One target over each wire format: Chat Completions, Responses, Messages, generateContent."""
_MODELS = ("large", "medium", "small", "mini")
MODELS: Mapping[str, Served] = {
    f"{region[:2]}-{model}": Served(f"openai-compatible/{model}", region, "openai")
    for region in ("us-east", "eu-west")
    for model in _MODELS
}
"""Four models of one provider in two regions each."""

Role = Literal["normal", "outage", "recovery", "total_outage", "surge", "fault"]


@dataclass(frozen=True, slots=True)
class Phase:
    """`seconds` of traffic at `rate` calls per second, with `faults`: (endpoints, kind, options).

    role: `outage`: some targets fail; `total_outage`: all of them; `recovery`: the time after either; `surge`: more
    traffic; `fault`: targets return faulty answers.
    """

    name: str
    seconds: float
    rate: float
    role: Role = "normal"
    faults: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = ()

    @property
    def faulted(self) -> dict[str, str]:
        """The endpoints that fail in this phase, and their fault."""
        return {endpoint: kind for endpoints, kind, _ in self.faults for endpoint in endpoints}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Phases, and the pools that run them one after the other.

    about: what is rehearsed, for the help text and the report.
    latency, token_gap: seconds until the first token of a healthy target (default 0.05), and between its tokens (0). tokens: per answer (20).
    columns: metrics shown per phase. highlights: metrics at the top of the report.
    endpoints: the targets' endpoints, in the pools' order. settings: of the provider, by endpoint, see `hotspare.drill.settings`.
    limits: of the targets, by pool and endpoint. without_domains: the pools whose targets have no failure domain in common.
    """

    about: str
    phases: tuple[Phase, ...]
    pools: Mapping[str, Policy] = field(default_factory=lambda: {"hotspare": Policy(deadline=10)})
    latency: float = 0.05
    token_gap: float = 0.0
    tokens: int = 20
    columns: tuple[str, ...]
    highlights: tuple[str, ...]
    endpoints: Mapping[str, Served] = field(default_factory=lambda: REGIONS)
    settings: Mapping[str, SettingsOptions] = field(default_factory=dict[str, SettingsOptions])
    limits: Mapping[str, Mapping[str, Limits]] = field(default_factory=dict[str, Mapping[str, Limits]])
    without_domains: frozenset[str] = frozenset()

    def served(self, pool: str) -> Mapping[str, Served]:
        """The endpoints of this pool's targets; without domains each is in a region of its own."""
        if pool not in self.without_domains:
            return self.endpoints
        return {name: one._replace(region=name) for name, one in self.endpoints.items()}

    @property
    def deadline(self) -> float:
        """Seconds after which a call counts as lost."""
        return max(policy.deadline for policy in self.pools.values())


OUTAGE = Scenario(
    about="A region goes down, a rate limit is hit, all targets are down for three seconds, and traffic rises twentyfold.",
    phases=(
        Phase("normal", 4, 20),
        Phase("us-east down", 8, 20, "outage", ((US, "refused", {}),)),
        Phase("recovery", 9, 20, "recovery"),
        Phase("rate limits (429)", 5, 20, "outage", ((("us-openai", "eu-openai"), "rate_limited", {"retry_after": 4}),)),
        Phase("normal again", 5, 20),
        Phase("all down", 3, 40, "total_outage", ((ENDPOINTS, "refused", {}),)),
        Phase("all recovered", 9, 20, "recovery"),
        Phase("surge", 3, 400, "surge"),
    ),
    columns=(
        "calls", "planned_load", "achieved_load", "answered", "p50", "p95", "p99", "ttft_p50", "ttft_p95", "extra_attempts", "attempts_per_call",
        "wasted_attempts", "wrong",
    ),
    highlights=("answered", "answered_in_total_outage", "attempts_per_call_in_outages", "recovery_time", "surge_p99"),
)  # fmt: skip


def _fault(name: str, kind: str, **options: Any) -> Phase:
    """Three seconds in which every answer of the first region has this fault."""
    return Phase(name, 3, 12, "fault", ((US, kind, options),))


_NEVER_OPENS = Breaker(consecutive_failures=10**9, minimum_throughput=10**9, stalled_calls=10**9)

STREAMS = Scenario(
    about="Streams break in nineteen ways: silence, stalls, drips, lost data, broken answers, false ends. No breaker opens: every call meets the fault.",
    phases=(
        Phase("normal", 4, 12),
        _fault("role only", "silence"),
        _fault("pings only", "keepalives", gap=0.1),
        _fault("stall", "stall", at=15),
        _fault("clean EOF", "eof", at=20),
        _fault("empty 200", "empty"),
        _fault("slow drip", "drip", gap=1),
        _fault("bad chunk, continues", "malformed", at=12),
        _fault("bad chunk, ends", "malformed", at=12, ends=True),
        _fault("error event", "error_event", at=10),
        _fault("disconnect", "cut", at=18),
        _fault("lost event", "lost_event", at=8),
        _fault("half a character", "half_character", at=9),
        _fault("reasoning only", "reasoning_only"),
        _fault("finish reason \"null\"", "null_reason", at=14),
        _fault("malformed tool call", "malformed_call", at=16),
        _fault("finished, then silence", "unended", how="hang"),
        _fault("finished, then a reset", "unended"),
        _fault("finished, then closed", "unended", how="close"),
        _fault("finished, then an error", "late_error", status=529),
        Phase("normal again", 3, 12),
    ),
    pools={
        "hotspare": Policy(
            deadline=8,
            completion="stream",
            breaker=_NEVER_OPENS,
            timeouts=Timeouts(
                first_token=0.4, first_token_min=0.4, first_token_max=0.4, stall=1.2, stall_min=0.5, after_finish=0.5, throughput_window=1, min_throughput=40
            ),
        )
    },
    token_gap=0.01,
    tokens=30,
    columns=(
        "calls", "planned_load", "achieved_load", "answered", "resumed", "splice_points", "interrupted", "wrong", "ttft_p50", "ttft_p95", "longest_gap",
    ),
    highlights=("answered", "resumed", "interrupted", "wrong", "longest_gap"),
)  # fmt: skip

SLOW = Scenario(
    about="One call in twenty takes ten times as long: how much time hedging and racing save, and how many extra attempts they cost.",
    phases=(
        Phase("normal", 5, 40),
        Phase("one in twenty is slow", 10, 40, "fault", ((US, "delay", {"seconds": 0.9, "probability": 0.05}),)),
    ),
    pools={
        "hedging": Policy(deadline=10, hedge=Hedge(min_delay=0.15)),
        "racing": Policy(deadline=10, on_slow="race", timeouts=Timeouts(first_token_min=0.3, completion_min=0.3)),
        "neither": Policy(deadline=10),
    },
    latency=0.1,
    columns=(
        "calls", "planned_load", "achieved_load", "answered", "ttft_p50", "ttft_p95", "ttft_p99", "p50", "p95", "p99", "extra_attempt_rate", "wrong",
    ),
    highlights=("answered", "ttft_p99", "extra_attempt_rate"),
)  # fmt: skip

LIMITS = Scenario(
    about="The first target admits 10 calls a second, and 40 arrive: with configured limits, and with limits learnt from its answers.",
    phases=(Phase("below the limit", 4, 8), Phase("four times the limit", 15, 40, "surge"), Phase("below again", 4, 8)),
    pools={"configured": Policy(deadline=10), "learnt": Policy(deadline=10)},
    settings={"us-openai": {"rpm": 600, "burst": 20}},
    limits={"configured": {"us-openai": Limits(rpm=600, burst=1.5)}},
    columns=("calls", "answered", "p50", "p95", "p99", "extra_attempts", "rejected", "limit_used", "wrong"),
    highlights=("answered", "rejected_rate", "limit_used"),
)  # fmt: skip

_CHAT_DOWN = (("chat",), "refused", dict[str, Any]())
_TWO_DOWN = (_CHAT_DOWN, (("responses",), "status", {"status": 503}))
_THREE_DOWN = (*_TWO_DOWN, (("messages",), "status", {"status": 529}))

WIRES_DOWN = Scenario(
    about="Four wire formats in one pool: each takes over when the previous one fails, and continues its broken streams.",
    phases=(
        Phase("normal", 3, 15),
        Phase("Chat Completions down", 5, 15, "outage", (_CHAT_DOWN,)),
        Phase("Responses down too", 5, 15, "outage", _TWO_DOWN),
        Phase("Messages down too", 5, 15, "outage", _THREE_DOWN),
        Phase("recovery", 9, 15, "recovery"),
        Phase("Chat streams cut", 3, 12, "fault", ((("chat",), "cut", {"at": 10}),)),
        Phase("Responses cut too", 3, 12, "fault", ((("chat", "responses"), "cut", {"at": 10}),)),
        Phase("Messages cut too", 3, 12, "fault", ((("chat", "responses", "messages"), "cut", {"at": 10}),)),
        Phase("all down", 3, 15, "total_outage", ((tuple(WIRES), "refused", {}),)),
        Phase("all recovered", 6, 15, "recovery"),
    ),
    endpoints=WIRES,
    columns=("calls", "planned_load", "achieved_load", "answered", "resumed", "splice_points", "wrong", "p50", "p95", "ttft_p95", "extra_attempts"),
    highlights=("answered", "answered_in_outages", "answered_in_total_outage", "resumed", "wrong"),
)  # fmt: skip


BLACKOUT = Scenario(
    about="All targets are down for ten seconds, and again for five soon after: with --monitor one alert, one resolved notice, and no message during the cooldown.",
    phases=(
        Phase("normal", 3, 10),
        Phase("all down", 10, 10, "total_outage", ((ENDPOINTS, "status", {"status": 503}),)),
        Phase("recovered", 8, 10, "recovery"),
        Phase("down again", 5, 10, "total_outage", ((ENDPOINTS, "status", {"status": 503}),)),
        Phase("recovered again", 5, 10, "recovery"),
    ),
    pools={"hotspare": Policy(deadline=20)},
    columns=("calls", "planned_load", "achieved_load", "answered", "p50", "p95", "p99", "attempts_per_call", "wasted_attempts", "wrong"),
    highlights=("answered", "answered_in_total_outage", "aftermath_p95"),
)  # fmt: skip

_SLOW = (US[:1], "delay", {"seconds": 0.52})

BROWNOUT = Scenario(
    about="The first target becomes four times slower, without an error, and recovers: with the brownout rule and without it.",
    phases=(
        Phase("normal", 5, 20),
        Phase("one becomes slow", 7, 20, "fault", (_SLOW,)),
        Phase("still slow", 9, 20, "fault", (_SLOW,)),
        Phase("recovered", 5, 20),
    ),
    pools={"brownout rule": Policy(deadline=10), "no rule": Policy(deadline=10, brownout=None)},
    latency=0.15,
    columns=("calls", "planned_load", "achieved_load", "answered", "ttft_p50", "ttft_p95", "p50", "p95", "p99", "extra_attempts", "wrong"),
    highlights=("answered", "ttft_p95"),
)  # fmt: skip

TWO_REGIONS = Scenario(
    about="A region goes down with all its models: the attempts wasted on it, with and without a known failure domain of its targets.",
    phases=(
        Phase("normal", 3, 40),
        Phase("us-east down", 22, 40, "outage", ((tuple(f"us-{model}" for model in _MODELS), "status", {"status": 503}),)),
        Phase("recovery", 5, 40, "recovery"),
    ),
    endpoints=MODELS,
    pools=dict.fromkeys(("domains known", "domains unknown"), Policy(deadline=10, strategy="weighted")),
    without_domains=frozenset({"domains unknown"}),
    columns=("calls", "planned_load", "achieved_load", "answered", "p50", "p95", "p99", "extra_attempts", "wasted_attempts", "wrong"),
    highlights=("answered", "wasted_attempts", "attempts_per_call_in_outages"),
)  # fmt: skip

DISASTERS = Scenario(
    about="The six disasters of the tutorial: a model fails, latency surges, 429, streams are cut, a region is unreachable, a daily quota is exhausted.",
    phases=(
        Phase("normal", 4, 20),
        Phase("a model fails (503)", 4, 20, "outage", ((("us-openai",), "status", {"status": 503}),)),
        Phase("recovery", 3, 20, "recovery"),
        Phase("latency x 30", 4, 20, "outage", ((("us-openai",), "latency", {"seconds": 1.5}),)),
        Phase("recovery", 3, 20, "recovery"),
        Phase("rate limit (429)", 4, 20, "outage", ((("us-openai",), "rate_limited", {"retry_after": 3}),)),
        Phase("cut streams", 4, 20, "outage", ((US, "cut", {"at": 10}),)),
        Phase("recovery", 3, 20, "recovery"),
        Phase("us-east unreachable", 4, 20, "outage", ((US, "refused", {}),)),
        Phase("recovery", 3, 20, "recovery"),
        Phase("daily quota used up", 4, 20, "outage", ((("us-openai",), "quota", {"limit": "day"}),)),
        Phase("normal again", 3, 20),
    ),
    pools={"hotspare": Policy(deadline=10, timeouts=Timeouts(first_token_min=0.5, completion_min=0.5))},
    columns=("calls", "answered", "p50", "p95", "p99", "ttft_p95", "extra_attempts", "resumed", "wrong"),
    highlights=("answered", "answered_in_outages", "attempts_per_call_in_outages", "recovery_time"),
)  # fmt: skip

SCENARIOS = {
    "outage": OUTAGE,
    "disasters": DISASTERS,
    "streams": STREAMS,
    "slow": SLOW,
    "brownout": BROWNOUT,
    "limits": LIMITS,
    "regions": TWO_REGIONS,
    "wires": WIRES_DOWN,
    "blackout": BLACKOUT,
}

PLAIN_CLIENT = "plain client"
"""Name of the baseline."""


def plain_client(deadline: float) -> Policy:
    """The policy of a client without failover: one attempt per call, independent of earlier calls."""
    return Policy(
        deadline=deadline, max_attempts=1, when_all_down="fail", max_rejection=0, breaker=_NEVER_OPENS, completion="wait",
        on_break="raise", learn_limits=False,
    )  # fmt: skip
