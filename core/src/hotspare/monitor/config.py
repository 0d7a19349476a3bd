"""The table `[monitor]` of a configuration.

::

    [monitor]
    ledger = "hotspare.db"                     # default: none
    prometheus = "127.0.0.1:9464"              # serves /metrics and /healthz; default: none
    interval = 1                               # seconds between two evaluations of the rules

    [[monitor.rules]]                          # changes a default rule by its name, or adds one
    name = "cost"
    threshold = 20

    [[monitor.channels]]
    type = "webhook"                           # webhook, smtp or apprise; the other fields are those of its class
    url = "${ALERT_WEBHOOK}"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hotspare._config.coercion import Coercer
from hotspare._config.scalars import is_list
from hotspare.errors import MissingExtra, Problem
from hotspare.ledger import Ledger
from hotspare.monitor.channels import Apprise, Channel, Smtp, Webhook
from hotspare.monitor.rules import DEFAULT_RULES, Rule
from hotspare.monitor.watch import Monitor

if TYPE_CHECKING:
    from hotspare.pool import Pool

CHANNELS: dict[str, type[Any]] = {"webhook": Webhook, "smtp": Smtp, "apprise": Apprise}
_KNOWN = ("ledger", "prometheus", "interval", "rules", "channels")


@dataclass(frozen=True, slots=True)
class MonitorConfig:
    """The values of `[monitor]`. `ledger`: a path ("": none). `prometheus`: host and port ("": none). `interval`: seconds."""

    ledger: str = ""
    prometheus: str = ""
    interval: float = 1.0
    rules: tuple[Rule, ...] = DEFAULT_RULES
    channels: tuple[Channel, ...] = ()

    def start(self, pool: Pool, prefix: str = "") -> Monitor:
        """Start a monitor for this pool, which ends when the pool is closed. `prefix`: put before the titles of notices."""
        ledger = Ledger(self.ledger).attach(pool) if self.ledger else None
        if self.prometheus:
            from hotspare.telemetry.prometheus import serve

            host, _, port = self.prometheus.rpartition(":")
            pool.on_close(serve(pool, host or "127.0.0.1", int(port)).close)
        monitor = Monitor(
            pool, rules=self.rules, channels=self.channels, ledger=ledger, interval=self.interval, prefix=prefix
        ).start()
        pool.on_close(monitor.close)
        return monitor


def monitor_config(raw: object, coercer: Coercer) -> MonitorConfig:
    """Read the table. Mistakes are added to the coercer's problems."""
    table = coercer.table("monitor", raw)
    for key in table:
        if key not in _KNOWN:
            coercer.report_unknown("monitor", key, _KNOWN, {})
    ledger = coercer.value("monitor.ledger", str, table.get("ledger", "")) or ""
    address = coercer.value("monitor.prometheus", str, table.get("prometheus", "")) or ""
    if address and not address.rpartition(":")[2].isdecimal():
        coercer.report("monitor.prometheus", address, "must be host:port, e.g. 127.0.0.1:9464")
    interval = coercer.value("monitor.interval", float, table.get("interval", 1.0))
    if interval is not None and not interval > 0:
        coercer.report("monitor.interval", interval, "must be above 0 seconds")
    rules = {rule.name: rule for rule in DEFAULT_RULES}
    for path, item in _items("monitor.rules", table, coercer):
        given = coercer.table(path, item)
        default = rules.get(str(given.get("name")))
        before = {one.name: getattr(default, one.name) for one in fields(Rule)} if default else {}
        rule = coercer.build(path, Rule, {**before, **given}, prefix="rule")
        if rule is not None:
            rules[rule.name] = rule
    channels = [_channel(path, item, coercer) for path, item in _items("monitor.channels", table, coercer)]
    return MonitorConfig(
        ledger, address, interval or 1.0, tuple(rules.values()), tuple(one for one in channels if one is not None)
    )


def _items(path: str, table: Mapping[str, Any], coercer: Coercer) -> list[tuple[str, object]]:
    raw = table.get(path.rpartition(".")[2], [])
    if not is_list(raw):
        coercer.report(path, raw, f"must be a list of tables, written [[{path}]] in TOML")
        return []
    return [(f"{path}[{place}]", item) for place, item in enumerate(raw)]


def _channel(path: str, item: object, coercer: Coercer) -> Channel | None:
    given = dict(coercer.table(path, item))
    kind = given.pop("type", None)
    if kind not in CHANNELS:
        coercer.report(f"{path}.type", kind, f"must be one of {', '.join(CHANNELS)}")
        return None
    try:
        found: Channel | None = coercer.build(path, CHANNELS[kind], given, prefix=kind)
    except MissingExtra as error:
        coercer.problems.append(Problem(f"{path}: {error}"))
        return None
    return found
