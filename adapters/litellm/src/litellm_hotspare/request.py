"""The arguments of a LiteLLM call -> hotspare's request and deadline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from hotspare import CallOptions, ChatRequest

from litellm_hotspare.litellm_api import as_mapping, litellm
from litellm_hotspare.messages import openai_messages

_FIELDS = frozenset(
    {
        "temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "tools",
        "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "user",
    }
)  # fmt: skip
_OPTIONS = (
    frozenset(CallOptions.__annotations__)
    - frozenset(ChatRequest.__dataclass_fields__)
    - {"deadline", "api_key", "targets"}
)
"""Options of `Pool.chat`; the deadline is LiteLLM's timeout."""
_OPENAI_ONLY = frozenset(
    {
        "service_tier", "store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "prediction",
        "verbosity",
    }
)  # fmt: skip
"""OpenAI's own parameters that do not change the meaning of an answer. They are sent only to targets with OpenAI's wire format."""
_HANDLED = frozenset(
    {"stream", "stream_options", "max_retries", "stop", "thinking", "extra_body", "max_completion_tokens"}
)


def request_of(call: Mapping[str, Any]) -> ChatRequest:
    """The request in the keyword arguments that LiteLLM passes to a CustomLLM.

    Raises litellm.UnsupportedParamsError for parameters that hotspare does not support, unless `drop_params` is set.
    """
    given: Mapping[str, Any] = {key: value for key, value in call["optional_params"].items() if value is not None}
    fields = {key: value for key, value in given.items() if key in _FIELDS}
    fields.setdefault("max_tokens", given.get("max_completion_tokens"))
    stop = given.get("stop")
    if stop:
        fields["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    openai = {key: value for key, value in given.items() if key in _OPENAI_ONLY}
    openai |= dict(as_mapping(given.get("extra_body")))
    extra: dict[str, Mapping[str, Any]] = {"openai": openai} if openai else {}
    if "thinking" in given:
        extra["anthropic"] = {"thinking": given["thinking"]}
    reject_unsupported(call, [key for key, value in given.items() if not _is_supported(key, value)])
    return ChatRequest(messages=openai_messages(call["messages"]), model=call["model"], extra=extra, **fields)


def options_of(call: Mapping[str, Any]) -> CallOptions:
    """Further options of `Pool.chat` from the parameters of a LiteLLM call: ``session="…"``, ``regions=["eu"]``."""
    given = call["optional_params"]
    return cast("CallOptions", {key: given[key] for key in _OPTIONS if given.get(key) is not None})


def deadline_of(timeout: Any, longest: float) -> float:
    """Seconds: LiteLLM's timeout (a number or an httpx.Timeout), at most `longest`, which is the pool's deadline."""
    seconds = getattr(timeout, "read", timeout)
    return min(float(seconds), longest) if seconds else longest


def _is_supported(key: str, value: Any) -> bool:
    if key in ("n", "modalities"):  # supported only with the value that means one text answer
        return value in (1, ["text"])
    return key in _FIELDS or key in _OPTIONS or key in _OPENAI_ONLY or key in _HANDLED


def reject_unsupported(call: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise litellm.UnsupportedParamsError for these parameters, unless `drop_params` is set."""
    unsupported = sorted(names)
    drop = litellm.drop_params is True or as_mapping(call.get("litellm_params")).get("drop_params") is True
    if unsupported and not drop:
        raise litellm.UnsupportedParamsError(
            f"hotspare does not support {', '.join(unsupported)}, which not every provider has: remove them, or set"
            " drop_params",
            llm_provider="hotspare",
            model=call["model"],
        )
