"""The meaning of exception classes, by name: core imports no HTTP library and no SDK, so no `isinstance` is possible here.

Names are looked up along the MRO of an error and of its causes, so that a parent's name covers its children.
"""

from collections.abc import Mapping

from hotspare.outcome import Kind

EXACT: Mapping[str, Kind] = {
    "MalformedAnswer": Kind.SERVER,
    "EmptyAnswer": Kind.SERVER,
    "IncompleteAnswer": Kind.SERVER,
    "BodyTooLarge": Kind.SERVER,
    "AttemptTimeout": Kind.TIMEOUT,
    "NoKeyGiven": Kind.AUTH,
    "KeyFunctionFailed": Kind.TRANSPORT,
    "ContextWindowExceededError": Kind.CONTEXT_LENGTH,
    "ContentPolicyViolationError": Kind.CONTENT_FILTER,
    "AnswerBlocked": Kind.CONTENT_FILTER,
    "ContentFilterFinishReasonError": Kind.CONTENT_FILTER,
}
"""The error's own class decides, whatever status or text it carries: hotspare's and its adapters', two of LiteLLM's, one of OpenAI's SDK."""

OF_TARGET = frozenset({"NoKeyGiven", "KeyFunctionFailed"})
"""Errors of a function that belongs to one target: no evidence about its account or its region."""

BEFORE_CONNECT = frozenset({
    "ConnectTimeout", "ConnectTimeoutError", "ConnectionTimeoutError", "ConnectError", "ClientConnectorError",
    "EndpointConnectionError", "gaierror", "ConnectionRefusedError", "SSLError", "ProxyError",
})  # fmt: skip
"""Transport errors without a connection: DNS, refused, TLS. Nothing had been sent."""

AFTER_CONNECT = frozenset({"ServerDisconnectedError", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"})
"""Causes that prove a connection although a connect error wraps them: httpx over aiohttp gives all of these one class."""

IN_BAND = frozenset({"InBandError", "EventStreamError", "APIError", "MidStreamFallbackError"})
"""Raised for an error inside a 200: hotspare's class, Bedrock's, OpenAI's, LiteLLM's."""

BROKEN_CONNECTION = frozenset({"APIConnectionError", "TransportError"})
"""A broken connection, whichever class wraps it."""

KINDS: Mapping[str, Kind] = {
    **EXACT,
    **dict.fromkeys(BEFORE_CONNECT, Kind.TRANSPORT),
    "APITimeoutError": Kind.TIMEOUT,
    "Timeout": Kind.TIMEOUT,
    "TimeoutException": Kind.TIMEOUT,
    "TimeoutError": Kind.TIMEOUT,
    "RequestTimeoutError": Kind.TIMEOUT,
    "ReadTimeoutError": Kind.TIMEOUT,
    "APIConnectionError": Kind.TRANSPORT,
    "NetworkError": Kind.TRANSPORT,
    "ReadError": Kind.TRANSPORT,
    "WriteError": Kind.TRANSPORT,
    "ProtocolError": Kind.TRANSPORT,
    "RequestError": Kind.TRANSPORT,
    "TransportError": Kind.TRANSPORT,
    "ClientError": Kind.TRANSPORT,
    "ConnectionError": Kind.TRANSPORT,
    "RequestPanicError": Kind.TRANSPORT,
    "PyreqwestError": Kind.TRANSPORT,
    "OSError": Kind.TRANSPORT,
    "DecodingError": Kind.SERVER,
    "JSONDecodeError": Kind.SERVER,
    # LiteLLM's, for errors with no other evidence than their class.
    "AuthenticationError": Kind.AUTH,
    "PermissionDeniedError": Kind.AUTH,
    "RateLimitError": Kind.RATE_LIMITED,
    "ServiceUnavailableError": Kind.SERVER,
    "InternalServerError": Kind.SERVER,
}
"""Kind by class name, used when no provider answered: the first known name along the MRO decides."""


def is_transport(class_names: tuple[str, ...] | list[str]) -> bool:
    """Whether one of these classes is a transport error."""
    return any(KINDS.get(name) is Kind.TRANSPORT for name in class_names)


def is_before_connect(class_names: tuple[str, ...]) -> bool:
    """Whether there was no connection yet. An SDK's error shows this only through the errors that it wraps."""
    return not BEFORE_CONNECT.isdisjoint(class_names) and AFTER_CONNECT.isdisjoint(class_names)
