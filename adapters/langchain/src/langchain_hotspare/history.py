# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportPrivateUsage=false
"""A conversation as one native member can take it: what other targets wrote is reduced to text and tool calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from hotspare import ChatRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, convert_to_messages

from langchain_hotspare.families import is_a
from langchain_hotspare.trail import KEY


def for_member(request: ChatRequest, model: BaseChatModel, name: str) -> list[BaseMessage]:
    """The messages for this member; what recovery put behind the caller's own is there too."""
    if request.native is None:
        return convert_to_messages([dict(message) for message in request.messages])
    caller: Sequence[BaseMessage] = request.native.messages
    added = request.messages[request.native.length :]
    keeps_marks = "anthropic" in model._llm_type
    own = [_portable(message, name, keeps_marks=keeps_marks) for message in caller]
    if is_a(model, "BaseChatOpenAI"):
        own = list(_text_results(own))
    return [*own, *convert_to_messages([dict(message) for message in added])]


def model_for(request: ChatRequest, model: BaseChatModel, name: str) -> BaseChatModel:
    """The model, or a copy that does not think: in the middle of another's tool loop.

    With a thinking budget Anthropic wants such a turn to begin with its own signed thinking, which does not exist.
    """
    thinking = getattr(model, "thinking", None)
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled" or request.native is None:
        return model
    caller: Sequence[BaseMessage] = request.native.messages
    spoken = [message for message in caller if isinstance(message, AIMessage)]
    in_loop = bool(spoken) and isinstance(caller[-1], ToolMessage)
    return model.model_copy(update={"thinking": None}) if in_loop and _is_foreign(spoken[-1], name) else model


def _portable(message: BaseMessage, name: str, *, keeps_marks: bool) -> BaseMessage:
    if isinstance(message, AIMessage) and _is_foreign(message, name):
        return AIMessage(
            content=str(message.text),
            tool_calls=message.tool_calls,
            invalid_tool_calls=message.invalid_tool_calls,
            name=message.name,
            id=message.id,
        )
    return message if keeps_marks else _unmarked(message)


def _is_foreign(message: AIMessage, name: str) -> bool:
    """Whether another target of a pool wrote it. Reasoning and its signatures hold only where they were issued, even at
    one provider: encrypted items decrypt for the account that got them."""
    trail = cast("dict[str, Any] | None", message.response_metadata.get(KEY))
    return trail is not None and (trail.get("target") != name or bool(trail.get("seams")))


def _text_results(messages: Iterable[BaseMessage]) -> Iterator[BaseMessage]:
    """OpenAI's tool results are text only: their images and files follow in a user message."""
    held: list[Any] = []
    for message in messages:
        if held and not isinstance(message, ToolMessage):
            yield HumanMessage(held)
            held = []
        if isinstance(message, ToolMessage) and isinstance(message.content, list):
            texts = [b for b in message.content if isinstance(b, str) or b.get("type") == "text"]
            held += [b for b in message.content if b not in texts]
            message = message.model_copy(update={"content": texts or "(see below)"})
        yield message
    if held:
        yield HumanMessage(held)


def _unmarked(message: BaseMessage) -> BaseMessage:
    """Without Anthropic's cache marks, which others refuse."""
    content = message.content
    if isinstance(content, str) or not any(isinstance(block, dict) and "cache_control" in block for block in content):
        return message
    clean = [
        {key: value for key, value in block.items() if key != "cache_control"} if isinstance(block, dict) else block
        for block in content
    ]
    return message.model_copy(update={"content": clean})
