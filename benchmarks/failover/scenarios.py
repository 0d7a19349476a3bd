"""The sixteen scenarios as data: the fault of the primary, the calls, and the expected results.

Two targets: the primary is an OpenAI model, the backup an Anthropic one. Before the fault the primary answers one call. During
it, calls are made one after the other; every one must get the exact answer in time. After it, the primary must be back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MODELS = {"primary": "openai/gpt-4o-mini", "backup": "anthropic/claude-sonnet-4-20250514"}


@dataclass(frozen=True)
class Answer:
    """The result of one call. `seconds`: to the answer or the error. `error`: "", or the message of the error. `refused`: whether the answer
    was blocked, which is not a failure of the target.

    `details`: the metadata of the answer, as plain values.
    """

    text: str
    seconds: float
    target: str = ""
    model: str = ""
    output_tokens: int = 0
    error: str = ""
    refused: bool = False
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


Check = Callable[[list[Answer]], str]
"""Returns a problem of the answers during the fault; "" if there is none."""


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    fault, options: the primary's fault, as `Provider.fault` takes it. settings: of both targets, as `Provider.configure` takes
    them. stream: whether the calls are streams. prompt: of the calls during the fault.
    warm: calls before the fault: one, or as many as needed to measure the primary's latency. calls: calls during it, `gap` seconds apart,
        each to be answered within `within` seconds.
    primary, backup: minimum and maximum number of requests to the target during the fault.
    flaps: seconds for which the primary fails for two seconds out of four, with calls all the time.
    back: seconds after the fault's end within which the primary answers again.
    check: a further check of the answers.
    """

    name: str
    fault: str = ""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    stream: bool = False
    prompt: str = "question {} tokens=40"
    warm: int = 1
    calls: int = 1
    gap: float = 0.0
    within: float = 5.0
    primary: tuple[int, int] = (1, 1)
    backup: tuple[int, int] = (1, 1)
    flaps: float = 0.0
    back: float = 3.0
    check: Check = lambda answers: ""


def _refused(answers: list[Answer]) -> str:
    return "" if all(answer.refused for answer in answers) else "the refusal did not reach the caller as one"


def _metadata(answers: list[Answer]) -> str:
    """The metadata names the target that answered, with its model and usage, and every attempt with its outcome."""
    for answer in answers:
        *failed, last = [(one["target"], one["kind"], one.get("status")) for one in answer.details["attempts"]]
        found = (answer.target, answer.details["target"], answer.details["failovers"], set(failed), last[:2])
        wanted = ("backup", "backup", 1, {("primary", "server", 500)}, ("backup", "ok"))
        if found != wanted or answer.model != MODELS["backup"].partition("/")[2] or answer.output_tokens != 40:
            return f"{found} with model {answer.model!r} and {answer.output_tokens} output tokens"
    return ""


SCENARIOS = (
    Scenario("429 with a Retry-After of 2 s", "status", {"status": 429, "retry_after": 2.0, "count": 1}, within=4, primary=(1, 2), backup=(0, 1)),
    Scenario("429 for ever", "status", {"status": 429}, calls=60, gap=0.05, primary=(1, 8), backup=(60, 60), back=16),
    Scenario("500 once", "status", {"status": 500, "count": 1}, primary=(1, 2), backup=(0, 1)),
    Scenario("persistent 503", "status", {"status": 503}, calls=60, gap=0.05, primary=(1, 12), backup=(60, 60), back=4.5),  # its third break, of 4 s at most, may begin at the fault's end
    Scenario("reset once", "reset", {"count": 1}, primary=(1, 2), backup=(0, 1)),
    Scenario("no response", "blackhole", warm=20, within=17, back=8),
    Scenario("slow first token", "delay", {"seconds": 30.0}, stream=True, within=12, back=8),
    Scenario("stream cut", "cut", {"at": 15}, stream=True, calls=3, primary=(3, 3), backup=(3, 3)),
    Scenario("stream stalled", "stall", {"at": 15}, stream=True, warm=20, within=8, back=8),
    Scenario("malformed chunk", "malformed", {"at": 15}, stream=True),
    Scenario("missing [DONE]", "unended", {"how": "close"}, stream=True, calls=3, primary=(3, 3), backup=(0, 0)),
    Scenario("context length exceeded", settings={"primary": {"context_window": 60}}, prompt="long " * 300 + "{}", calls=3, primary=(3, 3), backup=(3, 3), back=0.5),
    Scenario("content filter", prompt="refuse me {}", calls=3, primary=(3, 3), backup=(0, 0), back=0.5, check=_refused),
    Scenario("cut, and the backup refuses a prefill", "cut", {"at": 15}, settings={"backup": {"prefill": "refuse"}}, stream=True, backup=(1, 2)),
    Scenario("the primary flaps", "status", {"status": 503}, flaps=60.0, primary=(1, 400), backup=(1, 600), back=16),
    Scenario("metadata after a failover", "status", {"status": 500}, primary=(1, 2), check=_metadata),
)  # fmt: skip
