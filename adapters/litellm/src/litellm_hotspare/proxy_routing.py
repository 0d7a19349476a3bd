"""Health-based routing of a LiteLLM proxy's own deployments, configured in its config.yaml.

::

    litellm_settings:
      callbacks: [litellm_hotspare.proxy_routing.callback]

For another policy, put ``routing = ProxyRouting(strategy="ordered")`` into a module beside config.yaml and name that
instead.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Unpack

from hotspare import Policy, PolicyFields
from litellm.integrations.custom_logger import CustomLogger

from litellm_hotspare.strategy import HealthRouting, route


class ProxyRouting(CustomLogger):
    """Calls `route` for the proxy's Router at the first request, and again after the proxy has created a new Router.

    Args: as for `route`.
    """

    def __init__(self, *, policy: Policy | None = None, **policy_fields: Unpack[PolicyFields]) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._policy, self._fields = policy, policy_fields
        self.strategy: HealthRouting | None = None

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> None:
        """Called by the proxy before each request, which it does not change."""
        router: Any = import_module("litellm.proxy.proxy_server").llm_router
        if router is not None and (self.strategy is None or not self.strategy.is_active(router)):
            self.strategy = route(router, policy=self._policy, **self._fields)


callback = ProxyRouting()
"""With the default policy: weighted, like the proxy's own routing."""
