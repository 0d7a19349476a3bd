"""The metrics that go to OpenTelemetry: those of the conventions, and hotspare's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hotspare import events
from hotspare.errors import MissingExtra
from hotspare.outcome import Kind
from hotspare.status import least_left

try:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation
except ImportError:
    raise MissingExtra("hotspare.telemetry.opentelemetry", "otel") from None

if TYPE_CHECKING:
    from hotspare.pool import Pool

DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Buckets in seconds, and in `TOKENS` in tokens, that the conventions recommend."""
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
PROVIDERS = {
    "azure": "azure.ai.openai", "gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai", "openai": "openai",
    "anthropic": "anthropic", "deepseek": "deepseek", "groq": "groq",
}  # fmt: skip
"""hotspare's providers as values of `gen_ai.provider.name`; others keep their own name."""
_STATES = {"closed": 0, "recovering": 1, "half-open": 2, "open": 3}


class Names(dict[str, Mapping[str, str]]):
    """The conventions' attributes of each target, created once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __missing__(self, target: str) -> Mapping[str, str]:
        known = next((one for one in self._pool.targets if one.name == target), None)
        provider = known.provider if known else target
        names = self[target] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDERS.get(provider, provider),
            "gen_ai.request.model": known.model if known else target,
        }
        return names


class Instruments:
    """The instruments of one pool. Counters are summed here and read when metrics are collected. Only durations and tokens, which need
    their distribution, are recorded one by one, because that takes the SDK 10 µs each."""

    def __init__(self, meter: Meter, pool: Pool, names: Names) -> None:
        self._names, self._pool = names, pool
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Duration of an attempt.",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Seconds to the first content of a stream.",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )  # fmt: skip
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of an answer.", explicit_bucket_boundaries_advisory=TOKENS
        )

        def counter(name: str, unit: str, text: str, *labels: str) -> dict[tuple[str, ...], float]:
            counts: dict[tuple[str, ...], float] = defaultdict(float)

            def read(options: CallbackOptions) -> Iterable[Observation]:
                return [Observation(value, dict(zip(labels, key, strict=True))) for key, value in list(counts.items())]

            meter.create_observable_counter(name, [read], unit, text)
            return counts

        self._failovers = counter(
            "hotspare.failovers", "{call}", "Calls that left a target for another.", "hotspare.source", "error.type"
        )
        self._rescued = counter("hotspare.calls.rescued", "{call}", "Calls answered although an attempt failed.")
        self._calls = counter("hotspare.calls", "{call}", "Calls, by result.", "hotspare.result")
        self._wasted = counter("hotspare.tokens.wasted", "{token}", "Estimated tokens that are not part of an answer.")
        self._cost = counter("hotspare.cost", "USD", "Cost of calls whose price is known.")
        meter.create_observable_gauge(
            "hotspare.breaker.state", [self._states], "1", "0 closed, 1 recovering, 2 half-open, 3 open."
        )
        meter.create_observable_gauge(
            "hotspare.limit.left", [self._limits], "1", "What is left of a limit, set or learnt."
        )
        meter.create_observable_gauge("hotspare.budget.left", [self._budgets], "USD", "What is left of a budget.")

    def record(self, event: events.Event) -> None:
        """Add one event to the metrics."""
        if isinstance(event, events.AttemptEnded):
            one, names = event.attempt, self._names[event.attempt.target]
            if one.kind is not Kind.OK:
                names = {**names, "error.type": str(one.kind)}
            self._duration.record(one.seconds, names)
            if one.ttft is not None:
                self._first_chunk.record(one.ttft, names)
        elif isinstance(event, events.FailedOver):
            self._failovers[event.source, str(event.kind)] += 1
        elif isinstance(event, events.CallEnded):
            self._call_ended(event)
        elif isinstance(event, events.ConfigReloaded):
            self._names.clear()

    def _call_ended(self, event: events.CallEnded) -> None:
        self._calls[(str(event.result),)] += 1
        self._rescued[()] += event.rescued
        self._wasted[()] += event.wasted_tokens
        if event.cost is not None:
            self._cost[()] += event.cost
        if event.usage is not None and event.target is not None:
            names = self._names[event.target]
            self._tokens.record(event.usage.input_tokens, {**names, "gen_ai.token.type": "input"})
            self._tokens.record(event.usage.output_tokens, {**names, "gen_ai.token.type": "output"})

    def _limits(self, options: CallbackOptions) -> Iterable[Observation]:
        for target in self._pool.health().targets:
            for name, left in target.limits_left.items():
                yield Observation(left, {"hotspare.target": target.target, "hotspare.limit": name})

    def _budgets(self, options: CallbackOptions) -> Iterable[Observation]:
        for name, usd in least_left(self._pool.budgets()).items():
            yield Observation(usd, {"hotspare.budget": name})

    def _states(self, options: CallbackOptions) -> Iterable[Observation]:
        health = self._pool.health()
        for target in health.targets:
            yield Observation(
                _STATES[str(target.state)], {"hotspare.subject": target.target, "hotspare.level": "target"}
            )
        for domain in health.domains:
            yield Observation(
                _STATES[str(domain.state)], {"hotspare.subject": domain.domain, "hotspare.level": domain.level}
            )
