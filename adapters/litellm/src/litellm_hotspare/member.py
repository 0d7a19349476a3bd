"""A LiteLLM model as a pool's target: ``Target("litellm/bedrock/anthropic.claude-…")``, any string that LiteLLM knows.

LiteLLM's own retries are switched off: the pool decides who is asked again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any

from hotspare import ChatChunk, ChatReply, ChatRequest, Outcome, Target, classify, portable_history
from hotspare.errors import EmptyAnswer, IncompleteAnswer
from hotspare.messages import Dialect

from litellm_hotspare.heard import chunk_of, finish_of, reply_of, usage_of
from litellm_hotspare.host import litellm

_PLAIN = (
    "temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "tools", "tool_choice",
    "parallel_tool_calls", "response_format", "stop", "reasoning_effort", "user",
)  # fmt: skip
_MINIMUM = frozenset({"max_tokens", "user"})
"""What every target is sent, or may go without: an end user's name is no reason to ask somebody else."""


class LiteLLMBackend:
    """Makes a target's calls through `litellm.completion` and `acompletion` (asyncio only).

    The target's `base_url` and `api_key` are LiteLLM's `api_base` and `api_key`; its `extra` are further arguments of
    the call, e.g. ``{"aws_region_name": "us-east-1"}``; its `headers` are `extra_headers`.
    """

    prefill = False
    streaming = True

    def __init__(self, target: Target) -> None:
        litellm.suppress_debug_info = True  # it prints an appeal to stdout for each failure, which a pool expects
        self._target = target
        self._dialect = _dialect(target.model)
        supported = litellm.get_supported_openai_params(model=target.model)
        self._supported = None if supported is None else frozenset(supported) | _MINIMUM

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """The request's fields that LiteLLM does not translate for this model."""
        if self._supported is None:
            return ()
        return tuple(name for name in _asked(request) if name not in self._supported)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer."""
        return _checked(reply_of(litellm.completion(**self._call(request), timeout=timeout)))

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for async callers."""
        return _checked(reply_of(await litellm.acompletion(**self._call(request), timeout=timeout)))

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer piece by piece. LiteLLM bounds each read by one number: `timeout`, also between pieces."""
        stream = litellm.completion(**self._call(request), **_STREAMED, timeout=timeout)
        heard = _Heard(stream)
        for chunk in stream:
            yield heard.hear(chunk)
        yield heard.end()

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer piece by piece, for async callers, who keep the time themselves."""
        stream = await litellm.acompletion(**self._call(request), **_STREAMED, timeout=max(timeout, stall))
        heard = _Heard(stream)
        try:
            async for chunk in stream:
                yield heard.hear(chunk)
            yield heard.end()
        finally:
            await stream.aclose()

    def classify(self, error: Exception) -> Outcome:
        """What LiteLLM's exceptions mean."""
        return classify(error)

    def __repr__(self) -> str:
        return f"LiteLLMBackend({self._target.model!r})"

    def _call(self, request: ChatRequest) -> dict[str, Any]:
        target = self._target
        fields = _asked(request)
        kept = fields if self._supported is None else {k: v for k, v in fields.items() if k in self._supported}
        key = target.api_key
        return {
            "model": target.model,
            "messages": portable_history(request.messages, self._dialect),
            "api_base": target.base_url,
            "api_key": key if key is None or isinstance(key, str) else key.get_secret_value(),
            "extra_headers": dict(target.headers) or None,
            "max_retries": 0,
            "num_retries": 0,
            **kept,
            **request.extra.get(self._dialect, {}),
            **target.extra,
        }


_STREAMED: Mapping[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


class _Heard:
    """What came of one stream: usage and the proof of completion are known only at its end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._usage: Any = None
        self._any = False
        self._model = ""

    def hear(self, chunk: Any) -> ChatChunk:
        """What is new in a chunk; an empty one is no progress."""
        self._usage = getattr(chunk, "usage", None) or self._usage
        self._model = chunk.model or self._model
        found = chunk_of(chunk)
        self._any = self._any or found.is_content
        return found

    def end(self) -> ChatChunk:
        """The last chunk. LiteLLM makes up a finish reason where the provider sent none; its wrapper knows better."""
        reason = self._stream.received_finish_reason or self._stream.intermittent_finish_reason
        if not reason:
            raise IncompleteAnswer("the stream ended without a finish reason")
        if not self._any and reason not in ("length", "content_filter"):
            raise EmptyAnswer(f"the answer is empty (finish_reason: {reason})")
        return ChatChunk(finish_reason=finish_of(reason), usage=usage_of(self._usage), model=self._model)


def _asked(request: ChatRequest) -> dict[str, Any]:
    """The fields that the request sets, under LiteLLM's names."""
    found: dict[str, Any] = {}
    for name in _PLAIN:
        value = getattr(request, name)
        if value is not None and value != ():
            found[name] = list(request.stop) if name == "stop" else value
    return found


def _checked(reply: ChatReply) -> ChatReply:
    """LiteLLM passes an empty 200 on as a success."""
    if not (reply.text or reply.tool_calls or reply.refusal) and reply.finish_reason == "stop":
        raise EmptyAnswer(f"the answer is empty (finish_reason: {reply.finish_reason})")
    return reply


def _dialect(model: str) -> Dialect:
    """Whose rules for histories hold: signatures and ids differ by who made the model, wherever it is run."""
    name = model.lower()
    return "anthropic" if "claude" in name else "gemini" if "gemini" in name else "openai"
