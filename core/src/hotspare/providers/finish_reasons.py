"""Finish reasons and their meanings: one table for all wire formats, because relays pass on the reasons of other providers.

Sources: the providers' API references; google-genai 3.4, `types.FinishReason`; for the spellings of relays, the recorded
exchanges of the conformance tests.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hotspare.errors import EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatRequest, FinishReason, Usage
from hotspare.providers.json_access import as_text, dump

_ABSENT = frozenset({"null", "none", "nil", "undefined", "unspecified", "finish_reason_unspecified"})
"""Values that mean that there is no reason yet (KoboldCpp: the text "null" in every event)."""

BLOCKED = frozenset({
    "content_filter", "content_filtered", "refusal", "safety", "sensitive", "recitation", "language", "blocklist",
    "prohibited_content", "spii", "model_armor", "escalation", "image_safety", "image_prohibited_content", "image_recitation",
    "guardrail_intervened", "error_toxic",
})  # fmt: skip
"""A content filter of the provider, or the model itself, refused."""
CONTEXT_FULL = frozenset({"model_length", "model_context_window_exceeded", "context_length_exceeded", "error_limit"})
"""The context window is full. If the answer has no content, the prompt alone fills it."""
FINISH_REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "stop_sequence", "end_turn", "eos", "eos_token", "complete", "completed"), "stop"),
    "pause_turn": "stop",  # a turn of a server tool was paused: this part is complete, and the next call continues the turn
    "compaction": "stop",
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", *CONTEXT_FULL), "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(BLOCKED, "content_filter"),
}
_EMPTY_IS_VALID = frozenset({"stop_sequence", "pause_turn", "compaction"})
_ABORTED = frozenset({
    "insufficient_system_resource", "abort", "aborted", "cancel", "canceled", "cancelled", "user_cancel", "incomplete", "other",
    "image_other", "no_image", "timeout", "network_error", "failed", "overloaded",
})  # fmt: skip
"""The provider aborted the answer: DeepSeek, vLLM, Z.ai, Cohere, Gemini, and relays of them."""
_MALFORMED = frozenset(
    {"unexpected_tool_call", "too_many_tool_calls", "missing_thought_signature", "invalid_tool_call"}
)


def reason_of(value: object) -> str:
    """The finish reason as the provider spells it; "" if there is none. The functions below ignore upper and lower case."""
    reason = as_text(value).strip()
    return "" if reason.lower() in _ABSENT else reason


@lru_cache(maxsize=64)
def finish_reason_of(reason: str) -> FinishReason | None:
    """OpenAI's name of the finish reason; None if it is not known."""
    return next((FINISH_REASONS[word] for word in _words(reason) if word in FINISH_REASONS), None)


@lru_cache(maxsize=64)
def is_malformed(reason: str) -> bool:
    """Whether the provider could not parse the model's output. Any text of the answer is then part of a tool call."""
    return "malformed" in reason.lower() or not _MALFORMED.isdisjoint(_words(reason))


@lru_cache(maxsize=64)
def _words(reason: str) -> Sequence[str]:
    """The words of a reason. Google's OpenAI endpoint writes several: ``function_call_filter: MALFORMED_FUNCTION_CALL``."""
    return re.split(r"[:\s]+", reason.lower())


def raise_if_broken(reason: str, body: object) -> None:
    """Raise InBandError, MalformedAnswer or IncompleteAnswer if the reason means that the answer failed."""
    words = _words(reason)
    if words[0] == "error" or words[0].endswith("_error"):
        raise InBandError(f"the provider ended the answer with an error (finish reason: {reason})", body=dump(body))
    if is_malformed(reason):
        raise MalformedAnswer(f"the model's answer was malformed (finish reason: {reason})", body=dump(body))
    if words[0] in _ABORTED:
        raise IncompleteAnswer(f"the provider broke the answer off (finish reason: {reason})", body=dump(body))


def ending_of(
    reason: str, request: ChatRequest, body: Any, *, content: bool, usage: Usage, explanation: str = ""
) -> FinishReason:
    """OpenAI's name of the finish reason. Raises the error that the reason stands for, if any.

    An unknown reason counts as a regular end. An answer without content is valid only if the reason explains it: the token
    limit, a stop sequence at its beginning, or the end of a turn whose text came before its tool calls.
    `explanation`: the provider's text about a refusal.
    """
    raise_if_broken(reason, body)
    finish, word = finish_reason_of(reason) or "stop", reason.lower()
    if content:
        return finish
    if finish == "content_filter":
        raise blocked(explanation or f"the answer was blocked (finish reason: {reason})", body)
    if word in CONTEXT_FULL:
        message = f"the prompt fills the context window (finish reason: {reason})"
        raise InBandError(message, code="context_length_exceeded", body=dump(body))
    if finish == "length" or word in _EMPTY_IS_VALID or (word == "stop" and request.stop):
        return finish
    proven = FINISH_REASONS.get(word) == "stop"
    if proven and request.follows_tool_result:
        return finish
    message = f"the answer is empty (finish reason: {reason or 'none'})"
    raise EmptyAnswer(message, proven=proven, output_tokens=usage.answer_tokens, body=dump(body))


def blocked(message: str, body: object) -> InBandError:
    """The error of an answer without content because of a content filter or a refusal."""
    return InBandError(message, code="content_filter", body=dump(body))
