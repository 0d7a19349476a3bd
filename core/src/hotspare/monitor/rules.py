"""Alert rules as data, and the default rules."""

from __future__ import annotations

from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Literal, get_args

from hotspare.errors import ConfigError, Problem

Metric = Literal[
    "calls", "latency_mean", "latency_p95", "latency_max", "ttft_p95", "error_rate", "rescue_rate", "cost",
    "cost_forecast", "available_targets", "open_domains", "waiting_calls", "rate_limits", "keys_rejected", "quotas_used_up",
    "models_missing", "budgets_reached", "ledger_failing", "limit_used", "budget_used", "budget_forecast",
]  # fmt: skip
"""The metrics of rules. Over the rule's window: calls; mean, 95th percentile and maximum duration in seconds of answered calls;
the 95th percentile of the time to the first token; the shares (0 to 1) of unanswered calls, and of rescued calls among the answered;
USD spent, and USD per day at this rate; numbers of rate limits, rejected keys, used-up quotas, missing models and reached spending
budgets. At the moment: targets that admit calls (not only a probe), open failure domains, waiting calls, 1 if the ledger cannot be
written, and the largest share (1: all) of a limit that is used, of a budget that is spent, and of a budget that will be spent by
the end of its period at the current rate (after a tenth of the period)."""
Comparison = Literal[">", ">=", "<", "<="]
Severity = Literal["critical", "warning", "info"]

COMPARE = {">": gt, ">=": ge, "<": lt, "<=": le}
RANK: dict[str, int] = {"info": 0, "warning": 1, "critical": 2}
MAX_WINDOW = 86_400.0
MAX_CALL_WINDOW = 3_600.0
"""Longest window in seconds of a rule. Only those of `cost` and `cost_forecast` may be longer: up to a day (`MAX_WINDOW`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alert: it fires once `metric` over `window` has been beyond `threshold` for `hold` seconds.

    name: unique among the rules.
    metric: see `Metric`.
    comparison, threshold: the condition.
    window: seconds that the metric covers. 300: long enough not to fire for one slow call.
    hold: seconds for which the condition must be true before the rule fires. 0.
    min_calls: minimum number of calls in the window; with fewer, a rate means little, and the rule does not fire. 1.
    severity: `critical`, `warning` or `info`. warning.
    cooldown: seconds after a firing in which the rule does not fire again. 300: a flapping condition is reported once.
    advice: what to do, in one sentence; part of the notice.

    Raises ConfigError for invalid values.
    """

    name: str
    metric: Metric
    threshold: float
    comparison: Comparison = ">"
    window: float = 300.0
    hold: float = 0.0
    min_calls: int = 1
    severity: Severity = "warning"
    cooldown: float = 300.0
    advice: str = ""

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        for name, known in (("metric", Metric), ("comparison", Comparison), ("severity", Severity)):
            if getattr(self, name) not in get_args(known):
                hint = f"must be one of {', '.join(get_args(known))}"
                problems.append(Problem.at(f"rule.{name}", getattr(self, name), hint))
        longest = MAX_WINDOW if self.metric in ("cost", "cost_forecast") else MAX_CALL_WINDOW
        if not 0 < self.window <= longest:
            problems.append(
                Problem.at("rule.window", self.window, f"must be above 0 and at most {longest:.0f} seconds")
            )
        problems += [
            Problem.at(f"rule.{name}", getattr(self, name), "must not be negative")
            for name in ("hold", "cooldown", "min_calls")
            if not getattr(self, name) >= 0
        ]
        if not self.name:
            problems.append(Problem.at("rule.name", self.name, "must not be empty"))
        if problems:
            raise ConfigError(problems)

    def holds(self, value: float | None, calls: int) -> bool:
        """Whether the condition is true for this value of the metric (None: no value) and this number of calls in the window."""
        if value is None or calls < self.min_calls:
            return False
        return bool(COMPARE[self.comparison](value, self.threshold))

    def message(self, value: float) -> str:
        """The condition and the value as text."""
        over = "" if self.metric in NOW else f" over {self.window:.0f} s"
        text = f"{self.metric}{over} is {value:.4g} ({self.comparison} {self.threshold:g})"
        return f"{text}. {self.advice}" if self.advice else text


NOW = frozenset(
    {
        "available_targets",
        "open_domains",
        "waiting_calls",
        "ledger_failing",
        "limit_used",
        "budget_used",
        "budget_forecast",
    }
)
"""Metrics of the current state, without a window."""

DEFAULT_RULES: tuple[Rule, ...] = (
    Rule(
        name="no_healthy_target", metric="available_targets", comparison="<", threshold=1, hold=3, min_calls=0,
        severity="critical", advice="Calls wait or fail. See `hotspare ledger failures` for the providers' errors.",
    ),
    Rule(
        name="error_rate", metric="error_rate", threshold=0.05, window=60, min_calls=10, severity="critical",
        advice="Callers see errors. See `hotspare ledger failures`.",
    ),
    Rule(
        name="latency_critical", metric="latency_mean", threshold=15, window=300, min_calls=5, severity="critical",
        advice="Find the slow target with `hotspare ledger target`, and disable it.",
    ),
    Rule(
        name="latency", metric="latency_mean", threshold=5, window=300, min_calls=5,
        advice="Find the slow target with `hotspare ledger target`.",
    ),
    Rule(
        name="cost", metric="cost", threshold=100, window=86_400,
        advice="USD of the last 24 hours. See `hotspare report` for what it was spent on.",
    ),
    Rule(
        name="rescue_rate", metric="rescue_rate", threshold=0.2, window=300, min_calls=10,
        advice="One call in five was answered only after a failover: find the failing target with `hotspare ledger target`.",
    ),
    Rule(
        name="domain_down", metric="open_domains", comparison=">=", threshold=1, hold=30, min_calls=0,
        advice="A provider, a region or an account is unavailable; calls fail over.",
    ),
    Rule(
        name="key_refused", metric="keys_rejected", threshold=0, min_calls=0, severity="critical", window=600, cooldown=3600,
        advice="A provider rejects a key: renew it.",
    ),
    Rule(
        name="quota_used_up", metric="quotas_used_up", threshold=0, min_calls=0, window=600, cooldown=3600,
        advice="A quota or credit is used up: raise it, or wait for its reset.",
    ),
    Rule(
        name="model_gone", metric="models_missing", threshold=0, min_calls=0, window=600, cooldown=3600,
        advice="A provider does not know a model: it was renamed or retired.",
    ),
    Rule(
        name="budget", metric="budgets_reached", threshold=0, min_calls=0, window=600, cooldown=3600,
        advice="A spending budget is at its warning level or used up. Once used up, its `action` applies (refuse, cheaper or warn).",
    ),
    Rule(
        name="limit_nearly_used", metric="limit_used", comparison=">=", threshold=0.9, hold=60, min_calls=0, cooldown=3600,
        advice="90 % of a limit or quota has been in use for a minute: calls will fail over or wait. Raise it, or add a target.",
    ),
    Rule(
        name="budget_forecast", metric="budget_forecast", threshold=1, hold=300, min_calls=0, cooldown=3600,
        advice="At the current rate a spending budget will be used up before the end of its period. See `hotspare report`.",
    ),
    Rule(
        name="ledger", metric="ledger_failing", threshold=0, min_calls=0, hold=30, cooldown=3600,
        advice="Calls continue, but are not recorded: check the disk.",
    ),
)  # fmt: skip
"""The first five are those of common monitoring guides for LLM services; the others use data that only a pool has."""
