"""Makes a history that one provider wrote valid for another one. Pure functions.

The differences between providers, and how they are resolved:

* tool-call ids: length and charset are limited; an invalid or repeated id is replaced by a hash of it, both in the
  call and in its result;
* signed thinking and thought signatures: they are sent only to the model and the account that signed them; if the signer
  is not known, to every target of the same dialect;
* `function_call` and the role `function`, OpenAI's shape of 2023, become tool calls and their results;
* a tool call without its result, or a result without its call, gets a 400 from every provider, so neither is sent;
* Anthropic and Gemini have a separate field for system messages and require alternating roles (`merge_turns`).
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from hotspare._health.accounts import signer_of
from hotspare.messages import Message
from hotspare.providers.content import parts_of, plain_text, tool_calls
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, without
from hotspare.target import Target

OPENING_TURN = "(The conversation begins with the assistant.)"
"""The user turn inserted before a history that begins with the assistant: Anthropic and Gemini require a user turn first."""


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


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """The rules for the histories that an API accepts. Each wire format has its own.

    ids: valid ids of tool calls.
    signers: the dialects whose signed or encrypted reasoning it accepts. "" stands for blocks without a dialect.
    call_signatures: whether it accepts signed tool calls (Gemini's `extra_content`).
    cache_control: whether `cache_control` is kept.
    media_in_results: whether a tool's result may hold images and files. Else they follow in a user message.
    """

    ids: IdRule
    signers: frozenset[str] = frozenset()
    call_signatures: bool = False
    cache_control: bool = False
    media_in_results: bool = True


def valid_history(messages: Iterable[Message], rules: HistoryRules, target: Target | None = None) -> list[Json]:
    """The history, still in OpenAI's shape, made valid for an API with these rules.

    Args:
        messages: any history, written by any provider; it is not changed.
        rules: what the API accepts.
        target: the target that gets it. Reasoning signed by another model or account (`signed_by`) is left out. Default: any target
            with these rules.
    """
    history = with_tool_calls(messages)
    own = signer_of(target) if target is not None and any("signed_by" in message for message in history) else ""
    used: set[str] = set()
    result: list[Json] = []
    for index, message in enumerate(history):
        if message.get("role") == "tool":
            continue  # a result is added after its call; one without a call is dropped
        if message.get("role") != "assistant":
            result.append(message)
            continue
        until_next_turn = takewhile(lambda later: later.get("role") != "assistant", history[index + 1 :])
        results = [later for later in until_next_turn if later.get("role") == "tool"]
        is_own = message.pop("signed_by", own) == own or not own
        signed = (
            _without_signatures(message, rules.signers, calls=rules.call_signatures) if is_own else _unsigned(message)
        )
        result += _turn(signed, results, rules.ids, used)
    if not rules.media_in_results:
        result = _media_after_results(result)
    return result if rules.cache_control else [_without_cache_control(message) for message in result]


def with_tool_calls(messages: Iterable[Message]) -> list[Json]:
    """The history with tool calls in place of `function_call`, and their results in place of the role `function`.

    They have no ids: the function's name becomes the id of the call and of its result.
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
    """The message with these parts moved to `thinking_blocks` and `reasoning_content`, which all wire formats read."""
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
    return [_unsigned(dict(message)) for message in messages]


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


def _unsigned(message: Json) -> Json:
    return _without_signatures(message, (), calls=False)


def _without_signatures(message: Json, signers: Collection[str], *, calls: bool) -> Json:
    """The message without blocks that dialects other than `signers` signed, and without signatures of tool calls unless `calls`."""
    blocks = [block for block in as_maps(message.get("thinking_blocks")) if as_text(block.get("dialect")) in signers]
    result = without(message, ["thinking_blocks"])
    if blocks:
        result["thinking_blocks"] = blocks
    if result.get("tool_calls") and not calls:
        result["tool_calls"] = [without(call, ["extra_content"]) for call in tool_calls(result)]
    return result


def _media_after_results(messages: Iterable[Json]) -> list[Json]:
    """Tool results with text only, as OpenAI requires: their images and files follow in a user message."""
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
