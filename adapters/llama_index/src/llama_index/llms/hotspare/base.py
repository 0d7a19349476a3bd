# LlamaIndex's decorators carry no types of their own.
# pyright: reportUntypedFunctionDecorator=false, reportUnknownVariableType=false
"""Hotspare: the LlamaIndex LLM that answers from a pool of targets, and fails over between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing, closing
from os import PathLike, fspath
from typing import Any, Self, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.llm import LLM, ToolSelection
from llama_index.core.tools.types import BaseTool
from llama_index.llms.hotspare.answers import Collector, completion_of, response_of
from llama_index.llms.hotspare.messages import openai_messages
from llama_index.llms.hotspare.metadata import metadata_of
from llama_index.llms.hotspare.native.members import targets_of
from llama_index.llms.hotspare.structured import StructuredPrediction
from llama_index.llms.hotspare.tools import chat_arguments, selections

from hotspare import ConfigError, Policy, Pool, Target
from hotspare.errors import Problem


class Hotspare(StructuredPrediction):
    """A LlamaIndex LLM behind which a pool of targets stands: one fails, another answers, and nobody notices.

    Give exactly one of `pool`, `targets`, `config` and `llms`.

    Args:
        pool: a `hotspare.Pool`, shared with whatever else uses it.
        targets: `hotspare.Target`s, from which a pool is built.
        config: a configuration file's path, or a mapping, for `Pool.from_config`.
        llms: native LlamaIndex LLMs (and targets), the preferred one first. They are not changed; their retries are off.
        policy: of the pool that is built from `targets` or `llms`.
        model: a route, a model alias or a target's name of the pool. Default: its default route.
        temperature, max_tokens: sent with every request that names none. `max_tokens` is in tokens of the answer.
        deadline: seconds for a whole answer, or to a stream's first content. Default: the pool's policy.
        additional_kwargs: further fields of `hotspare.ChatRequest` for every request, e.g. ``{"seed": 7}``.
        context_window, num_output, is_function_calling_model: overrule what `metadata` says of the pool; in tokens.
        kwargs: what every LlamaIndex LLM takes: `system_prompt`, `callback_manager`, `pydantic_program_mode`…

    Every response carries the trail of its call (target, attempts, failovers, cost) in
    ``additional_kwargs["hotspare"]``.

    Raises:
        ConfigError: naming what is missing, doubled or wrong, before any network call.
    """

    model: str | None = Field(default=None, description="A route, model alias or target's name of the pool.")
    temperature: float | None = Field(default=None, description="Sent with every request that names none.")
    max_tokens: int | None = Field(default=None, gt=0, description="Tokens of an answer, unless a request says.")
    deadline: float | None = Field(default=None, gt=0, description="Seconds for an answer, or to its first content.")
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of hotspare.ChatRequest for every request."
    )
    config: str | None = Field(default=None, description="The configuration file's path, if the pool came from one.")
    context_window: int | None = Field(default=None, gt=0, description="Overrules the smallest window of the pool.")
    num_output: int | None = Field(default=None, gt=0, description="Overrules the smallest output bound of the pool.")
    is_function_calling_model: bool | None = Field(default=None, description="Overrules what all members can do.")

    _pool: Pool = PrivateAttr()
    _metadata: LLMMetadata = PrivateAttr()

    def __init__(
        self,
        pool: Pool | None = None,
        *,
        targets: Sequence[Target] | None = None,
        config: str | PathLike[str] | Mapping[str, Any] | None = None,
        llms: Sequence[LLM | Target] | None = None,
        policy: Policy | None = None,
        **kwargs: Any,
    ) -> None:
        given = {"pool": pool, "targets": targets, "config": config, "llms": llms}
        named = [name for name, value in given.items() if value is not None]
        if len(named) != 1:
            way_out = "give exactly one of pool=Pool(…), targets=[Target(…)], config='hotspare.toml', llms=[OpenAI(…)]"
            raise ConfigError(Problem.at("Hotspare", named, way_out))
        if policy is not None and named[0] in ("pool", "config"):
            raise ConfigError(Problem.at("policy", policy, f"must stand in the {named[0]} itself"))
        path = config if config is None or isinstance(config, Mapping) else fspath(config)
        # A mapping may hold keys: only a path is kept where `to_dict` and `repr` can see it.
        fields: dict[str, Any] = {"config": path if isinstance(path, str) else None, **kwargs}
        super().__init__(**fields)
        if pool is None and path is not None:
            pool = Pool.from_config(path)
        self._pool = pool or Pool(targets_of(llms or ()) if targets is None else targets, policy=policy)
        self._metadata = metadata_of(
            self._pool,
            self.model,
            context_window=self.context_window,
            num_output=self.num_output or self.max_tokens,
            is_function_calling_model=self.is_function_calling_model,
        )

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name of this class in stored configurations."""
        return "hotspare_llm"

    @property
    def pool(self) -> Pool:
        """The pool behind this LLM: its health, `explain`, events and `close`."""
        return self._pool

    @property
    def metadata(self) -> LLMMetadata:
        """What holds for every target that may answer."""
        return self._metadata

    # --- chat ----------------------------------------------------------------------------------------------------

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """A whole answer. `kwargs`: fields of `hotspare.ChatRequest`, `model`, `deadline`, `max_attempts`.

        Raises hotspare's RequestError before anything is sent, AllTargetsFailed when nobody answered.
        """
        return self._chat(messages, kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, for asyncio."""
        return await self._achat(messages, kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer piece by piece: `message` holds all so far, `delta` what is new. Options as in `chat`.

        Raises, while it is read, StreamInterrupted with the text so far if it breaks and nobody can continue it.
        """
        return self._stream_chat(messages, kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """`stream_chat`, for asyncio."""
        return self._astream_chat(messages, kwargs)

    # --- completion: the prompt is one user message --------------------------------------------------------------

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """A whole answer to one prompt. Options as in `chat`."""
        return completion_of(self._chat(self._prompt(prompt, formatted), kwargs))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """`complete`, for asyncio."""
        return completion_of(await self._achat(self._prompt(prompt, formatted), kwargs))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The answer to one prompt, piece by piece. Options as in `chat`."""
        responses = self._stream_chat(self._prompt(prompt, formatted), kwargs)

        def completions() -> CompletionResponseGen:
            with closing(responses):
                for response in responses:
                    yield completion_of(response)

        return completions()

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """`stream_complete`, for asyncio."""
        responses = self._astream_chat(self._prompt(prompt, formatted), kwargs)

        async def completions() -> CompletionResponseAsyncGen:
            async with aclosing(responses):
                async for response in responses:
                    yield completion_of(response)

        return completions()

    # --- tools ---------------------------------------------------------------------------------------------------

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        offered = chat_arguments(
            tools,
            user_msg,
            chat_history,
            parallel=allow_parallel_tool_calls,
            required=tool_required,
            choice=tool_choice,
        )
        return {**offered, **kwargs}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls of a response, whole or still streaming. Raises ValueError where one is demanded and missing."""
        return selections(response, error_on_no_tool_call=error_on_no_tool_call)

    # --- inside: undecorated, so that LlamaIndex's events fire once a call ---------------------------------------

    def _chat(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatResponse:
        options, single = self._options(kwargs)
        return response_of(self._pool.chat(openai_messages(messages), **options), single=single)

    async def _achat(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatResponse:
        options, single = self._options(kwargs)
        return response_of(await self._pool.achat(openai_messages(messages), **options), single=single)

    def _stream_chat(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatResponseGen:
        options, single = self._options(kwargs)
        chunks = self._pool.stream(openai_messages(messages), **options)
        collector = Collector(single=single)

        def responses() -> ChatResponseGen:
            with closing(chunks):
                for chunk in chunks:
                    yield collector.take(chunk)

        return responses()

    def _astream_chat(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatResponseAsyncGen:
        options, single = self._options(kwargs)
        chunks = self._pool.astream(openai_messages(messages), **options)
        collector = Collector(single=single)

        async def responses() -> ChatResponseAsyncGen:
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield collector.take(chunk)

        return responses()

    def _options(self, kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """The pool's options of one call, and whether only one tool call may come back.

        Not every provider can be told to call one tool at a time, and those that cannot shall still be asked: so the
        others' calls are left out here instead.
        """
        own = {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "deadline": self.deadline,
            **self.additional_kwargs,
        }
        options = {name: value for name, value in {**own, **kwargs}.items() if value is not None}
        return options, options.pop("parallel_tool_calls", None) is False

    def _prompt(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        text = prompt if formatted else cast("Any", self.completion_to_prompt)(prompt)
        return [ChatMessage(role=MessageRole.USER, content=text)]

    # --- life ----------------------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy that shares the pool: one picture of health a process is the point of it."""
        return self.model_copy()

    def __reduce__(self) -> Any:
        """Pickled as its public fields, and rebuilt from its configuration file."""
        if self.config is None:
            raise TypeError(
                "Hotspare is pickled only with config='hotspare.toml': a pool's connections and keys are not"
            )
        return type(self).from_dict, (self.to_dict(),)
