# LlamaIndex's decorators carry no types of their own.
# pyright: reportUntypedFunctionDecorator=false, reportUnknownVariableType=false
"""`Hotspare`: a LlamaIndex LLM over a pool of targets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, Self, TypeVar, cast

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
from llama_index.llms.hotspare.building import Config, build_pool, path_of
from llama_index.llms.hotspare.capabilities import capabilities_of
from llama_index.llms.hotspare.request import Request, request_of
from llama_index.llms.hotspare.response import ChunkConverter, completion_of, response_of
from llama_index.llms.hotspare.structured import StructuredPrediction
from llama_index.llms.hotspare.tools import chat_arguments, selections

from hotspare import ChatChunk, ChatRequest, Policy, Pool, Target

_Response = TypeVar("_Response", ChatResponse, CompletionResponse)
_REQUEST_FIELDS = ChatRequest.__dataclass_fields__.keys() - {"messages", "model", "temperature", "max_tokens"}


class Hotspare(StructuredPrediction):
    """A LlamaIndex LLM over a pool of targets. When a target fails, the call fails over to another one.

    Exactly one of `pool`, `targets`, `config` and `llms` must be given.

    Args:
        pool: a `hotspare.Pool`, which other code may share.
        targets: `hotspare.Target`s, from which a pool is built.
        config: the path of a configuration file, or a mapping, for `Pool.from_config`.
        llms: LlamaIndex LLMs and targets, in order of preference. LLMs are copied, with their retries switched off.
        policy: of a pool that is built from `targets` or `llms`.
        model: a route of the pool, a model or the name of a target. Default: the default route.
        temperature, max_tokens: defaults for requests without them. `max_tokens`: tokens of the answer. Default: not sent.
        deadline: seconds to a stream's first content or to a whole answer. Default: the policy's.
        additional_kwargs: further fields of `hotspare.ChatRequest` for every request, e.g. ``{"seed": 7}``; they may also be given as
            separate arguments: ``seed=7``.
        context_window, num_output, is_function_calling_model: override the fields of `metadata`; the first two in tokens, `num_output`
            at most half of the context window.
        kwargs: arguments of every LlamaIndex LLM: `system_prompt`, `callback_manager`, `pydantic_program_mode`…

    Every response has `ChatReply.as_metadata()` (target, failovers, attempts, cost) in
    ``additional_kwargs["hotspare"]``.

    Raises:
        ConfigError: naming the mistake; nothing was sent.
    """

    model: str | None = Field(default=None, description="A route of the pool, a model or a target's name.")
    temperature: float | None = Field(default=None, description="Sent with requests that have none.")
    max_tokens: int | None = Field(default=None, gt=0, description="Tokens of an answer, if the request has none.")
    deadline: float | None = Field(
        default=None, gt=0, description="Seconds to a stream's first content or to a whole answer."
    )
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of hotspare.ChatRequest for every request."
    )
    config: str | None = Field(default=None, description="The configuration file's path, if the pool came from one.")
    context_window: int | None = Field(default=None, gt=0, description="Overrides the smallest context window.")
    num_output: int | None = Field(default=None, gt=0, description="Overrides the smallest output limit.")
    is_function_calling_model: bool | None = Field(
        default=None, description="Overrides whether all targets support tools."
    )

    _pool: Pool = PrivateAttr()
    _metadata: LLMMetadata = PrivateAttr()

    def __init__(
        self,
        pool: Pool | None = None,
        *,
        targets: Sequence[Target] | None = None,
        config: Config | None = None,
        llms: Sequence[LLM | Target] | None = None,
        policy: Policy | None = None,
        **kwargs: Any,
    ) -> None:
        further = {name: kwargs.pop(name) for name in _REQUEST_FIELDS & kwargs.keys()}
        fields: dict[str, Any] = {"config": path_of(config), **kwargs}
        if further:  # pydantic would drop them silently
            fields["additional_kwargs"] = {**further, **kwargs.get("additional_kwargs", {})}
        super().__init__(**fields)
        self._pool = build_pool(pool, targets, config, llms, policy)
        self._metadata = capabilities_of(
            self._pool,
            self.model,
            context_window=self.context_window,
            num_output=self.num_output or self.max_tokens,
            is_function_calling_model=self.is_function_calling_model,
        )

    @classmethod
    def class_name(cls) -> str:
        """The name of this class in stored configurations."""
        return "hotspare_llm"

    @property
    def pool(self) -> Pool:
        """The pool: its health, `explain`, its events, and `close`."""
        return self._pool

    @property
    def metadata(self) -> LLMMetadata:
        """The metadata that holds for every target that may answer."""
        return self._metadata

    # --- chat ----------------------------------------------------------------------------------------------------

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """A whole answer. `kwargs`: fields of `hotspare.ChatRequest`, `model`, `deadline`, `max_attempts`.

        Raises RequestError before anything is sent, AllTargetsFailed if no target answered.
        """
        request = self._request(messages, kwargs)
        reply = self._pool.chat(request.messages, **request.options)
        return response_of(reply, single_tool_call=request.single_tool_call)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, for asyncio."""
        request = self._request(messages, kwargs)
        reply = await self._pool.achat(request.messages, **request.options)
        return response_of(reply, single_tool_call=request.single_tool_call)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer chunk by chunk: `message` is the whole message so far, `delta` the new text. Options as in `chat`.

        Raises, while it is read, StreamInterrupted with the text so far if it breaks and cannot be continued.
        """
        request = self._request(messages, kwargs)
        return self._stream(request, ChunkConverter(single_tool_call=request.single_tool_call).convert)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """`stream_chat`, for asyncio."""
        request = self._request(messages, kwargs)
        return self._astream(request, ChunkConverter(single_tool_call=request.single_tool_call).convert)

    # --- completion: the prompt is one user message --------------------------------------------------------------

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """A whole answer to one prompt. Options as in `chat`."""
        request = self._request(self._prompt(prompt, formatted), kwargs)
        return completion_of(self._pool.chat(request.messages, **request.options))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """`complete`, for asyncio."""
        request = self._request(self._prompt(prompt, formatted), kwargs)
        return completion_of(await self._pool.achat(request.messages, **request.options))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The answer to one prompt, chunk by chunk. Options as in `chat`."""
        return self._stream(self._request(self._prompt(prompt, formatted), kwargs), ChunkConverter().convert_completion)

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """`stream_complete`, for asyncio."""
        return self._astream(
            self._request(self._prompt(prompt, formatted), kwargs), ChunkConverter().convert_completion
        )

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
        """The tool calls of a response, whole or still streaming. Raises ValueError if one is required and there is none."""
        return selections(response, error_on_no_tool_call=error_on_no_tool_call)

    # --- private -------------------------------------------------------------------------------------------------

    def _stream(self, request: Request, convert: Callable[[ChatChunk], _Response]) -> Generator[_Response]:
        chunks = self._pool.stream(request.messages, **request.options)

        def responses() -> Generator[_Response]:
            with closing(chunks):
                for chunk in chunks:
                    yield convert(chunk)

        return responses()

    def _astream(self, request: Request, convert: Callable[[ChatChunk], _Response]) -> AsyncGenerator[_Response]:
        chunks = self._pool.astream(request.messages, **request.options)

        async def responses() -> AsyncGenerator[_Response]:
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield convert(chunk)

        return responses()

    def _request(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> Request:
        own = {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "deadline": self.deadline,
            **self.additional_kwargs,
        }
        return request_of(self._pool, messages, {**own, **kwargs})

    def _prompt(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        text = prompt if formatted else cast("Any", self.completion_to_prompt)(prompt)
        return [ChatMessage(role=MessageRole.USER, content=text)]

    # --- copies and storage --------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy that shares the pool, and so the health of its targets."""
        return self.model_copy()

    def __reduce__(self) -> Any:
        """Pickled as its public fields, and rebuilt from its configuration file."""
        if self.config is None:
            raise TypeError(
                "Hotspare can be pickled only with config='hotspare.toml': its pool holds connections and keys"
            )
        return type(self).from_dict, (self.to_dict(),)
