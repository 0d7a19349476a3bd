"""Events for operators' tools: logs, OpenTelemetry, Prometheus. Each module is loaded when it is used."""
