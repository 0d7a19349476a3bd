"""A receiver of OpenTelemetry's protocol (OTLP over HTTP, protobuf), and a collector in front of it."""

import gzip
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.eventually import eventually


def rotel() -> Path | None:
    """Rotel, an OpenTelemetry collector that PyPI has for Linux on x86-64. Its package holds the program. None: it is not installed."""
    spec = find_spec("rotel")
    found = Path(spec.origin).parent / "rotel-agent" if spec is not None and spec.origin else None
    return found if found is not None and shutil.which(str(found)) else None


class OtlpReceiver:
    """What was exported to it."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: list[Any] = []

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Its URL."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self._body()
                receiver.take(self.path, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers["content-length"]))
                parts: list[bytes] = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on stderr."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()

    def take(self, path: str, body: bytes) -> None:
        """Keep the spans or the metrics of one request."""
        if path.endswith("/v1/traces"):
            traces = ExportTraceServiceRequest.FromString(body)
            self.spans += [span for one in traces.resource_spans for scope in one.scope_spans for span in scope.spans]
        else:
            metrics = ExportMetricsServiceRequest.FromString(body)
            self.metrics += [
                metric for one in metrics.resource_metrics for scope in one.scope_metrics for metric in scope.metrics
            ]


@contextmanager
def collector(program: Path, target: str) -> Iterator[str]:
    """The URL of a collector that exports to `target`."""
    ports: list[int] = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    words = [
        str(program), "start", "--otlp-http-endpoint", f"127.0.0.1:{ports[0]}", "--otlp-grpc-endpoint", f"127.0.0.1:{ports[1]}",
        "--exporter", "otlp", "--otlp-exporter-endpoint", target, "--otlp-exporter-protocol", "http", "--batch-timeout", "50ms",
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", ports[0])) == 0

    try:
        eventually(is_up)
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        process.terminate()
        process.wait(10)
