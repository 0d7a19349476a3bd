"""Health-based routing of a LiteLLM Router's own deployments.

It takes the place of the Router's latency strategy, which is called last: after the Router's cooldowns, pre-call checks, tags,
`order`, health checks and team filters, with the deployments that remain. Outcomes come from LiteLLM's success and failure
callbacks.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

from hotspare import (
    AllTargetsFailed,
    ChatRequest,
    Listener,
    Policy,
    PolicyFields,
    PoolHealth,
    Selector,
    Usage,
    classify,
)

from litellm_hotspare.leases import OK, UNUSED, Leases
from litellm_hotspare.litellm_api import as_mapping, router_types
from litellm_hotspare.patches import is_pool
from litellm_hotspare.router import has_alternatives, is_installed, latency_handler, take_over
from litellm_hotspare.targets import target_of


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
        listeners: called with every event; see `hotspare.events`. Default: none.

    Raises:
        ConfigError: for an invalid policy, or a LiteLLM version whose Router has no latency strategy to replace.
    """
    if policy is None:
        policy_fields.setdefault("strategy", "weighted")
    strategy = HealthRouting(router, Selector(policy=policy, listeners=listeners, **policy_fields))
    strategy.activate()
    return strategy


class HealthRouting:
    """Chooses a Router's deployment, and records the outcomes that LiteLLM reports."""

    def __init__(self, router: Any, selector: Selector) -> None:
        self.selector = selector
        self._router = router
        self._handler: Any = None
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._leases = Leases()

    def activate(self) -> None:
        """Make the Router use this strategy, and LiteLLM call its callbacks.

        Raises ConfigError if the Router has no latency strategy.
        """
        self._handler = latency_handler(self._router)
        take_over(self._handler, self)

    def is_active(self, router: Any) -> bool:
        """Whether the Router uses this strategy now."""
        return router is self._router and is_installed(self._handler)

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

        If a pool is the only deployment, it is always chosen, without a lease: its own health decides.

        Raises litellm's RouterRateLimitError if none of them is available.
        """
        if len(healthy_deployments) == 1 and is_pool(healthy_deployments[0]["litellm_params"].get("model")):
            return healthy_deployments[0]
        call: Mapping[str, Any] = request_kwargs or {}
        trace = trace_of(call)
        by_id = {_id_of(deployment): deployment for deployment in healthy_deployments}
        self._add_new(by_id)
        try:
            lease = self.selector.pick(
                among=by_id,
                request=_request(messages, call),
                streaming=call.get("stream") is True,
                after=self._leases.take_failed(trace, model_group) if is_retry(call) else None,
                last_resort=not has_alternatives(self._router, model_group, healthy_deployments, call),
            )
        except AllTargetsFailed as error:
            raise _rate_limit_error(model_group, by_id, error) from error
        if trace:
            self._leases.add(lease, trace, model_group)
        else:
            lease.settle(UNUSED)  # only a choice was requested: LiteLLM will report no call
        return by_id[lease.target.name]

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
        """Record a whole answer, or the end of a stream."""
        lease = self._leases.take(trace_of(kwargs), deployment_of(kwargs))
        if lease is None:
            return
        if kwargs.get("cache_hit"):
            lease.settle(UNUSED)  # answered from the cache
            return
        first = kwargs.get("completion_start_time") if kwargs.get("stream") else None
        answer = kwargs.get("complete_streaming_response") or response_obj
        lease.settle(
            OK,
            seconds=_seconds_between(start_time, first or end_time),
            usage=_usage(answer),
            headers=_headers(response_obj),
        )

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record an error or a broken stream. A break after the first content is a second outcome."""
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
        """Record a failed attempt. LiteLLM calls this for every attempt, but a proxy calls `log_failure_event` once per request."""
        self._record_failure(request_data, exception, None, None)

    # --- private -------------------------------------------------------------------------------------------------

    def _record_failure(self, kwargs: Mapping[str, Any], error: Any, start: Any, end: Any) -> None:
        if not isinstance(error, BaseException):
            return
        lease = self._leases.take(trace_of(kwargs), deployment_of(kwargs), failed=True)
        if lease is None:
            return
        outcome = classify(error)
        first = kwargs.get("completion_start_time") if kwargs.get("stream") else None
        if first is None:
            lease.settle(outcome, seconds=_seconds_between(start, end))
        elif lease.settle(OK, seconds=_seconds_between(start, first)):
            lease.record_break(outcome)

    def _add_new(self, by_id: Mapping[str, Any]) -> None:
        """Add the deployments that the selector does not have yet."""
        with self._lock:
            new = [name for name in by_id if name not in self._known]
            self.selector.add(*(target_of(by_id[name], name) for name in new))
            self._known.update(new)


def _id_of(deployment: Mapping[str, Any]) -> str:
    return str(deployment["model_info"]["id"])


def trace_of(kwargs: Mapping[str, Any]) -> str:
    """The id of a Router's request, which is the same in each attempt and callback; "" outside a request."""
    return str(kwargs.get("litellm_trace_id") or "")


def deployment_of(kwargs: Mapping[str, Any]) -> str:
    """The id of the deployment that a callback is about."""
    params = as_mapping(kwargs.get("litellm_params"))
    for place in (kwargs, params):
        metadata = (as_mapping(place.get(name)) for name in ("metadata", "litellm_metadata"))
        for info in (place, *metadata):
            found = as_mapping(info.get("model_info")).get("id")
            if found is not None:
                return str(found)
    return ""


def is_retry(call: Mapping[str, Any]) -> bool:
    """Whether the Router has tried a deployment for this request already."""
    metadata = as_mapping(call.get("litellm_metadata") or call.get("metadata"))
    return bool(metadata.get("attempted_retries") or metadata.get("previous_models"))


def _request(messages: Any, call: Mapping[str, Any]) -> ChatRequest:
    return ChatRequest(messages=messages or (), tools=call.get("tools") or (), max_tokens=call.get("max_tokens"))


def _usage(answer: Any) -> Usage | None:
    usage = getattr(answer, "usage", None)
    sent, written = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    return Usage(sent, written) if isinstance(sent, int) and isinstance(written, int) else None


def _headers(response: Any) -> Mapping[str, str]:
    """The provider's headers, which LiteLLM stores with the answer. Headers without this prefix are the Router's, for a whole group."""
    hidden = as_mapping(getattr(response, "_hidden_params", None))
    found = as_mapping(hidden.get("additional_headers"))
    return {name: str(value) for name, value in found.items() if str(name).startswith("llm_provider-")}


def _seconds_between(start: Any, end: Any) -> float | None:
    if isinstance(start, datetime) and isinstance(end, datetime):
        return max(0.0, (end - start).total_seconds())
    return None


def _rate_limit_error(model: str, by_id: Mapping[str, Any], error: AllTargetsFailed) -> Exception:
    """The error that the Router itself raises if no deployment is available, with the seconds to wait; not retried."""
    fields: dict[str, Any] = {
        "model": model,
        "cooldown_time": round(error.retry_after or 0.0, 1),
        "enable_pre_call_checks": False,
        "cooldown_list": list(by_id),
        "model_ids": list(by_id),  # since LiteLLM 1.106
    }
    known = inspect.signature(router_types.RouterRateLimitError).parameters
    made: Any = router_types.RouterRateLimitError(**{name: fields[name] for name in fields if name in known})
    made.num_retries = 0
    found: Exception = made
    return found
