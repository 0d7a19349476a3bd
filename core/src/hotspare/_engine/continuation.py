"""Recovery of a broken stream: how the next target continues it, and how the two parts are joined. Pure functions.

Safety rule: only plain text is continued. Once a tool call, a refusal, media, a part of a JSON answer or text after reasoning has
been delivered, a break raises an error with the text so far. After reasoning alone, another target restarts the answer.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from hotspare._engine.call import Call
from hotspare._health.target_state import TargetState
from hotspare.errors import EmptyAnswer, HotspareError
from hotspare.messages import ChatChunk, ChatRequest, Message, Usage
from hotspare.policy import Policy

INSTRUCTION = (
    "Your last answer was cut off by a technical fault. Continue it from exactly where it stops, even in the middle of a "
    "word. Write only the continuation: repeat nothing, explain nothing, apologise for nothing. If nothing is missing, write "
    "nothing."
)
"""The message that asks a target without prefill to continue; `Policy.continue_instruction` replaces it. System prompts are
left as they are."""

_CHATTER = (
    "sure", "certainl", "of cours", "absolute", "okay", "ok", "here", "continui", "i apolog", "sorry", "apologie",
)  # fmt: skip
"""First words of models that talk about the continuation instead of writing it."""
_CHATTER_LINE = re.compile(
    r"\s*(?:sure|certainly|of course|absolutely|okay|ok|here(?:'s| is| are)|continuing|i apologi[sz]e|sorry|apologies)\b"
    r"[^\n]{0,120}(?::\s*\n|\.\s*\n|:$)",
    re.I,
)
_LONGEST_CHATTER = 140
"""Characters without a line break after which a possible announcement is taken for the answer itself."""
_LEAST_RESTART = 16
"""Common characters at the beginning from which on a continuation counts as a restart of the whole answer."""
_WINDOW = 600
"""Characters at the end of the emitted text that are searched for a repetition."""
_EAST_ASIAN = "\u1100"
"""From this character on, letters are syllables or whole words: Hangul, kana, Han (Latin extensions above it are rare)."""
_WITHIN_A_SENTENCE = frozenset(",;:、，；：")
"""Punctuation after which a sentence continues."""
_OPENING = frozenset({"Pc", "Pd", "Ps", "Pi"})
"""Unicode's categories of connecting and opening punctuation."""
_MAX_END_TOKENS = 3
"""Reported tokens of an answer that has nothing but its end: 1 in llama.cpp and vLLM, 2 or 3 in Anthropic's (its guide to stop reasons,
"Empty responses with end_turn"). More tokens mean that text was lost, none that the model generated nothing."""


class SpliceError(HotspareError):
    """What the next target wrote cannot be joined to what was already delivered."""


class UnconfirmedEnd(HotspareError):
    """A continuation is empty, and its tokens may be those of an end or of a lost word: another target is asked for it too."""

    def __init__(self, end: ChatChunk) -> None:
        self.end = end
        super().__init__("the continuation is empty, and another target is asked whether the answer is complete")


class EmittedText:
    """The part of a stream that was delivered to the caller. `plain`: it consists of text only."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._only_reasoning = True
        self.plain = True

    def add(self, chunk: ChatChunk) -> None:
        """Add a chunk that was delivered."""
        if chunk.text:
            self._parts.append(chunk.text)
        if chunk.reasoning or chunk.thinking:
            self.plain = False
        if chunk.tool_calls or chunk.refusal or chunk.media:
            self.plain = self._only_reasoning = False

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._parts)

    @property
    def is_blank(self) -> bool:
        """Whether none of the answer was delivered yet, apart from reasoning and white space."""
        return self._only_reasoning and not any(map(str.strip, self._parts))


def may_continue(call: Call, emitted: EmittedText, policy: Policy) -> bool:
    """Whether another target may continue the answer: the policy allows it, an attempt is left, and the answer is plain text
    outside JSON mode, or none of it was delivered yet."""
    if policy.on_break == "raise" or call.attempts_left <= 0:
        return False
    mode = (call.request.response_format or {}).get("type", "text")
    return (emitted.plain and mode == "text") or emitted.is_blank


def request_for(call: Call, state: TargetState, policy: Policy) -> ChatRequest:
    """The request for one target: the caller's own, or after a break one for the rest of the answer."""
    if call.emitted is None or policy.on_break == "restart" or not call.emitted.strip():
        return call.request
    partial: Message = {"role": "assistant", "content": call.emitted.rstrip()}
    messages = [*call.request.messages, partial]
    if not state.prefill:
        messages.append({"role": "user", "content": policy.continue_instruction or INSTRUCTION})
    return replace(call.request, messages=messages)


def lost_in(end: ChatChunk, policy: Policy) -> EmptyAnswer | None:
    """The error of a continuation without text; None if its tokens allow that the model had nothing to add.

    A target that fails may also answer with a regular end and no content: the text so far is not complete then.
    """
    tokens = end.usage.answer_tokens if end.usage is not None else 0
    if end.finish_reason != "stop" or (policy.on_break == "resume" and 1 <= tokens <= _MAX_END_TOKENS):
        return None
    message = f"the continuation is empty (finish reason: stop, tokens: {tokens or 'none'})"
    return EmptyAnswer(message, proven=True, output_tokens=tokens)


def looks_unfinished(text: str) -> bool:
    """Whether a text stops at a letter, a digit, a comma, a colon, a dash or an opening bracket: perhaps in the middle of a sentence."""
    last = text.rstrip()[-1:]
    return last.isalnum() or last in _WITHIN_A_SENTENCE or unicodedata.category(last or ".") in _OPENING


def estimate_usage(call: Call, pieces: int) -> Usage:
    """Estimated tokens of a part whose usage is unknown: one per piece of text, and the prompt at four characters per token."""
    prompt = sum(len(str(message.get("content") or "")) for message in call.request.messages) // 4
    return Usage(input_tokens=max(1, prompt), output_tokens=pieces)


def splicer_for(emitted: str, request: ChatRequest, policy: Policy) -> Splicer:
    """The splicer of a continuation, by what was asked of the target."""
    prefilled = bool(request.messages) and request.messages[-1].get("role") == "assistant"
    return Splicer(emitted, restart=policy.on_break == "restart", instructed=not prefilled)


class Splicer:
    """Joins a continuation to the text already delivered, without repetition or loss.

    A continuation may start where the text ends, repeat its last words, or restart the whole answer; it is buffered until that
    is clear. White space at the end of the emitted text is not sent to the next target (providers drop or reject it), so
    it is removed from the beginning of the continuation.

    `restart`: the target was asked for the whole answer. `instructed`: the target was asked for the rest by an instruction; then
    models restart a word that was cut ("is Par", "Paris"), and the repeated part of the word is removed too. After a prefill
    models continue exactly, and only a repetition that is too long to be intended is removed.
    """

    def __init__(self, emitted: str, *, restart: bool, instructed: bool = False) -> None:
        self._emitted = emitted
        self._restart = restart
        self._instructed = instructed
        self._blank = emitted[len(emitted.rstrip()) :]
        self._held = ""
        self._open = bool(emitted)

    @property
    def is_empty(self) -> bool:
        """Whether the continuation has no text yet, apart from white space."""
        return self._open and not self._held.strip()

    def feed(self, text: str) -> str:
        """Add text of the continuation; returns what may be delivered now. Raises SpliceError if it cannot be joined."""
        if not self._open:
            return text
        self._held += text
        return "" if self._undecided() else self._join()

    def finish(self) -> str:
        """The buffered rest, at the end of the continuation. Raises SpliceError if it cannot be joined."""
        return self._join() if self._open and self._held else ""

    def _undecided(self) -> bool:
        bare = self._held.strip()
        if len(self._held) <= len(self._blank) or not bare:
            return True
        if self._emitted.lstrip().startswith(self._held.lstrip()):
            return True
        if self._restart:
            return False
        if bare in self._emitted[-_WINDOW:]:
            return True
        chatty = self._held.lstrip()[:8].lower().startswith(_CHATTER)
        return chatty and len(self._held) < _LONGEST_CHATTER and "\n" not in self._held

    def _join(self) -> str:
        self._open = False
        held, emitted = self._held, self._emitted
        body, start = held.lstrip(), emitted.lstrip()
        # "so" and " so good": intended, unless it is long
        begins_word = held[:1].isspace() and not emitted[:1].isspace()
        exact = not (self._restart or self._instructed)
        sent = start.rstrip() if exact else start  # llama.cpp repeats what it was sent before it continues
        if _starts_again(body, sent) and (self._restart or not begins_word or _is_repetition(start)):
            return self._without_blank(body[len(sent) :])
        same = _common_prefix(body, start)
        if self._restart or same >= _LEAST_RESTART:
            raise SpliceError(f"the restarted answer differs from the emitted text after {same} characters")
        if _CHATTER_LINE.match(held):
            raise SpliceError("the continuation begins with words about itself")
        end = emitted.rstrip()
        # Otherwise no word was cut, or a new one begins.
        restarts_word = self._instructed and not self._blank and held[:1] == body[:1]
        for size in range(min(len(body), _WINDOW, len(end)), 0, -1):
            tail = end[-size:]
            if body.startswith(tail) and (_is_repetition(tail) or (restarts_word and _is_word_start(end, -size))):
                return self._without_blank(body[size:])
        return self._without_blank(held)

    def _without_blank(self, text: str) -> str:
        """Remove the white space that ends the emitted text from the beginning of what follows it."""
        return text[_common_prefix(text, self._blank) :]


def _starts_again(body: str, start: str) -> bool:
    """Whether `body` begins with all of the emitted text. Punctuation alone proves nothing, nor do two letters ("ha" continues
    as "haha") unless they are a whole word."""
    if not body.startswith(start) or not any(map(str.isalnum, start)):
        return False
    following = body[len(start) : len(start) + 1]
    return len(start) > 2 or not (start[-1].isalnum() and following.isalnum())


def _is_repetition(tail: str) -> bool:
    """Whether a repeated tail is too long to be intended: a single word often occurs twice in a correct text."""
    words = len(tail.split())
    return words >= 4 or (len(tail) >= 12 and words >= 2) or len(tail) >= 24


def _is_word_start(text: str, at: int) -> bool:
    """Whether a word begins at `at`, or a part of a word at which models restart: a syllable or a character of East Asian
    scripts, a part of a name in code (`get_weather`, `getWeather`)."""
    char, before = text[at], text[at - 1 : at]
    if not char.isalnum():
        return False
    starts = not before or not (before.isalnum() or unicodedata.category(before)[0] == "M")
    return starts or char >= _EAST_ASIAN or (before.islower() and char.isupper())


def _common_prefix(one: str, other: str) -> int:
    """Length of the common beginning."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
