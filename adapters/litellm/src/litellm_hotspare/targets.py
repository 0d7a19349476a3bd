"""A Router's deployments as targets: their failure domains, weight, context window and price."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hotspare import Limits, Price, Target

from litellm_hotspare.litellm_api import litellm

_REGIONS = ("region_name", "aws_region_name", "vertex_location")
_ACCOUNTS = ("litellm_credential_name", "organization", "vertex_project", "aws_profile_name", "aws_access_key_id")
_WEIGHTS = ("weight", "rpm", "tpm")


def target_of(deployment: Mapping[str, Any], name: str) -> Target:
    """The deployment as a target called `name`. Deployments of one provider, region or key share a failure domain."""
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
        limits=_limits(params),
    )


def _model_of(params: Mapping[str, Any]) -> str:
    """`provider/model`, as LiteLLM parses them."""
    model = str(params["model"])
    try:
        inner, provider, *_ = litellm.get_llm_provider(
            model=model, custom_llm_provider=params.get("custom_llm_provider"), api_base=params.get("api_base")
        )
    except litellm.BadRequestError:  # a model that LiteLLM does not know: its name is used
        return model
    return f"{provider}/{inner}"


def _first(params: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(params[name]) for name in names if params.get(name)), None)


def _weight(params: Mapping[str, Any]) -> float:
    """The weight that the Router's default strategy uses."""
    for name in _WEIGHTS:
        value = params.get(name)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return 1.0


def _limits(params: Mapping[str, Any]) -> Collection[Limits]:
    """The limits of a deployment, from its `rpm` and `tpm`."""
    found = {
        name: params[name] for name in ("rpm", "tpm") if isinstance(params.get(name), int | float) and params[name] > 0
    }
    return {Limits(**found)} if found else ()


def _price(info: Mapping[str, Any]) -> Price | None:
    """USD per million tokens, if the deployment has prices per token."""
    input_cost, output_cost = info.get("input_cost_per_token"), info.get("output_cost_per_token")
    if not isinstance(input_cost, int | float) or not isinstance(output_cost, int | float):
        return None
    return Price(input_cost * 1e6, output_cost * 1e6)
