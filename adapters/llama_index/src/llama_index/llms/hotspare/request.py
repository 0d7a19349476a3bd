"""The arguments of a LlamaIndex call -> OpenAI-shaped messages and the options of `Pool.chat`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.hotspare.backend import LlamaIndexBackend
from llama_index.llms.hotspare.messages import openai_messages

from hotspare import Pool, Target


class Request(NamedTuple):
    """The arguments of one call of the pool. `single_tool_call`: whether the response may hold only one tool call."""

    messages: list[dict[str, Any]]
    options: dict[str, Any]
    single_tool_call: bool


def request_of(pool: Pool, messages: Sequence[ChatMessage], settings: Mapping[str, Any]) -> Request:
    """The pool's arguments for these messages. `settings`: those of the LLM and of the call; None values are dropped.

    `parallel_tool_calls=False` is not sent, because not every provider supports it: further calls are removed from the response.
    """
    options = {name: value for name, value in settings.items() if value is not None}
    single = options.pop("parallel_tool_calls", None) is False
    wrapped = _has_llama_index_llms(pool)
    if wrapped:
        options["native"] = tuple(messages)
    return Request(openai_messages(messages, keep_unknown=wrapped), options, single)


def _has_llama_index_llms(pool: Pool) -> bool:
    """Whether a target is an LLM of LlamaIndex. The result is cached; a change replaces the `targets` of a pool as a whole."""
    targets, known = pool.targets, _KNOWN.get(pool)
    if known is None or known[0] is not targets:
        known = _KNOWN[pool] = targets, any(isinstance(target.backend, LlamaIndexBackend) for target in targets)
    return known[1]


_KNOWN = WeakKeyDictionary[Pool, tuple[Sequence[Target], bool]]()
