"""What a drill plays: phases, each with its faults and its traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

US, EU = ("us-openai", "us-anthropic"), ("eu-openai", "eu-anthropic")
ENDPOINTS = (*US, *EU)


@dataclass(frozen=True, slots=True)
class Phase:
    """`seconds` of traffic at `rate` calls a second, under `faults`: (endpoints, kind, options).

    `role`: an `outage` leaves somebody alive, a `blackout` nobody; a `recovery` follows an outage, an `aftermath` a blackout.
    """

    name: str
    seconds: float
    rate: float
    role: Literal["calm", "outage", "recovery", "blackout", "aftermath", "surge"] = "calm"
    faults: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = ()

    @property
    def sick(self) -> dict[str, str]:
        """The endpoints that fail in this phase, and how."""
        return {endpoint: kind for endpoints, kind, _ in self.faults for endpoint in endpoints}


OUTAGE = (
    Phase("calm", 4, 20),
    Phase("us-east is dead", 8, 20, "outage", ((US, "refused", {}),)),
    Phase("recovery", 9, 20, "recovery"),
    Phase("429 storm", 5, 20, "outage", ((("us-openai", "eu-openai"), "throttled", {"after": 4}),)),
    Phase("calm again", 5, 20),
    Phase("all dead", 3, 40, "blackout", ((ENDPOINTS, "refused", {}),)),
    Phase("aftermath", 9, 20, "aftermath"),
    Phase("surge", 3, 400, "surge"),
)
"""A region dies, a limit is hit, everything dies for three seconds, and twenty times the load comes."""

SCENARIOS = {"outage": OUTAGE}
