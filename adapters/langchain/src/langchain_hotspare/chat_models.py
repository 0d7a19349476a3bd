# LangChain names the methods that a chat model must implement with an underscore, although they are part of its API.
# pyright: reportPrivateUsage=false
"""`ChatHotspare`: a LangChain chat model over a pool of targets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from hotspare import CallError, ChatRequest, Policy, Pool, Target, __version__
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import AliasChoices, Field, GetPydanticSchema, PrivateAttr, model_validator
from pydantic_core.core_schema import any_schema
from typing_extensions import override

from langchain_hotspare.backend import LangChainBackend
from langchain_hotspare.building import with_pool
from langchain_hotspare.capabilities import capabilities_of
from langchain_hotspare.errors import translate_errors
from langchain_hotspare.metadata import adispatch_failovers, dispatch_failovers
from langchain_hotspare.request import bound_arguments, langchain_targets, request_of
from langchain_hotspare.response import ChunkConverter, response_of
from langchain_hotspare.structured import Method, structured
from langchain_hotspare.targets import ModelLike

_UNVALIDATED = GetPydanticSchema(lambda source, handler: any_schema())
"""For objects that validate themselves: pydantic would copy dataclasses."""
_SETTINGS = (
    "model", "temperature", "max_tokens", "top_p", "seed", "reasoning_effort", "stop", "deadline", "max_attempts",
)  # fmt: skip


class ChatHotspare(BaseChatModel):
    """A chat model over a pool of targets. When a target fails, the call fails over to another one.

    ::

        ChatHotspare(models=[ChatOpenAI(model="gpt-4.1"), ChatAnthropic(model="claude-sonnet-4-5")])
        ChatHotspare(targets=[Target("openai/gpt-4.1"), Target("gemini/gemini-2.5-flash")])
        ChatHotspare(config="hotspare.toml")
        ChatHotspare(pool=pool)

    Build one per process and share it: the pool keeps the health of its targets. `response_metadata["hotspare"]` of
    every answer has its target, the attempts and the cost (`ChatReply.as_metadata()`).

    Raises:
        ConfigError: naming every mistake; nothing was sent.

    Calls raise the classes of `langchain_hotspare.errors`, which are subclasses of both hotspare's and LangChain's.
    """

    pool: Annotated[Pool, _UNVALIDATED] = Field(default=cast("Pool", None), exclude=True)
    """The pool: its health, its events, and `llm.pool.close()`."""
    targets: Annotated[Sequence[Target] | None, _UNVALIDATED] = Field(default=None, exclude=True, repr=False)
    """Instead of `pool`: hotspare targets, from which a pool is built."""
    models: Annotated[Sequence[ModelLike] | None, _UNVALIDATED] = Field(default=None, exclude=True, repr=False)
    """Instead of `pool`: LangChain chat models, targets, or their names, in order of preference."""
    config: str | Path | Mapping[str, Any] | None = Field(default=None, exclude=True, repr=False)
    """Instead of `pool`: a configuration, as `Pool.from_config` takes it."""
    policy: Annotated[Policy | None, _UNVALIDATED] = Field(default=None, exclude=True, repr=False)
    """The policy of a pool built from `targets` or `models`. None: the default policy."""
    model: str | None = Field(default=None, validation_alias=AliasChoices("model", "route"))
    """A route of the pool, a model or the name of a target. None: the default route."""
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    reasoning_effort: str | None = None
    stop: Sequence[str] | None = None
    deadline: float | None = Field(default=None, validation_alias=AliasChoices("deadline", "timeout"))
    """Seconds to a stream's first content or to a whole answer. None: the policy's."""
    max_attempts: int | None = None
    """Attempts of one call in total. None: the policy's."""
    model_kwargs: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    """Further fields of hotspare's ChatRequest (`extra`, `user`…), or arguments of LangChain models."""
    streaming: bool = False
    """Whether `invoke` streams internally."""
    _latest: tuple[Sequence[Target], Target] | None = PrivateAttr(default=None)
    """The pool's targets, which a reload replaces, and the one of them that answered last."""
    _described: tuple[Sequence[Target], list[dict[str, Any]]] | None = PrivateAttr(default=None)
    """The pool's targets, and their parameters for `_identifying_params`."""

    # --- building ------------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # type checkers infer the signature from the fields

        def __init__(self, **fields: Any) -> None:
            # Not in a validator: pydantic would wrap the ConfigError in its own error, which would show the keys in a config.
            super().__init__(**with_pool(fields, type(self)))

    @model_validator(mode="after")
    def _set_hotspare_version(self) -> ChatHotspare:
        self._add_version("langchain-hotspare", __version__)
        return self

    @override
    def _resolve_model_profile(self) -> ModelProfile | None:
        return capabilities_of(self.pool, self.model)

    # --- calls ---------------------------------------------------------------------------------------------------

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with translate_errors():
            request, options = self._request(messages, stop, kwargs)
            try:
                reply = self.pool.chat(request, **options)
            except CallError as error:
                dispatch_failovers(run_manager, error.attempts)
                raise
        dispatch_failovers(run_manager, reply.attempts)
        return response_of(reply, self._target(reply.target))

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with translate_errors():
            request, options = self._request(messages, stop, kwargs)
            try:
                reply = await self.pool.achat(request, **options)
            except CallError as error:
                await adispatch_failovers(run_manager, error.attempts)
                raise
        if len(reply.attempts) > 1:
            await adispatch_failovers(run_manager, reply.attempts)
        return response_of(reply, self._target(reply.target))

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        converter = ChunkConverter()
        with translate_errors():
            request, options = self._request(messages, stop, kwargs)
            try:
                with closing(self.pool.stream(request, **options)) as chunks:
                    for chunk in chunks:
                        if chunk.summary is not None:
                            dispatch_failovers(run_manager, chunk.summary.attempts)
                        yield converter.convert(chunk, self._target(chunk.summary.target) if chunk.summary else None)
            except CallError as error:
                dispatch_failovers(run_manager, error.attempts)
                raise

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        converter = ChunkConverter()
        with translate_errors():
            request, options = self._request(messages, stop, kwargs)
            try:
                async with aclosing(self.pool.astream(request, **options)) as chunks:
                    async for chunk in chunks:
                        if chunk.summary is not None:
                            await adispatch_failovers(run_manager, chunk.summary.attempts)
                        yield converter.convert(chunk, self._target(chunk.summary.target) if chunk.summary else None)
            except CallError as error:
                await adispatch_failovers(run_manager, error.attempts)
                raise

    # --- tools and structured output -----------------------------------------------------------------------------

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools. LangChain models get them through their own `bind_tools`.

        Args:
            tools: functions, LangChain tools, pydantic classes, schemas. Tools of one provider (`web_search_20250305`)
                only if all targets are LangChain models.
            tool_choice: `auto`, `any` (or True, `required`), `none`, a tool's name, or a dict in OpenAI's or Anthropic's form.
            strict: whether arguments must follow the schema, where the provider supports that.
            kwargs: further arguments of a call, e.g. `parallel_tool_calls`, `response_format`, `temperature`.

        Raises:
            RequestError: for a tool that a target does not support, or an invalid choice.
        """
        with translate_errors():
            bound = bound_arguments(self.pool, tools, tool_choice, strict=strict, options=kwargs)
        return self.bind(**bound)

    @override
    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Method = "function_calling",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers as instances of a pydantic class, or as dicts for a TypedDict or a JSON schema.

        `method`: `function_calling` (works with every provider), `json_schema` (the provider's own structured output) or
        `json_mode` (any JSON; name its keys in the prompt). Targets that do not support it are not called.
        """
        with translate_errors():
            return structured(self, schema, method, strict=strict, include_raw=include_raw, **kwargs)

    # --- what LangChain reads -------------------------------------------------------------------------------------

    @property
    @override
    def _llm_type(self) -> str:
        return "hotspare"

    @property
    @override
    def _identifying_params(self) -> Mapping[str, Any]:
        """Everything that changes an answer, for LangChain's cache key. Holds no API key."""
        targets, known = self.pool.targets, self._described
        if langchain_targets(self.pool):  # a model's own parameters may change
            return {"targets": list(map(_target_params, targets)), **self._settings()}
        if known is None or known[0] is not targets:
            known = self._described = targets, list(map(_target_params, targets))
        return {"targets": known[1], **self._settings()}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """For traces, until the target of the answer is known: the target that answered last, or, before any answer, the one that would be
        called first."""
        settings = {**self._settings(), **kwargs}
        latest = self._latest
        if latest is not None and latest[0] is self.pool.targets:
            target = latest[1]
        else:
            rows = self.pool.explain(model=self.model).choices
            target = self._target(next((row for row in rows if row.admissible), rows[0]).target)
        params = LangSmithParams(
            ls_provider=target.provider, ls_model_name=kwargs.get("model") or target.model, ls_model_type="chat"
        )
        if (temperature := settings.get("temperature")) is not None:
            params["ls_temperature"] = temperature
        if (max_tokens := settings.get("max_tokens")) is not None:
            params["ls_max_tokens"] = max_tokens
        if stops := stop or self.stop:
            params["ls_stop"] = list(stops)
        return params

    @override
    def get_num_tokens(self, text: str) -> int:
        """An estimate, four characters per token: the targets' tokenizers differ."""
        return -(-len(text) // 4)

    @override
    def get_num_tokens_from_messages(self, messages: Sequence[BaseMessage], tools: Any = None) -> int:
        """An estimate, four characters per token: the targets' tokenizers differ."""
        return count_tokens_approximately(messages, tools=list(tools) if tools else None)

    # --- private -------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _SETTINGS}
        return {**self.model_kwargs, **{name: value for name, value in own.items() if value is not None}}

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[ChatRequest, dict[str, Any]]:
        settings = {**self._settings(), **kwargs}
        stop = stop or settings.pop("stop", None)
        return request_of(self.pool, messages, stop, settings)

    def _target(self, name: str) -> Target:
        """The target that answered, by its name. The last one is cached, because the next answer usually comes from it too. If a reload
        removed it during the call, it is looked up among the previous targets, else it is a placeholder with only the name."""
        latest, targets = self._latest, self.pool.targets
        if latest is not None and latest[1].name == name and latest[0] is targets:
            return latest[1]
        found = next((target for target in targets if target.name == name), None)
        if found is not None:
            self._latest = targets, found
            return found
        before = () if latest is None else latest[0]
        return next((target for target in before if target.name == name), Target("removed/unknown", name=name))


def _target_params(target: Target) -> dict[str, Any]:
    found = {"target": target.name, "id": target.id}
    if isinstance(target.backend, LangChainBackend) and (params := target.backend.model._identifying_params):
        return {**found, "model": dict(params)}
    return found


for _method in (ChatHotspare._generate, ChatHotspare._agenerate):
    # LangChain inspects their parameters in each call, which takes 50 µs unless the signature is stored.
    cast("Any", _method).__signature__ = signature(_method)
