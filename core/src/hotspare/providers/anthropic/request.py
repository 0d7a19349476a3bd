"""ChatRequest -> the body of Anthropic's `POST /v1/messages`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hotspare.messages import ANTHROPIC_TOOL_FIELDS, ChatRequest, Message
from hotspare.providers.anthropic.models import THINKING_BUDGETS, effort_of, traits_of
from hotspare.providers.content import (
    SYSTEM_ROLES,
    call_arguments,
    call_name,
    image_url,
    media_type_of,
    parse_data_url,
    parts_of,
    tool_calls,
    with_cache_control,
)
from hotspare.providers.history import OPENING_TURN, HistoryRules, IdRule, merge_turns, valid_history
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

HISTORY = HistoryRules(
    IdRule(re.compile(r"[A-Za-z0-9_-]{1,64}")), signers=frozenset({"anthropic", ""}), cache_control=True
)
"""Ids: "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'". Thinking blocks without a dialect have Anthropic's shape."""


def write_body(request: ChatRequest, target: Target, *, stream: bool) -> Json:
    """The JSON body. The target's `extra`, then the request's, override what hotspare writes."""
    own = request.extra.get("anthropic", {})
    messages = valid_history(request.messages, HISTORY, target)
    system = [block for message in messages if message.get("role") in SYSTEM_ROLES for block in _content(message)]
    turns = _turns(messages)
    if not turns:  # a system prompt alone: Anthropic requires a user turn, so it becomes one
        turns, system = [("user", system or [_text(OPENING_TURN)])], []
    if "messages" in own:  # a history in Anthropic's shape has its own system prompt
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
    """The thinking budget in tokens, for models that require a number; 0 if `max_tokens` is too small for the minimum."""
    budget = THINKING_BUDGETS.get(request.reasoning_effort or "", 0)
    if request.max_tokens is not None:
        budget = min(budget, request.max_tokens - 1)
    return budget if budget >= THINKING_BUDGETS["minimal"] else 0


def forces_tool(request: ChatRequest) -> bool:
    """Whether the model must call a tool: Anthropic accepts no thinking in that case."""
    return bool(request.tools) and request.tool_choice not in (None, "auto", "none")


def _thinking(
    request: ChatRequest,
    target: Target,
    messages: Sequence[Message],
    own: Mapping[str, Any],
) -> Json:
    """`thinking` and `output_config.effort` for the reasoning effort, unless `extra` sets them."""
    effort = request.reasoning_effort
    if effort is None or "thinking" in own or "effort" in as_map(own.get("output_config")):
        return {}
    traits = traits_of(target.model)
    if effort == "none":
        return {"thinking": {"type": "disabled"}} if traits.adaptive and not traits.always_reasoning else {}
    if not traits.reasoning:
        return {}
    if traits.adaptive:
        display = {"display": "summarized"} if traits.xhigh else {}
        thinking = {} if forces_tool(request) else {"thinking": {"type": "adaptive", **display}}
        return {**thinking, "output_config": {"effort": effort_of(effort, traits)}}
    budget = thinking_budget(request)
    if not budget or forces_tool(request) or _is_in_foreign_tool_loop(messages):
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _is_in_foreign_tool_loop(messages: Sequence[Message]) -> bool:
    """Whether the latest turn of the assistant called tools without thinking that this model signed.

    With a thinking budget, Anthropic requires that turn to begin with such thinking ("preceding the lastmost set of `tool_use`
    and `tool_result` blocks"); text of the user after the results belongs to the same message.
    """
    last = next((message for message in reversed(messages) if message.get("role") == "assistant"), None)
    return last is not None and "tool_calls" in last and not last.get("thinking_blocks")


def _output_format(request: ChatRequest) -> Json:
    wanted = as_map(request.response_format)
    if wanted.get("type") != "json_schema":
        return {}
    schema = as_map(as_map(wanted.get("json_schema")).get("schema"))
    return {"output_config": {"format": {"type": "json_schema", "schema": close_objects(schema)}}}


def close_objects(schema: Any) -> Any:
    """The schema with `additionalProperties: false` on every object, which Anthropic requires."""
    if isinstance(schema, (list, tuple)):
        return [close_objects(item) for item in as_list(cast("object", schema))]
    if not isinstance(schema, Mapping):
        return schema
    result = {name: close_objects(value) for name, value in as_map(cast("object", schema)).items()}
    is_object = result.get("type") == "object" and "additionalProperties" not in result
    return {**result, "additionalProperties": False} if is_object else result


def _system(blocks: list[Json]) -> Any:
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return blocks[0]["text"]
    return blocks or None


def _turns(messages: Sequence[Message]) -> list[tuple[str, list[Json]]]:
    turns = merge_turns(_turn(m) for m in messages if m.get("role") not in SYSTEM_ROLES)
    if turns and turns[0][0] == "assistant":
        turns.insert(0, ("user", [_text(OPENING_TURN)]))
    if turns and turns[-1][0] == "assistant" and turns[-1][1][-1]["type"] == "text":
        last = turns[-1][1][-1]  # "final assistant content cannot end with trailing whitespace"
        turns[-1][1][-1] = {**last, "text": last["text"].rstrip()}
    return turns


def _turn(message: Message) -> tuple[str, list[Json]]:
    role = message.get("role")
    if role == "tool":
        return "user", [_tool_result(message)]
    if role == "assistant":
        thinking = [without(block, ["dialect"]) for block in as_maps(message.get("thinking_blocks"))]
        content = _blocks(parts_of(message.get("content"))) or _blocks(parts_of(message.get("refusal")))
        blocks = [*content, *(_tool_use(call) for call in tool_calls(message))]
        return "assistant", [*thinking, *with_cache_control(blocks, message.get("cache_control"))]
    return "user", _content(message)


def _content(message: Message) -> list[Json]:
    """The content as blocks. `cache_control` of the message, which Anthropic does not have, is moved to its last block."""
    return with_cache_control(_blocks(parts_of(message.get("content"))), message.get("cache_control"))


def _tool_use(call: Json) -> Json:
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": call_name(call),
        "input": call_arguments(call),
        **drop_empty(cache_control=call.get("cache_control")),
    }


def _tool_result(message: Message) -> Json:
    content = message.get("content")
    blocks = [] if isinstance(content, str) else _blocks(parts_of(content))
    marks = [block["cache_control"] for block in blocks if "cache_control" in block]
    return drop_empty(
        type="tool_result",
        tool_use_id=message.get("tool_call_id"),
        content=content if isinstance(content, str) else [without(block, ["cache_control"]) for block in blocks],
        is_error=True if message.get("is_error") else None,
        cache_control=message.get("cache_control", marks[-1] if marks else None),
    )


def _blocks(parts: Sequence[Json]) -> list[Json]:
    """Content parts as blocks. Blank texts are dropped: "text content blocks must be non-empty"."""
    blocks: list[Json] = []
    for part in parts:
        block = block_of(part)
        if block is not None:
            cache = drop_empty(cache_control=part.get("cache_control"))
            blocks.append({**block, **cache})
    return blocks


def block_of(part: Json) -> Json | None:
    """A content part as an Anthropic block; None for blank text, and for parts that Anthropic does not accept."""
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
    blob = parse_data_url(url)
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
    """A file: PDF or plain text as data, a PDF's URL, or the id of an upload to Anthropic's Files API (`file_…`)."""
    title = drop_empty(title=file.get("filename"))
    file_id = as_text(file.get("file_id"))
    if file_id.startswith("file_"):
        return {
            "type": "document",
            "source": {"type": "file", "file_id": file_id},
            **title,
        }
    if file_id.startswith("https://"):
        media_type = as_text(file.get("format")) or media_type_of(file_id) or ""
        if media_type.startswith(("audio/", "image/", "video/")):
            return None
        return {"type": "document", "source": {"type": "url", "url": file_id}, **title}
    blob = parse_data_url(as_text(file.get("file_data")))
    if blob is None or blob.media_type != "application/pdf":
        return None
    source = {"type": "base64", "media_type": blob.media_type, "data": blob.data}
    return {"type": "document", "source": source, **title}


def _tools(request: ChatRequest, messages: Sequence[Message]) -> list[Json]:
    """The tools. Without tools, a history with tool calls is valid only if their names are declared, so these are."""
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
        **{name: tool.get(name, function.get(name)) for name in ANTHROPIC_TOOL_FIELDS},
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
