"""Renders a response as the steps of a connection, with its timing and its fault."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from hotspare.drill.dialects.base import Dialect, Rejection, StreamEvent, dumps
from hotspare.drill.faults import Fault, FaultPlan
from hotspare.drill.http1 import LAST_CHUNK, AbnormalEnd, Step, chunk, response, response_head
from hotspare.drill.messages import Answer, Request

_HTML: Final = (
    b"<!DOCTYPE html><html><head><title>%b</title></head>"
    b"<body><center><h1>%b</h1></center><hr><center>cloudflare</center></body></html>"
)
_BLANKS: Final = b" " * 65_536
_REPLACES_ANSWER: Final = frozenset({
    "reset", "close", "blackhole", "status", "rate_limited", "quota", "empty", "empty_choices", "keepalives", "html",
    "oversized",
})  # fmt: skip

_ALTERED: Final = frozenset({"half_character", "null_reason", "malformed_call", "reasoning_only"})
"""Faults that change the answer; the response itself is regular."""


def reject(rejection: Rejection) -> bytes:
    """A provider's rejection as an HTTP response."""
    headers = {"request-id": "req_drill", **rejection.headers}
    return response(rejection.status, dumps(rejection.body), headers=headers)


def render(
    dialect: Dialect, request: Request, answer: Answer, plan: FaultPlan, headers: Mapping[str, str]
) -> Iterator[Step]:
    """The steps of the response to `request`. `headers` are added to answers (rate limits)."""
    if plan.delay:
        yield plan.delay
    if plan.fault is not None and plan.fault.kind in _REPLACES_ANSWER:
        yield from _replacement(dialect, request, answer, plan.fault)
        return
    if plan.latency:
        yield plan.latency
    answer = _altered(answer, plan.fault)
    yield from (_stream if request.stream else _whole)(dialect, request, answer, plan, dict(headers))


def _altered(answer: Answer, fault: Fault | None) -> Answer:
    """The answer with the change that the fault makes."""
    kind, at = ("", 0) if fault is None else (fault.kind, fault.at)
    if kind == "half_character":
        return replace(answer, text=[*answer.text[:at], "\ud83d", *answer.text[at:]])
    if kind in ("null_reason", "malformed_call"):
        reason = "null" if kind == "null_reason" else "malformed"
        return replace(answer, text=answer.text[:at], finish_reason=reason)
    if kind == "reasoning_only":
        return replace(answer, reasoning=answer.reasoning or ["Hm", "…"], text=[], tool_calls=[])
    return answer


def _replacement(dialect: Dialect, request: Request, answer: Answer, fault: Fault) -> Iterator[Step]:
    """The response of a fault that replaces the answer."""
    kind = fault.kind
    if kind in ("reset", "close", "blackhole"):
        yield {"reset": AbnormalEnd.RESET, "close": AbnormalEnd.CLOSE, "blackhole": AbnormalEnd.HANG}[kind]
    elif kind == "status":
        yield _status(dialect, fault)
    elif kind == "rate_limited":
        seconds = 1.0 if fault.retry_after is None else fault.retry_after
        yield reject(dialect.rate_limited(fault.retry_after_form, seconds))
    elif kind == "quota":
        yield reject(dialect.quota(fault.limit))
    elif kind == "empty":
        yield response(200, b"", _content_type(request))
    elif kind == "html":
        yield response(200, _HTML % (b"Welcome", b"Please log in"), "text/html; charset=utf-8")
    elif kind == "empty_choices":
        yield from _empty_choices(dialect, request, answer)
    elif kind == "keepalives":
        yield _stream_head(request)
        while True:
            yield chunk(b"\n" if request.stream_as_array or not request.stream else dialect.keepalive)
            yield 1.0 if fault.gap is None else max(fault.gap, 0.001)
    else:
        yield response_head(200, {"content-type": _content_type(request), "content-length": str(fault.size)})
        for sent in range(0, fault.size, len(_BLANKS)):
            yield _BLANKS[: fault.size - sent]


def _status(dialect: Dialect, fault: Fault) -> bytes:
    headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    headers |= fault.headers or {}
    if fault.body is not None:
        return response(fault.status, fault.body.encode(), headers=headers)
    if fault.status == 502 and fault.message is None:
        title = b"502 Bad Gateway"
        return response(502, _HTML % (title, title), "text/html", headers)
    return response(fault.status, dumps(dialect.error(fault.status, fault.message)), headers=headers)


def _empty_choices(dialect: Dialect, request: Request, answer: Answer) -> Iterator[Step]:
    if not request.stream:
        yield response(200, dumps(dialect.empty_choices(request, answer)))
        return
    yield _stream_head(request)
    yield from (chunk(event) for event in dialect.empty_choices_events(request, answer))
    yield LAST_CHUNK


def _content_type(request: Request) -> str:
    return "text/event-stream; charset=utf-8" if request.stream and not request.stream_as_array else "application/json"


def _stream_head(request: Request, content_type: str | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    common = {"transfer-encoding": "chunked", "cache-control": "no-cache", **(headers or {})}
    return response_head(200, {"content-type": content_type or _content_type(request), **common})


def _stream(
    dialect: Dialect, request: Request, answer: Answer, plan: FaultPlan, headers: dict[str, str]
) -> Iterator[Step]:
    events = dialect.events(request, answer, usage=plan.usage)
    fault = plan.fault
    yield _stream_head(request, plan.content_type, headers)
    if fault is None or fault.kind in _ALTERED:
        yield from _paced(events, plan.token_gap)
        yield LAST_CHUNK
        return
    if fault.kind == "half_json":
        yield chunk(events[0].data[: len(events[0].data) // 2])
        yield LAST_CHUNK
        return
    if fault.kind in ("unended", "late_error"):
        position = next(i for i, event in enumerate(events, 1) if event.finish)
    else:
        position = _position(events, 0 if fault.kind == "silence" else fault.at)
    rest = events[position:]
    yield from _paced(events[:position], plan.token_gap)
    yield from _broken(dialect, request, fault, rest, plan.token_gap, first=position == 0)


def _broken(
    dialect: Dialect, request: Request, fault: Fault, rest: list[StreamEvent], gap: float, *, first: bool
) -> Iterator[Step]:
    """The steps that replace the rest of a stream."""
    if fault.kind in ("stall", "silence"):
        yield AbnormalEnd.HANG
    elif fault.kind == "cut":
        yield _half_chunk(rest[0].data if rest else b"data: ")
        yield AbnormalEnd.RESET if fault.how == "reset" else AbnormalEnd.CLOSE
    elif fault.kind == "unended":
        yield 0.05  # lets the bytes sent so far arrive before a reset
        yield {"reset": AbnormalEnd.RESET, "close": AbnormalEnd.CLOSE, "hang": AbnormalEnd.HANG}[fault.how]
    elif fault.kind in ("error_event", "late_error"):
        yield chunk(dialect.error_event(request, fault.status, fault.message, first=first))
        yield LAST_CHUNK
    elif fault.kind == "lost_event" and rest:
        lost = rest[0].data
        yield chunk(lost[: len(lost) * 2 // 3] + b"\n\n")
        yield from _paced(rest[1:], gap)
        yield LAST_CHUNK
    else:
        if fault.kind == "malformed":
            yield chunk(dialect.malformed)
            if not fault.ends:
                yield from _paced(rest, gap)
        yield LAST_CHUNK


def _position(events: list[StreamEvent], tokens: int) -> int:
    """Index of the event after `tokens` tokens, at most that of the first event after all tokens."""
    places = [i for i, event in enumerate(events) if event.token]
    if tokens < len(places):
        return places[tokens]
    return places[-1] + 1 if places else 0


def _paced(events: list[StreamEvent], gap: float) -> Iterator[Step]:
    first = True
    for event in events:
        if event.token:
            if gap and not first:
                yield gap
            first = False
        yield chunk(event.data)


def _half_chunk(data: bytes) -> bytes:
    """A chunk with its right length and half of its bytes; the cut can fall inside a multi-byte character."""
    return b"%x\r\n%b" % (len(data), data[: len(data) // 2])


def _whole(
    dialect: Dialect, request: Request, answer: Answer, plan: FaultPlan, headers: dict[str, str]
) -> Iterator[Step]:
    fault, tokens = plan.fault, max(1, answer.output_tokens)
    if plan.token_gap:
        yield plan.token_gap * tokens  # a whole answer takes as long as its tokens
    content = dialect.body(request, answer)
    if not plan.usage:
        content = {name: value for name, value in content.items() if name not in ("usage", "usageMetadata")}
    body, content_type = dumps(content), plan.content_type or "application/json"
    if fault is None or fault.kind in _ALTERED or fault.kind in ("unended", "late_error"):
        yield response(200, body, content_type, headers)
        return
    part = body[: len(body) * min(fault.at, answer.output_tokens) // (tokens + 1)]
    if fault.kind == "error_event":
        yield response(200, dumps(dialect.error(fault.status, fault.message)))
    elif fault.kind == "half_json":
        yield response(200, body[: len(body) // 2])
    elif fault.kind in ("malformed", "lost_event"):
        yield response(200, part + b"\x00{" + body[len(part) :])
    elif fault.kind == "eof":
        # without a content length the body ends with the connection
        yield response_head(200, {"content-type": content_type, "connection": "close"}) + part
        yield AbnormalEnd.CLOSE
    else:
        yield response_head(200, {"content-type": content_type, "content-length": str(len(body))}) + part
        yield {"cut": AbnormalEnd.RESET if fault.how == "reset" else AbnormalEnd.CLOSE}.get(
            fault.kind, AbnormalEnd.HANG
        )
