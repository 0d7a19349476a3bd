"""ChatRequest -> the body of Anthropic's `POST /v1/messages`."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hotspare.messages import ChatRequest, Message
from hotspare.providers.anthropic.models import BUDGETS, effort_of, traits_of
from hotspare.providers.content import (
    SYSTEM_ROLES,
    call_arguments,
    call_name,
    data_url,
    image_url,
    parts_of,
    system_parts,
    tool_calls,
)
from hotspare.providers.history import OPENING, merge_turns, portable
from hotspare.providers.json_access import (
    Json,
    as_list,
    as_map,
    as_maps,
    as_text,
    deep_merge,
    drop_empty,
    without,
)
from hotspare.target import Target

TOOL_FIELDS = (
    "cache_control",
    "defer_loading",
    "allowed_callers",
    "eager_input_streaming",
    "input_examples",
)
"""Fields of an Anthropic tool that OpenAI's has no place for; they stand beside `function` and are passed on."""


def write_body(request: ChatRequest, target: Target, *, stream: bool) -> Json:
    """The JSON body. `extra` of the target and then of the request is laid over what hotspare writes."""
    own = request.extra.get("anthropic", {})
    messages = portable(request.messages, "anthropic")
    system = system_parts(messages)
    turns = _turns(messages)
    if not turns:  # nothing but a system prompt: Anthropic wants a user's turn, so it becomes one
        turns, system = [("user", _blocks(system) or [_text(OPENING)])], []
    if "messages" in own:  # a history in Anthropic's own words brings its system prompt along
        system = []
    thinking = _thinking(request, target, messages, own)
    budget = as_map(thinking.get("thinking")).get("budget_tokens", 0)
    body = drop_empty(
        model=target.model,
        max_tokens=request.max_tokens or target.max_output_tokens + budget,
        system=_system(system),
        messages=[{"role": role, "content": blocks} for role, blocks in turns],
        tools=_tools(request, messages),
        tool_choice=_tool_choice(request, messages),
        stop_sequences=list(request.stop),
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        metadata={"user_id": request.user} if request.user else None,
        stream=True if stream else None,
    )
    return deep_merge(body, thinking, _output_format(request), target.extra, own)


def thinking_budget(request: ChatRequest) -> int:
    """Thinking tokens for a model that wants a number; 0 where `max_tokens` leaves no room for the least one."""
    budget = BUDGETS.get(request.reasoning_effort or "", 0)
    if request.max_tokens is not None:
        budget = min(budget, request.max_tokens - 1)
    return budget if budget >= BUDGETS["minimal"] else 0


def forces_tool(request: ChatRequest) -> bool:
    """Whether the model must call a tool: Anthropic takes no thinking together with that."""
    return bool(request.tools) and request.tool_choice not in (None, "auto", "none")


def _thinking(
    request: ChatRequest,
    target: Target,
    messages: Sequence[Message],
    own: Mapping[str, Any],
) -> Json:
    """`thinking` and `output_config.effort` of a request's reasoning effort, unless its `extra` says it better."""
    effort = request.reasoning_effort
    if effort is None or "thinking" in own or "effort" in as_map(own.get("output_config")):
        return {}
    traits = traits_of(target.model)
    if effort == "none":
        return {"thinking": {"type": "disabled"}} if traits.adaptive and not traits.always_thinks else {}
    if not traits.thinks:
        return {}
    if traits.adaptive:
        shown = {"display": "summarized"} if traits.xhigh else {}
        thinking = {} if forces_tool(request) else {"thinking": {"type": "adaptive", **shown}}
        return {**thinking, "output_config": {"effort": effort_of(effort, traits)}}
    budget = thinking_budget(request)
    if not budget or forces_tool(request) or _loop_without_thinking(messages):
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _loop_without_thinking(messages: Sequence[Message]) -> bool:
    """Whether the history ends in results of calls that another provider's model made.

    With a thinking budget Anthropic wants such a turn to begin with its own signed thinking, which does not exist.
    """
    if not messages or messages[-1].get("role") != "tool":
        return False
    spoken = [message for message in messages if message.get("role") == "assistant"]
    return not (spoken and spoken[-1].get("thinking_blocks"))


def _output_format(request: ChatRequest) -> Json:
    wanted = as_map(request.response_format)
    if wanted.get("type") != "json_schema":
        return {}
    schema = as_map(as_map(wanted.get("json_schema")).get("schema"))
    return {"output_config": {"format": {"type": "json_schema", "schema": closed(schema)}}}


def closed(schema: Any) -> Any:
    """The schema with `additionalProperties: false` on every object: Anthropic takes no other."""
    if isinstance(schema, (list, tuple)):
        return [closed(item) for item in as_list(cast("object", schema))]
    if not isinstance(schema, Mapping):
        return schema
    result = {name: closed(value) for name, value in as_map(cast("object", schema)).items()}
    is_object = result.get("type") == "object" and "additionalProperties" not in result
    return {**result, "additionalProperties": False} if is_object else result


def _system(parts: Sequence[Json]) -> Any:
    blocks = _blocks(parts)
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return blocks[0]["text"]
    return blocks or None


def _turns(messages: Sequence[Message]) -> list[tuple[str, list[Json]]]:
    turns = merge_turns(_turn(m) for m in messages if m.get("role") not in SYSTEM_ROLES)
    if turns and turns[0][0] == "assistant":
        turns.insert(0, ("user", [_text(OPENING)]))
    if turns and turns[-1][0] == "assistant" and turns[-1][1][-1]["type"] == "text":
        last = turns[-1][1][-1]  # "final assistant content cannot end with trailing whitespace"
        turns[-1][1][-1] = {**last, "text": last["text"].rstrip()}
    return turns


def _turn(message: Message) -> tuple[str, list[Json]]:
    role = message.get("role")
    if role == "tool":
        return "user", [_result(message)]
    if role == "assistant":
        thinking = [without(block, ["dialect"]) for block in as_maps(message.get("thinking_blocks"))]
        said = _blocks(parts_of(message.get("content"))) or _blocks(parts_of(message.get("refusal")))
        return "assistant", [
            *thinking,
            *said,
            *(_call(call) for call in tool_calls(message)),
        ]
    return "user", _blocks(parts_of(message.get("content")))


def _call(call: Json) -> Json:
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": call_name(call),
        "input": call_arguments(call),
    }


def _result(message: Message) -> Json:
    content = message.get("content")
    return drop_empty(
        type="tool_result",
        tool_use_id=message.get("tool_call_id"),
        content=content if isinstance(content, str) else _blocks(parts_of(content)),
        is_error=True if message.get("is_error") else None,
        cache_control=message.get("cache_control"),
    )


def _blocks(parts: Sequence[Json]) -> list[Json]:
    """Content parts as blocks. Blank texts are left out: "text content blocks must be non-empty"."""
    blocks: list[Json] = []
    for part in parts:
        block = block_of(part)
        if block is not None:
            cache = drop_empty(cache_control=part.get("cache_control"))
            blocks.append({**block, **cache})
    return blocks


def block_of(part: Json) -> Json | None:
    """A content part as an Anthropic block, or None where there is none for it (and for blank text)."""
    kind = part.get("type")
    if kind in ("text", "refusal"):
        text = as_text(part.get("text") or part.get("refusal"))
        return _text(text) if text.strip() else None
    if kind == "image_url":
        return _image(image_url(part))
    return _document(as_map(part.get("file"))) if kind == "file" else None


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _image(url: str) -> Json | None:
    blob = data_url(url)
    if blob is not None:
        allowed = blob.media_type in (
            "image/jpeg",
            "image/png",
            "image/gif",
            "image/webp",
        )
        source = {"type": "base64", "media_type": blob.media_type, "data": blob.data}
        return {"type": "image", "source": source} if allowed else None
    if url.startswith(("https://", "http://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    return None


def _document(file: Json) -> Json | None:
    """A file: PDF or plain text as data, a PDF's URL, or the id that Anthropic's own Files API gave (`file_…`)."""
    title = drop_empty(title=file.get("filename"))
    file_id = as_text(file.get("file_id"))
    if file_id.startswith("file_"):
        return {
            "type": "document",
            "source": {"type": "file", "file_id": file_id},
            **title,
        }
    if file_id.startswith("https://"):
        return {"type": "document", "source": {"type": "url", "url": file_id}, **title}
    blob = data_url(as_text(file.get("file_data")))
    if blob is None or blob.media_type != "application/pdf":
        return None
    source = {"type": "base64", "media_type": blob.media_type, "data": blob.data}
    return {"type": "document", "source": source, **title}


def _tools(request: ChatRequest, messages: Sequence[Message]) -> list[Json]:
    """The tools, or, where a history has calls and the request no tools, the least that makes that history valid."""
    if request.tools:
        return [_tool(tool) for tool in request.tools]
    names = {call_name(call): None for message in messages for call in tool_calls(message)}
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


def _tool(tool: Mapping[str, Any]) -> Json:
    function = as_map(tool.get("function"))
    return drop_empty(
        name=function.get("name"),
        description=function.get("description"),
        input_schema=function.get("parameters") or {"type": "object"},
        strict=function.get("strict"),
        **{name: tool.get(name) for name in TOOL_FIELDS},
    )


def _tool_choice(request: ChatRequest, messages: Sequence[Message]) -> Json | None:
    if not request.tools:
        return {"type": "none"} if any(tool_calls(message) for message in messages) else None
    choice = request.tool_choice
    single = {"disable_parallel_tool_use": True} if request.parallel_tool_calls is False else {}
    if choice is None:
        return {"type": "auto", **single} if single else None
    if choice == "none":
        return {"type": "none"}
    if choice in ("auto", "required"):
        return {"type": "auto" if choice == "auto" else "any", **single}
    return {"type": "tool", "name": call_name(as_map(choice)), **single}
