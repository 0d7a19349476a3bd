"""Mid-stream recovery: how the next target goes on where a stream broke, and how the seam is closed. Pure functions.

The safety ladder: only plain text is ever continued. Once a tool call, a reasoning block, a refusal or a piece of a
JSON-mode answer has been handed out, the break is raised with the text so far.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hotspare.errors import HotspareError
from hotspare.messages import ChatChunk, ChatRequest, Message, Usage

if TYPE_CHECKING:
    from hotspare._engine.call import Call, TargetState
    from hotspare.policy import Policy

INSTRUCTION = (
    "Your last answer was cut off by a technical fault. Continue it from exactly where it stops, even in the middle of a "
    "word. Write only the continuation: repeat nothing, explain nothing, apologise for nothing. If nothing is missing, write "
    "nothing."
)
"""What a target without prefill is told; `Policy.continue_instruction` replaces it. System prompts stay untouched."""

_PROSE = re.compile(
    r"\s*(?:sure|certainly|of course|absolutely|okay|ok|here(?:'s| is| are)|continuing|i apologi[sz]e|sorry|apologies)\b"
    r"[^\n]{0,120}(?::\s*\n|\.\s*\n|:$)",
    re.I,
)
_LEAST_RESTART = 16
_WINDOW = 600


class SpliceError(HotspareError):
    """What the next target wrote cannot be joined to what was already shown."""


class EmittedText:
    """What the caller has seen of a stream, and whether it may be continued."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.plain = True

    def add(self, chunk: ChatChunk) -> None:
        """Keep a chunk that is handed out."""
        if chunk.text:
            self.parts.append(chunk.text)
        if chunk.tool_calls or chunk.reasoning or chunk.thinking or chunk.refusal:
            self.plain = False

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.parts)


def may_recover(call: Call, shown: EmittedText, policy: Policy) -> bool:
    """Whether the ladder allows to go on: policy, plain text only, no JSON mode, attempts left."""
    mode = (call.request.response_format or {}).get("type", "text")
    return policy.on_break != "raise" and shown.plain and mode == "text" and call.attempts_left > 0


def request_for(call: Call, member: TargetState, policy: Policy) -> ChatRequest:
    """The request that one member gets: the caller's own, or after a break one that asks for the rest."""
    if call.shown is None or policy.on_break == "restart" or not call.shown.strip():
        return call.request
    partial: Message = {"role": "assistant", "content": call.shown.rstrip()}
    messages = [*call.request.messages, partial]
    if not (member.prefill and member.backend.prefill):
        messages.append({"role": "user", "content": policy.continue_instruction or INSTRUCTION})
    return replace(call.request, messages=messages)


def estimate_usage(call: Call, pieces: int) -> Usage:
    """Tokens of a part that broke before its usage came: one a piece of text, and the prompt at four characters each."""
    prompt = sum(len(str(message.get("content") or "")) for message in call.request.messages) // 4
    return Usage(input_tokens=prompt, output_tokens=pieces)


class Splicer:
    """Joins a continuation to the text already shown: nothing twice, nothing lost.

    A continuation may go on exactly, repeat the last words, or start over from the beginning; it is held back until it is
    clear which. White space that ends the shown text is not sent to the next target (providers drop or refuse it), so it
    is taken off the continuation's beginning.
    """

    def __init__(self, shown: str, *, restart: bool) -> None:
        self._shown = shown
        self._restart = restart
        self._blank = shown[len(shown.rstrip()) :]
        self._held = ""
        self._open = bool(shown)

    def feed(self, text: str) -> str:
        """What may be shown now. Raises SeamError when it cannot be joined."""
        if not self._open:
            return text
        self._held += text
        return "" if self._undecided() else self._join()

    def finish(self) -> str:
        """What is left at the end."""
        return self._join() if self._open and self._held else ""

    def _undecided(self) -> bool:
        bare = self._held.strip()
        if len(self._held) <= len(self._blank) or not bare:
            return True
        if self._shown.lstrip().startswith(self._held.lstrip()):
            return True
        if self._restart:
            return False
        if bare in self._shown[-_WINDOW:]:
            return True
        opening = self._held.lstrip()[:8].lower()
        chatty = opening.startswith(
            (
                "sure",
                "certainl",
                "of cours",
                "absolute",
                "okay",
                "ok",
                "here",
                "continui",
                "i apolog",
                "sorry",
                "apologie",
            )
        )
        return chatty and len(self._held) < 140 and "\n" not in self._held

    def _join(self) -> str:
        self._open = False
        held, shown = self._held, self._shown
        lead = len(held) - len(held.lstrip())
        body, start = held[lead:], shown.lstrip()
        if _is_whole(body, start):
            return body[len(start) :]
        same = _common(body, start)
        if self._restart or (same >= _LEAST_RESTART and same < len(start)):
            raise SpliceError(f"the restarted answer differs from what was shown after {same} characters")
        if _PROSE.match(held):
            raise SpliceError("the continuation begins with words about itself")
        said = shown.rstrip()
        for size in range(min(len(body), _WINDOW, len(said)), 0, -1):
            tail = said[-size:].lstrip()
            if not _is_repetition(tail):
                break
            if body.startswith(tail):
                return self._without_blank(body[len(tail) :])
        return self._without_blank(held)

    def _without_blank(self, text: str) -> str:
        """Take the shown text's closing white space off the beginning of what follows it."""
        return text[_common(text, self._blank) :]


def _is_whole(body: str, start: str) -> bool:
    """Whether `body` begins with all that was shown. Two letters prove nothing ("ha" goes on as "haha") unless they end with
    their word."""
    if not start or not body.startswith(start):
        return False
    following = body[len(start) : len(start) + 1]
    return len(start) > 2 or not (start[-1].isalnum() and following.isalnum())


def _is_repetition(tail: str) -> bool:
    """Whether a repeated tail is too long to be meant: one word said twice is common in good texts."""
    words = len(tail.split())
    return words >= 4 or (len(tail) >= 12 and words >= 2) or len(tail) >= 24


def _common(one: str, other: str) -> int:
    """Length of the common beginning."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
