"""Structured prediction over a pool: LlamaIndex's own programs, with the tool call required and the system prompt kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.program.utils import get_program_for_llm
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import BasePydanticProgram, PydanticProgramMode
from pydantic import BaseModel


class StructuredPrediction(FunctionCallingLLM):
    """Corrects two faults of `FunctionCallingLLM`.

    Its streaming methods do not require the tool call, so that a model may answer in prose, which gives empty objects. Its
    `astructured_predict` drops the system prompt.
    """

    async def astructured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        """An instance of `output_cls`. `llm_kwargs` as in `chat`. Raises ValueError if the model does not return one."""
        if self.system_prompt and self._calls_functions:
            messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
            return await super().astructured_predict(
                output_cls, ChatPromptTemplate(message_templates=messages), llm_kwargs
            )
        return await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)

    def _structured_stream_call(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        return self._program(output_cls, prompt).stream_call(llm_kwargs=llm_kwargs, **prompt_args)

    async def _structured_astream_call(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        return await self._program(output_cls, prompt).astream_call(llm_kwargs=llm_kwargs, **prompt_args)

    @property
    def _calls_functions(self) -> bool:
        mode = self.pydantic_program_mode
        default = mode == PydanticProgramMode.DEFAULT and self.metadata.is_function_calling_model
        return default or mode == PydanticProgramMode.FUNCTION

    def _program(self, output_cls: type[BaseModel], prompt: PromptTemplate) -> BasePydanticProgram[Any]:
        required = {"tool_choice": "required"} if self._calls_functions else {}
        return get_program_for_llm(
            output_cls, prompt, self, pydantic_program_mode=self.pydantic_program_mode, **required
        )
