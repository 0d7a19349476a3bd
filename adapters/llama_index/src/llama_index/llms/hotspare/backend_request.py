# Messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""hotspare's request -> the arguments of one LlamaIndex LLM's `chat`.

They are created anew for every attempt, because some integrations modify the messages that they receive.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.tools.function_tool import FunctionTool
from llama_index.core.tools.types import BaseTool, ToolMetadata
from llama_index.llms.hotspare.model_families import ANTHROPIC, GEMINI, OPENAI, OTHER, ModelFamily

from hotspare import ChatRequest, portable_history

Json = dict[str, Any]

_SETTINGS = (
    "temperature", "top_p", "top_k", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty",
    "reasoning_effort", "user", "response_format",
)  # fmt: skip


def unsupported(request: ChatRequest, family: ModelFamily, *, takes_tools: bool) -> tuple[str, ...]:
    """Names of the request's fields that an LLM of this family does not support."""
    found = [name for name in _settings(request) if name not in family.arguments]
    if request.tools and not takes_tools:
        found.append("tools")
    if not family.tool_by_name and request.tool_choice not in (None, "auto", "required"):
        found.append("tool_choice")
    kinds = {str(part.get("type")) for message in request.messages for part in _parts(message.get("content"))}
    if family.parts is not None and not kinds <= family.parts:
        found.append("messages")
    return tuple(found)


def arguments_for(
    llm: LLM, family: ModelFamily, request: ChatRequest, max_tokens: int | None
) -> tuple[list[ChatMessage], Json]:
    """The messages and keyword arguments of one call. `max_tokens`: the LLM's own limit, sent if the request has none."""
    messages = messages_for(request, family)
    own = {"max_tokens": max_tokens} if family is OPENAI and max_tokens is not None else {}
    settings = {**own, **_settings(request)}
    found = {family.arguments[name]: value for name, value in settings.items() if name in family.arguments}
    found |= request.extra.get(family.dialect, {})
    kwargs = {family.nested_in: found} if family.nested_in and found else found
    if request.tools and isinstance(llm, FunctionCallingLLM):
        prepared = _with_tools(llm, family, request, messages)
        messages = prepared.pop("messages")
        kwargs = {**prepared, **kwargs}
    return messages, kwargs


def _settings(request: ChatRequest) -> Json:
    """The settings that the request has."""
    values = {name: getattr(request, name) for name in _SETTINGS}
    values["stop"] = list(request.stop) or None
    return {name: value for name, value in values.items() if value is not None}


def _with_tools(
    llm: FunctionCallingLLM, family: ModelFamily, request: ChatRequest, messages: list[ChatMessage]
) -> Json:
    """The arguments of `chat` with tools, prepared by the LLM itself."""
    # LlamaIndex's hook for this, in the form that older integrations support too.
    prepare: Any = llm._prepare_chat_with_tools_compat  # pyright: ignore[reportPrivateUsage]
    return dict(
        prepare(
            [_tool(tool) for tool in request.tools],
            chat_history=messages,
            allow_parallel_tool_calls=request.parallel_tool_calls is not False,
            tool_required=request.tool_choice == "required",
            **_choice(request.tool_choice, family),
        )
    )


def _choice(choice: str | Mapping[str, Any] | None, family: ModelFamily) -> Json:
    """The argument for a choice other than `auto` and `required`, in the family's form."""
    if choice in (None, "auto", "required") or family is OTHER:
        return {}
    name = choice.get("function", {}).get("name") if isinstance(choice, Mapping) else None
    if family is ANTHROPIC:
        return {"tool_choice": {"type": "tool", "name": name} if name else {"type": "none"}}
    if family is GEMINI:
        return {"tool_choice": name or "none"}
    return {"tool_choice": choice}


class _Schema(ToolMetadata):
    """The metadata of a tool that already has a JSON schema. Integrations read it from `fn_schema` or by this method."""

    def get_parameters_dict(self) -> Json:
        return dict(self.fn_schema) if isinstance(self.fn_schema, dict) else {"type": "object", "properties": {}}


def _tool(tool: Mapping[str, Any]) -> BaseTool:
    function = tool["function"]
    schema: Any = function.get("parameters") or {"type": "object", "properties": {}}
    metadata = _Schema(description=function.get("description") or "", name=function["name"], fn_schema=schema)
    return FunctionTool(fn=_not_callable, metadata=metadata)


def _not_callable(**kwargs: Any) -> None:
    raise AssertionError("this tool only describes a function to a model: the caller runs it")


# --- messages ------------------------------------------------------------------------------------------------------


def messages_for(request: ChatRequest, family: ModelFamily) -> list[ChatMessage]:
    """The conversation in this family's form: with the tool-call ids, signatures and roles that its provider requires."""
    originals: Sequence[ChatMessage] = request.native if isinstance(request.native, tuple) else ()
    placed = [{**message, "place": place} for place, message in enumerate(request.messages)]
    history = portable_history(placed, family.dialect, id_rule=family.ids)
    messages = [_chat_message(message, family, _original(message, originals, family)) for message in history]
    if family is not GEMINI:
        return messages
    # The integration sends only the first system message as one, and later ones as the user's.
    system = [message for message in messages if message.role == MessageRole.SYSTEM]
    others = [message for message in messages if message.role != MessageRole.SYSTEM]
    texts = "\n\n".join(message.content or "" for message in system)
    return [*([ChatMessage(role=MessageRole.SYSTEM, content=texts)] if texts else []), *others]


def _original(message: Mapping[str, Any], originals: Sequence[ChatMessage], family: ModelFamily) -> ChatMessage | None:
    """The caller's own user or system message, if the family supports blocks that OpenAI's shape does not have; else None."""
    place = message.get("place", len(originals))
    if message["role"] not in ("user", "system") or place >= len(originals):
        return None
    citable = any(isinstance(block, CitableBlock) for block in originals[place].blocks)
    return originals[place] if family is OTHER or (family is ANTHROPIC and citable) else None


def _chat_message(message: Mapping[str, Any], family: ModelFamily, original: ChatMessage | None) -> ChatMessage:
    if original is not None:
        return original.model_copy(deep=True)
    role = MessageRole(message["role"])
    if role == MessageRole.DEVELOPER and family is not OPENAI:
        role = MessageRole.SYSTEM
    blocks = [block for part in _parts(message.get("content")) for block in _blocks(part, family)]
    extra: Json = {}
    if role == MessageRole.TOOL:
        extra["tool_call_id"] = message.get("tool_call_id")
    calls = message.get("tool_calls") or []
    if calls and family.calls_in_kwargs:
        extra["tool_calls"] = [{name: call[name] for name in ("id", "type", "function")} for call in calls]
    elif calls:
        blocks = [*_thinking_blocks(message), *blocks, *map(_call_block, calls)]
    else:
        blocks = [*_thinking_blocks(message), *blocks]
    if family is GEMINI and role == MessageRole.ASSISTANT and (signatures := _signatures(calls, len(blocks))):
        role, extra = MessageRole.MODEL, {"thought_signatures": signatures}
    return ChatMessage(role=role, blocks=blocks or [TextBlock(text="")], additional_kwargs=extra)


def _thinking_blocks(message: Mapping[str, Any]) -> list[ContentBlock]:
    """Signed thinking. `portable_history` has removed blocks that another provider signed."""
    return [
        ThinkingBlock(content=block["thinking"], additional_information={"signature": block.get("signature", "")})
        for block in message.get("thinking_blocks") or ()
        if block.get("thinking")
    ]


def _call_block(call: Mapping[str, Any]) -> ToolCallBlock:
    function = call["function"]
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {"invalid_json": function["arguments"]}
    named = arguments if isinstance(arguments, dict) else {"invalid_json": function["arguments"]}
    return ToolCallBlock(tool_call_id=call["id"], tool_name=function["name"], tool_kwargs=named)


def _signatures(calls: Iterable[Mapping[str, Any]], blocks: int) -> list[bytes | None]:
    """Gemini's thought signatures, at the positions of their tool calls, which are the last blocks."""
    found = [((call.get("extra_content") or {}).get("google") or {}).get("thought_signature") for call in calls]
    if not any(found):
        return []
    return [None] * (blocks - len(found)) + [base64.b64decode(text) if text else None for text in found]


def _parts(content: Any) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [{"type": "text", "text": part} if isinstance(part, str) else part for part in content or ()]


def _blocks(part: Mapping[str, Any], family: ModelFamily) -> list[ContentBlock]:
    block = _block(part)
    cache = part.get("cache_control")
    if cache and family is ANTHROPIC:
        return [block, CachePoint(cache_control=CacheControl(**cache))]
    return [block]


def _block(part: Mapping[str, Any]) -> ContentBlock:
    kind = part["type"]
    if kind == "image_url":
        image = part["image_url"]
        url, detail = (image, None) if isinstance(image, str) else (image["url"], image.get("detail"))
        media, data = _data(url)
        return (
            ImageBlock(url=url, detail=detail)
            if data is None
            else ImageBlock(image=data, image_mimetype=media, detail=detail)
        )
    if kind == "input_audio":
        audio = part["input_audio"]
        return AudioBlock(audio=base64.b64decode(audio["data"]), format=audio.get("format"))
    if kind == "file":
        file = part["file"]
        media, data = _data(file.get("file_data") or "")
        if data is None:
            return DocumentBlock(url=file.get("file_id"), title=file.get("filename"))
        if media and media.startswith("video/"):
            return VideoBlock(video=data, video_mimetype=media)
        return DocumentBlock(data=data, document_mimetype=media, title=file.get("filename"))
    return TextBlock(text=part.get("text") or part.get("refusal") or "")


def _data(url: str) -> tuple[str | None, bytes | None]:
    """The media type and the bytes of a `data:` URL; (None, None) for any other URL."""
    head, comma, payload = url.partition(";base64,")
    return (
        (head.removeprefix("data:"), base64.b64decode(payload)) if comma and head.startswith("data:") else (None, None)
    )
