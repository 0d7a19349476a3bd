"""Gemini's responses -> ChatReply and ChatChunk. Proof of completion: the first candidate's `finishReason`."""

import hashlib

from hotspare.errors import BackendError, EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatChunk, ChatReply, FinishReason, ToolCall, ToolCallDelta, Usage
from hotspare.providers.content import json_text
from hotspare.providers.json_access import Json, as_count, as_list, as_map, as_text, dump, load_map, must_list, must_map

BLOCKED_REASONS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "ESCALATION",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
"""Finish reasons of a content filter (google-genai 3.4, `types.FinishReason`)."""
GENERATED_PREFIX = "hs_"
"""Prefix of a tool-call id that Gemini did not give; such an id is not sent back to Gemini."""


def in_band_error(body: Json) -> InBandError:
    """The error inside a 200, with the provider's own message."""
    error = as_map(body.get("error"))
    return InBandError(as_text(error.get("message")) or "an error inside a 200", body=dump(body))


def usage_of(usage: Json) -> Usage:
    """Token counts. Gemini counts thoughts outside the candidates, and tool results outside the prompt."""
    thoughts = as_count(usage.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=as_count(usage.get("promptTokenCount")) + as_count(usage.get("toolUsePromptTokenCount")),
        output_tokens=as_count(usage.get("candidatesTokenCount")) + thoughts,
        cached_tokens=as_count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )


class Candidate:
    """The first candidate of an answer, collected from one body or from those of a stream."""

    def __init__(self) -> None:
        self.last: Json = {}
        self.reason = self.model = self.id = ""
        self.usage: Json = {}
        self.calls = 0
        self.has_text = self.has_other_parts = False

    def add(self, body: Json) -> ChatChunk:
        """What is new in this body."""
        self.last = body
        self.model = as_text(body.get("modelVersion")) or self.model
        self.id = as_text(body.get("responseId")) or self.id
        self.usage |= as_map(body.get("usageMetadata"))
        blocked = as_text(as_map(body.get("promptFeedback")).get("blockReason"))
        if blocked:
            message = as_text(as_map(body["promptFeedback"]).get("blockReasonMessage"))
            raise InBandError(message or f"the prompt was blocked ({blocked})", body=dump(body))
        candidates = [must_map(item, "candidates[]") for item in must_list(body.get("candidates", []), "candidates")]
        first = next((item for item in candidates if not item.get("index")), Json())
        self.reason = as_text(first.get("finishReason")) or self.reason
        parts = as_list(must_map(first.get("content") or {}, "content").get("parts"))
        return self._chunk([must_map(part, "parts[]") for part in parts])

    def _chunk(self, parts: list[Json]) -> ChatChunk:
        text = reasoning = ""
        calls: list[ToolCallDelta] = []
        thinking: list[Json] = []
        for part in parts:
            part_text, signature = as_text(part.get("text")), as_text(part.get("thoughtSignature"))
            if "functionCall" in part:
                calls.append(self._call(must_map(part["functionCall"], "functionCall"), signature))
            elif part.get("thought"):
                reasoning += part_text
                thinking.append(signed_block("thinking", thinking=part_text, signature=signature))
            elif "text" in part:
                text += part_text
                if signature:
                    thinking.append(signed_block("signature", signature=signature))
            elif part.keys() - {"thoughtSignature"}:  # images, code, server tools: not read, but content
                self.has_other_parts = True
        self.has_text |= bool(text)
        return ChatChunk(text=text, reasoning=reasoning, tool_calls=tuple(calls), thinking=tuple(thinking))

    def _call(self, call: Json, signature: str) -> ToolCallDelta:
        name = as_text(call.get("name"))
        if not name:
            raise MalformedAnswer("a functionCall without a name", body=dump(call))
        arguments = json_text(must_map(call.get("args") or {}, "functionCall.args"))
        call_id = as_text(call.get("id")) or generated_id(self.id, self.calls, name, arguments)
        self.calls += 1
        return ToolCallDelta(self.calls - 1, call_id, name, arguments, signature or None)

    def finish(self) -> FinishReason:
        """The finish reason. Raises the error that this ending means, if it is none."""
        body = dump(self.last)
        if self.has_text or self.calls:
            if self.reason in BLOCKED_REASONS:
                return "content_filter"
        elif self.reason in BLOCKED_REASONS:
            raise InBandError(f"the answer was blocked ({self.reason})", body=body)
        elif self.reason == "STOP" and not self.has_other_parts:
            raise EmptyAnswer("the answer is empty (finishReason: STOP)", proven=True, body=body)
        if self.reason == "MAX_TOKENS":
            return "length"
        if self.reason != "STOP":
            raise self._unfinished(body)
        return "tool_calls" if self.calls else "stop"

    def _unfinished(self, body: bytes) -> BackendError:
        if "MALFORMED" in self.reason or "TOOL_CALL" in self.reason:
            return MalformedAnswer(f"the model's answer was malformed (finishReason: {self.reason})", body=body)
        if not self.reason and not self.last.get("candidates"):
            return EmptyAnswer("the answer has no candidates", body=body)
        return IncompleteAnswer(f"the answer is incomplete (finishReason: {self.reason or 'none'})", body=body)


def generated_id(response_id: str, index: int, name: str, arguments: str) -> str:
    """An id for a tool call that came without one; always the same for the same answer."""
    seed = dump([response_id, index, name, arguments])
    return GENERATED_PREFIX + hashlib.sha256(seed).hexdigest()[:20]


def signed_block(kind: str, **fields: str) -> Json:
    """A thought as a block of a history, with the dialect that signed it."""
    return {"type": kind, **{name: value for name, value in fields.items() if value}, "dialect": "gemini"}


def read_answer(body: Json) -> ChatReply:
    """A whole answer."""
    if "error" in body:
        raise in_band_error(body)
    candidate = Candidate()
    chunk = candidate.add(body)
    return ChatReply(
        text=chunk.text,
        tool_calls=tuple(ToolCall(c.id or "", c.name or "", c.arguments, c.signature) for c in chunk.tool_calls),
        reasoning=chunk.reasoning,
        thinking=chunk.thinking,
        finish_reason=candidate.finish(),
        usage=usage_of(candidate.usage),
        model=candidate.model,
        id=candidate.id,
        raw=body,
    )


class GeminiReader:
    """Reads one streamed answer: every event is a body of its own."""

    def __init__(self) -> None:
        self._candidate = Candidate()
        self._malformed: MalformedAnswer | None = None

    def event(self, name: str, data: str) -> ChatChunk | None:
        """What is new in this event.

        A malformed event is skipped; `finish` raises it if the stream does not prove complete.
        """
        if not data.strip() or data.strip() == "[DONE]":
            return None
        body = load_map(data)
        if body is None:
            self._malformed = MalformedAnswer("an event is not a JSON object", body=data.encode("utf-8", "replace"))
            return None
        if "error" in body:
            raise in_band_error(body)
        chunk = self._candidate.add(body)
        return chunk if chunk.is_content else None

    def finish(self) -> ChatChunk:
        """The last chunk. Raises EmptyAnswer, IncompleteAnswer, MalformedAnswer, or InBandError if a filter blocked it."""
        if not self._candidate.reason and self._malformed is not None:
            raise self._malformed
        return ChatChunk(
            finish_reason=self._candidate.finish(),
            usage=usage_of(self._candidate.usage),
            model=self._candidate.model,
            id=self._candidate.id,
        )
