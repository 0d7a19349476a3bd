"""Metrics for Prometheus: what is counted, the server, and the files that name the metrics."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from hotspare import ConfigError, Kind, Pool, Price, Usage
from hotspare.errors import MissingExtra
from hotspare.outcome import Outcome
from hotspare.telemetry import prometheus
from hotspare.testing import ScriptedTarget, answer, fail, scripted_pool
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

FOLDER = Path(__file__).parents[3] / "docs/monitoring"
REFUSED = fail(Outcome(Kind.TRANSPORT, "refused", before_connect=True))


def rescued_pool() -> Pool:
    """The first target refuses, the second answers."""
    b = ScriptedTarget("b", answer("hi", usage=Usage(10, 5)), price=Price(1.0, 2.0))
    return scripted_pool(ScriptedTarget("a", REFUSED), b, retry_same_target="never")


def test_what_is_counted() -> None:
    """Calls, rescues, attempts, failovers, tokens, USD; the states of breakers are read when metrics are collected."""
    pool = rescued_pool()
    metrics = prometheus.PrometheusMetrics(pool)
    pool.chat("q")
    list(pool.stream("q", model="b/b"))
    pool.disable("a")
    assert pool.flush(30.0)
    value = metrics.registry.get_sample_value
    assert value("hotspare_calls_total", {"route": "default", "result": "answered"}) == 1
    assert value("hotspare_calls_total", {"route": "model", "result": "answered"}) == 1
    assert value("hotspare_rescued_calls_total", {"route": "default"}) == 1
    assert value("hotspare_attempts_total", {"target": "a", "kind": "transport", "reason": "first"}) == 1
    assert value("hotspare_failovers_total", {"source": "a", "kind": "transport"}) == 1
    assert value("hotspare_tokens_total", {"target": "b", "type": "input"}) == 20
    assert value("hotspare_cost_usd_total", {"route": "default"}) == pytest.approx(20e-6)
    assert value("hotspare_time_to_first_token_seconds_count", {"target": "b"}) == 1
    assert value("hotspare_target_available", {"target": "a"}) == 0
    assert value("hotspare_breaker_state", {"subject": "b", "level": "target"}) == 0


def test_the_server() -> None:
    """/metrics in Prometheus' format; /healthz is 503 where no target admits a call; a port that is taken is named."""
    pool = rescued_pool()
    server = prometheus.serve(pool, port=0)
    url = f"http://127.0.0.1:{server.port}"
    families = {family.name for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text)}
    assert "hotspare_target_available" in families
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok", "available": ["a", "b"]}
    pool.disable("a"), pool.disable("b")
    assert httpx.get(f"{url}/healthz").status_code == 503
    assert httpx.get(f"{url}/other").status_code == 404
    with pytest.raises(ConfigError, match=r"cannot be served: .*; choose another port"):
        prometheus.serve(pool, port=server.port)
    server.close()


def metric_names() -> set[str]:
    """Every name that the exporter has."""
    registry = prometheus.PrometheusMetrics(scripted_pool("a")).registry
    found: set[str] = set()
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        found |= {family.name + suffix for suffix in suffixes}
    return found


@pytest.mark.parametrize("name", ["grafana-dashboard.json", "prometheus-rules.yml"])
def test_the_files_name_metrics_that_exist(name: str) -> None:
    """A dashboard or a rule on a metric that was renamed shows nothing, and says nothing."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    used = set(re.findall(r"\bhotspare_[a-z0-9_]+", text))
    assert len(used) >= 5 and not used - metric_names()
    if name.endswith(".json"):
        assert all(panel["targets"][0]["expr"] for panel in json.loads(text)["panels"])
        return
    groups = yaml.safe_load(text)["groups"]
    assert all({"alert", "expr", "for", "labels", "annotations"} <= rule.keys() for rule in groups[0]["rules"])


PROMTOOL = shutil.which("promtool")
"""Prometheus' own checker: Debian's package `prometheus` has it."""
RULE_TEST = """
rule_files: ["{rules}"]
evaluation_interval: 5s
tests:
  - interval: 5s
    input_series:
      - {{series: 'hotspare_target_available{{target="a"}}', values: "1x5 0x20"}}
      - {{series: 'hotspare_target_available{{target="b"}}', values: "1x7 0x18"}}
      - {{series: 'hotspare_calls_total{{route="default",result="answered"}}', values: "0+9x40"}}
      - {{series: 'hotspare_calls_total{{route="default",result="failed"}}', values: "0+1x40"}}
    alert_rule_test:
      - {{eval_time: 35s, alertname: HotspareNoHealthyTarget}}
      - {{eval_time: 60s, alertname: HotspareNoHealthyTarget, exp_alerts: [{{exp_labels: {{severity: critical}}, exp_annotations: {{summary: No target admits a call, description: "Calls wait or fail. Run `hotspare ledger failures`."}}}}]}}
      - {{eval_time: 120s, alertname: HotspareErrorRate, exp_alerts: [{{exp_labels: {{severity: critical}}, exp_annotations: {{summary: Over 5 % of calls are not answered, description: "Run `hotspare ledger failures`."}}}}]}}
"""


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus")
def test_prometheus_takes_the_files(tmp_path: Path) -> None:
    """Its own checker reads the alert rules, every query of the dashboard, and the exporter's page; two alerts fire when they should."""
    rules = FOLDER / "prometheus-rules.yml"
    panels = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))["panels"]
    queries = [{"record": f"panel:{place}", "expr": one["targets"][0]["expr"]} for place, one in enumerate(panels)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": queries}]}))
    (tmp_path / "test.yml").write_text(RULE_TEST.format(rules=rules))
    pool = rescued_pool()
    metrics = prometheus.PrometheusMetrics(pool)
    pool.chat("q")
    assert pool.flush(30.0)

    def promtool(*words: str, text: bytes = b"") -> None:
        done = subprocess.run([str(PROMTOOL), *words], input=text, capture_output=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)

    promtool("check", "rules", str(rules))
    promtool("check", "rules", str(tmp_path / "panels.yml"))
    promtool("test", "rules", str(tmp_path / "test.yml"))
    promtool("check", "metrics", text=generate_latest(metrics.registry))


def test_without_the_extra() -> None:
    """The command that installs it is named."""
    code = "import sys; sys.modules['prometheus_client'] = None; import hotspare.telemetry.prometheus"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert MissingExtra.__name__ in done.stderr and "pip install 'hotspare[prometheus]'" in done.stderr
