"""Wraps, once per process, four functions of LiteLLM for which a custom provider has no hook:

* `litellm.acompletion`. LiteLLM calls `CustomLLM.astreaming` without awaiting, and so returns before a custom provider has been
  called. A failure then comes from a stream that has begun: a Router's fallbacks ignore it if its status is 4xx, and `/v1/messages`
  and `/v1/responses` have already answered 200. Router, proxy and the adapters of those two APIs all call `litellm.acompletion`,
  which, once wrapped, waits for the first content of a pool's stream.
* `get_valid_models`, with which a proxy expands ``hotspare/*`` in `/v1/models`. It does not support custom providers.
* The adapter of `/v1/messages`, which keeps `cache_control` only for models whose name contains "claude" or "anthropic". A pool
  sends it to the targets that support it.
* `litellm.stream_chunk_builder`, which LiteLLM calls at the end of each stream. It looks at each chunk about ten times, and twenty
  times if any delta has `provider_specific_fields`, as the last delta of a pool's stream does.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from litellm_hotspare.chunks import joined
from litellm_hotspare.litellm_api import litellm
from litellm_hotspare.metadata import take_fields
from litellm_hotspare.streams import start_stream

_MARK = "_wrapped_by_hotspare"
_MESSAGES_ADAPTERS = ("messages", "pass_through", "experimental_pass_through")
"""The module of the adapter of `/v1/messages`: since LiteLLM 1.110, since 1.105, and before."""
_PROVIDERS: set[str] = set()
"""The provider names of registered pools."""


def install(provider: str) -> None:
    """Wrap the functions that are not wrapped yet, and store `provider` as the name of a pool."""
    _PROVIDERS.add(provider)
    _wrap(litellm, "acompletion", _acompletion)
    _wrap(litellm, "stream_chunk_builder", _stream_chunk_builder)
    for module in (litellm, litellm.utils, sys.modules.get("litellm.proxy.auth.model_checks")):
        _wrap(module, "get_valid_models", _get_valid_models)
    for name in _MESSAGES_ADAPTERS:
        try:
            adapters: Any = import_module(f"litellm.llms.anthropic.{name}.adapters.transformation")
        except ModuleNotFoundError:
            continue
        _wrap(adapters.LiteLLMAnthropicMessagesAdapter, "_add_cache_control_if_applicable", _add_cache_control)


def is_pool(model: object) -> bool:
    """Whether a model's name belongs to a registered pool."""
    return isinstance(model, str) and model.partition("/")[0] in _PROVIDERS


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    inner = getattr(owner, name, None)
    if inner is not None and not getattr(inner, _MARK, False):
        wrapper = functools.wraps(inner)(make(inner))
        setattr(wrapper, _MARK, True)
        setattr(owner, name, wrapper)


def _acompletion(inner: Any) -> Any:
    async def acompletion(*args: Any, **call: Any) -> Any:
        return await start_stream(await inner(*args, **call))

    return acompletion


def _stream_chunk_builder(inner: Any) -> Any:
    def stream_chunk_builder(chunks: Any, *args: Any, **options: Any) -> Any:
        chunks, fields = take_fields(chunks)
        response = inner(joined(chunks) if fields else chunks, *args, **options)
        if fields and response is not None:
            message = response.choices[0].message
            message.provider_specific_fields = {**(message.provider_specific_fields or {}), **fields}
        return response

    return stream_chunk_builder


def _get_valid_models(inner: Any) -> Any:
    def get_valid_models(*args: Any, **options: Any) -> Any:
        provider = options.get("custom_llm_provider")
        return list(litellm.models_by_provider[provider]) if provider in _PROVIDERS else inner(*args, **options)

    return get_valid_models


def _add_cache_control(inner: Any) -> Any:
    def add_cache_control(adapter: Any, source: Any, target: Any, model: Any = None) -> Any:
        return inner(adapter, source, target, "anthropic" if is_pool(model) else model)

    return add_cache_control
