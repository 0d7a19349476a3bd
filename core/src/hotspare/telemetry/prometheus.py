"""Metrics for Prometheus (extra `prometheus`), and a server for `/metrics` and `/healthz`.

Cardinality is bounded: labels are targets, routes, kinds and reasons, which the configuration fixes; never a call, a key, a user or a
label of a call.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from hotspare import events
from hotspare._drivers.collector import Background
from hotspare._health.breaker import State
from hotspare.errors import ConfigError, MissingExtra, Problem
from hotspare.status import least_left

try:
    from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.core import GaugeMetricFamily, Metric
except ImportError:
    raise MissingExtra("hotspare.telemetry.prometheus", "prometheus") from None

if TYPE_CHECKING:
    from hotspare.pool import Pool

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 15.0, 20.0, 30.0, 60.0, 120.0)
"""Buckets of durations, with the bounds 5 s and 15 s of the alert rules."""
STATES = {State.CLOSED: 0, State.RECOVERING: 1, State.HALF_OPEN: 2, State.OPEN: 3}
"""The values of `hotspare_breaker_state`."""


class PrometheusMetrics:
    """The metrics of one pool, in `registry` (default: a new one). Events are counted in a separate thread; gauges are read at each scrape."""

    def __init__(self, pool: Pool, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._pool = pool
        self._routes = frozenset(pool.routes)
        self._make_counters()
        self.registry.register(self)
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            events.CallEnded: self._call_ended,
            events.AttemptEnded: self._attempt_ended,
            events.FailedOver: lambda e: self._failovers(e.source, str(e.kind)).inc(),
            events.TargetChecked: lambda e: self._checks(e.target, str(e.kind)).inc(),
            events.RateLimited: lambda e: self._rate_limits(e.target).inc(),
            events.StreamBroke: lambda e: self._breaks(e.target, str(e.kind)).inc(),
            events.EventsDropped: lambda e: self._dropped().inc(e.count),
            events.AlertFired: lambda e: self._alerts(e.rule, e.severity).inc(),
            events.LedgerFailed: lambda e: self._ledger_failures().inc(),
        }
        pool.subscribe(Background(self._listen))

    def _make_counters(self) -> None:
        registry = self.registry

        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            made = Counter(f"hotspare_{name}", text, labels, registry=registry)
            return (
                cache(made.labels) if labels else lambda: made
            )  # looked up once for each combination: three times as fast

        def seconds(name: str, text: str, label: str) -> Callable[..., Histogram]:
            return cache(
                Histogram(f"hotspare_{name}_seconds", text, [label], buckets=SECONDS, registry=registry).labels
            )

        self._calls = counter("calls", "Calls by route and result.", "route", "result")
        self._rescued = counter(
            "rescued_calls", "Calls answered although their first attempt or stream failed.", "route"
        )
        self._durations = seconds("call_duration", "Seconds of answered calls, to the end of the answer.", "route")
        self._ttft = seconds("time_to_first_token", "Seconds to the first content of streams.", "target")
        self._attempts = counter("attempts", "Attempts by target, outcome and reason.", "target", "kind", "reason")
        self._failovers = counter("failovers", "Calls that left a target for another.", "source", "kind")
        self._rate_limits = counter("rate_limits", "Answers with status 429.", "target")
        self._checks = counter("checks", "Background checks of unavailable targets.", "target", "kind")
        self._breaks = counter("stream_breaks", "Streams that broke after their first content.", "target", "kind")
        self._tokens = counter("tokens", "Tokens of answers.", "target", "type")
        self._wasted = counter("wasted_tokens", "Estimated tokens paid for that are not part of an answer.")
        self._cost = counter("cost_usd", "USD of calls whose price is known.", "route")
        self._dropped = counter("events_dropped", "Events dropped because a listener was too slow.")
        self._alerts = counter("alerts_fired", "Alerts that fired.", "rule", "severity")
        self._ledger_failures = counter("ledger_failures", "Times the ledger could not be written.")

    def collect(self) -> Iterator[Metric]:
        """The gauges: the health of the pool at this moment."""
        health = self._pool.health()
        state = GaugeMetricFamily(
            "hotspare_breaker_state", "0 closed, 1 recovering, 2 half-open, 3 open.", labels=["subject", "level"]
        )
        available = GaugeMetricFamily(
            "hotspare_target_available", "1: admits calls, and not just a probe.", labels=["target"]
        )
        left = GaugeMetricFamily("hotspare_limit_left", "What is left of a limit.", labels=["target", "limit"])
        for target in health.targets:
            state.add_metric([target.target, "target"], STATES[target.state])
            for name, value in target.limits_left.items():
                left.add_metric([target.target, name], value)
            available.add_metric([target.target], float(target.is_healthy))
        for domain in health.domains:
            state.add_metric([domain.domain, domain.level], STATES[domain.state])
        budget = GaugeMetricFamily(
            "hotspare_budget_left_usd", "USD left of a budget; the least of its counts.", labels=["budget"]
        )
        for name, usd in least_left(self._pool.budgets()).items():
            budget.add_metric([name], usd)
        yield budget
        yield state
        yield available
        yield left
        yield GaugeMetricFamily("hotspare_waiting_calls", "Calls that wait for a recovery.", health.waiting)
        yield GaugeMetricFamily("hotspare_attempts_in_flight", "Attempts in flight.", health.in_flight)
        yield GaugeMetricFamily("hotspare_retry_tokens", "What is left of the retry budget.", health.retry_tokens)

    def _listen(self, at: int, event: events.Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _route(self, name: str) -> str:
        """A route of the configuration; calls that name a model or a target instead are `model`."""
        return name if name in self._routes else "model"

    def _call_ended(self, event: events.CallEnded) -> None:
        route = self._route(event.route)
        self._calls(route, str(event.result)).inc()
        if event.wasted_tokens:
            self._wasted().inc(event.wasted_tokens)
        if event.rescued:
            self._rescued(route).inc()
        if event.result is events.CallResult.ANSWERED:
            self._durations(route).observe(event.seconds)
        if event.ttft is not None and event.target is not None:
            self._ttft(event.target).observe(event.ttft)
        if event.usage is not None and event.target is not None:
            self._tokens(event.target, "input").inc(event.usage.input_tokens)
            self._tokens(event.target, "output").inc(event.usage.output_tokens)
        if event.cost is not None:
            self._cost(route).inc(event.cost)

    def _attempt_ended(self, event: events.AttemptEnded) -> None:
        one = event.attempt
        self._attempts(one.target, str(one.kind), str(one.reason)).inc()


class Server:
    """Serves `/metrics` and `/healthz` in a thread. `port`: the one that was bound."""

    def __init__(self, metrics: PrometheusMetrics, pool: Pool, host: str, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.partition("?")[0] == "/metrics":
                    self._answer(200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(metrics.registry))
                elif self.path == "/healthz":
                    ready = [one.target for one in pool.health().targets if one.available_in == 0]
                    body = json.dumps({"status": "ok" if ready else "down", "available": ready}).encode()
                    self._answer(200 if ready else 503, "application/json", body)
                else:
                    self._answer(404, "text/plain", b"/metrics or /healthz\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Scrapes are not logged."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigError(
                Problem.at("prometheus", f"{host}:{port}", f"cannot be served: {error.strerror}; choose another port")
            ) from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="hotspare-metrics", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def serve(pool: Pool, host: str = "127.0.0.1", port: int = 9464) -> Server:
    """Serve this pool's metrics. Port 0: a free one. Raises ConfigError if the address cannot be bound."""
    return Server(PrometheusMetrics(pool), pool, host, port)
