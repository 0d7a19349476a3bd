"""The body of a chat completion request -> ChatRequest. What it has no field for goes into `extra`, word for word."""

from collections.abc import Mapping
from typing import Any

from hotspare.messages import ChatRequest, ReasoningEffort
from hotspare.providers.json_access import Json, as_list, as_map, as_maps, as_text, drop_empty, without
from hotspare.providers.openai.flavors import Flavor

_READ = frozenset(
    [
        "model",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "random_seed",
        "frequency_penalty",
        "presence_penalty",
        "user",
        "stream",
        "stream_options",
    ]
)
EFFORTS: dict[str, ReasoningEffort] = {
    "none": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
}
_DETAILS = frozenset({"reasoning_details", "reasoning"})


def parse_body(body: Mapping[str, Any], flavor: Flavor, model: str | None = None) -> ChatRequest:
    """The reverse of `write_body`."""
    extra = without(body, _READ)
    tools = as_maps(body.get("tools"))
    functions = [{"type": "function", **tool} for tool in tools if is_function(tool)]
    if len(functions) < len(tools):  # the provider's own tools: nobody else has them
        extra["tools"] = body["tools"]
    choice = body.get("tool_choice")
    if choice is not None and not functions:
        extra["tool_choice"] = choice
    stop = body.get("stop")
    limit = body.get("max_completion_tokens")
    return ChatRequest(
        messages=[_message(message, flavor) for message in as_maps(body.get("messages"))],
        model=model or body.get("model"),
        tools=functions,
        tool_choice=_choice(choice) if functions else None,
        parallel_tool_calls=body.get("parallel_tool_calls"),
        response_format=body.get("response_format"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        top_k=body.get("top_k"),
        max_tokens=body.get("max_tokens") if limit is None else limit,
        stop=(stop,) if isinstance(stop, str) else tuple(as_list(stop)),
        seed=body.get("seed", body.get("random_seed")),
        frequency_penalty=body.get("frequency_penalty"),
        presence_penalty=body.get("presence_penalty"),
        reasoning_effort=_effort(extra, flavor),
        user=body.get("user"),
        extra={"openai": extra} if extra else {},
    )


def is_function(tool: Mapping[str, Any]) -> bool:
    """Whether a tool is a plain function. Mistral leaves the type out."""
    return tool.get("type", "function") == "function" and "function" in tool


def _choice(choice: Any) -> Any:
    return "required" if choice == "any" else choice


def _effort(extra: Json, flavor: Flavor) -> ReasoningEffort | None:
    """The effort; taken out of `extra` where hotspare writes the same again, else it stays there, word for word."""
    if flavor.effort_field == "reasoning":
        return EFFORTS.get(as_text(as_map(extra.get("reasoning")).get("effort")))
    effort = EFFORTS.get(as_text(extra.get("reasoning_effort")))
    if effort is not None and flavor.effort_field == "reasoning_effort":
        del extra["reasoning_effort"]
    return effort


def _message(message: Json, flavor: Flavor) -> Json:
    if message.get("role") != "assistant":
        return message
    reasoning = as_text(message.get("reasoning_content")) or as_text(message.get("reasoning"))
    signer = flavor.reasoning_signer or "openai"
    signed = [{**block, "dialect": signer} for block in as_maps(message.get("reasoning_details"))]
    return without(message, _DETAILS | {"reasoning_content"}) | drop_empty(
        reasoning_content=reasoning or None, thinking_blocks=signed
    )
