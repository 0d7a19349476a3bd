"""Bedrock's errors as botocore raises them, from a server that follows Bedrock's service model."""

import json
import struct
import threading
from binascii import crc32
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from hotspare._classify.rules import classify
from hotspare.outcome import Kind

from tests.conformance.test_native_exceptions import closed_port
from tests.support.refusals import DEFAULT_SCOPE

ROWS = [
    ("ThrottlingException", "Too many requests, please wait before trying again.", Kind.RATE_LIMITED),
    ("ServiceQuotaExceededException", "Your request exceeds the service quota for your account.", Kind.QUOTA),
    ("ModelNotReadyException", "Model is not ready for inference.", Kind.SERVER),
    ("ModelTimeoutException", "Model has timed out in processing the request.", Kind.SERVER),
    ("InternalServerException", "The system encountered an unexpected error.", Kind.SERVER),
    ("ServiceUnavailableException", "Bedrock is unable to process your request.", Kind.SERVER),
    ("AccessDeniedException", "You don't have access to the model with the specified model ID.", Kind.AUTH),
    (
        "ResourceNotFoundException",
        "Could not resolve the foundation model from the provided model identifier.",
        Kind.NOT_FOUND,
    ),
    ("ValidationException", "Invocation of model ID m with on-demand throughput isn’t supported.", Kind.NOT_FOUND),
    ("ValidationException", "Input is too long for requested model.", Kind.CONTEXT_LENGTH),
    ("ValidationException", "The model returned the following errors: field required", Kind.INVALID),
]
IN_STREAM = [
    ("modelStreamErrorException", Kind.SERVER),
    ("throttlingException", Kind.RATE_LIMITED),
    ("internalServerException", Kind.SERVER),
    ("serviceUnavailableException", Kind.SERVER),
]


def event(kind: str, message: str) -> bytes:
    """One exception of an `application/vnd.amazon.eventstream` body."""
    fields = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in fields.items()
    )
    body = json.dumps({"message": message}).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    prelude += struct.pack("!I", crc32(prelude))
    return prelude + headers + body + struct.pack("!I", crc32(prelude + headers + body))


class Bedrock(ThreadingHTTPServer):
    """Sends `answer` in response to every request."""

    answer: tuple[int, dict[str, str], bytes] = (500, {}, b"")

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            assert isinstance(self.server, Bedrock)
            status, headers, body = self.server.answer
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture(scope="module")
def bedrock() -> Iterator[Bedrock]:
    """Bedrock on loopback."""
    with Bedrock() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client(url: str) -> Any:
    """botocore's client, with its retries off."""
    return botocore.session.get_session().create_client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


REQUEST: dict[str, Any] = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "q"}]}]}


@pytest.mark.parametrize(("code", "message", "kind"), ROWS)
def test_exceptions(code: str, message: str, kind: Kind, bedrock: Bedrock) -> None:
    """Each code with its message, and the status that Bedrock's service model has for it."""
    bedrock_client = client(bedrock.url)
    status = bedrock_client.meta.service_model.shape_for(code).metadata["error"]["httpStatusCode"]
    bedrock.answer = (status, {"x-amzn-errortype": code}, json.dumps({"message": message}).encode())
    with pytest.raises(getattr(bedrock_client.exceptions, code)) as caught:
        bedrock_client.converse(**REQUEST)
    found = classify(caught.value)
    assert (found.kind, found.status, found.fault_scope) == (kind, status, DEFAULT_SCOPE[kind])
    assert (found.message, found.code) == (message, code)


@pytest.mark.parametrize(("code", "kind"), IN_STREAM)
def test_exceptions_inside_a_stream(code: str, kind: Kind, bedrock: Bedrock) -> None:
    """Events after a 200."""
    headers = {"content-type": "application/vnd.amazon.eventstream"}
    bedrock.answer = (200, headers, event(code, "The model aborted."))
    with pytest.raises(botocore.exceptions.EventStreamError) as caught:
        list(client(bedrock.url).converse_stream(**REQUEST)["stream"])
    assert classify(caught.value).kind is kind


def test_no_connection() -> None:
    """An endpoint that cannot be reached."""
    with pytest.raises(botocore.exceptions.EndpointConnectionError) as caught:
        client(f"http://127.0.0.1:{closed_port()}").converse(**REQUEST)
    found = classify(caught.value)
    assert (found.kind, found.before_connect) == (Kind.TRANSPORT, True)
