"""A LiteLLM call -> a ChatRequest and a pool's call options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hotspare import ChatRequest

from litellm_hotspare.host import litellm, table

_FIELDS = frozenset(
    {
        "temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "tools",
        "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "user",
    }
)  # fmt: skip
_HINTS = frozenset(
    {
        "service_tier", "store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "prediction",
        "verbosity",
    }
)  # fmt: skip
"""OpenAI's own fields that change no answer's meaning: they ride along to targets that speak OpenAI's wire."""
_HANDLED = frozenset(
    {"stream", "stream_options", "max_retries", "stop", "thinking", "extra_body", "max_completion_tokens"}
)


def request_of(call: Mapping[str, Any]) -> ChatRequest:
    """The request in the keyword arguments that LiteLLM hands to a CustomLLM.

    Raises litellm.UnsupportedParamsError for parameters that no target is sent, unless `drop_params` is set.
    """
    given: Mapping[str, Any] = {key: value for key, value in call["optional_params"].items() if value is not None}
    fields = {key: value for key, value in given.items() if key in _FIELDS}
    fields.setdefault("max_tokens", given.get("max_completion_tokens"))
    stop = given.get("stop")
    if stop:
        fields["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    openai = {key: value for key, value in given.items() if key in _HINTS} | dict(table(given.get("extra_body")))
    extra: dict[str, Mapping[str, Any]] = {"openai": openai} if openai else {}
    if "thinking" in given:
        extra["anthropic"] = {"thinking": given["thinking"]}
    _refuse(call, [key for key, value in given.items() if not _known(key, value)])
    return ChatRequest(
        messages=[_message(message) for message in call["messages"]], model=call["model"], extra=extra, **fields
    )


def deadline_of(timeout: Any, longest: float) -> float:
    """Seconds: LiteLLM's timeout (a number or an httpx.Timeout), or the pool's deadline where that is sooner."""
    seconds = getattr(timeout, "read", timeout)
    return min(float(seconds), longest) if seconds else longest


def _known(key: str, value: Any) -> bool:
    if key in ("n", "modalities"):  # what everybody sends who means one text
        return value in (1, ["text"])
    return key in _FIELDS or key in _HINTS or key in _HANDLED


def _refuse(call: Mapping[str, Any], names: Iterable[str]) -> None:
    lost = sorted(names)
    drops = litellm.drop_params is True or table(call.get("litellm_params")).get("drop_params") is True
    if lost and not drops:
        raise litellm.UnsupportedParamsError(
            f"hotspare cannot carry {', '.join(lost)} from one provider to another: leave them out, or set drop_params",
            llm_provider="hotspare",
            model=call["model"],
        )


def _message(message: Any) -> dict[str, Any]:
    """One message as a plain dict. What LiteLLM's own answers carry as None is left out."""
    kept = {key: value for key, value in table(message).items() if value is not None or key == "content"}
    kept.pop("provider_specific_fields", None)
    calls: list[Any] = kept.get("tool_calls") or []
    if calls:
        kept.setdefault("content", None)  # LiteLLM takes it out, and some servers ask for it
        kept["tool_calls"] = [_tool_call(call) for call in calls]
    return kept


def _tool_call(call: Any) -> dict[str, Any]:
    """Gemini's thought signature stands where LiteLLM keeps it; hotspare keeps it where Google's own shape does."""
    plain = dict(table(call))
    own = table(plain.pop("provider_specific_fields", None))
    if own.get("thought_signature"):
        plain["extra_content"] = {"google": {"thought_signature": own["thought_signature"]}}
    return {key: value for key, value in plain.items() if value is not None}
