"""hotspare for LangChain: `ChatHotspare`, a chat model that fails over between the targets of a pool."""

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

__all__ = [
    "ChatHotspare",
    "ContextLengthExceeded",
    "HotspareEmbeddings",
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
