"""ChatRequest -> the body of `POST …/chat/completions`, in any provider's flavor."""

from collections.abc import Mapping, Sequence
from typing import Any

from hotspare.messages import ChatRequest
from hotspare.providers.content import call_arguments, call_name, compact, parts_of, tool_calls
from hotspare.providers.history import portable
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, deep_merge, drop_empty, without
from hotspare.providers.openai.flavors import Flavor, nearest_effort, openai_efforts, reasons
from hotspare.target import Target

_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "audio"})
"""What every provider takes in a message. Some refuse others (Mistral: 422 "Extra inputs are not permitted")."""


def write_body(request: ChatRequest, target: Target, flavor: Flavor, *, stream: bool) -> Json:
    """The JSON body. `extra` of the target and then of the request is laid over what hotspare writes."""
    fields = drop_empty(
        tools=list(request.tools),
        tool_choice=_tool_choice(request, flavor),
        parallel_tool_calls=request.parallel_tool_calls if request.tools else None,
        response_format=request.response_format,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=list(request.stop),
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        user=request.user,
        stream=True if stream else None,
        stream_options={"include_usage": True} if stream and flavor.usage_option else None,
        **{
            "max_completion_tokens" if bounds_reasoning(target, flavor) else "max_tokens": request.max_tokens,
            flavor.seed: request.seed,
            **effort_fields(request.reasoning_effort, target, flavor),
        },
    )
    body = {"model": target.model, "messages": write_messages(request, target, flavor), **fields}
    return deep_merge(body, target.extra, request.extra.get("openai", {}))


def bounds_reasoning(target: Target, flavor: Flavor) -> bool:
    """Whether the bound is called `max_completion_tokens`: OpenAI's reasoning models reject `max_tokens`."""
    return flavor.openai_models and reasons(target.model)


def efforts_of(target: Target, flavor: Flavor) -> tuple[str, ...]:
    """The reasoning efforts that this target knows."""
    return openai_efforts(target.model) if flavor.openai_models else flavor.efforts


def effort_fields(effort: str | None, target: Target, flavor: Flavor) -> Json:
    """The fields that say how hard to think; none where the model does not think and need not."""
    if effort is None:
        return {}
    if flavor.effort == "thinking":  # DeepSeek: on or off
        return {"thinking": {"type": "disabled" if effort == "none" else "enabled"}}
    chosen = nearest_effort(effort, efforts_of(target, flavor))
    if chosen is None:
        return {}
    return {"reasoning": {"effort": chosen}} if flavor.effort == "reasoning" else {"reasoning_effort": chosen}


def _tool_choice(request: ChatRequest, flavor: Flavor) -> Any:
    if not request.tools:
        return None
    return flavor.required if request.tool_choice == "required" else request.tool_choice


def write_messages(request: ChatRequest, target: Target, flavor: Flavor) -> list[Json]:
    """The history as this provider takes it."""
    history = portable(
        request.messages,
        "openai",
        ids=flavor.ids,
        signed_by=_signers(target, flavor),
        keep_cache_control=flavor.signer == "openrouter",
    )
    return [_message(message, flavor) for message in history]


def _signers(target: Target, flavor: Flavor) -> Sequence[str]:
    """Whose signatures go along: Gemini behind Google's own OpenAI endpoint reads its own."""
    google = "googleapis.com" in (target.base_url or "")
    return [name for name, wanted in ((flavor.signer, True), ("gemini", google)) if name and wanted]


def _message(message: Mapping[str, Any], flavor: Flavor) -> Json:
    kept = _FIELDS | flavor.message_fields
    result = {name: value for name, value in message.items() if name in kept or name == "cache_control"}
    if result.get("role") == "developer" and not flavor.developer:
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
    blocks = as_maps(message.get("thinking_blocks")) if flavor.signer else []
    if blocks:
        result["reasoning_details"] = [without(block, ["dialect"]) for block in blocks]
    elif flavor.reasoning_field:
        reasoning = as_text(message.get("reasoning_content"))
        # DeepSeek, in thinking mode: "The reasoning_content … must be passed back", of a call's message at least ""
        if reasoning or (flavor.name == "deepseek" and "tool_calls" in message):
            result[flavor.reasoning_field] = reasoning
    return result


def _refusal(message: Mapping[str, Any], flavor: Flavor) -> Json:
    refusal = message.get("refusal")
    if not refusal:
        return {}
    if flavor.keeps_refusal:
        return {"refusal": refusal}
    return {} if message.get("content") else {"content": refusal}


def _call(call: Mapping[str, Any]) -> Json:
    """A call in OpenAI's shape: arguments are always the text of a JSON object, which vLLM and Mistral parse."""
    function = as_map(call.get("function"))
    arguments = function.get("arguments")
    valid = isinstance(arguments, str) and call_arguments(call).keys() != {"invalid_json"} and arguments.strip()
    written = arguments if valid else compact(as_map(arguments) or call_arguments(call))
    return {
        **{name: value for name, value in call.items() if name in ("id", "extra_content")},
        "type": "function",
        "function": {"name": call_name(call), "arguments": written},
    }


def _content(content: Any, flavor: Flavor) -> Any:
    parts = parts_of(content)
    if not flavor.keeps_refusal:
        parts = [_as_text(part) for part in parts]
    if flavor.text_only and all(part.get("type") == "text" for part in parts):
        return "".join(as_text(part.get("text")) for part in parts)
    return [_image(part) for part in parts]


def _as_text(part: Json) -> Json:
    return {"type": "text", "text": as_text(part.get("refusal"))} if part.get("type") == "refusal" else part


def _image(part: Json) -> Json:
    """An image whose URL stands there bare, as some clients write it."""
    url = part.get("image_url")
    return {**part, "image_url": {"url": url}} if isinstance(url, str) else part
