"""Adds a pool's routes, models and targets to LiteLLM's map of models, prices and capabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hotspare import Pool, Price, Target

from litellm_hotspare.litellm_api import litellm


def describe(pool: Pool, provider: str) -> None:
    """Register every name that may follow ``<provider>/``, for `get_model_info`, `completion_cost`, `supports_…`, `get_valid_models` and a
    proxy's list of models. Entries of an earlier pool with that provider name are removed."""
    known = names_of(pool)
    for key in [key for key in litellm.model_cost if key.startswith(f"{provider}/")]:
        del litellm.model_cost[key]
    _register({f"{provider}/{name}": info_of(targets, provider) for name, targets in known.items()})
    litellm.models_by_provider[provider] = [f"{provider}/{name}" for name in known]


def describe_answer(model: str, target: Target, provider: str) -> None:
    """Register the model name in an answer too, which may differ from the target's, e.g. by a date."""
    key = f"{provider}/{model}"
    if model and key not in litellm.model_cost:
        _register({key: info_of([target], provider)})


def _register(entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Register entries, without the list of providers that LiteLLM prints for each entry of an unknown provider."""
    quiet, litellm.suppress_debug_info = litellm.suppress_debug_info, True
    try:
        litellm.register_model(entries)
    finally:
        litellm.suppress_debug_info = quiet


def names_of(pool: Pool) -> dict[str, list[Target]]:
    """Routes, models, aliases and names of targets, each with its targets, the first one to be called first."""
    known = {name: [target for tier in tiers for target in tier] for name, tiers in pool.routes.items()}
    for target in pool.targets:
        for name in dict.fromkeys((target.model, *sorted(target.aliases), target.name)):
            if name not in pool.routes:
                known.setdefault(name, []).append(target)
    return known


def info_of(targets: Sequence[Target], provider: str) -> dict[str, Any]:
    """One entry of LiteLLM's map: capabilities that at least one target has, the largest context window, the first target's price.

    Values that the pool's configuration does not have are taken from LiteLLM's own entry for the target's model.
    """
    entries = [_litellm_entry(target) for target in targets]
    tools, images = _supports(targets, "tools"), _supports(targets, "vision")
    return {
        "litellm_provider": provider,
        "mode": "chat",
        "supports_function_calling": tools,
        "supports_tool_choice": tools,
        "supports_parallel_function_calling": tools,
        "supports_vision": images,
        "supports_response_schema": _supports(targets, "json_schema"),
        "supports_system_messages": True,
        "supports_native_streaming": True,
        **_windows(targets, entries),
        **_prices(targets[0], entries[0]),
    }


def _supports(targets: Iterable[Target], capability: str) -> bool:
    return any(capability not in target.missing for target in targets)


def _windows(targets: Sequence[Target], entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The largest context window; empty if a target's is unknown, because such a target is never excluded by prompt length."""
    found = [
        target.context_window or entry.get("max_input_tokens") for target, entry in zip(targets, entries, strict=True)
    ]
    known = [window for window in found if isinstance(window, int)]
    return {"max_input_tokens": max(known)} if len(known) == len(found) else {}


def _prices(target: Target, entry: Mapping[str, Any]) -> dict[str, float]:
    """USD per token. A missing price of cached tokens, which LiteLLM would count as 0, is set to that of input tokens."""
    if target.price is None:
        found = {key: entry[key] for key in entry if key.endswith(("_cost_per_token", "_token_cost"))}
    else:
        found = _per_token(target.price)
    if "input_cost_per_token" in found:
        for key in ("cache_read_input_token_cost", "cache_creation_input_token_cost"):
            found.setdefault(key, found["input_cost_per_token"])
    return found


def _per_token(price: Price) -> dict[str, float]:
    found = {"input_cost_per_token": price.input / 1e6, "output_cost_per_token": price.output / 1e6}
    if price.cached is not None:
        found["cache_read_input_token_cost"] = price.cached / 1e6
    return found


def _litellm_entry(target: Target) -> Mapping[str, Any]:
    """LiteLLM's own entry for the target's model at the target's provider; {} if it has none."""
    for key in (target.id, target.model):
        entry: Mapping[str, Any] | None = litellm.model_cost.get(key)
        if entry is not None and entry.get("litellm_provider") == target.provider:
            return entry
    return {}
