"""hotspare for LangChain: `ChatHotspare`, a chat model that fails over between the targets of a pool."""

from typing import TYPE_CHECKING, Any

from hotspare import __version__

from langchain_hotspare.chat_models import ChatHotspare
from langchain_hotspare.embeddings import HotspareEmbeddings
from langchain_hotspare.errors import (
    ContextLengthExceeded,
    RequestInvalid,
    RequestRejected,
    StreamBroken,
    TargetsNotFound,
    TargetsRateLimited,
    TargetsTimedOut,
    TargetsUnauthorized,
    TargetsUnavailable,
    TargetsUnreachable,
)
from langchain_hotspare.targets import target_of

if TYPE_CHECKING:
    from langchain_hotspare.middleware import HotspareMiddleware

__all__ = [
    "ChatHotspare",
    "ContextLengthExceeded",
    "HotspareEmbeddings",
    "HotspareMiddleware",
    "RequestInvalid",
    "RequestRejected",
    "StreamBroken",
    "TargetsNotFound",
    "TargetsRateLimited",
    "TargetsTimedOut",
    "TargetsUnauthorized",
    "TargetsUnavailable",
    "TargetsUnreachable",
    "__version__",
    "target_of",
]


def __getattr__(name: str) -> Any:
    # Only the middleware needs the package `langchain`; the other classes need `langchain-core`.
    if name == "HotspareMiddleware":
        from langchain_hotspare.middleware import HotspareMiddleware

        return HotspareMiddleware
    raise AttributeError(f"module 'langchain_hotspare' has no attribute {name!r}")
