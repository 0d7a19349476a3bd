"""What a drill plays: scenarios of phases, each with its faults and its traffic, and the pools that have to stand them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hotspare.policy import Breaker, Hedge, Policy, Timeouts

US, EU = ("us-openai", "us-anthropic"), ("eu-openai", "eu-anthropic")
ENDPOINTS = (*US, *EU)


@dataclass(frozen=True, slots=True)
class Phase:
    """`seconds` of traffic at `rate` calls a second, under `faults`: (endpoints, kind, options).

    `role`: an `outage` leaves somebody alive, a `blackout` nobody; a `recovery` follows an outage, an `aftermath` a blackout.
    In a `fault` the first region is ill and the pools hold their breakers shut, so that every call meets it.
    """

    name: str
    seconds: float
    rate: float
    role: Literal["calm", "outage", "recovery", "blackout", "aftermath", "surge", "fault"] = "calm"
    faults: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = ()

    @property
    def sick(self) -> dict[str, str]:
        """The endpoints that fail in this phase, and how."""
        return {endpoint: kind for endpoints, kind, _ in self.faults for endpoint in endpoints}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`about` tells a stranger what is rehearsed. The `pools` play it one after the other, the first is the one that counts.

    Well targets answer `first` seconds after the question with `tokens` tokens, `gap` seconds apart.
    `columns`: the figures shown of each phase; `cards`: those that a reader of the report sees first.
    """

    about: str
    phases: tuple[Phase, ...]
    pools: Mapping[str, Policy] = field(default_factory=lambda: {"hotspare": Policy(deadline=10)})
    first: float = 0.05
    gap: float = 0.0
    tokens: int = 20
    columns: tuple[str, ...]
    cards: tuple[str, ...]

    @property
    def deadline(self) -> float:
        """Seconds after which a call is lost."""
        return max(policy.deadline for policy in self.pools.values())


OUTAGE = Scenario(
    about="A region dies, a limit is hit, everything dies for three seconds, and twenty times the load comes.",
    phases=(
        Phase("calm", 4, 20),
        Phase("us-east is dead", 8, 20, "outage", ((US, "refused", {}),)),
        Phase("recovery", 9, 20, "recovery"),
        Phase("429 storm", 5, 20, "outage", ((("us-openai", "eu-openai"), "throttled", {"after": 4}),)),
        Phase("calm again", 5, 20),
        Phase("all dead", 3, 40, "blackout", ((ENDPOINTS, "refused", {}),)),
        Phase("aftermath", 9, 20, "aftermath"),
        Phase("surge", 3, 400, "surge"),
    ),
    columns=(
        "calls", "answered", "p50", "p95", "p99", "ttft_p50", "ttft_p95", "failovers", "attempts_per_call", "wasted", "wrong",
    ),
    cards=("answered", "answered_in_blackout", "attempts_per_call_in_outages", "noticed", "surge_p99"),
)  # fmt: skip


def _ill(name: str, kind: str, **options: Any) -> Phase:
    """Three seconds in which each answer of the first region has this fault."""
    return Phase(name, 3, 12, "fault", ((US, kind, options),))


_SHUT = Breaker(consecutive_failures=10**9, minimum_throughput=10**9, stalled_calls=10**9)

STREAMS = Scenario(
    about="Answers break while they are written: silence, stalls, drips, bad data, false ends. No breaker opens: each call meets them.",
    phases=(
        Phase("calm", 4, 12),
        _ill("role, silence", "silence"),
        _ill("only pings", "keepalives", gap=0.1),
        _ill("stall halfway", "stall", at=15),
        _ill("clean EOF", "eof", at=20),
        _ill("empty 200", "empty"),
        _ill("slow drip", "drip", gap=1),
        _ill("bad chunk, goes on", "malformed", at=12),
        _ill("bad chunk, ends", "malformed", at=12, ends=True),
        _ill("error event", "error_event", at=10),
        _ill("cut off", "cut", at=18),
        Phase("calm again", 3, 12),
    ),
    pools={
        "hotspare": Policy(
            deadline=8,
            completion="stream",
            breaker=_SHUT,
            timeouts=Timeouts(
                first_token=0.4, first_token_min=0.4, first_token_max=0.4, stall=1.2, stall_min=0.5, throughput_window=1, min_throughput=40
            ),
        )
    },
    gap=0.01,
    tokens=30,
    columns=(
        "calls", "answered", "resumed", "seams", "interrupted", "wrong", "ttft_p50", "ttft_p95", "longest_silence",
    ),
    cards=("answered", "resumed", "interrupted", "wrong", "longest_silence"),
)  # fmt: skip

SLOW = Scenario(
    about="One call in twenty takes ten times as long: what a second attempt beside the first saves, and what it costs.",
    phases=(
        Phase("calm", 5, 40),
        Phase("one in twenty is slow", 10, 40, "fault", ((US, "slow", {"seconds": 0.9, "probability": 0.05}),)),
    ),
    pools={
        "hedging": Policy(deadline=10, hedge=Hedge(min_delay=0.15)),
        "racing": Policy(deadline=10, on_slow="race", timeouts=Timeouts(first_token_min=0.3, completion_min=0.3)),
        "neither": Policy(deadline=10),
    },
    first=0.1,
    columns=("calls", "answered", "ttft_p50", "ttft_p95", "ttft_p99", "p50", "p95", "p99", "extra", "wrong"),
    cards=("answered", "ttft_p99", "extra"),
)

SCENARIOS = {"outage": OUTAGE, "streams": STREAMS, "slow": SLOW}
