"""How an answer goes over the wire, second by second, with the fault that befalls it."""

from collections.abc import Iterator
from typing import Final

from hotspare.drill.dialects.base import Ask, Frame, Reject, Said, Wire, dumps
from hotspare.drill.faults import Fate, Fault
from hotspare.drill.http1 import LAST_CHUNK, Ending, Step, chunk, head, plain

_HTML: Final = (
    b"<!DOCTYPE "
    b"html><html><head><title>%b</title></head><body><center><h1>%b</h1></center><hr><center>cloudflare</center></body></html>"
)
_BLANKS: Final = b" " * 65_536

_BEFORE_ANSWER: Final = frozenset(
    {
        "reset",
        "close",
        "blackhole",
        "status",
        "throttled",
        "quota",
        "empty",
        "empty_choices",
        "keepalives",
        "html",
        "flood",
    }
)


def reject(refused: Reject) -> bytes:
    """A provider's refusal as HTTP."""
    return plain(refused.status, dumps(refused.body), headers={"request-id": "req_drill", **refused.headers})


def play(wire: Wire, ask: Ask, said: Said, fate: Fate, headers: dict[str, str]) -> Iterator[Step]:
    """Every step of the answer to `ask`. `headers` go on each answer that is one (rate limits)."""
    fault = fate.fault
    if fate.hold:
        yield fate.hold
    if fault is not None and fault.kind in _BEFORE_ANSWER:
        yield from _instead(wire, ask, said, fault)
        return
    if fate.first:
        yield fate.first
    if ask.stream:
        yield from _stream(wire, ask, said, fate, headers)
    else:
        yield from _whole(wire, ask, said, fate, headers)


def _instead(wire: Wire, ask: Ask, said: Said, fault: Fault) -> Iterator[Step]:
    """Faults that come in place of any answer."""
    kind = fault.kind
    if kind in ("reset", "close", "blackhole"):
        yield {"reset": Ending.RESET, "close": Ending.CLOSE, "blackhole": Ending.HANG}[kind]
    elif kind == "status":
        yield _status(wire, fault)
    elif kind == "throttled":
        yield reject(wire.throttled(fault.form, 1.0 if fault.after is None else fault.after))
    elif kind == "quota":
        yield reject(wire.quota(fault.form))
    elif kind == "empty":
        yield plain(200, b"", _content_type(ask))
    elif kind == "html":
        yield plain(200, _HTML % (b"Welcome", b"Please log in"), "text/html; charset=utf-8")
    elif kind == "empty_choices":
        yield from _hollow(wire, ask, said)
    elif kind == "keepalives":
        yield _stream_head(ask)
        while True:
            yield chunk(b"\n" if ask.streams_as_array or not ask.stream else wire.keepalive)
            yield 1.0 if fault.gap is None else max(fault.gap, 0.001)
    else:
        yield head(200, {"content-type": _content_type(ask), "content-length": str(fault.size)})
        sent = 0
        while sent < fault.size:
            yield _BLANKS[: fault.size - sent]
            sent += len(_BLANKS)


def _status(wire: Wire, fault: Fault) -> bytes:
    headers = {**({} if fault.after is None else {"retry-after": f"{fault.after:g}"}), **(fault.headers or {})}
    if fault.body is not None:
        return plain(fault.status, fault.body.encode(), headers=headers)
    if fault.status == 502 and fault.message is None:
        words = b"502 Bad Gateway"
        return plain(502, _HTML % (words, words), "text/html", headers)
    return plain(fault.status, dumps(wire.error(fault.status, fault.message)), headers=headers)


def _hollow(wire: Wire, ask: Ask, said: Said) -> Iterator[Step]:
    hollow = dumps(wire.hollow(ask, said))
    if not ask.stream:
        yield plain(200, hollow)
        return
    frames = wire.frames(ask, said)
    if wire.name == "anthropic":
        shell = [f.data for f in frames if b"content_block" not in f.data]
    elif wire.name == "openai":
        shell = [b"data: " + hollow.replace(b"chat.completion", b"chat.completion.chunk") + b"\n\n", frames[-1].data]
    else:
        shell = [b"[" + hollow + b"]" if ask.streams_as_array else b"data: " + hollow + b"\r\n\r\n"]
    yield _stream_head(ask)
    yield from (chunk(data) for data in shell)
    yield LAST_CHUNK


def _content_type(ask: Ask) -> str:
    return "text/event-stream; charset=utf-8" if ask.stream and not ask.streams_as_array else "application/json"


def _stream_head(ask: Ask, fate: Fate | None = None, headers: dict[str, str] | None = None) -> bytes:
    kind = (fate.content_type if fate else None) or _content_type(ask)
    return head(
        200, {"content-type": kind, "transfer-encoding": "chunked", "cache-control": "no-cache", **(headers or {})}
    )


def _stream(wire: Wire, ask: Ask, said: Said, fate: Fate, headers: dict[str, str]) -> Iterator[Step]:
    frames = wire.frames(ask, said, usage=fate.usage)
    fault = fate.fault
    yield _stream_head(ask, fate, headers)
    if fault is None:
        yield from _paced(frames, fate.gap)
        yield LAST_CHUNK
        return
    if fault.kind == "half_json":
        yield chunk(frames[0].data[: len(frames[0].data) // 2])
        yield LAST_CHUNK
        return
    before = _position(frames, 0 if fault.kind == "silence" else fault.at)
    yield from _paced(frames[:before], fate.gap)
    rest = frames[before:]
    if fault.kind in ("stall", "silence"):
        yield Ending.HANG
    elif fault.kind == "cut":
        yield _half_chunk(rest[0].data if rest else b"data: ")
        yield Ending.RESET if fault.how == "reset" else Ending.CLOSE
    elif fault.kind == "eof":
        yield LAST_CHUNK
    elif fault.kind == "error_event":
        event = wire.error_event(fault.status, fault.message)
        lead = b",\r\n" if before else b"["
        yield chunk(lead + dumps(wire.error(fault.status, fault.message)) + b"]" if ask.streams_as_array else event)
        yield LAST_CHUNK
    else:
        yield chunk(wire.malformed)
        if not fault.ends:
            yield from _paced(rest, fate.gap)
        yield LAST_CHUNK


def _position(frames: list[Frame], tokens: int) -> int:
    """The index of the frame that comes after `tokens` tokens; a stream's ending is never reached."""
    places = [i for i, frame in enumerate(frames) if frame.token]
    if tokens < len(places):
        return places[tokens]
    return places[-1] + 1 if places else 0


def _paced(frames: list[Frame], gap: float) -> Iterator[Step]:
    first = True
    for frame in frames:
        if frame.token:
            if gap and not first:
                yield gap
            first = False
        yield chunk(frame.data)


def _half_chunk(data: bytes) -> bytes:
    """The announced length is right, half of the bytes are missing: possibly cut inside a multi-byte character."""
    return b"%x\r\n%b" % (len(data), data[: len(data) // 2])


def _whole(wire: Wire, ask: Ask, said: Said, fate: Fate, headers: dict[str, str]) -> Iterator[Step]:
    fault = fate.fault
    if gap := fate.gap:
        # a whole answer takes as long as its tokens do
        yield gap * max(1, said.output_tokens)
    answer = wire.whole(ask, said)
    if not fate.usage:
        answer = {k: v for k, v in answer.items() if k not in ("usage", "usageMetadata")}
    body = dumps(answer)
    kind = fate.content_type or "application/json"
    if fault is None:
        yield plain(200, body, kind, headers)
        return
    part = body[: len(body) * min(fault.at, said.output_tokens) // max(1, said.output_tokens + 1)]
    if fault.kind == "error_event":
        yield plain(200, dumps(wire.error(fault.status, fault.message)))
    elif fault.kind == "half_json":
        yield plain(200, body[: len(body) // 2])
    elif fault.kind == "malformed":
        yield plain(200, part + b"\x00{" + body[len(part) :])
    elif fault.kind == "eof":
        # without a length the end of the connection is the end of the body: clean, and too early
        yield head(200, {"content-type": kind, "connection": "close"}) + part
        yield Ending.CLOSE
    else:
        yield head(200, {"content-type": kind, "content-length": str(len(body))}) + part
        yield {"cut": Ending.RESET if fault.how == "reset" else Ending.CLOSE}.get(fault.kind, Ending.HANG)
