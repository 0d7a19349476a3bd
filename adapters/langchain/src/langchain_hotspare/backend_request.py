# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""hotspare's request -> the messages for one LangChain model.

Messages that another target wrote are reduced to text and tool calls: reasoning and its signatures are valid only for
the target that wrote them. `history` makes tool calls and their results valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hotspare import ChatRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, convert_to_messages

from langchain_hotspare.binding import Binding
from langchain_hotspare.history import with_tool_calls, with_valid_ids
from langchain_hotspare.metadata import METADATA_KEY
from langchain_hotspare.model_families import family_of, is_a, is_claude


@dataclass(frozen=True, slots=True)
class LangChainCall:
    """The original call, which the pool's LangChain models receive as `ChatRequest.native`.

    `messages`: the caller's own. `length`: how many of the request's OpenAI-shaped messages were converted from them; any
    messages after those were appended to continue a broken stream. `arguments`: further arguments of the model's call.
    """

    messages: Sequence[BaseMessage]
    length: int
    binding: Binding | None
    arguments: dict[str, Any]


def call_of(request: ChatRequest) -> LangChainCall | None:
    """The original LangChain call of a request; None if the request does not come from LangChain."""
    return request.native if isinstance(request.native, LangChainCall) else None


def binding_for(request: ChatRequest) -> Binding:
    """The tools and the response format of a request: those of the original LangChain call, if there is one."""
    call = call_of(request)
    return call.binding if call is not None and call.binding is not None else Binding.of(request)


def messages_for(request: ChatRequest, model: BaseChatModel, target: str) -> list[BaseMessage]:
    """The messages for this model, including any that were appended to continue a broken stream.

    `target`: the name of the model's target.
    """
    call = call_of(request)
    if call is None:
        return convert_to_messages([dict(message) for message in request.messages])
    appended = request.messages[call.length :]
    history = with_valid_ids(with_tool_calls(call.messages), family_of(model).ids)
    own = [_portable(message, target, keeps_cache_marks=is_claude(model)) for message in history]
    if is_a(model, "BaseChatOpenAI"):
        own = list(_text_results(own))
    return [*own, *convert_to_messages([dict(message) for message in appended])]


def may_be_empty(request: ChatRequest) -> bool:
    """Whether an answer without content can be valid: after tool results, and if the request has stop sequences."""
    return bool(request.stop) or request.follows_tool_result


def model_for(request: ChatRequest, model: BaseChatModel, target: str) -> BaseChatModel:
    """The model, or a copy without thinking inside a tool loop that another target began.

    With a thinking budget, Anthropic requires such a turn to begin with thinking that the same model signed.
    """
    call = call_of(request)
    thinking = getattr(model, "thinking", None)
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled" or call is None:
        return model
    answers = [message for message in call.messages if isinstance(message, AIMessage)]
    in_tool_loop = bool(answers) and isinstance(call.messages[-1], ToolMessage)
    if in_tool_loop and _is_foreign(answers[-1], target):
        return model.model_copy(update={"thinking": None})
    return model


def _portable(message: BaseMessage, target: str, *, keeps_cache_marks: bool) -> BaseMessage:
    if isinstance(message, AIMessage) and _is_foreign(message, target):
        return AIMessage(
            content=str(message.text),
            tool_calls=message.tool_calls,
            invalid_tool_calls=message.invalid_tool_calls,
            name=message.name,
            id=message.id,
        )
    return message if keeps_cache_marks else _without_cache_marks(message)


def _is_foreign(message: AIMessage, target: str) -> bool:
    """Whether another target wrote it, or a part of it.

    Two accounts at one provider count as two targets, because only the account that received encrypted reasoning can decrypt it.
    """
    metadata = cast("dict[str, Any] | None", message.response_metadata.get(METADATA_KEY))
    return metadata is not None and (metadata.get("target") != target or bool(metadata.get("splice_points")))


def _text_results(messages: Iterable[BaseMessage]) -> Iterator[BaseMessage]:
    """Tool results with text only, as OpenAI requires: their images and files follow in a user message."""
    media: list[Any] = []
    for message in messages:
        if media and not isinstance(message, ToolMessage):
            yield HumanMessage(media)
            media = []
        if isinstance(message, ToolMessage) and isinstance(message.content, list):
            texts = [b for b in message.content if isinstance(b, str) or b.get("type") == "text"]
            media += [b for b in message.content if b not in texts]
            message = message.model_copy(update={"content": texts or "(see below)"})
        yield message
    if media:
        yield HumanMessage(media)


def _without_cache_marks(message: BaseMessage) -> BaseMessage:
    """The message without Anthropic's `cache_control`, which other providers reject."""
    content = message.content
    if isinstance(content, str) or not any(isinstance(block, dict) and "cache_control" in block for block in content):
        return message
    clean = [
        {key: value for key, value in block.items() if key != "cache_control"} if isinstance(block, dict) else block
        for block in content
    ]
    return message.model_copy(update={"content": clean})
