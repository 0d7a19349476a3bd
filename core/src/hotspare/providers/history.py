"""A history that one provider wrote, made valid for the next one. Pure functions.

What differs between providers, and what is done about it:

* tool-call ids: each provider has its own length and charset; a bad or repeated id is replaced by a hash of the old
  one, the same in the call and in its result;
* signed thinking and thought signatures: only whoever signed them can read them, all others reject them;
* a tool call without its result, or a result without its call, is a 400 everywhere: neither is sent;
* system texts stand in a field of their own (Anthropic, Gemini), and roles alternate there.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from hotspare.messages import Message
from hotspare.providers.content import parts_of, tool_calls
from hotspare.providers.json_access import Json, as_maps, as_text, without

OPENING = "(The conversation begins with the assistant.)"
"""The user turn put before a history that starts with the assistant: Anthropic and Gemini want the user first."""


@dataclass(frozen=True, slots=True)
class IdRule:
    """What a provider takes as a tool-call id: a full match of `pattern`. A new id is `prefix` and hex digits."""

    pattern: re.Pattern[str]
    prefix: str = "call_"
    digits: int = 24

    def fits(self, call_id: str) -> bool:
        """Whether the provider takes this id as it is."""
        return self.pattern.fullmatch(call_id) is not None

    def made_from(self, call_id: str, salt: int = 0) -> str:
        """An id that the provider takes; always the same for the same id and salt."""
        seed = f"{salt}:{call_id}".encode("utf-8", "surrogatepass")
        return self.prefix + hashlib.sha256(seed).hexdigest()[: self.digits]


ID_RULES = {
    # "string too long. Expected a string with maximum length 40" (api.openai.com, chat completions)
    "openai": IdRule(re.compile(r"[!-~]{1,40}")),
    # "Tool call id … must be a-z, A-Z, 0-9, with a length of 9" (api.mistral.ai)
    "mistral": IdRule(re.compile(r"[A-Za-z0-9]{9}"), prefix="", digits=9),
    # "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'" (api.anthropic.com)
    "anthropic": IdRule(re.compile(r"[A-Za-z0-9_-]{1,64}")),
    "gemini": IdRule(re.compile(r"[!-~]{1,128}")),
}
"""By dialect, and by provider where one differs from its dialect."""


def portable(
    messages: Iterable[Message],
    dialect: str,
    *,
    ids: str | None = None,
    signed_by: Collection[str] | None = None,
    keep_cache_control: bool | None = None,
) -> list[Json]:
    """The history, still in OpenAI's shape, as a provider of this dialect takes it.

    Args:
        messages: any valid history, whoever wrote it; it is not changed.
        dialect: `openai`, `anthropic` or `gemini`.
        ids: whose rule for tool-call ids holds, a key of `ID_RULES`; default: the dialect's.
        signed_by: whose signatures may be sent; default: the dialect's own.
        keep_cache_control: whether `cache_control` stays on content parts; default: only for Anthropic.
    """
    rule = ID_RULES[ids or dialect]
    signers = frozenset((dialect,) if signed_by is None else signed_by)
    cache = dialect == "anthropic" if keep_cache_control is None else keep_cache_control
    history = [dict(message) for message in messages]
    taken: set[str] = set()
    result: list[Json] = []
    for index, message in enumerate(history):
        if message.get("role") == "tool":
            continue  # written behind its call, or an orphan
        if message.get("role") != "assistant":
            result.append(message)
            continue
        behind = takewhile(lambda later: later.get("role") != "assistant", history[index + 1 :])
        results = [later for later in behind if later.get("role") == "tool"]
        result += _turn(_signed(message, signers), results, rule, taken)
    if dialect == "openai":
        result = _text_results(result)
    return result if cache else [_uncached(message) for message in result]


def merge_turns(
    turns: Iterable[tuple[str, list[Json]]],
) -> list[tuple[str, list[Json]]]:
    """Turns with alternating roles: neighbours of one role become one, empty ones vanish, the user begins."""
    merged: list[tuple[str, list[Json]]] = []
    for role, parts in turns:
        if not parts:
            continue
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(parts)
        else:
            merged.append((role, list(parts)))
    return merged


def signer_of(block: Message) -> str:
    """Who signed a thinking block. Without a word on it, it is Anthropic's, whose shape the field has borrowed."""
    return as_text(block.get("dialect")) or "anthropic"


def _turn(message: Json, results: Sequence[Json], rule: IdRule, taken: set[str]) -> list[Json]:
    """An assistant message with the calls that were answered, and behind it their results in the order of the calls."""
    calls: list[Json] = []
    answers: list[Json] = []
    left = list(results)
    for call in tool_calls(message):
        answer = next(
            (r for r in left if as_text(r.get("tool_call_id")) == as_text(call.get("id"))),
            None,
        )
        if answer is None:
            continue
        left.remove(answer)
        call_id = _free_id(as_text(call.get("id")), rule, taken)
        calls.append({**call, "id": call_id})
        answers.append({**answer, "tool_call_id": call_id})
    message = without(message, ["tool_calls"])
    if calls:
        return [{**message, "tool_calls": calls}, *answers]
    return [message] if _says_anything(message) else []


def _free_id(call_id: str, rule: IdRule, taken: set[str]) -> str:
    salt = 0
    candidate = call_id if rule.fits(call_id) else rule.made_from(call_id)
    while candidate in taken:
        salt += 1
        candidate = rule.made_from(call_id, salt)
    taken.add(candidate)
    return candidate


def _says_anything(message: Message) -> bool:
    return bool(parts_of(message.get("content")) or message.get("refusal") or message.get("thinking_blocks"))


def _signed(message: Json, signers: Collection[str]) -> Json:
    """The message without what others signed."""
    blocks = [block for block in as_maps(message.get("thinking_blocks")) if signer_of(block) in signers]
    result = without(message, ["thinking_blocks"])
    if blocks:
        result["thinking_blocks"] = blocks
    if result.get("tool_calls") and "gemini" not in signers:
        result["tool_calls"] = [without(call, ["extra_content"]) for call in tool_calls(result)]
    return result


def _text_results(messages: Iterable[Json]) -> list[Json]:
    """OpenAI's tool results are text only: their images and files follow in a user message."""
    result: list[Json] = []
    held: list[Json] = []
    for message in messages:
        if message.get("role") != "tool":
            if held:
                result.append({"role": "user", "content": held})
                held = []
            result.append(message)
            continue
        parts = parts_of(message.get("content"))
        held += [part for part in parts if part.get("type") != "text"]
        texts = [part for part in parts if part.get("type") == "text"]
        content: Any = message.get("content") if len(texts) == len(parts) else texts or "(see below)"
        result.append({**without(message, ["is_error"]), "content": content})
    return [*result, {"role": "user", "content": held}] if held else result


def _uncached(message: Json) -> Json:
    result = without(message, ["cache_control"])
    if isinstance(result.get("content"), (list, tuple)):
        result["content"] = [without(part, ["cache_control"]) for part in parts_of(message["content"])]
    return result
