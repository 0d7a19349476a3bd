"""LlamaIndex's tools -> OpenAI's shape, and the tool calls of a response -> LlamaIndex's ToolSelection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool
from llama_index.llms.hotspare.messages import tool_calls
from llama_index.llms.hotspare.response import arguments_of

Json = dict[str, Any]


def chat_arguments(
    tools: Sequence[BaseTool],
    user_msg: str | ChatMessage | None,
    chat_history: Sequence[ChatMessage] | None,
    *,
    parallel: bool,
    required: bool,
    choice: str | Mapping[str, Any] | None,
) -> Json:
    """Keyword arguments of `chat` with these tools. The caller's history is not changed."""
    messages = list(chat_history or ())
    if isinstance(user_msg, str):
        messages.append(ChatMessage(role=MessageRole.USER, content=user_msg))
    elif user_msg is not None:
        messages.append(user_msg)
    if not tools:
        return {"messages": messages}
    return {
        "messages": messages,
        "tools": [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools],
        "tool_choice": _choice(choice, required=required),
        "parallel_tool_calls": parallel,
    }


def _choice(choice: str | Mapping[str, Any] | None, *, required: bool) -> str | Mapping[str, Any]:
    """The choice in OpenAI's form: a tool's name becomes an object, `any` (Anthropic, Gemini) becomes `required`."""
    if choice is None:
        return "required" if required else "auto"
    if choice == "any":
        return "required"
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        return {"type": "function", "function": {"name": choice}}
    return choice


def selections(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """The tool calls of a response, whole or still streaming. Raises ValueError if one is required and there is none."""
    found = [
        ToolSelection(
            tool_id=call["id"],
            tool_name=call["function"]["name"],
            tool_kwargs=arguments_of(call["function"].get("arguments") or ""),
        )
        for call in tool_calls(response.message)
    ]
    if not found and error_on_no_tool_call:
        raise ValueError("Expected at least one tool call, but got 0 tool calls.")
    return found
