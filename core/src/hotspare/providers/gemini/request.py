"""ChatRequest -> the body of Gemini's `generateContent` (Gemini API and Vertex AI)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hotspare.messages import ChatRequest, Message
from hotspare.providers.content import (
    SYSTEM_ROLES,
    call_arguments,
    call_name,
    image_url,
    media_type_of,
    parse_data_url,
    parts_of,
    plain_text,
    system_parts,
    tool_calls,
)
from hotspare.providers.gemini.response import GENERATED_PREFIX
from hotspare.providers.history import OPENING_TURN, HistoryRules, IdRule, merge_turns, valid_history
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, deep_merge, drop_empty, load_map
from hotspare.target import Target

HISTORY = HistoryRules(IdRule(re.compile(r"[!-~]{1,128}")), signers=frozenset({"gemini"}), call_signatures=True)
PLACEHOLDER_SIGNATURE = "skip_thought_signature_validator"
"""Sent in place of a signature for tool calls of another model: Gemini 3 rejects calls without one (Google's FAQ on thought
signatures documents this value; Gemini CLI sends it)."""
THINKING_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192}
"""Thinking budgets in tokens by effort, for Gemini 2.5, which requires a number. LiteLLM's figures."""
_VERTEX = re.compile(r"aiplatform\.(?:\w+\.rep\.)?googleapis\.com|/projects/[^/]+/locations/[^/]+")
_THINKING_LEVELS = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}


def generation(model: str) -> tuple[int, int]:
    """The version in a model's name; aliases such as `gemini-flash-latest` count as (3, 0)."""
    found = re.search(r"gemini-(\d+)(?:\.(\d+))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else (3, 0)


def on_vertex(target: Target) -> bool:
    """Whether the target is reached through Vertex AI, by its public address or a private one with its path."""
    return target.provider == "vertex" or _VERTEX.search(target.base_url or "") is not None


def write_body(request: ChatRequest, target: Target) -> Json:
    """The JSON body. The target's `extra`, then the request's, override what hotspare writes."""
    messages = valid_history(request.messages, HISTORY, target)
    system = [part for part in map(text_part, system_parts(messages)) if part]
    turns = _turns(messages, target)
    if not turns:  # a system prompt alone: Gemini requires a user turn, so it becomes one
        turns, system = [("user", system or [{"text": OPENING_TURN}])], []
    body = drop_empty(
        systemInstruction={"role": "user", "parts": system} if system else None,
        contents=[{"role": role, "parts": parts} for role, parts in turns],
        tools=[{"functionDeclarations": [_tool(tool) for tool in request.tools]}] if request.tools else None,
        toolConfig=_tool_config(request),
        generationConfig=_config(request, target) or None,
    )
    return deep_merge(body, target.extra, request.extra.get("gemini", {}))


def _config(request: ChatRequest, target: Target) -> Json:
    wanted = as_map(request.response_format)
    json_kind = wanted.get("type") in ("json_object", "json_schema")
    return drop_empty(
        temperature=request.temperature,
        topP=request.top_p,
        topK=request.top_k,
        maxOutputTokens=request.max_tokens,
        stopSequences=list(request.stop),
        seed=request.seed,
        frequencyPenalty=request.frequency_penalty,
        presencePenalty=request.presence_penalty,
        responseMimeType="application/json" if json_kind else None,
        responseJsonSchema=as_map(wanted.get("json_schema")).get("schema"),
        thinkingConfig=_thinking(request, target),
    )


def _thinking(request: ChatRequest, target: Target) -> Json | None:
    """`thinkingConfig` for the reasoning effort, unless `extra` sets it."""
    effort = request.reasoning_effort
    own = as_map(as_map(request.extra.get("gemini")).get("generationConfig"))
    version = generation(target.model)
    if effort is None or "thinkingConfig" in own or version < (2, 5):
        return None
    if version < (3, 0):
        return {"thinkingBudget": THINKING_BUDGETS[effort], **({"includeThoughts": True} if effort != "none" else {})}
    level = _THINKING_LEVELS[effort]
    if level == "minimal" and "flash" not in target.model:
        level = "low"  # only the flash models accept `minimal`
    return {"thinkingLevel": level, **({"includeThoughts": True} if effort != "none" else {})}


def _turns(messages: Sequence[Message], target: Target) -> list[tuple[str, list[Json]]]:
    names = {call["id"]: call_name(call) for message in messages for call in tool_calls(message)}
    turns = merge_turns(_turn(m, names, target) for m in messages if m.get("role") not in SYSTEM_ROLES)
    if turns and turns[0][0] == "model":
        turns.insert(0, ("user", [{"text": OPENING_TURN}]))
    return [(role, _results_first(parts)) for role, parts in turns]


def _results_first(parts: list[Json]) -> list[Json]:
    """Function responses first: Gemini requires one for each call, all in one group."""
    return sorted(parts, key=lambda part: "functionResponse" not in part)


def _turn(message: Message, names: Mapping[str, str], target: Target) -> tuple[str, list[Json]]:
    role = message.get("role")
    if role == "tool":
        return "user", _function_response(message, names, target)
    if role == "assistant":
        return "model", _model_parts(message, target)
    return "user", [part for part in (part_of(p, target) for p in parts_of(message.get("content"))) if part]


def _model_parts(message: Message, target: Target) -> list[Json]:
    blocks = as_maps(message.get("thinking_blocks"))
    thoughts = [_thought_part(block) for block in blocks if block.get("type") == "thinking"]
    signature = next((as_text(block["signature"]) for block in blocks if block.get("type") == "signature"), "")
    content = parts_of(message.get("content")) or parts_of(message.get("refusal"))
    parts = [part for part in (part_of(p, target) for p in content) if part and part.get("text") != ""]
    if signature and parts:
        parts[-1] = {**parts[-1], "thoughtSignature": signature}
    calls = [_function_call(call) for call in tool_calls(message)]
    if calls and generation(target.model) >= (3, 0) and not any("thoughtSignature" in call for call in calls):
        calls[0]["thoughtSignature"] = PLACEHOLDER_SIGNATURE
    return [*thoughts, *parts, *calls]


def _thought_part(block: Json) -> Json:
    return drop_empty(text=as_text(block.get("thinking")), thought=True, thoughtSignature=block.get("signature"))


def _function_call(call: Json) -> Json:
    signature = as_map(as_map(call.get("extra_content")).get("google")).get("thought_signature")
    function = drop_empty(id=gemini_id(call["id"]), name=call_name(call), args=call_arguments(call))
    return drop_empty(functionCall=function, thoughtSignature=signature)


def gemini_id(call_id: object) -> str | None:
    """The id of a tool call at Gemini; None if hotspare generated it, because Gemini's call had none."""
    text = as_text(call_id)
    return None if not text or text.startswith(GENERATED_PREFIX) else text


def _function_response(message: Message, names: Mapping[str, str], target: Target) -> list[Json]:
    call_id = as_text(message.get("tool_call_id"))
    content = message.get("content")
    media = [part for part in parts_of(content) if part.get("type") != "text"]
    blobs = [part for part in (part_of(p, target) for p in media) if part]
    inside = [blob for blob in blobs if generation(target.model) >= (3, 0) and _fits_in_response(blob)]
    response = drop_empty(
        id=gemini_id(call_id),
        name=names[call_id],
        response=_response_object(plain_text(content), failed=bool(message.get("is_error")), media=bool(media)),
        parts=inside,
    )
    return [{"functionResponse": response}, *(blob for blob in blobs if blob not in inside)]


def _fits_in_response(blob: Json) -> bool:
    """Whether the data can be inside a function response: Gemini 3 accepts images and PDFs there. Other data follows the response."""
    media_type = as_text(as_map(blob.get("inlineData") or blob.get("fileData")).get("mimeType"))
    return media_type.startswith("image/") or media_type == "application/pdf"


def _response_object(text: str, *, failed: bool, media: bool) -> Json:
    """A tool result as an object: a JSON object unchanged, other text under `output` or `error`, as Google documents it."""
    parsed = load_map(text)
    if parsed is not None:
        return parsed
    if media and not text:
        return {}
    return {"error": text} if failed else {"output": text}


def text_part(part: Json) -> Json | None:
    """A text part in Gemini's shape; None for any other part."""
    return {"text": as_text(part.get("text"))} if part.get("type") == "text" else None


def part_of(part: Json, target: Target) -> Json | None:
    """A content part in Gemini's shape; None if this target does not accept it."""
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return {"text": as_text(part.get("text") or part.get("refusal"))}
    if kind == "image_url":
        return _media(image_url(part), None, target)
    if kind == "input_audio":
        audio = as_map(part.get("input_audio"))
        return {"inlineData": {"mimeType": f"audio/{audio.get('format')}", "data": as_text(audio.get("data"))}}
    if kind != "file":
        return None
    file = as_map(part.get("file"))
    url = as_text(file.get("file_data")) or as_text(file.get("file_id"))
    return _media(url, as_text(file.get("format")) or None, target)


def _media(url: str, media_type: str | None, target: Target) -> Json | None:
    """Data goes inline. Gemini accepts URLs of its own files, from 2.5 on also public https; Vertex `gs://` and https."""
    blob = parse_data_url(url)
    if blob is not None:
        return {"inlineData": {"mimeType": blob.media_type, "data": blob.data}}
    media_type = media_type or media_type_of(url)
    own_file = url.startswith("https://generativelanguage.googleapis.com/")
    public = url.startswith("https://") and (on_vertex(target) or generation(target.model) >= (2, 5))
    if not own_file and not (media_type and (public or (url.startswith("gs://") and on_vertex(target)))):
        return None
    return {"fileData": drop_empty(mimeType=media_type, fileUri=url)}


def _tool(tool: Mapping[str, Any]) -> Json:
    function = as_map(tool.get("function"))
    return drop_empty(
        name=function.get("name"),
        description=function.get("description"),
        parametersJsonSchema=function.get("parameters"),
    )


def _tool_config(request: ChatRequest) -> Json | None:
    choice = request.tool_choice
    if choice is None or not request.tools:
        return None
    if isinstance(choice, str):
        mode = {"auto": "AUTO", "none": "NONE", "required": "ANY"}[choice]
        return {"functionCallingConfig": {"mode": mode}}
    return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": chosen_names(choice)}}


def chosen_names(choice: Mapping[str, Any]) -> list[str]:
    """The functions that a tool choice names: one, or those of OpenAI's `allowed_tools`."""
    allowed = as_maps(as_map(choice.get("allowed_tools")).get("tools"))
    return [call_name(tool) for tool in allowed] if allowed else [call_name(choice)]
