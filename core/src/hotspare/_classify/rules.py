"""Evidence -> Outcome: which kind of failure it is, whose fault, and how long to wait.

`classify` tries the steps in `_STEPS` in order; the first that decides wins. Within a step, the first matching rule wins.
Source of the rules: the providers' error references; `tests/support/refusals.py` has one row for each error they list.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from hotspare._classify import exceptions
from hotspare._classify.evidence import Evidence, read_evidence
from hotspare._classify.retry_after import retry_after, seconds_to_midnight_pacific, seconds_to_next_month
from hotspare.outcome import Kind, Outcome, Scope


class Verdict(NamedTuple):
    """What a step decides. `scope` None: the usual scope of the kind."""

    kind: Kind
    scope: Scope | None = None
    before_connect: bool = False


class TextRule(NamedTuple):
    """An error whose text matches `pattern` is of this kind."""

    kind: Kind
    pattern: re.Pattern[str]
    scope: Scope | None = None


def _rule(kind: Kind, pattern: str, scope: Scope | None = None) -> TextRule:
    return TextRule(kind, re.compile(pattern, re.I), scope)


TEXT_RULES = (
    _rule(Kind.QUOTA, r"insufficient_quota|credit_balance_exhausted|credit balance is too low|insufficient balance|billing_hard_limit|billing_error"
          r"|enforced_spend_limit|(?:organi[sz]ation|workspace)\S* .{0,40}(?:spend|usage) limit|PerDay|requests per day|tokens per day|\((?:RPD|TPD)\)|insufficient credits"
          r"|ServiceQuotaExceeded|exceeded your current quota, please check your plan"),
    _rule(Kind.CONTEXT_LENGTH, r"context_length_exceeded|maximum context length|prompt is too long|exceed context limit|input token count .{0,40}exceeds"
          r"|input is too long|context window"),
    # OpenAI, Groq: larger than this target's own tokens per minute, so another target may take it.
    _rule(Kind.CONTEXT_LENGTH, r"Request too large for (?:model|.{0,80}tokens per min)", Scope.TARGET),
    _rule(Kind.CONTENT_FILTER, r"content_policy_violation|content_filter|ResponsibleAIPolicyViolation|\"blockReason\"|\"stop_reason\":\s*\"refusal\""
          r"|\"finishReason\":\s*\"(?:SAFETY|RECITATION|PROHIBITED_CONTENT|BLOCKLIST|SPII|IMAGE_SAFETY)\"|ContentPolicyViolation|moderation"),
    # Where the request comes from is at fault, not the key.
    _rule(Kind.AUTH, r"user location is not supported|unsupported_country|region, or territory not supported", Scope.REGION),
    _rule(Kind.AUTH, r"invalid_api_key|invalid x-api-key|API_KEY_INVALID|API key not valid|authentication_error|permission_error|Incorrect API key|AccessDenied"
          r"|UnrecognizedClient|PERMISSION_DENIED"),
    _rule(Kind.NOT_FOUND, r"model_not_found|DeploymentNotFound|not_found_error|ResourceNotFound|on-demand throughput isn.t supported|no longer available"
          r"|model .{0,80}(?:not found|does not exist)|is not found for API version"),
    # The last alternative is LiteLLM's, for an answer that it cannot read; its own class for that is a bad request.
    _rule(Kind.SERVER, r"overloaded|slow_down|capacity exceeded|\"3505\"|high demand|temporarily unable|tool_use_failed|Loading model|server_error"
          r"|ModelNotReady|ModelTimeout|InternalServerException|ServiceUnavailable|modelStreamError|insufficient_system_resource"
          r"|Error converting to valid response block"),
    _rule(Kind.RATE_LIMITED, r"rate_limit|rate limit|rate_limited|RESOURCE_EXHAUSTED|ThrottlingException|too many requests|RateLimitReached"),
)  # fmt: skip
"""First match wins. Text comes before status: relays and some providers put everything into 400, 429 or 200."""

STATUS_KINDS = {
    401: Kind.AUTH,
    402: Kind.QUOTA,
    403: Kind.AUTH,
    404: Kind.NOT_FOUND,
    408: Kind.TIMEOUT,
    429: Kind.RATE_LIMITED,
    498: Kind.SERVER,  # Groq: "Flex tier capacity exceeded"
}
"""Kind by status where the text says nothing. Other 4xx are INVALID, 5xx and above SERVER."""

_STATUS_WINS = {401: Kind.AUTH, 402: Kind.QUOTA, 404: Kind.NOT_FOUND}
"""Statuses that are more reliable than the text: a 401 is about the key, a 404 about the model."""


def classify(error: BaseException, *, now: float | None = None) -> Outcome:
    """What an exception means for failover.

    Args:
        error: of hotspare's own tree, of an HTTP library, of a provider's SDK or a framework; its causes are read too.
        now: wall clock, epoch seconds, for dates in headers; default `time.time()`.

    An error that is no provider's failure (a bug in a custom backend, say) is INVALID and does not count against health.
    """
    evidence = read_evidence(error)
    verdict = next(found for step in _STEPS if (found := step(evidence)) is not None)
    return Outcome(
        verdict.kind,
        message=evidence.message,
        status=evidence.status,
        code=evidence.code or None,
        retry_after=_retry_after(verdict.kind, evidence, time.time() if now is None else now),
        scope=verdict.scope,
        before_connect=verdict.before_connect,
        should_retry={"true": True, "false": False}.get(evidence.headers.get("x-should-retry", "")),
    )


def _by_own_class(evidence: Evidence) -> Verdict | None:
    kind = exceptions.EXACT.get(evidence.own_class)
    return None if kind is None else Verdict(kind)


def _broken_connection(evidence: Evidence) -> Verdict | None:
    """LiteLLM gives a broken connection the status 500, which no server sent."""
    if evidence.status != 500 or exceptions.BROKEN_CONNECTION.isdisjoint(evidence.class_names):
        return None
    return Verdict(Kind.TRANSPORT, None, exceptions.is_before_connect(evidence.class_names))


def _server_status(evidence: Evidence) -> Verdict | None:
    """5xx, whatever the text says; but Bedrock reports a used-up quota with one."""
    if evidence.is_in_band or (evidence.status or 0) < 500 or "Quota" in evidence.text:
        return None
    return Verdict(Kind.SERVER)


def _text_of_response(evidence: Evidence) -> Verdict | None:
    if not _has_response(evidence) or evidence.is_html:
        return None
    verdict = _by_text(evidence)
    return verdict and verdict._replace(kind=_reconcile(verdict.kind, evidence))


def _by_status(evidence: Evidence) -> Verdict | None:
    """The status, else a number in the error's `code` (an error inside a 200)."""
    if not _has_response(evidence):
        return None
    for number in (evidence.status or 0, int(evidence.code) if evidence.code.isdecimal() else 0):
        if 400 <= number < 1000:
            return Verdict(Kind.SERVER if number >= 500 else STATUS_KINDS.get(number, Kind.INVALID))
    return None


def _unexplained_response(evidence: Evidence) -> Verdict | None:
    """An error inside a 200, or a redirect, that says nothing."""
    return Verdict(Kind.SERVER) if evidence.is_in_band or (evidence.status or 0) >= 300 else None


def _by_class(evidence: Evidence) -> Verdict | None:
    kind = next((exceptions.KINDS[name] for name in evidence.class_names if name in exceptions.KINDS), None)
    if kind is None:
        return None
    return Verdict(kind, None, kind is Kind.TRANSPORT and exceptions.is_before_connect(evidence.class_names))


def _by_text(evidence: Evidence) -> Verdict | None:
    rule = next((rule for rule in TEXT_RULES if rule.pattern.search(evidence.text)), None)
    return None if rule is None else Verdict(rule.kind, rule.scope)


def _unknown(evidence: Evidence) -> Verdict | None:
    return Verdict(Kind.INVALID)


_STEPS: tuple[Callable[[Evidence], Verdict | None], ...] = (
    _by_own_class,
    _broken_connection,
    _server_status,
    _text_of_response,
    _by_status,
    _unexplained_response,
    _by_class,
    _by_text,
    _unknown,
)


def _has_response(evidence: Evidence) -> bool:
    return evidence.status is not None or evidence.is_in_band


def _reconcile(kind: Kind, evidence: Evidence) -> Kind:
    """Which kind it is where text and status disagree."""
    status, text = evidence.status, evidence.text
    if status in _STATUS_WINS:
        return _STATUS_WINS[status]
    if kind is Kind.CONTENT_FILTER and status == 429:
        return Kind.RATE_LIMITED
    # Gemini says "exceeded your current quota" of limits per minute too, and names the limit in the details.
    per_minute = "exceeded your current quota" in text and "PerMinute" in text and "PerDay" not in text
    if kind is Kind.QUOTA and per_minute:
        return Kind.RATE_LIMITED
    if kind in (Kind.RATE_LIMITED, Kind.NOT_FOUND) and status in (400, 422) and "model" not in text.lower():
        return Kind.INVALID
    return kind


def _retry_after(kind: Kind, evidence: Evidence, now: float) -> float | None:
    """Seconds to wait: to the reset of a quota whose period is known, else as the provider asks."""
    if kind is Kind.QUOTA and "PerDay" in evidence.text:
        return seconds_to_midnight_pacific(now)
    if kind is Kind.QUOTA and "enforced_spend_limit" in evidence.text:
        return seconds_to_next_month(now)
    if kind in (Kind.RATE_LIMITED, Kind.SERVER, Kind.QUOTA):
        return retry_after(evidence.headers, evidence.text, now)
    return None
