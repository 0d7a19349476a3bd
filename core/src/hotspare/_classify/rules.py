# Reads any JSON that comes: what is narrowed from Any stays partly unknown to pyright, which is the point here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""An exception of any backend -> an Outcome, by duck typing: class names, `.status`, `.body`, `.headers`, the words.

Source of the rows: the providers' error references; each is a test in `tests/core/test_classify.py`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotspare._classify.retry_after import next_midnight_pacific, next_month, retry_after
from hotspare.outcome import Kind, Outcome, Scope

_KEYLIKE = re.compile(r"(sk-|AIza|Bearer |gsk_|xai-|key-)[A-Za-z0-9_*\-.]{6,}")
_TITLE = re.compile(r"<(?:title|h1)[^>]*>(.*?)</", re.I | re.S)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an error says, wherever it keeps it."""

    names: tuple[str, ...]
    status: int | None
    headers: Mapping[str, str]
    text: str
    code: str
    message: str


def _rule(kind: Kind, pattern: str, scope: Scope | None = None) -> tuple[Kind, re.Pattern[str], Scope | None]:
    return kind, re.compile(pattern, re.I), scope


# First match wins. Words before status: relays and some providers put everything into 400, 429 or 200.
_WORDS = (
    _rule(Kind.QUOTA, r"insufficient_quota|credit_balance_exhausted|credit balance is too low|insufficient balance|billing_hard_limit|billing_error"
          r"|enforced_spend_limit|(?:organi[sz]ation|workspace)\S* .{0,40}(?:spend|usage) limit|PerDay|requests per day|tokens per day|\((?:RPD|TPD)\)|insufficient credits"
          r"|ServiceQuotaExceeded|exceeded your current quota, please check your plan"),
    _rule(Kind.CONTEXT_LENGTH, r"context_length_exceeded|maximum context length|prompt is too long|exceed context limit|input token count .{0,40}exceeds"
          r"|input is too long|context window"),
    _rule(Kind.CONTEXT_LENGTH, r"Request too large for (?:model|.{0,80}tokens per min)", Scope.TARGET),  # for the limit there
    _rule(Kind.CONTENT_FILTER, r"content_policy_violation|content_filter|ResponsibleAIPolicyViolation|\"blockReason\"|\"stop_reason\":\s*\"refusal\""
          r"|\"finishReason\":\s*\"(?:SAFETY|RECITATION|PROHIBITED_CONTENT|BLOCKLIST|SPII|IMAGE_SAFETY)\"|ContentPolicyViolation|moderation"),
    _rule(Kind.AUTH, r"user location is not supported|unsupported_country|region, or territory not supported", Scope.REGION),  # not the key
    _rule(Kind.AUTH, r"invalid_api_key|invalid x-api-key|API_KEY_INVALID|API key not valid|authentication_error|permission_error|Incorrect API key|AccessDenied"
          r"|UnrecognizedClient|PERMISSION_DENIED"),
    _rule(Kind.NOT_FOUND, r"model_not_found|DeploymentNotFound|not_found_error|ResourceNotFound|on-demand throughput isn.t supported|no longer available"
          r"|model .{0,80}(?:not found|does not exist)|is not found for API version"),
    _rule(Kind.SERVER, r"overloaded|slow_down|capacity exceeded|\"3505\"|high demand|temporarily unable|tool_use_failed|Loading model|server_error"
          r"|ModelNotReady|ModelTimeout|InternalServerException|ServiceUnavailable|modelStreamError|insufficient_system_resource"
          r"|Error converting to valid response block"),  # LiteLLM of an answer it cannot read; it calls that a bad request
    _rule(Kind.RATE_LIMITED, r"rate_limit|rate limit|rate_limited|RESOURCE_EXHAUSTED|ThrottlingException|too many requests|RateLimitReached"),
)  # fmt: skip

_STATUSES = {
    401: Kind.AUTH, 402: Kind.QUOTA, 403: Kind.AUTH, 404: Kind.NOT_FOUND, 408: Kind.TIMEOUT, 429: Kind.RATE_LIMITED,
    498: Kind.SERVER,
}  # fmt: skip

# Class names along the MRO. `unconnected`: nothing had been sent yet.
_CLASSES: dict[str, tuple[Kind, bool]] = {
    "AttemptTimeout": (Kind.TIMEOUT, False),
    "MalformedAnswer": (Kind.SERVER, False),
    "EmptyAnswer": (Kind.SERVER, False),
    "IncompleteAnswer": (Kind.SERVER, False),
    "BodyTooLarge": (Kind.SERVER, False),
    "ConnectTimeout": (Kind.TRANSPORT, True),
    "ConnectTimeoutError": (Kind.TRANSPORT, True),
    "ConnectionTimeoutError": (Kind.TRANSPORT, True),
    "ConnectError": (Kind.TRANSPORT, True),
    "ClientConnectorError": (Kind.TRANSPORT, True),
    "EndpointConnectionError": (Kind.TRANSPORT, True),
    "gaierror": (Kind.TRANSPORT, True),
    "ConnectionRefusedError": (Kind.TRANSPORT, True),
    "SSLError": (Kind.TRANSPORT, True),
    "ProxyError": (Kind.TRANSPORT, True),
    "APITimeoutError": (Kind.TIMEOUT, False),
    "Timeout": (Kind.TIMEOUT, False),
    "TimeoutException": (Kind.TIMEOUT, False),
    "TimeoutError": (Kind.TIMEOUT, False),
    "RequestTimeoutError": (Kind.TIMEOUT, False),
    "ReadTimeoutError": (Kind.TIMEOUT, False),
    "APIConnectionError": (Kind.TRANSPORT, False),
    "NetworkError": (Kind.TRANSPORT, False),
    "ReadError": (Kind.TRANSPORT, False),
    "WriteError": (Kind.TRANSPORT, False),
    "ProtocolError": (Kind.TRANSPORT, False),
    "RequestError": (Kind.TRANSPORT, False),
    "TransportError": (Kind.TRANSPORT, False),
    "ClientError": (Kind.TRANSPORT, False),
    "ConnectionError": (Kind.TRANSPORT, False),
    "RequestPanicError": (Kind.TRANSPORT, False),
    "PyreqwestError": (Kind.TRANSPORT, False),
    "DecodingError": (Kind.SERVER, False),
    "JSONDecodeError": (Kind.SERVER, False),
    "OSError": (Kind.TRANSPORT, False),
    # LiteLLM's own classes, for errors that carry no more than their name
    "AuthenticationError": (Kind.AUTH, False),
    "PermissionDeniedError": (Kind.AUTH, False),
    "RateLimitError": (Kind.RATE_LIMITED, False),
    "ServiceUnavailableError": (Kind.SERVER, False),
    "InternalServerError": (Kind.SERVER, False),
}


# What is raised for an error inside a 200: hotspare's own, Bedrock's, OpenAI's, LiteLLM's.
_IN_BAND = frozenset({"InBandError", "EventStreamError", "APIError", "MidStreamFallbackError"})

# What a library raises for a connection that broke, under whatever it is wrapped in.
_BROKEN = frozenset({"APIConnectionError", "TransportError"})

# Below a so-called connect error, these say that a connection stood: httpx over aiohttp maps them all to one class.
_CONNECTED = frozenset({"ServerDisconnectedError", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"})

# Classes that know more than the status they carry (LiteLLM's).
_NAMED = {
    "ContextWindowExceededError": Kind.CONTEXT_LENGTH,
    "ContentPolicyViolationError": Kind.CONTENT_FILTER,
}


def classify(error: BaseException, *, dialect: str | None = None, now: float | None = None) -> Outcome:
    """What an exception means for failover.

    Args:
        error: of hotspare's own tree, of an HTTP library, of a provider's SDK or a framework; its causes are read too.
        dialect: the provider's, where it is known. No provider's words contradict another's, so no rule needs it so far.
        now: wall clock, epoch seconds, for dates in headers; default `time.time()`.

    An error that names no failure of a provider (a bug in a custom backend, say) is INVALID and does not touch health.
    """
    seen = evidence(error)
    at = time.time() if now is None else now
    kind, scope, unconnected = _kind(seen)
    wait = _wait(kind, seen, at)
    should = seen.headers.get("x-should-retry")
    return Outcome(
        kind, seen.message, seen.status, seen.code or None, wait, scope, unconnected,
        None if should not in ("true", "false") else should == "true",
    )  # fmt: skip


def _kind(seen: Evidence) -> tuple[Kind, Scope | None, bool]:
    own = seen.names[0] if seen.names else ""
    if own in ("MalformedAnswer", "EmptyAnswer", "IncompleteAnswer", "AttemptTimeout", "BodyTooLarge"):
        return _CLASSES[own][0], None, False
    if own in _NAMED:
        return _NAMED[own], None, False
    in_band = own in _IN_BAND or (seen.status is not None and 200 <= seen.status < 300)
    provider_spoke = seen.status is not None or in_band
    if provider_spoke:
        if seen.status == 500 and not _BROKEN.isdisjoint(seen.names):  # LiteLLM gives it a status that no server sent
            return Kind.TRANSPORT, None, _unconnected(seen.names)
        if seen.status is not None and seen.status >= 500 and not in_band and "Quota" not in seen.text:
            return Kind.SERVER, None, False
        if not seen.text.lstrip().startswith("<"):
            for kind, words, scope in _WORDS:
                if words.search(seen.text):
                    return _adjusted(kind, seen), scope, False
        for number in (seen.status or 0, int(seen.code) if seen.code.isdecimal() else 0):
            if 400 <= number < 1000:
                return (Kind.SERVER if number >= 500 else _STATUSES.get(number, Kind.INVALID)), None, False
        if in_band or (seen.status or 0) >= 300:
            return Kind.SERVER, None, False
    for name in seen.names:
        if name in _CLASSES:
            kind, _ = _CLASSES[name]
            return kind, None, kind is Kind.TRANSPORT and _unconnected(seen.names)
    for kind, words, scope in _WORDS:
        if words.search(seen.text):
            return kind, scope, False
    return Kind.INVALID, None, False


def _unconnected(names: tuple[str, ...]) -> bool:
    """Whether no connection stood: an SDK wraps the error that knows how far it came."""
    return any(name in _CLASSES and _CLASSES[name][1] for name in names) and _CONNECTED.isdisjoint(names)


def _adjusted(kind: Kind, seen: Evidence) -> Kind:
    """Where words and status disagree: a 404 is about the model, a 401 about the key."""
    if seen.status == 401:
        return Kind.AUTH
    if seen.status == 402:
        return Kind.QUOTA
    if seen.status == 404:
        return Kind.NOT_FOUND
    if kind is Kind.CONTENT_FILTER and seen.status == 429:
        return Kind.RATE_LIMITED
    if (
        kind is Kind.QUOTA
        and "exceeded your current quota" in seen.text
        and "PerMinute" in seen.text
        and "PerDay" not in seen.text
    ):
        return Kind.RATE_LIMITED
    if kind in (Kind.RATE_LIMITED, Kind.NOT_FOUND) and seen.status in (400, 422) and "model" not in seen.text.lower():
        return Kind.INVALID
    return kind


def _wait(kind: Kind, seen: Evidence, now: float) -> float | None:
    if kind is Kind.QUOTA and "PerDay" in seen.text:
        return next_midnight_pacific(now)
    if kind is Kind.QUOTA and "enforced_spend_limit" in seen.text:
        return next_month(now)
    if kind in (Kind.RATE_LIMITED, Kind.SERVER, Kind.QUOTA):
        return retry_after(seen.headers, seen.text, now)
    return None


def evidence(error: BaseException) -> Evidence:
    """Read what an error and its causes carry."""
    names: list[str] = []
    status: int | None = None
    headers: Mapping[str, str] = {}
    text = ""
    connection = False
    for one in _chain(error):
        names += [
            parent.__name__
            for parent in type(one).__mro__
            if parent.__name__ not in ("object", "BaseException", "Exception")
        ]
        if one is error or not connection:
            status = status if status is not None else _status(one)
            headers = headers or _headers(one)
            text = text or _text(one)
        # What lies under a broken connection is the HTTP library's own affair: its parser's codes are no statuses.
        connection = connection or any(_CLASSES.get(name, (None,))[0] is Kind.TRANSPORT for name in names)
    parsed = _json(text)
    message = _message(parsed) or _title(text) or str(error)
    if not text:
        text = str(error)
    code = _code(parsed) or str(getattr(error, "code", "") or "")
    return Evidence(tuple(names), status, headers, text[:65536], code[:100], _KEYLIKE.sub(r"\1***", message)[:500])


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(seen) < 8:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        meta: Any = response.get("ResponseMetadata")
        value = meta.get("HTTPStatusCode") if isinstance(meta, Mapping) else None
        return value if isinstance(value, int) else None
    for place, name in ((error, "status"), (error, "status_code"), (response, "status_code"), (error, "code")):
        value = getattr(place, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
            return value
    return None


def _headers(error: BaseException) -> Mapping[str, str]:
    for place in (error, getattr(error, "response", None)):
        found = getattr(place, "headers", None)
        if found:
            try:
                return {str(name).lower(): str(value) for name, value in dict(found).items()}
            except (TypeError, ValueError):
                continue
    return {}


def _text(error: BaseException) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        return _dump(response.get("Error", {}))
    body = getattr(error, "body", None) or getattr(error, "details", None)
    if isinstance(body, bytes):
        return body.decode("utf-8", "replace")
    if isinstance(body, str):
        return body
    if isinstance(body, Mapping | list):
        return _dump(body)
    try:
        found = getattr(response, "text", "")
    except Exception:
        return ""
    return found if isinstance(found, str) else ""


def _dump(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _error_of(parsed: Any) -> Any:
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if isinstance(parsed, Mapping):
        inner = parsed.get("error", parsed.get("Error"))
        return inner if inner is not None else parsed
    return None


def _message(parsed: Any) -> str:
    error = _error_of(parsed)
    if isinstance(error, str):
        return error
    if not isinstance(error, Mapping):
        return ""
    found = error.get("message") or error.get("Message") or error.get("detail")
    if found is None and "promptFeedback" in error:
        found = f"blocked: {error['promptFeedback']}"
    return found if isinstance(found, str) else ("" if found is None else _dump(found))


def _code(parsed: Any) -> str:
    error = _error_of(parsed)
    if not isinstance(error, Mapping):
        return ""
    found = error.get("code") or error.get("Code") or error.get("status") or error.get("type")
    return str(found) if isinstance(found, str | int) else ""


def _title(text: str) -> str:
    found = _TITLE.search(text) if text.lstrip()[:1] == "<" else None
    return " ".join(found.group(1).split()) if found else ("" if text.lstrip()[:1] == "<" else text[:500])
