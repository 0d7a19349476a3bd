# What a chat model has to implement is named with an underscore by LangChain; it is its contract all the same.
# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownMemberType=false
"""A user's own LangChain chat model as a target of a pool: unwrapped, copied, its SDK's retries switched off."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from hotspare import Target
from hotspare.errors import ConfigError, Problem
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding

from langchain_hotspare.families import family_of, is_a
from langchain_hotspare.native import NativeBackend

Member = BaseChatModel | Runnable[Any, Any] | Target | str
"""What `models` may hold: a chat model, one with bound keywords, a hotspare Target, or a spec: `openai:gpt-4.1` is a
LangChain model made by `init_chat_model`, `openai/gpt-4.1` is a hotspare Target."""

_PROVIDERS = {"google_genai": "gemini", "mistralai": "mistral"}
"""Providers that LangChain calls otherwise than hotspare's presets: wire targets and native ones of one provider fail together."""

_BASE_URLS = ("openai_api_base", "azure_endpoint", "anthropic_api_url", "base_url")
_KEYS = ("openai_api_key", "anthropic_api_key", "google_api_key", "api_key")


def target_of(model: BaseChatModel | Runnable[Any, Any], name: str = "", **options: Any) -> Target:
    """A chat model as a target, for a `hotspare.Pool` of your own.

    Args:
        model: the chat model, or one with bound keywords (`model.bind(...)`). It is copied, not changed.
        name: how reports call it. Default: `provider/model`, with the host where a base URL was given.
        options: further fields of `Target`: region, account, tier, weight, aliases, context_window, price…

    Raises:
        ConfigError: for something that is no chat model, or that has its own retries or fallbacks around it.
    """
    plain, kwargs = _unwrapped(model)
    params = plain._get_ls_params()
    provider, label = params.get("ls_provider") or type(plain).__name__.lower(), params.get("ls_model_name") or "model"
    host = next((urlsplit(str(url)).netloc for key in _BASE_URLS if (url := getattr(plain, key, None))), None)
    options.setdefault("region", host)
    options.setdefault("api_key", _key_of(plain))
    options.setdefault("context_window", (plain.profile or {}).get("max_input_tokens"))
    target_id = f"{_PROVIDERS.get(provider, provider)}/{label}"
    name = name or (f"{target_id}@{options['region']}" if options["region"] else target_id)
    backend = NativeBackend(_quiet(plain), kwargs, name)
    return Target(target_id, name=name, backend=backend, **options)


def targets_of(members: Iterable[Member]) -> list[Target]:
    """Every member as a target, in order. Two of the same name get a number. Raises ConfigError naming the place."""
    found: list[Target] = []
    for place, member in enumerate(members):
        try:
            target = _target(member)
        except ConfigError as error:
            raise ConfigError([f"models[{place}]: {problem}" for problem in error.problems]) from error
        taken = {other.name for other in found}
        if target.name in taken and isinstance(target.backend, NativeBackend) and not isinstance(member, Target | str):
            number = next(n for n in range(2, len(found) + 3) if f"{target.name}#{n}" not in taken)
            target = target_of(member, f"{target.name}#{number}")
        found.append(target)
    return found


def _target(member: Member) -> Target:
    if isinstance(member, Target):
        return member
    if isinstance(member, str):
        return target_of(_made(member)) if ":" in member.split("/")[0] else Target(member)
    return target_of(member)


def _made(spec: str) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        way_out = "needs LangChain itself: pip install langchain; or write 'provider/model' for a hotspare target"
        raise ConfigError(Problem.at("spec", spec, way_out)) from error
    made: Any = init_chat_model(spec, max_retries=0)
    return made  # type: ignore[no-any-return]


def _unwrapped(model: Any) -> tuple[BaseChatModel, dict[str, Any]]:
    """The chat model inside, and what was bound to it."""
    kwargs: dict[str, Any] = {}
    while isinstance(model, RunnableBinding):
        binding: RunnableBinding[Any, Any] = model
        if type(binding).__name__ == "RunnableRetry":
            raise ConfigError(Problem.at("model", "RunnableRetry", "retries on its own: hand in the model itself"))
        kwargs = {**binding.kwargs, **kwargs}
        model = binding.bound
    if not isinstance(model, BaseChatModel):
        way_out = "is no chat model; hand in each model itself, and the pool fails over between them"
        raise ConfigError(Problem.at("model", type(model).__name__, way_out))
    return model, kwargs


def _key_of(model: BaseChatModel) -> Any:
    """The model's key, which tells accounts apart; it is not used otherwise."""
    return next((key for name in _KEYS if hasattr(key := getattr(model, name, None), "get_secret_value")), None)


def _quiet(model: BaseChatModel) -> BaseChatModel:
    """A copy whose SDK does not retry: hotspare does, and layers of retries multiply."""
    if "max_retries" not in type(model).model_fields:
        return model
    copy: Any = model.model_copy(update={"max_retries": 0})
    if is_a(model, "BaseChatOpenAI"):
        _quiet_openai(copy)
    elif is_a(model, "ChatAnthropic"):
        for client in ("_client", "_async_client", "_client_params"):  # cached; made anew from the copy's own fields
            vars(copy).pop(client, None)
    elif not family_of(model).known and getattr(model, "max_retries", None):
        warnings.warn(
            f"{type(model).__name__} may retry on its own inside the pool: make it with max_retries=0", stacklevel=4
        )
    quiet: BaseChatModel = copy
    return quiet


def _quiet_openai(copy: Any) -> None:
    """OpenAI's clients are made when the model is: they are exchanged for ones without retries."""
    for root, completions in (("root_client", "client"), ("root_async_client", "async_client")):
        client = getattr(copy, root, None)
        if client is not None:
            quiet = client.with_options(max_retries=0)
            setattr(copy, root, quiet)
            setattr(copy, completions, quiet.chat.completions)
