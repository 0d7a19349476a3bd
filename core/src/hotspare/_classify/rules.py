"""Evidence -> Outcome: the kind of failure, what is at fault (scope), and how long to wait.

`classify` tries the steps in `_STEPS` in order; the first that decides wins.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from hotspare._classify import exceptions, vocabulary
from hotspare._classify.evidence import Evidence, read_evidence
from hotspare._classify.model_errors import own_code_outcome, with_class_name
from hotspare._classify.rate_limits import limits_in_words, limits_of_quotas, rate_limits
from hotspare._classify.retry_after import retry_after, seconds_to_midnight_pacific, seconds_to_next_month
from hotspare.errors import RequestError
from hotspare.outcome import Kind, Outcome, RateLimit, Scope


class Verdict(NamedTuple):
    """The decision of a step. `scope` None: the usual scope of the kind."""

    kind: Kind
    scope: Scope | None = None
    before_connect: bool = False


UNSUPPORTED = Verdict(Kind.INVALID, Scope.TARGET)
"""This target does not support the request as it is, but another one may. No evidence about the target's health."""

STATUS_VERDICTS = {
    400: Verdict(Kind.INVALID),
    401: Verdict(Kind.AUTH),
    402: Verdict(Kind.QUOTA),
    403: Verdict(Kind.SERVER, Scope.TARGET),  # AUTH only if the words are about the key or the account
    404: Verdict(Kind.NOT_FOUND),
    408: Verdict(Kind.TIMEOUT),
    413: Verdict(Kind.INVALID),
    414: UNSUPPORTED,
    415: UNSUPPORTED,
    422: Verdict(Kind.INVALID),
    429: Verdict(Kind.RATE_LIMITED),
    431: UNSUPPORTED,
}
"""By status, if the words decide nothing. Every other status is a failure of the provider or of a gateway: SERVER."""

_DAILY = re.compile(r"PerDay|per day|\((?:RPD|TPD)\)", re.I)
_LIMIT_REACHED = re.compile(r"exceed|reached|too many|throttl|hit|again|retry|_", re.I)
_PER_MINUTE = re.compile(r"PerMinute|per minute|per_minute", re.I)


def classify(error: BaseException, *, now: float | None = None, methods: Collection[str] = ()) -> Outcome:
    """What an exception means for failover.

    Args:
        error: of hotspare's own tree, of an HTTP library, of a provider's SDK or a framework; its causes are read too.
        now: wall clock, epoch seconds, for dates in headers; default `time.time()`.
        methods: for a backend that wraps a framework's model: names of the functions that call the provider. An exception of
            the model's own code is then INVALID of scope TARGET before the provider sent anything (another target may take
            the request), SERVER after that.

    An error that no provider and no connection caused (a bug in a backend or an SDK, an error of the interpreter, no memory, no
    thread) is INVALID of scope TARGET: it says nothing about the request or the target's health, so the next target is tried.
    """
    outcome = _outcome_of(error, time.time() if now is None else now)
    return (own_code_outcome(error, outcome, methods) if methods else None) or outcome


def _outcome_of(error: BaseException, now: float) -> Outcome:
    evidence = read_evidence(error)
    if isinstance(error, RequestError):  # hotspare's own, which has the name of one of httpx's
        return Outcome(Kind.INVALID, evidence.message)
    verdict = next((found for step in _STEPS if (found := step(evidence)) is not None), None)
    if verdict is None:  # without its class, the message of many (KeyError, AssertionError) explains nothing
        return Outcome(UNSUPPORTED.kind, with_class_name(error, evidence.message), scope=UNSUPPORTED.scope)
    return Outcome(
        verdict.kind,
        message=evidence.message,
        status=evidence.status,
        code=evidence.code or None,
        retry_after=_retry_after(verdict.kind, evidence, now),
        scope=verdict.scope,
        before_connect=verdict.before_connect,
        should_retry={"true": True, "false": False}.get(evidence.headers.get("x-should-retry", "")),
        param=evidence.param or None,
        limits=_limits(verdict.kind, evidence, now),
    )


def _by_own_class(evidence: Evidence) -> Verdict | None:
    kind = exceptions.EXACT.get(evidence.own_class)
    if kind is None:
        return None
    return Verdict(kind, Scope.TARGET if evidence.own_class in exceptions.OF_TARGET else None)


def _broken_connection(evidence: Evidence) -> Verdict | None:
    """LiteLLM gives a broken connection the status 500, which no server sent, or a status that it reads from the port's digits."""
    if evidence.message.startswith("litellm.") and "Cannot connect to host" in evidence.message:
        return Verdict(Kind.TRANSPORT, before_connect=True)
    if evidence.status != 500 or exceptions.BROKEN_CONNECTION.isdisjoint(evidence.class_names):
        return None
    return Verdict(Kind.TRANSPORT, None, exceptions.is_before_connect(evidence.class_names))


def _certain_status(evidence: Evidence) -> Verdict | None:
    """A 401 is about the key and a 402 about the account, whatever the words are."""
    status = evidence.effective_status
    return STATUS_VERDICTS[status] if status in (401, 402) else None


def _web_page(evidence: Evidence) -> Verdict | None:
    """A web page comes from a gateway or a firewall, not from the provider. A 404 may be a route that does not exist yet."""
    if not (evidence.is_html and _has_response(evidence)):
        return None
    status = evidence.effective_status
    if status == 413:
        return UNSUPPORTED
    if status in (404, 429):
        return STATUS_VERDICTS[status]
    return Verdict(Kind.SERVER, Scope.TARGET if status == 403 else None)


def _context_length(evidence: Evidence) -> Verdict | None:
    """A prompt that is too long, whatever the status: some engines report it with 500, or inside a 200."""
    if not _has_response(evidence):
        return None
    for rule in (vocabulary.LARGER_THAN_LIMIT, vocabulary.LONG_CONTEXT_LIMIT):
        if rule.pattern.search(evidence.words):
            return Verdict(rule.kind, rule.scope)
    status = evidence.effective_status
    if status in (404, 429):  # a limit of tokens per minute, or of a model that is not there
        return None
    counted = status in (None, 400, 413, 422, 500) and vocabulary.TOKENS_COUNTED.match(evidence.words)
    long_text = "string_above_max_length" in evidence.words and "content" in evidence.param  # OpenAI
    if long_text or evidence.is_context_overflow or counted or vocabulary.CONTEXT_LENGTH.pattern.search(evidence.words):
        return Verdict(Kind.CONTEXT_LENGTH)
    return None


def _server_status(evidence: Evidence) -> Verdict | None:
    """A 5xx is SERVER, whatever the words are; but relays and Bedrock also send 5xx with the code of a used-up quota or a content filter."""
    if (evidence.effective_status or 0) < 500:
        return None
    verdict = _by_words(evidence.words.rpartition(" | ")[0])
    return verdict if verdict and verdict.kind in (Kind.QUOTA, Kind.CONTENT_FILTER) else Verdict(Kind.SERVER)


def _words_of_response(evidence: Evidence) -> Verdict | None:
    if not _has_response(evidence):
        return None
    verdict = _by_words(evidence.words)
    return verdict and _reconcile(verdict, evidence)


def _by_status(evidence: Evidence) -> Verdict | None:
    status = evidence.effective_status
    return None if status is None else STATUS_VERDICTS.get(status, Verdict(Kind.SERVER))


def _unexplained_in_band(evidence: Evidence) -> Verdict | None:
    """An error inside a 200 without further evidence."""
    return Verdict(Kind.SERVER) if evidence.is_in_band else None


def _by_class(evidence: Evidence) -> Verdict | None:
    kind = next((exceptions.KINDS[name] for name in evidence.class_names if name in exceptions.KINDS), None)
    if kind is None:
        return None
    return Verdict(kind, None, kind is Kind.TRANSPORT and exceptions.is_before_connect(evidence.class_names))


def _words_alone(evidence: Evidence) -> Verdict | None:
    if vocabulary.CONTEXT_LENGTH.pattern.search(evidence.words):
        return Verdict(Kind.CONTEXT_LENGTH)
    return _by_words(evidence.words)


_STEPS: tuple[Callable[[Evidence], Verdict | None], ...] = (
    _by_own_class,
    _broken_connection,
    _certain_status,
    _web_page,
    _context_length,
    _server_status,
    _words_of_response,
    _by_status,
    _unexplained_in_band,
    _by_class,
    _words_alone,
)


def _by_words(words: str) -> Verdict | None:
    rule = next((rule for rule in vocabulary.RULES if rule.pattern.search(words)), None)
    return None if rule is None else Verdict(rule.kind, rule.scope)


def _has_response(evidence: Evidence) -> bool:
    return evidence.status is not None or evidence.is_in_band


def _reconcile(verdict: Verdict, evidence: Evidence) -> Verdict:
    """The decision if words and status disagree."""
    status, words, kind = evidence.effective_status, evidence.words, verdict.kind
    if status == 404:  # the model, unless the provider says that only this request finds no endpoint
        return verdict if verdict.scope in (Scope.REQUEST, Scope.TARGET) else STATUS_VERDICTS[404]
    if status == 429 and kind in (Kind.NOT_FOUND, Kind.CONTENT_FILTER, Kind.INVALID):
        return STATUS_VERDICTS[429]
    if kind is Kind.RATE_LIMITED and status in (400, 422) and not _LIMIT_REACHED.search(words):
        return STATUS_VERDICTS[status]
    if kind is Kind.NOT_FOUND and status in (400, 422) and not re.search("model|deployment", words, re.I):
        return UNSUPPORTED  # a field or a feature that does not exist
    # Gemini says "exceeded your current quota" of limits per minute too, and names the limit in the details.
    if kind is Kind.QUOTA and _PER_MINUTE.search(words) and not _DAILY.search(words):
        return Verdict(Kind.RATE_LIMITED)
    return verdict


def _limits(kind: Kind, evidence: Evidence, now: float) -> tuple[RateLimit, ...]:
    """The limits that a 429 states in its headers, its body (Gemini) or its message."""
    if kind is not Kind.RATE_LIMITED:
        return ()
    return rate_limits(evidence.headers, now) or limits_of_quotas(evidence.quotas) or limits_in_words(evidence.message)


def _retry_after(kind: Kind, evidence: Evidence, now: float) -> float | None:
    """Seconds to wait: to the reset of a quota whose period is known, else the time that the provider states."""
    if kind is Kind.QUOTA and "PerDay" in evidence.words:
        return seconds_to_midnight_pacific(now)
    if kind is Kind.QUOTA and "enforced_spend_limit" in evidence.words:
        return seconds_to_next_month(now)
    if kind in (Kind.RATE_LIMITED, Kind.SERVER, Kind.QUOTA):
        return retry_after(evidence.headers, evidence.message, now, delay=evidence.retry_delay)
    return None
