"""Access to a LiteLLM Router. Since 1.110 it has a core in Rust, and some names are deprecated.

hotspare takes the place of the latency strategy, because every Router calls that last, in sync and async code, with the
deployments that the Router's filters left. (`register_plugin` and `set_custom_routing_strategy` replace the whole choice, with
cooldowns, tags and pre-call checks; `Router(plugins=…)` narrows model names, not deployments, and only in async code.)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from hotspare import ConfigError, Problem

from litellm_hotspare.litellm_api import litellm

_STRATEGY = "latency-based-routing"
_METHODS = (
    "get_available_deployments", "async_get_available_deployments", "log_success_event", "log_failure_event",
    "async_log_success_event", "async_log_failure_event", "async_post_call_failure_deployment_hook",
)  # fmt: skip


def latency_handler(router: Any) -> Any:
    """The handler of the Router's latency strategy, which becomes its strategy.

    The Router builds it, and unregisters it when its strategy changes. Raises ConfigError if it has none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # both names are deprecated since 1.110, without a replacement
        router.update_settings(routing_strategy=_STRATEGY)
        handler = getattr(router, "lowestlatency_logger", None)
    if not all(callable(getattr(handler, name, None)) for name in _METHODS[:2]):
        raise ConfigError(
            Problem.at(
                "router",
                type(router).__name__,
                "has no latency strategy in this version of LiteLLM, which litellm_hotspare.route needs: install a version"
                " in the range that litellm-hotspare's metadata names",
            )
        )
    return handler


def take_over(handler: Any, strategy: Any) -> None:
    """Replace the handler's methods by those of `strategy`, for the Router and for LiteLLM's callbacks."""
    for name in _METHODS:
        setattr(handler, name, getattr(strategy, name))
    # LiteLLM registers only one handler of a class with the same plain attributes. This attribute makes them differ, so that a
    # second Router's handler is registered too.
    handler.routed_by = f"hotspare-{id(strategy):x}"
    if not is_installed(handler):
        litellm.callbacks.append(handler)


def is_installed(handler: Any) -> bool:
    """Whether the handler is still among LiteLLM's callbacks. It is removed when the Router's strategy changes."""
    return any(callback is handler for callback in litellm.callbacks)


def has_alternatives(
    router: Any, model_group: str, remaining: Sequence[Mapping[str, Any]], call: Mapping[str, Any]
) -> bool:
    """Whether the Router has other deployments than those that its filters left (`remaining`): with a later `order` in the group, or in a
    fallback group."""
    order = min((_order(deployment) for deployment in remaining), default=inf)
    group, configured = _group_and_fallbacks(router, model_group)
    if any(order < _order(deployment) < inf for deployment in group):
        return True
    if call.get("disable_fallbacks"):
        return False
    fallbacks: Sequence[Any] = call.get("fallbacks") or configured
    return any(not isinstance(one, Mapping) or model_group in one or "*" in one for one in fallbacks)


def _order(deployment: Mapping[str, Any]) -> float:
    order = deployment["litellm_params"].get("order")
    return order if isinstance(order, int) else inf


def _group_and_fallbacks(router: Any, model_group: str) -> tuple[Sequence[Mapping[str, Any]], Sequence[Any]]:
    """The deployments of a model group, and the Router's fallbacks."""
    if hasattr(router, "registry"):
        return router.registry().deployments(model_group) or (), router.settings().fallbacks or ()
    return router.get_model_list(model_name=model_group) or (), router.fallbacks or ()
