"""hotspare for LiteLLM: a pool as a provider, its health as a Router's strategy, and LiteLLM's models as targets of a pool.

Names are loaded on first use, because LiteLLM takes seconds to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litellm_hotspare.backend import LiteLLMBackend as LiteLLMBackend
    from litellm_hotspare.provider import HotspareLLM as HotspareLLM
    from litellm_hotspare.provider import register as register
    from litellm_hotspare.strategy import HealthRouting as HealthRouting
    from litellm_hotspare.strategy import route as route

__version__ = "0.1.0"

_HOME_OF = {
    "HealthRouting": "strategy",
    "HotspareLLM": "provider",
    "LiteLLMBackend": "backend",
    "register": "provider",
    "route": "strategy",
}
__all__ = ["HealthRouting", "HotspareLLM", "LiteLLMBackend", "__version__", "register", "route"]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'litellm_hotspare' has no attribute {name!r}")
    value = getattr(import_module(f"litellm_hotspare.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
