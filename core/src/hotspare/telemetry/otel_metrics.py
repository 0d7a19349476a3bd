"""The metrics that go to OpenTelemetry: those of the conventions, and hotspare's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
"""Buckets in seconds, and below in tokens, that the conventions recommend."""
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_STATES = {"closed": 0, "recovering": 1, "half-open": 2, "open": 3}


class Instruments:
    """`names`: the conventions' attributes of a target."""

    def __init__(self, meter: Meter, pool: Pool, names: Callable[[str], Mapping[str, str]]) -> None:
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
        self._failovers = meter.create_counter("hotspare.failovers", "{call}", "Calls that left a target for another.")
        self._rescued = meter.create_counter(
            "hotspare.calls.rescued", "{call}", "Calls answered although an attempt failed."
        )
        self._calls = meter.create_counter("hotspare.calls", "{call}", "Calls, by how they ended.")
        self._wasted = meter.create_counter(
            "hotspare.tokens.wasted", "{token}", "Estimated tokens that are no part of an answer."
        )
        self._cost = meter.create_counter("hotspare.cost", "USD", "Cost of calls whose price is known.")
        meter.create_observable_gauge(
            "hotspare.breaker.state", [self._states], "1", "0 closed, 1 recovering, 2 half-open, 3 open."
        )

        meter.create_observable_gauge(
            "hotspare.limit.left", [self._limits], "1", "What is left of a limit, set or learnt."
        )
        meter.create_observable_gauge("hotspare.budget.left", [self._budgets], "USD", "What is left of a budget.")

    def record(self, event: events.Event) -> None:
        """What one event adds."""
        if isinstance(event, events.AttemptEnded):
            one, names = event.attempt, dict(self._names(event.attempt.target))
            if one.kind is not Kind.OK:
                names["error.type"] = str(one.kind)
            self._duration.record(one.seconds, names)
            if one.ttft is not None:
                self._first_chunk.record(one.ttft, names)
        elif isinstance(event, events.FailedOver):
            self._failovers.add(1, {"hotspare.source": event.source, "error.type": str(event.kind)})
        elif isinstance(event, events.CallEnded):
            self._call_ended(event)

    def _call_ended(self, event: events.CallEnded) -> None:
        self._calls.add(1, {"hotspare.result": str(event.result)})
        if event.rescued:
            self._rescued.add(1)
        if event.wasted_tokens:
            self._wasted.add(event.wasted_tokens)
        if event.cost is not None:
            self._cost.add(event.cost)
        if event.usage is not None and event.target is not None:
            names = self._names(event.target)
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
