"""A Router's deployment -> a Target: what tells it apart, what it shares with others, what it weighs and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from hotspare import Price, Target

from litellm_hotspare.host import litellm

_REGIONS = ("region_name", "aws_region_name", "vertex_location")
_ACCOUNTS = ("litellm_credential_name", "organization", "vertex_project", "aws_profile_name", "aws_access_key_id")
_WEIGHTS = ("weight", "rpm", "tpm")


def target_of(deployment: Mapping[str, Any], name: str) -> Target:
    """The deployment `name` as a target. Two of one provider, region or key fail together."""
    params: Mapping[str, Any] = deployment["litellm_params"]
    info: Mapping[str, Any] = deployment.get("model_info") or {}
    url = params.get("api_base")
    key = params.get("api_key")
    window = info.get("max_input_tokens")
    return Target(
        f"litellm/{_model_of(params)}",
        name=name,
        region=_first(params, _REGIONS),
        account=_first(params, _ACCOUNTS),
        base_url=url if isinstance(url, str) and url.startswith(("http://", "https://")) else None,
        api_key=key if isinstance(key, str) and key else None,
        weight=_weight(params),
        context_window=window if isinstance(window, int) and window > 0 else None,
        price=_price(info),
    )


def _model_of(params: Mapping[str, Any]) -> str:
    """Provider and model, as LiteLLM itself reads them."""
    model = str(params["model"])
    try:
        inner, provider, *_ = litellm.get_llm_provider(
            model=model, custom_llm_provider=params.get("custom_llm_provider"), api_base=params.get("api_base")
        )
    except litellm.BadRequestError:  # a model that LiteLLM does not know yet: its name is label enough
        return model
    return f"{provider}/{inner}"


def _first(params: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(params[name]) for name in names if params.get(name)), None)


def _weight(params: Mapping[str, Any]) -> float:
    """What the Router's own default strategy goes by."""
    for name in _WEIGHTS:
        value = params.get(name)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return 1.0


def _price(info: Mapping[str, Any]) -> Price | None:
    """USD per million tokens, where the deployment names what a token costs."""
    asked, answered = info.get("input_cost_per_token"), info.get("output_cost_per_token")
    if not isinstance(asked, int | float) or not isinstance(answered, int | float):
        return None
    return Price(asked * 1e6, answered * 1e6)


def has_others(router: Any, model_group: str, left: Sequence[Mapping[str, Any]], asked: Mapping[str, Any]) -> bool:
    """Whether the Router has somebody else to turn to when none of those that its filters `left` may be asked: a later
    `order` in the group, or a fallback to another one."""
    order = min((_order(deployment) for deployment in left), default=inf)
    group: Sequence[Mapping[str, Any]] = router.get_model_list(model_name=model_group) or ()
    if any(order < _order(deployment) < inf for deployment in group):
        return True
    if asked.get("disable_fallbacks"):
        return False
    fallbacks: Sequence[Any] = asked.get("fallbacks") or router.fallbacks or ()
    return any(not isinstance(one, Mapping) or model_group in one or "*" in one for one in fallbacks)


def _order(deployment: Mapping[str, Any]) -> float:
    order = deployment["litellm_params"].get("order")
    return order if isinstance(order, int) else inf
