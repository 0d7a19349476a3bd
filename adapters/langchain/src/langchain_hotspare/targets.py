# LangChain names the methods that a chat model must implement with an underscore, although they are part of its API.
# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownMemberType=false
"""LangChain chat models as targets of a pool: unwrapped, copied, with their SDK's retries switched off."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Unpack
from urllib.parse import urlsplit

from hotspare import ConfigError, Problem, Target, TargetFields
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding

from langchain_hotspare.backend import LangChainBackend
from langchain_hotspare.model_families import family_of, is_a

ModelLike = BaseChatModel | Runnable[Any, Any] | Target | str
"""An entry of `ChatHotspare(models=…)`: a chat model, one with bound arguments, a hotspare Target, or a string.
`openai:gpt-4.1` is a LangChain model from `init_chat_model`, `openai/gpt-4.1` a hotspare Target."""

_PRESETS = {"google_genai": "gemini", "mistralai": "mistral"}
"""LangChain's provider names that differ from hotspare's. One provider must have one name, because it is one failure domain."""

_BASE_URLS = ("openai_api_base", "azure_endpoint", "anthropic_api_url", "base_url")
_KEYS = ("openai_api_key", "anthropic_api_key", "google_api_key", "api_key")


def target_of(
    model: BaseChatModel | Runnable[Any, Any],
    name: str = "",
    *,
    id: str | None = None,
    **options: Unpack[TargetFields],
) -> Target:
    """A chat model as a target, for a `hotspare.Pool` of your own.

    Args:
        model: the chat model, or one with bound arguments (`model.bind(...)`). It is copied, not changed.
        name: the target's name in reports. Default: its `id`, and the host if the model has a base URL.
        id: `provider/model`. Default: the names that the model reports for traces.
        options: further fields of `Target`: region, account, tier, weight, aliases, context_window, price…

    Raises:
        ConfigError: `model` is not a chat model, or is wrapped in retries or fallbacks.
    """
    plain, kwargs = _unwrapped(model)
    options.setdefault("region", _host_of(plain))
    options.setdefault("api_key", _key_of(plain))
    options.setdefault("context_window", (plain.profile or {}).get("max_input_tokens"))
    target_id = id or _id_of(plain)
    region = options.get("region")
    name = name or (f"{target_id}@{region}" if region else target_id)
    return Target(target_id, name=name, backend=LangChainBackend(_without_retries(plain), kwargs, name), **options)


def targets_of(models: Iterable[ModelLike]) -> list[Target]:
    """Each model as a target, in order; equal names get a number. Raises ConfigError with the place of the mistake."""
    found: list[Target] = []
    for place, model in enumerate(models):
        try:
            target = _target(model)
        except ConfigError as error:
            raise ConfigError([f"models[{place}]: {problem}" for problem in error.problems]) from error
        taken = {other.name for other in found}
        if (
            target.name in taken
            and isinstance(target.backend, LangChainBackend)
            and not isinstance(model, Target | str)
        ):
            number = next(n for n in range(2, len(found) + 3) if f"{target.name}#{n}" not in taken)
            target = target_of(model, f"{target.name}#{number}")
        found.append(target)
    return found


def _target(model: ModelLike) -> Target:
    if isinstance(model, Target):
        return model
    if isinstance(model, str):
        return target_of(_init_model(model)) if ":" in model.split("/")[0] else Target(model)
    return target_of(model)


def _init_model(spec: str) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        way_out = "needs the package langchain: pip install langchain. A hotspare target is written 'provider/model'"
        raise ConfigError(Problem.at("model", spec, way_out)) from error
    made: Any = init_chat_model(spec, max_retries=0)
    return made  # type: ignore[no-any-return]


def _unwrapped(model: Any) -> tuple[BaseChatModel, dict[str, Any]]:
    """The chat model inside its bindings, and the arguments that were bound to it."""
    kwargs: dict[str, Any] = {}
    while isinstance(model, RunnableBinding):
        binding: RunnableBinding[Any, Any] = model
        if type(binding).__name__ == "RunnableRetry":
            way_out = (
                "retries by itself, which would multiply the pool's attempts: pass the chat model without with_retry()"
            )
            raise ConfigError(Problem.at("model", "RunnableRetry", way_out))
        kwargs = {**binding.kwargs, **kwargs}
        model = binding.bound
    if not isinstance(model, BaseChatModel):
        way_out = "is not a chat model: pass each chat model as a separate entry, and the pool fails over between them"
        raise ConfigError(Problem.at("model", type(model).__name__, way_out))
    return model, kwargs


def _id_of(model: BaseChatModel) -> str:
    params = model._get_ls_params()
    provider = params.get("ls_provider") or type(model).__name__.lower()
    return f"{_PRESETS.get(provider, provider)}/{params.get('ls_model_name') or 'model'}"


def _host_of(model: BaseChatModel) -> str | None:
    return next((urlsplit(str(url)).netloc for name in _BASE_URLS if (url := getattr(model, name, None))), None)


def _key_of(model: BaseChatModel) -> Any:
    """The model's key. It only identifies the account: the model makes its own calls."""
    return next((key for name in _KEYS if hasattr(key := getattr(model, name, None), "get_secret_value")), None)


def _without_retries(model: BaseChatModel) -> BaseChatModel:
    """A copy whose SDK does not retry, because the pool retries, and retries in two layers multiply."""
    if "max_retries" not in type(model).model_fields:
        return model
    copy: Any = model.model_copy(update={"max_retries": 0})
    if is_a(model, "BaseChatOpenAI"):
        _replace_openai_clients(copy)
    elif is_a(model, "ChatAnthropic"):
        for client in (
            "_client",
            "_async_client",
            "_client_params",
        ):  # cached clients, which are created again from the copy's fields
            vars(copy).pop(client, None)
    elif not family_of(model).known and getattr(model, "max_retries", None):
        warnings.warn(
            f"{type(model).__name__} may retry by itself, which multiplies the pool's attempts: set max_retries=0 on it",
            stacklevel=4,
        )
    without_retries: BaseChatModel = copy
    return without_retries


def _replace_openai_clients(copy: Any) -> None:
    """Replace OpenAI's clients, which are created together with the model, by clients without retries."""
    for root, completions in (("root_client", "client"), ("root_async_client", "async_client")):
        client = getattr(copy, root, None)
        if client is not None:
            replacement = client.with_options(max_retries=0)
            setattr(copy, root, replacement)
            setattr(copy, completions, replacement.chat.completions)
