"""Calls to a pool whose first target sends raw bytes and whose second one is healthy, and the events of the three wire formats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from hotspare import CallError, ChatReply, Pool, Target
from hotspare._engine.folding import reply_of
from hotspare.messages import ChatChunk, StreamSummary
from hotspare.policy import Timeouts

from tests.support.raw_server import RawRequest, RawServer, Step, event, raw_server, response, sse

Wire = Literal["openai", "anthropic", "gemini"]
WIRES: tuple[Wire, ...] = ("openai", "anthropic", "gemini")
Face = Literal["chat", "achat", "stream", "astream"]
WHOLE: tuple[Face, ...] = ("chat", "achat")
STREAMED: tuple[Face, ...] = ("stream", "astream")
MODELS = {
    "openai": "openrouter/some-model",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
}
PATHS = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}
STOP = {"openai": "stop", "anthropic": "end_turn", "gemini": "STOP"}
SHORT = Timeouts(after_finish=0.2, stall=1.0)
SPARE = "spare answer"


# --- events and bodies ------------------------------------------------------------------------------------------------


def chunk_event(delta: dict[str, Any], reason: str | None = None, **fields: Any) -> str:
    """An event of a chat completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason, **fields}
    return event({"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


def anthropic_event(kind: str, **fields: Any) -> str:
    """An event of an Anthropic message."""
    return event({"type": kind, **fields}, kind)


def block_delta(index: int, **delta: Any) -> str:
    """A piece of an Anthropic block."""
    return anthropic_event("content_block_delta", index=index, delta=delta)


def start(wire: Wire, usage: dict[str, Any] | None = None) -> list[str]:
    """What comes before the text."""
    if wire == "openai":
        return [chunk_event({"role": "assistant", "content": ""})]
    if wire == "gemini":
        return []
    message: dict[str, Any] = {"id": "m1", "type": "message", "role": "assistant", "model": "c", "content": []}
    return [
        anthropic_event("message_start", message={**message, "usage": {"input_tokens": 7} if usage is None else usage}),
        anthropic_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ]


def text(wire: Wire, piece: str) -> str:
    """A piece of text."""
    if wire == "openai":
        return chunk_event({"content": piece})
    if wire == "gemini":
        return event({"candidates": [{"content": {"role": "model", "parts": [{"text": piece}]}}]})
    return block_delta(0, type="text_delta", text=piece)


def finish(wire: Wire, reason: str = "", usage: dict[str, Any] | None = None) -> str:
    """The event with the finish reason (default: a regular end)."""
    reason = reason or STOP[wire]
    if wire == "openai":
        return chunk_event({}, reason)
    if wire == "gemini":
        candidate: dict[str, Any] = {"content": {"parts": []}, "finishReason": reason}
        return event({"candidates": [candidate], "usageMetadata": usage or {}})
    return anthropic_event(
        "message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 3} if usage is None else usage
    )


def end(wire: Wire) -> list[str]:
    """What comes after the finish reason."""
    if wire == "openai":
        return [
            event({"id": "c1", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}),
            event("[DONE]"),
        ]
    return [anthropic_event("message_stop")] if wire == "anthropic" else []


def whole(wire: Wire, answer: str, reason: str = "", **message: Any) -> dict[str, Any]:
    """A whole answer."""
    reason = reason or STOP[wire]
    if wire == "openai":
        choice = {"index": 0, "message": {"role": "assistant", "content": answer, **message}, "finish_reason": reason}
        return {"id": "c1", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    if wire == "gemini":
        parts = [{"text": answer}] if answer else []
        return {
            "candidates": [{"content": {"parts": parts}, "finishReason": reason}],
            "usageMetadata": {"promptTokenCount": 7},
        }
    content = [{"type": "text", "text": answer}] if answer else []
    return {
        "type": "message",
        "content": content,
        "stop_reason": reason,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }


# --- calls ------------------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """What a caller saw of one call."""

    reply: ChatReply
    error: CallError | None = None
    summary: StreamSummary | None = None

    @property
    def text(self) -> str:
        """The text."""
        return self.reply.text

    @property
    def kinds(self) -> list[str]:
        """Target and kind of each attempt."""
        records = self.error.attempts if self.error is not None else (self.summary or self.reply).attempts
        return [f"{one.target} {one.kind}" for one in records]


def call(pool: Pool, face: Face, messages: Any = "hello", **options: Any) -> Result:
    """One call in one way."""
    chunks: list[ChatChunk] = []

    async def read() -> None:
        async for chunk in pool.astream(messages, **options):
            chunks.append(chunk)

    async def once() -> ChatReply:
        try:
            return await pool.achat(messages, **options)
        finally:
            await pool.aclose()

    try:
        if face == "chat":
            return Result(pool.chat(messages, **options))
        if face == "achat":
            return Result(asyncio.run(once()))
        if face == "stream":
            for chunk in pool.stream(messages, **options):  # one by one: what came before an error is kept
                chunks.append(chunk)
        else:
            asyncio.run(_closing(pool, read()))
    except CallError as error:
        return Result(reply_of(chunks), error)
    return Result(reply_of(chunks), summary=chunks[-1].summary)


async def _closing(pool: Pool, reading: Any) -> None:
    try:
        await reading
    finally:
        await pool.aclose()


def well(request: RawRequest) -> bytes | Iterable[Step]:
    """A provider without faults."""
    if request.streaming:
        return sse(*start("openai"), text("openai", SPARE), finish("openai"), *end("openai"))
    return response(200, whole("openai", SPARE))


@dataclass
class TwoTargets:
    """A pool of `first`, which sends what it is scripted to, and `spare`, and what each received."""

    pool: Pool
    first: RawServer
    spare: RawServer


@contextmanager
def two_targets(
    wire: Wire, answer: bytes | Iterable[Step] | Callable[[RawRequest], Any], **policy: Any
) -> Generator[TwoTargets]:
    """A pool whose first target answers with these bytes."""
    fixed = answer if isinstance(answer, bytes) or callable(answer) else list(answer)

    def handler(request: RawRequest) -> Any:
        return fixed(request) if callable(fixed) else fixed

    policy = {"deadline": 20, "timeouts": SHORT, "retry_same_target": "never", **policy}
    with raw_server(handler) as first, raw_server(well) as spare:
        targets = [
            Target(MODELS[wire], name="first", base_url=first.url + PATHS[wire], api_key="one"),
            Target("openai-compatible/m", name="spare", base_url=spare.url + "/v1", api_key="two"),
        ]
        with Pool(targets, **policy) as pool:
            pool.chat("warm", model="spare")
            spare.requests.clear()
            yield TwoTargets(pool, first, spare)
