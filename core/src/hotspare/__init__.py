"""hotspare keeps an application's LLM calls answered while providers, regions, keys and quotas fail.

Names are loaded when they are first used, so that `import hotspare` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotspare._classify.rules import classify as classify
    from hotspare._health.breaker import State as State
    from hotspare._routing.explain import Choice as Choice
    from hotspare._routing.explain import Explanation as Explanation
    from hotspare._routing.explain import SkipReason as SkipReason
    from hotspare._routing.strategies import Candidate as Candidate
    from hotspare.backend import Backend as Backend
    from hotspare.backend import remaining_time as remaining_time
    from hotspare.batch import BatchResult as BatchResult
    from hotspare.brownout import Brownout as Brownout
    from hotspare.budget import Budget as Budget
    from hotspare.cache import Cache as Cache
    from hotspare.cache import CacheEntry as CacheEntry
    from hotspare.cache import CacheStore as CacheStore
    from hotspare.embeddings import EmbedInput as EmbedInput
    from hotspare.embeddings import EmbedOptions as EmbedOptions
    from hotspare.embeddings import EmbedReply as EmbedReply
    from hotspare.errors import AllTargetsFailed as AllTargetsFailed
    from hotspare.errors import AnswerRejected as AnswerRejected
    from hotspare.errors import AttemptTimeout as AttemptTimeout
    from hotspare.errors import BackendError as BackendError
    from hotspare.errors import BudgetExceeded as BudgetExceeded
    from hotspare.errors import CallError as CallError
    from hotspare.errors import ConfigError as ConfigError
    from hotspare.errors import EmptyAnswer as EmptyAnswer
    from hotspare.errors import HotspareError as HotspareError
    from hotspare.errors import IncompleteAnswer as IncompleteAnswer
    from hotspare.errors import KeyFunctionFailed as KeyFunctionFailed
    from hotspare.errors import LimitExceeded as LimitExceeded
    from hotspare.errors import MissingExtra as MissingExtra
    from hotspare.errors import NoKeyGiven as NoKeyGiven
    from hotspare.errors import PoolClosed as PoolClosed
    from hotspare.errors import Problem as Problem
    from hotspare.errors import RecordingError as RecordingError
    from hotspare.errors import RequestError as RequestError
    from hotspare.errors import StreamInterrupted as StreamInterrupted
    from hotspare.events import Listener as Listener
    from hotspare.keys import TargetKey as TargetKey
    from hotspare.messages import IDLE as IDLE
    from hotspare.messages import CallOptions as CallOptions
    from hotspare.messages import ChatChunk as ChatChunk
    from hotspare.messages import ChatReply as ChatReply
    from hotspare.messages import ChatRequest as ChatRequest
    from hotspare.messages import Dialect as Dialect
    from hotspare.messages import FinishReason as FinishReason
    from hotspare.messages import Message as Message
    from hotspare.messages import MessageDict as MessageDict
    from hotspare.messages import StreamSummary as StreamSummary
    from hotspare.messages import ToolCall as ToolCall
    from hotspare.messages import ToolCallDelta as ToolCallDelta
    from hotspare.messages import Usage as Usage
    from hotspare.outcome import AttemptRecord as AttemptRecord
    from hotspare.outcome import Kind as Kind
    from hotspare.outcome import Outcome as Outcome
    from hotspare.outcome import Scope as Scope
    from hotspare.policy import Breaker as Breaker
    from hotspare.policy import Hedge as Hedge
    from hotspare.policy import Policy as Policy
    from hotspare.policy import PolicyFields as PolicyFields
    from hotspare.policy import RetryBudget as RetryBudget
    from hotspare.policy import Timeouts as Timeouts
    from hotspare.pool import Pool as Pool
    from hotspare.providers.portable import portable_history as portable_history
    from hotspare.recorder import Recorder as Recorder
    from hotspare.reduce import Reducer as Reducer
    from hotspare.reduce import compact_prompt as compact_prompt
    from hotspare.reduce import trim_history as trim_history
    from hotspare.route import RouteFields as RouteFields
    from hotspare.route import Routes as Routes
    from hotspare.secret import SecretStr as SecretStr
    from hotspare.selector import Lease as Lease
    from hotspare.selector import Selector as Selector
    from hotspare.shared import Shared as Shared
    from hotspare.status import BudgetStatus as BudgetStatus
    from hotspare.status import PoolHealth as PoolHealth
    from hotspare.target import Limits as Limits
    from hotspare.target import LongPrice as LongPrice
    from hotspare.target import Price as Price
    from hotspare.target import Target as Target
    from hotspare.target import TargetFields as TargetFields

__version__ = "0.1.0"

_HOMES = {
    "_classify.rules": ("classify",),
    "_health.breaker": ("State",),
    "_routing.explain": ("Choice", "Explanation", "SkipReason"),
    "_routing.strategies": ("Candidate",),
    "batch": ("BatchResult",),
    "brownout": ("Brownout",),
    "budget": ("Budget",),
    "cache": ("Cache", "CacheEntry", "CacheStore"),
    "backend": ("Backend", "remaining_time"),
    "embeddings": ("EmbedInput", "EmbedOptions", "EmbedReply"),
    "errors": (
        "AllTargetsFailed", "AnswerRejected", "AttemptTimeout", "BackendError", "BudgetExceeded", "CallError", "ConfigError", "EmptyAnswer",
        "HotspareError", "IncompleteAnswer", "KeyFunctionFailed", "MissingExtra", "NoKeyGiven", "PoolClosed", "Problem", "LimitExceeded", "RecordingError", "RequestError",
        "StreamInterrupted",
    ),
    "events": ("Listener",),
    "keys": ("TargetKey",),
    "messages": (
        "CallOptions", "ChatChunk", "ChatReply", "ChatRequest", "Dialect", "FinishReason", "IDLE", "Message", "MessageDict", "StreamSummary",
        "ToolCall", "ToolCallDelta", "Usage",
    ),
    "outcome": ("AttemptRecord", "Kind", "Outcome", "Scope"),
    "policy": ("Breaker", "Hedge", "Policy", "PolicyFields", "RetryBudget", "Timeouts"),
    "pool": ("Pool",),
    "providers.portable": ("portable_history",),
    "recorder": ("Recorder",),
    "route": ("RouteFields", "Routes"),
    "reduce": ("Reducer", "compact_prompt", "trim_history"),
    "secret": ("SecretStr",),
    "selector": ("Lease", "Selector"),
    "shared": ("Shared",),
    "status": ("BudgetStatus", "PoolHealth"),
    "target": ("Limits", "LongPrice", "Price", "Target", "TargetFields"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted([*_HOME_OF, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'hotspare' has no attribute {name!r}")
    value = getattr(import_module(f"hotspare.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
