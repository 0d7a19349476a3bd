"""`HotspareMiddleware`: a pool behind the model of an agent (`langchain.agents.create_agent`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from hotspare import CallError, ConfigError, Policy, Pool, Problem, Target

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
except ImportError as error:
    raise ImportError("HotspareMiddleware needs agents: pip install 'langchain>=1'") from error
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from typing_extensions import override

from langchain_hotspare.chat_models import ChatHotspare
from langchain_hotspare.metadata import FAILOVER_EVENT, METADATA_KEY
from langchain_hotspare.targets import ModelLike

INTERRUPTED = "This tool call was interrupted: there is no result. Call the tool again if the result is still needed."
"""The result that is sent to the model for a tool call without one."""


class HotspareMiddleware(AgentMiddleware[Any, Any]):
    """Lets an agent's model calls fail over, using the health of a pool that all runs of the agent share.

    ::

        create_agent("openai:gpt-4.1", tools, middleware=[HotspareMiddleware("anthropic:claude-sonnet-4-5")])
        create_agent(model, tools, middleware=[HotspareMiddleware(pool=pool)])

    Args:
        fallbacks: models after the agent's own, in order of preference: LangChain models, targets, or their names, as in
            `ChatHotspare(models=[…])`.
        pool: a pool that is used in place of the agent's own model; `targets`, `config`: likewise, to build one.
        policy: of a pool that is built from `fallbacks` or `targets`. Default: the default policy.
        model: a route of the pool, a model or a target's name. Default: the default route.

    Each failover is written to the agent's stream (`stream_mode="custom"`) as ``{"event": "hotspare_failover", "source": …,
    "target": …, "attempt": …}``. If a run was interrupted between a tool call and its result, the history gets
    a result that says so.

    Raises:
        ConfigError: naming the mistake; nothing was sent.
    """

    def __init__(
        self,
        *fallbacks: ModelLike,
        pool: Pool | None = None,
        targets: Sequence[Target] | None = None,
        config: str | Path | Mapping[str, Any] | None = None,
        policy: Policy | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__()
        given = {"pool": pool, "targets": targets, "config": config}
        sources: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if bool(fallbacks) == bool(sources) or len(sources) > 1:
            names = ["fallbacks"] * bool(fallbacks) + list(sources)
            hint = "must be models after the agent's own, or exactly one of pool, targets, config in its place"
            raise ConfigError(Problem.at("HotspareMiddleware", names, hint))
        self._fallbacks, self._policy, self._model = fallbacks, policy, model
        self._llm = ChatHotspare(**sources, policy=policy, model=model) if sources else None
        self._built: dict[int, tuple[BaseChatModel, ChatHotspare]] = {}
        self._lock = Lock()

    def llm_for(self, own: BaseChatModel) -> ChatHotspare:
        """The model that is called in place of the agent's `own`; built once per model, so that its health is kept."""
        if self._llm is not None:
            return self._llm
        with self._lock:
            if id(own) not in self._built:  # stores the model too, so that no other object gets this id
                made = ChatHotspare(models=[own, *self._fallbacks], policy=self._policy, model=self._model)
                self._built[id(own)] = own, made
            return self._built[id(own)][1]

    @override
    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Call the pool's model in place of the agent's own."""
        try:
            response = handler(self._prepared(request))
        except CallError as error:
            _notify(request, [attempt.as_dict() for attempt in error.attempts])
            raise
        _notify(request, _attempts(response))
        return response

    @override
    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """`wrap_model_call`, for async callers."""
        try:
            response = await handler(self._prepared(request))
        except CallError as error:
            _notify(request, [attempt.as_dict() for attempt in error.attempts])
            raise
        _notify(request, _attempts(response))
        return response

    def _prepared(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        return request.override(model=self.llm_for(request.model), messages=list(_with_results(request.messages)))


def _with_results(messages: Sequence[AnyMessage]) -> Iterator[AnyMessage]:
    """The history with a result for each tool call that has none, because its run was interrupted."""
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    for message in messages:
        yield message
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                if call["id"] not in answered:
                    yield ToolMessage(INTERRUPTED, tool_call_id=call["id"], name=call["name"], status="error")


def _attempts(response: ModelResponse[Any]) -> Sequence[Mapping[str, Any]]:
    """The attempts of the call, from the metadata of its answer."""
    answers = [message for message in response.result if isinstance(message, AIMessage)]
    found: Mapping[str, Any] = answers[0].response_metadata.get(METADATA_KEY, {}) if answers else {}
    attempts: Sequence[Mapping[str, Any]] = found.get("attempts", ())
    return attempts


def _notify(request: ModelRequest[Any], attempts: Sequence[Mapping[str, Any]]) -> None:
    """Write each failover to the agent's stream."""
    for attempt, following in pairwise(attempts):
        if attempt["target"] != following["target"]:
            request.runtime.stream_writer(
                {
                    "event": FAILOVER_EVENT,
                    "source": attempt["target"],
                    "target": following["target"],
                    "attempt": dict(attempt),
                }
            )
