"""A history that one provider wrote, made valid for another one. Pure functions.

What differs between providers, and what is done about it:

* tool-call ids: length and charset are limited; an invalid or repeated id is replaced by a hash of it, in the call and in
  its result alike;
* signed thinking and thought signatures: only the model and the account that signed them accept them for sure, so others do
  not get them; where it is not known what signed them, the dialect decides;
* `function_call` and the role `function`, OpenAI's shape of 2023, become tool calls and their results;
* a tool call without its result, or a result without its call, is a 400 everywhere, so neither is sent;
* Anthropic and Gemini have a separate field for system messages and want alternating roles (`merge_turns`).
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from hotspare._health.accounts import signer_of
from hotspare.messages import Dialect, Message
from hotspare.providers.content import parts_of, plain_text, tool_calls
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, without
from hotspare.target import Target

OPENING_TURN = "(The conversation begins with the assistant.)"
"""The user turn put before a history that begins with the assistant: Anthropic and Gemini want a user turn first."""


IdRuleName = Literal["openai", "responses", "mistral", "anthropic", "gemini", "any"]


@dataclass(frozen=True, slots=True)
class IdRule:
    """Valid tool-call ids of a provider: a full match of `pattern`. A derived id is `prefix` plus `digits` hex digits."""

    pattern: re.Pattern[str]
    prefix: str = "call_"
    digits: int = 24

    def matches(self, call_id: str) -> bool:
        """Whether the provider accepts this id."""
        return self.pattern.fullmatch(call_id) is not None

    def derive(self, call_id: str, salt: int = 0) -> str:
        """A valid id; always the same for the same id and salt."""
        seed = f"{salt}:{call_id}".encode("utf-8", "surrogatepass")
        return self.prefix + hashlib.sha256(seed).hexdigest()[: self.digits]


ID_RULES: Mapping[IdRuleName, IdRule] = {
    # "string too long. Expected a string with maximum length 40" (api.openai.com, chat completions)
    "openai": IdRule(re.compile(r"[!-~]{1,40}")),
    # "string too long. Expected a string with maximum length 64" (api.openai.com, responses)
    "responses": IdRule(re.compile(r"[!-~]{1,64}")),
    # "Tool call id … must be a-z, A-Z, 0-9, with a length of 9" (api.mistral.ai)
    "mistral": IdRule(re.compile(r"[A-Za-z0-9]{9}"), prefix="", digits=9),
    # "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'" (api.anthropic.com)
    "anthropic": IdRule(re.compile(r"[A-Za-z0-9_-]{1,64}")),
    "gemini": IdRule(re.compile(r"[!-~]{1,128}")),
    "any": IdRule(re.compile(r"[A-Za-z0-9_-]{1,40}")),
}
"""By dialect, and by provider where it differs from its dialect. `any`: valid for all of them but Mistral."""


def portable_history(
    messages: Iterable[Message],
    dialect: Dialect,
    *,
    id_rule: IdRuleName | None = None,
    signers: Collection[str] | None = None,
    keep_cache_control: bool | None = None,
    target: Target | None = None,
) -> list[Json]:
    """The history, still in OpenAI's shape, made valid for a provider of this dialect.

    Args:
        messages: any history, written by any provider; it is not changed.
        dialect: the wire format of the provider that gets it.
        id_rule: which tool-call ids are valid. Default: those of the dialect.
        signers: the dialects whose signed blocks are kept. Default: `dialect` alone.
        keep_cache_control: whether `cache_control` is kept. Default: for Anthropic only.
        target: the one that gets it. What another model or account signed (`signed_by`) is left out. Default: any of the dialect.
    """
    rule = ID_RULES[id_rule or dialect]
    kept_signers = frozenset((dialect,) if signers is None else signers)
    keep_cache = dialect == "anthropic" if keep_cache_control is None else keep_cache_control
    history = with_tool_calls(messages)
    own = signer_of(target) if target is not None and any("signed_by" in message for message in history) else ""
    used: set[str] = set()
    result: list[Json] = []
    for index, message in enumerate(history):
        if message.get("role") == "tool":
            continue  # added after its call, or a result without a call
        if message.get("role") != "assistant":
            result.append(message)
            continue
        until_next_turn = takewhile(lambda later: later.get("role") != "assistant", history[index + 1 :])
        results = [later for later in until_next_turn if later.get("role") == "tool"]
        is_own = message.pop("signed_by", own) == own or not own
        result += _turn(_without_foreign_signatures(message, kept_signers if is_own else ()), results, rule, used)
    if dialect == "openai":
        result = _media_after_results(result)
    return result if keep_cache else [_without_cache_control(message) for message in result]


def with_tool_calls(messages: Iterable[Message]) -> list[Json]:
    """The history with tool calls in place of `function_call`, and their results in place of the role `function`.

    These have no ids: the function's name becomes the id of both.
    """
    result: list[Json] = []
    called = ""
    for message in messages:
        role, call = message.get("role"), as_map(message.get("function_call"))
        if role == "function":
            call_id = as_text(message.get("name")) or called
            result.append({**without(message, ["name"]), "role": "tool", "tool_call_id": call_id})
        elif role == "assistant" and call and not message.get("tool_calls"):
            called = as_text(call.get("name"))
            calls = [{"id": called, "type": "function", "function": call}]
            result.append({**without(message, ["function_call"]), "tool_calls": calls})
        else:
            result.append(dict(message))
    return result


def has_thinking_parts(message: Message) -> bool:
    """Whether the content of an assistant's message has reasoning among its parts, as Mistral writes it."""
    if message.get("role") != "assistant" or isinstance(content := message.get("content"), str):
        return False
    return any(part.get("type") == "thinking" for part in parts_of(content))


def with_thinking_blocks(message: Message) -> Message:
    """The message with such parts in `thinking_blocks` and `reasoning_content`, which every provider's request is made from."""
    if not has_thinking_parts(message):
        return message
    parts = parts_of(message.get("content"))
    blocks = [
        part if part.get("signature") else {**part, "thinking": plain_text(part.get("thinking")), "dialect": "mistral"}
        for part in parts
        if part.get("type") == "thinking"
    ]
    return {
        **message,
        "content": [part for part in parts if part.get("type") != "thinking"] or None,
        "thinking_blocks": [*as_maps(message.get("thinking_blocks")), *blocks],
        "reasoning_content": as_text(message.get("reasoning_content"))
        or "".join(as_text(block["thinking"]) for block in blocks),
    }


def without_signatures(messages: Iterable[Message]) -> list[Json]:
    """The history without anything that a provider signed or encrypted."""
    return [_without_foreign_signatures(dict(message), ()) for message in messages]


def merge_turns(turns: Iterable[tuple[str, list[Json]]]) -> list[tuple[str, list[Json]]]:
    """Turns with alternating roles: adjacent turns of one role are merged, empty ones dropped."""
    merged: list[tuple[str, list[Json]]] = []
    for role, parts in turns:
        if not parts:
            continue
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(parts)
        else:
            merged.append((role, list(parts)))
    return merged


def dialect_of(block: Message) -> str:
    """The dialect that signed a thinking block. Default: Anthropic, whose shape the block has."""
    return as_text(block.get("dialect")) or "anthropic"


def _turn(message: Json, results: Sequence[Json], rule: IdRule, used: set[str]) -> list[Json]:
    """An assistant message with those of its calls that have a result, then these results, in the order of the calls."""
    calls: list[Json] = []
    answers: list[Json] = []
    remaining = list(results)
    for call in tool_calls(message):
        answer = next(
            (r for r in remaining if as_text(r.get("tool_call_id")) == as_text(call.get("id"))),
            None,
        )
        if answer is None:
            continue
        remaining.remove(answer)
        call_id = _unique_id(as_text(call.get("id")), rule, used)
        calls.append({**call, "id": call_id})
        answers.append({**answer, "tool_call_id": call_id})
    message = without(message, ["tool_calls"])
    if calls:
        return [{**message, "tool_calls": calls}, *answers]
    return [message] if _has_content(message) else []


def _unique_id(call_id: str, rule: IdRule, used: set[str]) -> str:
    salt = 0
    candidate = call_id if rule.matches(call_id) else rule.derive(call_id)
    while candidate in used:
        salt += 1
        candidate = rule.derive(call_id, salt)
    used.add(candidate)
    return candidate


def _has_content(message: Message) -> bool:
    return bool(parts_of(message.get("content")) or message.get("refusal") or message.get("thinking_blocks"))


def _without_foreign_signatures(message: Json, signers: Collection[str]) -> Json:
    """The message without blocks that other providers signed."""
    blocks = [block for block in as_maps(message.get("thinking_blocks")) if dialect_of(block) in signers]
    result = without(message, ["thinking_blocks"])
    if blocks:
        result["thinking_blocks"] = blocks
    if result.get("tool_calls") and "gemini" not in signers:
        result["tool_calls"] = [without(call, ["extra_content"]) for call in tool_calls(result)]
    return result


def _media_after_results(messages: Iterable[Json]) -> list[Json]:
    """Tool results with text only, as OpenAI wants them: their images and files follow in a user message."""
    result: list[Json] = []
    media: list[Json] = []
    for message in messages:
        if message.get("role") != "tool":
            if media:
                result.append({"role": "user", "content": media})
                media = []
            result.append(message)
            continue
        parts = parts_of(message.get("content"))
        media += [part for part in parts if part.get("type") != "text"]
        texts = [part for part in parts if part.get("type") == "text"]
        content: Any = message.get("content") if len(texts) == len(parts) else texts or "(see below)"
        result.append({**without(message, ["is_error"]), "content": content})
    return [*result, {"role": "user", "content": media}] if media else result


def _without_cache_control(message: Json) -> Json:
    result = without(message, ["cache_control"])
    if isinstance(result.get("content"), (list, tuple)):
        result["content"] = [without(part, ["cache_control"]) for part in parts_of(message["content"])]
    return result
