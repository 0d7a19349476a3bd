# What a chat model has to implement is named with an underscore by LangChain; it is its contract all the same.
# pyright: reportPrivateUsage=false
"""`ChatHotspare`: a LangChain chat model with a hotspare pool behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from hotspare import CallError, Policy, Pool, Target, __version__
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import AliasChoices, Field, GetPydanticSchema, model_validator
from pydantic_core.core_schema import any_schema
from typing_extensions import override

from langchain_hotspare.answers import ChunkWriter, result_of
from langchain_hotspare.building import with_pool
from langchain_hotspare.errors import as_model_errors
from langchain_hotspare.members import Member
from langchain_hotspare.native import NativeBackend
from langchain_hotspare.profile import profile_of
from langchain_hotspare.request import bound_kwargs, request_of
from langchain_hotspare.structured import Method, structured
from langchain_hotspare.trail import atell, tell

_AS_IT_IS = GetPydanticSchema(lambda source, handler: any_schema())
"""For objects that check themselves: pydantic would look into dataclasses and copy them."""
_SETTINGS = (
    "model", "temperature", "max_tokens", "top_p", "seed", "reasoning_effort", "stop", "deadline", "max_attempts",
)  # fmt: skip


class ChatHotspare(BaseChatModel):
    """A chat model that stays up: each call is answered by whichever target of its pool can.

    ::

        ChatHotspare(models=[ChatOpenAI(model="gpt-4.1"), ChatAnthropic(model="claude-sonnet-4-5")])
        ChatHotspare(targets=[Target("openai/gpt-4.1"), Target("gemini/gemini-2.5-flash")])
        ChatHotspare(config="hotspare.toml")
        ChatHotspare(pool=pool)

    Build one a process and share it: the pool inside remembers who is down. `response_metadata["hotspare"]` of every
    answer says which target gave it, what was tried and what it cost.

    Raises:
        ConfigError: naming every mistake; nothing was sent.

    Calls raise the classes of `langchain_hotspare.errors`, which are hotspare's and LangChain's at once.
    """

    pool: Annotated[Pool, _AS_IT_IS] = Field(default=cast("Pool", None), exclude=True)
    """The pool behind it; also the way to its health, its events and its end (`llm.pool.close()`)."""
    targets: Annotated[Sequence[Target] | None, _AS_IT_IS] = Field(default=None, exclude=True, repr=False)
    """Instead of `pool`: wire targets, from which a pool is built."""
    models: Annotated[Sequence[Member] | None, _AS_IT_IS] = Field(default=None, exclude=True, repr=False)
    """Instead of `pool`: LangChain chat models, Targets and specs, in order of preference."""
    config: str | Path | Mapping[str, Any] | None = Field(default=None, exclude=True, repr=False)
    """Instead of `pool`: a hotspare config, as `Pool.from_config` takes it."""
    policy: Annotated[Policy | None, _AS_IT_IS] = Field(default=None, exclude=True, repr=False)
    """For a pool built of `targets` or `models`."""
    model: str | None = Field(default=None, validation_alias=AliasChoices("model", "route"))
    """A route of the pool, a model or a target's name. None: the default route."""
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    reasoning_effort: str | None = None
    stop: Sequence[str] | None = None
    deadline: float | None = Field(default=None, validation_alias=AliasChoices("deadline", "timeout"))
    """Seconds to the first content of a stream or to a whole answer. None: the pool's own."""
    max_attempts: int | None = None
    """Attempts of one call in all. None: the pool's own."""
    model_kwargs: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    """Further fields of hotspare's ChatRequest (`extra`, `user`…), or keywords for native members."""
    streaming: bool = False
    """Whether `invoke` streams underneath."""

    # --- building ------------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # checkers read the fields

        def __init__(self, **fields: Any) -> None:
            # Not in a validator: pydantic would hide the ConfigError in one of its own, and show a config's keys there.
            super().__init__(**with_pool(fields, type(self)))

    @model_validator(mode="after")
    def _set_hotspare_version(self) -> ChatHotspare:
        self._add_version("langchain-hotspare", __version__)
        return self

    @override
    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self.pool, self.model)

    # --- calls ---------------------------------------------------------------------------------------------------

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with as_model_errors():
            request, options = self._request(messages, stop, kwargs)
            try:
                reply = self.pool.chat(request, **options)
            except CallError as error:
                tell(run_manager, error.attempts)
                raise
        tell(run_manager, reply.attempts)
        return result_of(reply, self._target(reply.target))

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with as_model_errors():
            request, options = self._request(messages, stop, kwargs)
            try:
                reply = await self.pool.achat(request, **options)
            except CallError as error:
                await atell(run_manager, error.attempts)
                raise
        await atell(run_manager, reply.attempts)
        return result_of(reply, self._target(reply.target))

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        writer = ChunkWriter()
        with as_model_errors():
            request, options = self._request(messages, stop, kwargs)
            try:
                with closing(self.pool.stream(request, **options)) as chunks:
                    for chunk in chunks:
                        if chunk.summary is not None:
                            tell(run_manager, chunk.summary.attempts)
                        yield writer.write(chunk, self._target(chunk.summary.target) if chunk.summary else None)
            except CallError as error:
                tell(run_manager, error.attempts)
                raise

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        writer = ChunkWriter()
        with as_model_errors():
            request, options = self._request(messages, stop, kwargs)
            try:
                async with aclosing(self.pool.astream(request, **options)) as chunks:
                    async for chunk in chunks:
                        if chunk.summary is not None:
                            await atell(run_manager, chunk.summary.attempts)
                        yield writer.write(chunk, self._target(chunk.summary.target) if chunk.summary else None)
            except CallError as error:
                await atell(run_manager, error.attempts)
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
        """The model with tools. Native members get them through their own `bind_tools`.

        Args:
            tools: functions, LangChain tools, pydantic classes, schemas; a provider's own tools with native members only.
            tool_choice: `auto`, `any` (or True, `required`), `none`, a tool's name, or OpenAI's and Anthropic's dicts.
            strict: whether arguments must follow the schema, where the provider can see to that.
            kwargs: further words of a call, e.g. `parallel_tool_calls`, `response_format`, `temperature`.

        Raises:
            RequestError: naming a tool that no member can be told of, or a choice that is none.
        """
        with as_model_errors():
            bound = bound_kwargs(
                self.pool, tools, tool_choice, strict=strict, options=kwargs, natives=len(self._natives)
            )
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

        `method`: `function_calling` (every provider can), `json_schema` (the provider's own structured output) or
        `json_mode` (any JSON; ask for its keys in the prompt). Targets that cannot carry it are not asked.
        """
        with as_model_errors():
            return structured(self, schema, method, strict=strict, include_raw=include_raw, **kwargs)

    # --- what LangChain asks about it ----------------------------------------------------------------------------

    @property
    @override
    def _llm_type(self) -> str:
        return "hotspare"

    @property
    @override
    def _identifying_params(self) -> Mapping[str, Any]:
        """Everything that changes an answer: LangChain's cache key is made of it. No key is in it."""
        members = [
            {"target": target.name, "id": target.id, **({"native": dict(native)} if native else {})}
            for target in self.pool.targets
            for native in [_native_params(target)]
        ]
        return {"targets": members, **self._settings()}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """For traces: the target that would be asked now. Who answered after all stands in the answer's metadata."""
        settings = {**self._settings(), **kwargs}
        rows = self.pool.explain(model=self.model).choices
        row = next((row for row in rows if row.admissible), rows[0])
        target = self._target(row.target)
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
        """An estimate, four characters a token: the members' tokenizers differ anyway."""
        return -(-len(text) // 4)

    @override
    def get_num_tokens_from_messages(self, messages: Sequence[BaseMessage], tools: Any = None) -> int:
        """An estimate, four characters a token: the members' tokenizers differ anyway."""
        return count_tokens_approximately(messages, tools=list(tools) if tools else None)

    # --- inside --------------------------------------------------------------------------------------------------

    @property
    def _natives(self) -> list[Target]:
        return [target for target in self.pool.targets if isinstance(target.backend, NativeBackend)]

    def _settings(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _SETTINGS}
        return {**self.model_kwargs, **{name: value for name, value in own.items() if value is not None}}

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        settings = {**self._settings(), **kwargs}
        natives = len(self._natives)
        stop = stop or settings.pop("stop", None)
        wires = natives < len(self.pool.targets)
        return request_of(messages, stop, settings, wires=wires, natives=bool(natives))

    def _target(self, name: str) -> Target:
        return next(target for target in self.pool.targets if target.name == name)


def _native_params(target: Target) -> Mapping[str, Any]:
    return target.backend.model._identifying_params if isinstance(target.backend, NativeBackend) else {}
