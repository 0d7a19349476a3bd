"""The arguments of a LlamaIndex call -> OpenAI-shaped messages and the options of `Pool.chat`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.hotspare.backend import LlamaIndexBackend
from llama_index.llms.hotspare.messages import openai_messages

from hotspare import Pool


class Request(NamedTuple):
    """The arguments of one call of the pool. `single_tool_call`: whether the response may hold only one tool call."""

    messages: list[dict[str, Any]]
    options: dict[str, Any]
    single_tool_call: bool


def request_of(pool: Pool, messages: Sequence[ChatMessage], settings: Mapping[str, Any]) -> Request:
    """The pool's arguments for these messages. `settings`: those of the LLM and of the call; None values are dropped.

    Not every provider can be restricted to one tool call at a time, and a provider that cannot is called all the same.
    So `parallel_tool_calls=False` is not sent: further calls are removed from the response.
    """
    options = {name: value for name, value in settings.items() if value is not None}
    single = options.pop("parallel_tool_calls", None) is False
    wrapped = any(isinstance(target.backend, LlamaIndexBackend) for target in pool.targets)
    if wrapped:
        options["native"] = tuple(messages)
    return Request(openai_messages(messages, keep_unknown=wrapped), options, single)
