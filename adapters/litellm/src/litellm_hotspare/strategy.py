"""Health-based routing of a LiteLLM Router's own deployments.

It takes the place of the Router's latency strategy, which is called last: after the Router's cooldowns, pre-call checks,
tags, `order`, health checks and team filters, with the deployments that remain. (A `CustomRoutingStrategyBase` would replace
the whole method, and all of these with it.) Outcomes come from LiteLLM's success and failure callbacks.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any, Unpack

from hotspare import (
    AllTargetsFailed,
    ChatRequest,
    Kind,
    Lease,
    Listener,
    Outcome,
    Policy,
    PolicyFields,
    PoolHealth,
    Selector,
    classify,
)
from litellm.router_strategy.lowest_latency import (  # pyright: ignore[reportMissingTypeStubs] - its types are incomplete
    LowestLatencyLoggingHandler,
)

from litellm_hotspare.litellm_api import as_mapping, litellm, router_types
from litellm_hotspare.targets import target_of

_LEASE_KEY = "hotspare_lease"
"""The key in a deployment's `model_info` that holds the id of its lease."""
_MAX_LEASES = 16_384
"""Leases kept for callbacks and retries. LiteLLM reports no cancelled call: its lease is dropped as the oldest one."""
_OK = Outcome(Kind.OK)
_CANCELLED = Outcome(Kind.CANCELLED)
_ids = itertools.count(1)


def route(
    router: Any,
    *,
    policy: Policy | None = None,
    listeners: Iterable[Listener] = (),
    **policy_fields: Unpack[PolicyFields],
) -> HealthRouting:
    """Let hotspare's health choose among a Router's own deployments. Returns the strategy, with `.health()`.

    A later change of the Router's `routing_strategy` replaces it.

    Args:
        router: a `litellm.Router`. Its retries, fallbacks and cooldowns stay as configured.
        policy: as for a Pool; its fields may be given directly instead. Without one the strategy is `weighted`, by the
            deployments' `weight`, `rpm` or `tpm`, like the Router's default.
        listeners: called with every event; see `hotspare.events`.

    Raises:
        ConfigError: for an invalid policy.
    """
    if policy is None:
        policy_fields.setdefault("strategy", "weighted")
    strategy = HealthRouting(router, Selector(policy=policy, listeners=listeners, **policy_fields))
    strategy.activate()
    return strategy


class HealthRouting(LowestLatencyLoggingHandler):
    """Chooses a Router's deployment, and records the outcomes that LiteLLM reports."""

    def __init__(self, router: Any, selector: Selector) -> None:
        super().__init__(router_cache=router.cache)  # pyright: ignore[reportUnknownMemberType]
        self.selector = selector
        self._router = router
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._leases: dict[str, Lease] = {}

    def activate(self) -> None:
        """Make the Router use this strategy, and LiteLLM report to it."""
        self._router.lowestlatency_logger = self
        self._router.routing_strategy = "latency-based-routing"
        litellm.callbacks.append(self)

    def is_active(self, router: Any) -> bool:
        """Whether the Router uses this strategy now."""
        return router.lowestlatency_logger is self and router is self._router

    def health(self) -> PoolHealth:
        """A snapshot of every deployment that the Router has offered so far, by its id."""
        return self.selector.health()

    # --- called by the Router ------------------------------------------------------------------------------------

    def get_available_deployments(
        self,
        model_group: str,
        healthy_deployments: Sequence[Any],
        messages: Any = None,
        input: Any = None,
        request_kwargs: Any = None,
    ) -> Any:
        """One of the deployments that remain after the Router's own filters.

        Raises litellm's RouterRateLimitError if none of them is available.
        """
        call: Mapping[str, Any] = request_kwargs or {}
        by_id = {_id_of(deployment): deployment for deployment in healthy_deployments}
        self._add_new(by_id)
        try:
            lease = self.selector.pick(
                among=by_id,
                request=_request(messages, call),
                streaming=call.get("stream") is True,
                after=self._failed_lease(call),
                last_resort=not has_alternatives(self._router, model_group, healthy_deployments, call),
            )
        except AllTargetsFailed as error:
            raise _rate_limit_error(model_group, by_id, error) from error
        return self._with_lease(by_id[lease.target.name], lease)

    async def async_get_available_deployments(
        self,
        model_group: str,
        healthy_deployments: list[Any],
        messages: Any = None,
        input: Any = None,
        request_kwargs: Any = None,
    ) -> Any:
        """`get_available_deployments`, for async callers. It never waits."""
        return self.get_available_deployments(model_group, healthy_deployments, messages, input, request_kwargs)

    # --- LiteLLM's callbacks -------------------------------------------------------------------------------------

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A whole answer, or the end of a stream."""
        lease = self._leases.pop(_lease_id_of(kwargs), None)
        if lease is None:
            return
        if kwargs.get("cache_hit"):
            lease.settle(_CANCELLED)  # answered from the cache: no deployment was called
            return
        first = kwargs.get("completion_start_time") if kwargs.get("stream") else None
        lease.settle(_OK, seconds=_seconds_between(start_time, first or end_time))

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """An error, or a broken stream: after its first content, that is a second outcome."""
        self._record_failure(kwargs, kwargs.get("exception"), start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """`log_success_event`, for async calls."""
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """`log_failure_event`, for async calls."""
        self.log_failure_event(kwargs, response_obj, start_time, end_time)

    async def async_post_call_failure_deployment_hook(
        self, request_data: Any, exception: Exception, call_type: Any, fallback_depth: int | None = None
    ) -> None:
        """A failed attempt. LiteLLM calls this for every attempt; its proxy sends the failure event once per request."""
        self._record_failure(request_data, exception, None, None)

    # --- private -------------------------------------------------------------------------------------------------

    def _record_failure(self, kwargs: Mapping[str, Any], error: Any, start: Any, end: Any) -> None:
        lease = self._leases.get(_lease_id_of(kwargs))
        if lease is None or not isinstance(error, BaseException):
            return
        outcome = classify(error)
        first = kwargs.get("completion_start_time") if kwargs.get("stream") else None
        if first is None:
            lease.settle(outcome, seconds=_seconds_between(start, end))
        elif lease.settle(_OK, seconds=_seconds_between(start, first)):
            lease.record_break(outcome)

    def _add_new(self, by_id: Mapping[str, Any]) -> None:
        """Add the deployments that the selector does not have yet."""
        with self._lock:
            new = [name for name in by_id if name not in self._known]
            self.selector.add(*(target_of(by_id[name], name) for name in new))
            self._known.update(new)

    def _with_lease(self, deployment: Mapping[str, Any], lease: Lease) -> dict[str, Any]:
        """The deployment with the lease's id in its `model_info`, which every callback gets."""
        lease_id = f"lease-{next(_ids)}"
        with self._lock:
            self._leases[lease_id] = lease
            oldest = self._leases.pop(next(iter(self._leases))) if len(self._leases) > _MAX_LEASES else None
        if oldest is not None:
            oldest.settle(_CANCELLED)
        return {**deployment, "model_info": {**deployment["model_info"], _LEASE_KEY: lease_id}}

    def _failed_lease(self, call: Mapping[str, Any]) -> Lease | None:
        """The lease of this call's previous attempt, if the Router is retrying."""
        metadata = as_mapping(call.get("litellm_metadata") or call.get("metadata"))
        return self._leases.pop(_lease_id_of(metadata), None) if metadata.get("attempted_retries") else None


def has_alternatives(
    router: Any, model_group: str, remaining: Sequence[Mapping[str, Any]], call: Mapping[str, Any]
) -> bool:
    """Whether the Router can go on without the deployments that its filters left (`remaining`): to a later `order` in the
    group, or to a fallback group."""
    order = min((_order(deployment) for deployment in remaining), default=inf)
    group: Sequence[Mapping[str, Any]] = router.get_model_list(model_name=model_group) or ()
    if any(order < _order(deployment) < inf for deployment in group):
        return True
    if call.get("disable_fallbacks"):
        return False
    fallbacks: Sequence[Any] = call.get("fallbacks") or router.fallbacks or ()
    return any(not isinstance(one, Mapping) or model_group in one or "*" in one for one in fallbacks)


def _order(deployment: Mapping[str, Any]) -> float:
    order = deployment["litellm_params"].get("order")
    return order if isinstance(order, int) else inf


def _id_of(deployment: Mapping[str, Any]) -> str:
    return str(deployment["model_info"]["id"])


def _lease_id_of(kwargs: Mapping[str, Any]) -> str:
    """The lease's id in a callback's arguments: of this attempt if it is there, else of the request's last attempt."""
    params = as_mapping(kwargs.get("litellm_params"))
    for place in (kwargs, params, as_mapping(params.get("metadata"))):
        lease_id = as_mapping(place.get("model_info")).get(_LEASE_KEY)
        if lease_id is not None:
            return str(lease_id)
    return ""


def _request(messages: Any, call: Mapping[str, Any]) -> ChatRequest:
    return ChatRequest(messages=messages or (), tools=call.get("tools") or (), max_tokens=call.get("max_tokens"))


def _seconds_between(start: Any, end: Any) -> float | None:
    if isinstance(start, datetime) and isinstance(end, datetime):
        return max(0.0, (end - start).total_seconds())
    return None


def _rate_limit_error(model: str, by_id: Mapping[str, Any], error: AllTargetsFailed) -> Exception:
    """The error that the Router itself raises if no deployment is available, with the seconds to wait; not retried."""
    made: Any = router_types.RouterRateLimitError(
        model=model,
        cooldown_time=round(error.retry_after or 0.0, 1),
        enable_pre_call_checks=False,
        cooldown_list=list(by_id),
        model_ids=list(by_id),
    )
    made.num_retries = 0
    found: Exception = made
    return found
