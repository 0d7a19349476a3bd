"""A Router's own deployments, picked by hotspare's health.

It stands where the Router's latency strategy stands: asked last, after the Router's cooldowns, pre-call checks, tags,
`order`, health checks and team filters, with the deployments that those leave. (A `CustomRoutingStrategyBase` would
replace the whole method, and all of them with it.) What it learns comes from LiteLLM's own success and failure callbacks.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hotspare import AllTargetsFailed, ChatRequest, Kind, Lease, Outcome, Policy, Selector, classify
from hotspare.events import Listener
from hotspare.status import PoolHealth
from litellm.router_strategy.lowest_latency import (  # pyright: ignore[reportMissingTypeStubs] - its own types are loose
    LowestLatencyLoggingHandler,
)

from litellm_hotspare.deployment import has_others, target_of
from litellm_hotspare.host import litellm, router_types, table

_LEASE = "hotspare_lease"
_REMEMBERED = 16_384
"""Leases kept: open ones wait for their callback, failed ones for the same call's next try. A call that was cancelled
is told to nobody: its lease goes when so many others have come."""
_OK = Outcome(Kind.OK)
_ABANDONED = Outcome(Kind.CANCELLED)
_ids = itertools.count(1)


def route(
    router: Any, *, policy: Policy | None = None, listeners: Iterable[Listener] = (), **policy_fields: Any
) -> HealthRouting:
    """Let hotspare's health pick among a Router's own deployments; returns what picks, with `.health()`.

    Changing the Router's `routing_strategy` afterwards takes the place back.

    Args:
        router: a `litellm.Router`. Its retries, fallbacks and cooldowns stay as they are configured.
        policy: as for a Pool; its fields may be given directly instead. Without one the strategy is `weighted`, by the
            deployments' `weight`, `rpm` or `tpm`, as the Router's own default is.
        listeners: called with every event; see `hotspare.events`.

    Raises:
        ConfigError: for a policy that is none.
    """
    if policy is None:
        policy_fields.setdefault("strategy", "weighted")
    strategy = HealthRouting(router, Selector(policy=policy, listeners=listeners, **policy_fields))
    router.lowestlatency_logger = strategy
    router.routing_strategy = "latency-based-routing"
    litellm.callbacks.append(strategy)
    return strategy


class HealthRouting(LowestLatencyLoggingHandler):
    """What a Router asks for a deployment, and what LiteLLM tells how the call went."""

    def __init__(self, router: Any, selector: Selector) -> None:
        super().__init__(router_cache=router.cache)  # pyright: ignore[reportUnknownMemberType]
        self.selector = selector
        self._router = router
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._leases: dict[str, Lease] = {}

    # --- asked by the Router -------------------------------------------------------------------------------------

    def get_available_deployments(
        self,
        model_group: str,
        healthy_deployments: Sequence[Any],
        messages: Any = None,
        input: Any = None,
        request_kwargs: Any = None,
    ) -> Any:
        """One of the deployments that the Router's own filters left.

        Raises litellm's RouterRateLimitError when none of them may be asked now.
        """
        asked: Mapping[str, Any] = request_kwargs or {}
        by_id = {_id_of(deployment): deployment for deployment in healthy_deployments}
        self._enroll(by_id)
        try:
            lease = self.selector.pick(
                among=by_id,
                request=_request(messages, asked),
                streaming=asked.get("stream") is True,
                after=self._failed_before(asked),
                last_resort=not has_others(self._router, model_group, healthy_deployments, asked),
            )
        except AllTargetsFailed as error:
            raise _nobody(model_group, by_id, error) from error
        return self._marked(by_id[lease.target.name], lease)

    async def async_get_available_deployments(
        self,
        model_group: str,
        healthy_deployments: list[Any],
        messages: Any = None,
        input: Any = None,
        request_kwargs: Any = None,
    ) -> Any:
        """The same, for async callers: nothing is waited for."""
        return self.get_available_deployments(model_group, healthy_deployments, messages, input, request_kwargs)

    def is_on(self, router: Any) -> bool:
        """Whether this is what the Router asks now."""
        return router.lowestlatency_logger is self and router is self._router

    def health(self) -> PoolHealth:
        """A typed snapshot of every deployment that was asked for, by its id."""
        return self.selector.health()

    # --- told by LiteLLM -----------------------------------------------------------------------------------------

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A whole answer, or a stream's end."""
        lease = self._take(kwargs)
        if lease is None:
            return
        if kwargs.get("cache_hit"):
            lease.settle(_ABANDONED)  # no deployment was asked
            return
        first = kwargs.get("completion_start_time") if kwargs.get("stream") else None
        lease.settle(_OK, seconds=_between(start_time, first or end_time))

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """An error, or a stream that broke: after its first content that is a second observation."""
        self._failed(kwargs, kwargs.get("exception"), start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """As `log_success_event`."""
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """As `log_failure_event`."""
        self.log_failure_event(kwargs, response_obj, start_time, end_time)

    async def async_post_call_failure_deployment_hook(
        self, request_data: Any, exception: Exception, call_type: Any, fallback_depth: int | None = None
    ) -> None:
        """An attempt failed. LiteLLM tells this for each attempt, the failure event once a request in its proxy."""
        self._failed(request_data, exception, None, None)

    # --- inside --------------------------------------------------------------------------------------------------

    def _failed(self, kwargs: Mapping[str, Any], error: Any, start: Any, end: Any) -> None:
        lease = self._leases.get(_mark_of(kwargs))
        if lease is None or not isinstance(error, BaseException):
            return
        outcome = classify(error)
        first = kwargs.get("completion_start_time") if kwargs.get("stream") else None
        if first is None:
            lease.settle(outcome, seconds=_between(start, end))
        elif lease.settle(_OK, seconds=_between(start, first)):
            lease.record_break(outcome)

    def _enroll(self, by_id: Mapping[str, Any]) -> None:
        with self._lock:
            new = [name for name in by_id if name not in self._known]
            self.selector.add(*(target_of(by_id[name], name) for name in new))
            self._known.update(new)

    def _marked(self, deployment: Mapping[str, Any], lease: Lease) -> dict[str, Any]:
        """The deployment with the lease's number in its model info, which comes back with every callback."""
        mark = f"lease-{next(_ids)}"
        with self._lock:
            self._leases[mark] = lease
            oldest = self._leases.pop(next(iter(self._leases))) if len(self._leases) > _REMEMBERED else None
        if oldest is not None:
            oldest.settle(_ABANDONED)
        return {**deployment, "model_info": {**deployment["model_info"], _LEASE: mark}}

    def _take(self, kwargs: Mapping[str, Any]) -> Lease | None:
        return self._leases.pop(_mark_of(kwargs), None)

    def _failed_before(self, asked: Mapping[str, Any]) -> Lease | None:
        """The lease of this call's last try, when the Router tries again."""
        told = table(asked.get("litellm_metadata") or asked.get("metadata"))
        return self._leases.pop(_mark_of(told), None) if told.get("attempted_retries") else None


def _id_of(deployment: Mapping[str, Any]) -> str:
    return str(deployment["model_info"]["id"])


def _mark_of(told: Mapping[str, Any]) -> str:
    """The lease's number in what LiteLLM tells: of this attempt first, else of the request's last one."""
    params = table(told.get("litellm_params"))
    for place in (told, params, table(params.get("metadata"))):
        mark = table(place.get("model_info")).get(_LEASE)
        if mark is not None:
            return str(mark)
    return ""


def _request(messages: Any, asked: Mapping[str, Any]) -> ChatRequest:
    return ChatRequest(messages=messages or (), tools=asked.get("tools") or (), max_tokens=asked.get("max_tokens"))


def _between(start: Any, end: Any) -> float | None:
    if isinstance(start, datetime) and isinstance(end, datetime):
        return max(0.0, (end - start).total_seconds())
    return None


def _nobody(model: str, by_id: Mapping[str, Any], error: AllTargetsFailed) -> Exception:
    """What the Router itself raises when nobody is left, with the time to come back; it is not tried again at once."""
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
