"""hotspare's health for a LiteLLM proxy's own deployments: no Python of one's own.

::

    litellm_settings:
      callbacks: [litellm_hotspare.proxy_routing.callback]

A policy other than the default stands in a module beside config.yaml, ``routing = ProxyRouting(strategy="ordered")``, and
is named there instead.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hotspare import Policy
from litellm.integrations.custom_logger import CustomLogger

from litellm_hotspare.strategy import HealthRouting, route


class ProxyRouting(CustomLogger):
    """Puts `route` on the proxy's Router when the first request comes, and again when the proxy has built a new one.

    Args: as for `route`.
    """

    def __init__(self, *, policy: Policy | None = None, **policy_fields: Any) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._policy, self._fields = policy, policy_fields
        self.strategy: HealthRouting | None = None

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> None:
        """Called by the proxy before each request; changes nothing of it."""
        router: Any = import_module("litellm.proxy.proxy_server").llm_router
        if router is not None and (self.strategy is None or not self.strategy.is_on(router)):
            self.strategy = route(router, policy=self._policy, **self._fields)


callback = ProxyRouting()
"""With the default policy: weighted, as the proxy's own routing is."""
