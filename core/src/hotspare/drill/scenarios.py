"""What a drill plays: phases, each with its faults and its traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

US, EU = ("us-openai", "us-anthropic"), ("eu-openai", "eu-anthropic")
ENDPOINTS = (*US, *EU)


@dataclass(frozen=True, slots=True)
class Phase:
    """`seconds` of traffic at `rate` calls a second, under `faults`: (endpoints, kind, options)."""

    name: str
    seconds: float
    rate: float
    faults: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = ()
    outage: bool = field(default=False)


OUTAGE = (
    Phase("calm", 4, 20),
    Phase("us-east is dead", 8, 20, ((US, "refused", {}),), outage=True),
    Phase("recovery", 9, 20),
    Phase(
        "429 storm",
        5,
        20,
        ((("us-openai", "eu-openai"), "throttled", {"after": 4, "form": "retry-after"}),),
        outage=True,
    ),
    Phase("calm again", 5, 20),
    Phase("everything is dead", 3, 40, ((ENDPOINTS, "refused", {}),)),
    Phase("recovery of everything", 9, 20),
    Phase("surge", 3, 400),
)
"""A region dies, a limit is hit, everything dies for three seconds, and ten times the load comes."""

SCENARIOS = {"outage": OUTAGE}
