"""hotspare for LangChain: `ChatHotspare`, a chat model that stays up while providers fail."""

from hotspare import __version__

from langchain_hotspare.chat import ChatHotspare
from langchain_hotspare.errors import (
    PromptTooLong,
    RequestInvalid,
    RequestRefused,
    StreamBroken,
    TargetsDenied,
    TargetsGone,
    TargetsThrottled,
    TargetsTimedOut,
    TargetsUnavailable,
    TargetsUnreachable,
)
from langchain_hotspare.members import target_of

__all__ = [
    "ChatHotspare",
    "PromptTooLong",
    "RequestInvalid",
    "RequestRefused",
    "StreamBroken",
    "TargetsDenied",
    "TargetsGone",
    "TargetsThrottled",
    "TargetsTimedOut",
    "TargetsUnavailable",
    "TargetsUnreachable",
    "__version__",
    "target_of",
]
