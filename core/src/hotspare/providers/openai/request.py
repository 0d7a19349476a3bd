"""ChatRequest -> the body of `POST …/chat/completions`, in any provider's flavor."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hotspare.messages import ANTHROPIC_TOOL_FIELDS, ChatRequest, ReasoningEffort
from hotspare.providers.content import (
    call_arguments,
    call_name,
    json_text,
    parts_of,
    tool_calls,
    with_cache_control,
)
from hotspare.providers.history import valid_history
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, deep_merge, without
from hotspare.providers.openai.flavors import MISTRAL, Flavor, is_reasoning_model, nearest_effort, openai_effort_levels
from hotspare.target import Target

_MESSAGE_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "audio"})
"""Message fields that every provider accepts. Some reject others (Mistral: 422 "Extra inputs are not permitted")."""
_PLAIN_ROLES = ("system", "user", "assistant")
_PLAIN_FIELDS = ("response_format", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "user")
"""Fields of a request that are sent as they are."""


def write_body(request: ChatRequest, target: Target, flavor: Flavor, *, stream: bool, prefill: bool = False) -> Json:
    """The JSON body. The target's `extra`, then the request's, override what hotspare writes.

    `prefill`: whether the model should continue an assistant message at the end.
    """
    fields = _fields(request, target, flavor)
    if stream:
        fields["stream"] = True
        if flavor.stream_usage_option:
            fields["stream_options"] = {"include_usage": True}
    messages = write_messages(request, target, flavor)
    if prefill and messages and messages[-1].get("role") == "assistant":
        if flavor.prefill == "prefix":
            messages[-1]["prefix"] = True
        elif flavor.prefill == "continue_final_message":
            fields |= {"continue_final_message": True, "add_generation_prompt": False}
    body = {"model": target.model, "messages": messages, **fields}
    extra = request.extra.get("openai")
    return deep_merge(body, target.extra, extra or {}) if target.extra or extra else body


def _fields(request: ChatRequest, target: Target, flavor: Flavor) -> Json:
    """The fields that the request sets, except its messages."""
    fields: Json = {}
    if request.tools:
        fields["tools"] = [_tool(tool, flavor) for tool in request.tools]
        choice = request.tool_choice
        fields["tool_choice"] = flavor.required_choice if choice == "required" else choice
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    for name in _PLAIN_FIELDS:
        fields[name] = getattr(request, name)
    if request.stop:
        fields["stop"] = list(request.stop)
    if request.max_tokens is not None:
        name = "max_completion_tokens" if uses_max_completion_tokens(target, flavor) else "max_tokens"
        fields[name] = request.max_tokens
    fields[flavor.seed_field] = request.seed
    fields = {name: value for name, value in fields.items() if value is not None}
    return fields | effort_fields(request.reasoning_effort, target, flavor) if request.reasoning_effort else fields


def uses_max_completion_tokens(target: Target, flavor: Flavor) -> bool:
    """Whether `max_tokens` is sent as `max_completion_tokens`: OpenAI's reasoning models reject the former."""
    return flavor.openai_models and is_reasoning_model(target.model)


def effort_levels(target: Target, flavor: Flavor) -> tuple[ReasoningEffort, ...]:
    """The reasoning efforts that this target accepts."""
    return openai_effort_levels(target.model) if flavor.openai_models else flavor.effort_levels


def effort_fields(effort: str | None, target: Target, flavor: Flavor) -> Json:
    """The field for a reasoning effort, in this flavor's shape; none if the model has no reasoning to control."""
    if effort is None:
        return {}
    if flavor.effort_field == "thinking":  # DeepSeek: on or off
        return {"thinking": {"type": "disabled" if effort == "none" else "enabled"}}
    chosen = nearest_effort(effort, effort_levels(target, flavor))
    if chosen is None:
        return {}
    return {"reasoning": {"effort": chosen}} if flavor.effort_field == "reasoning" else {"reasoning_effort": chosen}


def _tool(tool: Mapping[str, Any], flavor: Flavor) -> Json:
    """A tool without the fields that only Anthropic accepts (api.openai.com: "Unknown parameter: 'tools[0].cache_control'").
    OpenRouter passes `cache_control` on to Anthropic."""
    foreign: Sequence[str] = ANTHROPIC_TOOL_FIELDS
    if flavor.cache_control:
        foreign = tuple(name for name in foreign if name != "cache_control")
    function = without(as_map(tool.get("function")), ANTHROPIC_TOOL_FIELDS)
    return {**without(tool, foreign), "function": function}


def write_messages(request: ChatRequest, target: Target, flavor: Flavor) -> list[Json]:
    """The history in this provider's shape. A history of plain texts already has it."""
    if all(map(_is_plain, request.messages)):
        return [dict(message) for message in request.messages]
    rules = flavor.history
    if "googleapis.com" in (target.base_url or ""):  # Google's OpenAI endpoint accepts Gemini's signatures
        rules = replace(rules, signers=rules.signers | {"gemini"}, call_signatures=True)
    return [_message(message, flavor) for message in valid_history(request.messages, rules, target)]


def _is_plain(message: Mapping[str, Any]) -> bool:
    """Whether the message has only a role that every provider accepts, and a text."""
    return len(message) == 2 and message.get("role") in _PLAIN_ROLES and type(message.get("content")) is str


def _message(message: Mapping[str, Any], flavor: Flavor) -> Json:
    kept = _MESSAGE_FIELDS | flavor.extra_message_fields
    result = {name: value for name, value in message.items() if name in kept}
    if "cache_control" in message:  # kept for OpenRouter only, which reads it from parts
        result["content"] = with_cache_control(
            parts_of(message.get("content")), message["cache_control"]
        ) or message.get("content")
    if result.get("role") == "developer" and not flavor.developer_role:
        result["role"] = "system"
    if result.get("name", "") is None:
        del result["name"]
    if message.get("role") == "assistant":
        result |= _assistant(message, flavor)
    if isinstance(result.get("content"), (list, tuple)):
        result["content"] = _content(result["content"], flavor)
    return result


def _assistant(message: Mapping[str, Any], flavor: Flavor) -> Json:
    result = _refusal(message, flavor)
    if "tool_calls" in message:
        result["tool_calls"] = [_call(call) for call in tool_calls(message)]
    elif not message.get("content") and not result:
        result["content"] = ""
    blocks = as_maps(message.get("thinking_blocks")) if flavor.reasoning_signer else []
    if blocks and flavor.reasoning_signer == MISTRAL:
        thoughts = [_thinking_part(block) for block in blocks]
        result["content"] = [*thoughts, *parts_of(message.get("content"))]
    elif blocks:
        result["reasoning_details"] = [without(block, ["dialect"]) for block in blocks]
    elif flavor.reasoning_field:
        reasoning = as_text(message.get("reasoning_content"))
        # DeepSeek, in thinking mode: "The reasoning_content … must be passed back"; with tool calls at least ""
        if reasoning or (flavor.name == "deepseek" and "tool_calls" in message):
            result[flavor.reasoning_field] = reasoning
    return result


def _thinking_part(block: Json) -> Json:
    """A block as Mistral's part of the content. `closed`: the reasoning is complete."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": as_text(block.get("thinking"))}], "closed": True}


def _refusal(message: Mapping[str, Any], flavor: Flavor) -> Json:
    refusal = message.get("refusal")
    if not refusal:
        return {}
    if flavor.refusal_field:
        return {"refusal": refusal}
    return {} if message.get("content") else {"content": refusal}


def _call(call: Mapping[str, Any]) -> Json:
    """A tool call in OpenAI's shape. Its arguments are always a JSON object as text, because vLLM and Mistral parse them."""
    function = as_map(call.get("function"))
    arguments = function.get("arguments")
    valid = isinstance(arguments, str) and call_arguments(call).keys() != {"invalid_json"} and arguments.strip()
    text = arguments if valid else json_text(as_map(arguments) or call_arguments(call))
    return {
        **{name: value for name, value in call.items() if name in ("id", "extra_content")},
        "type": "function",
        "function": {"name": call_name(call), "arguments": text},
    }


def _content(content: Any, flavor: Flavor) -> Any:
    parts = parts_of(content)
    if not flavor.refusal_field:
        parts = [_refusal_as_text(part) for part in parts]
    if flavor.joins_text_parts and all(part.get("type") == "text" for part in parts):
        return "".join(as_text(part.get("text")) for part in parts)
    return [_image_object(part) for part in parts]


def _refusal_as_text(part: Json) -> Json:
    return {"type": "text", "text": as_text(part.get("refusal"))} if part.get("type") == "refusal" else part


def _image_object(part: Json) -> Json:
    """An image part with `image_url` as an object, where a client wrote the URL alone."""
    url = part.get("image_url")
    return {**part, "image_url": {"url": url}} if isinstance(url, str) else part
