"""What a type checker infers of LlamaIndex's adapter: `make types` checks it under mypy --strict and pyright strict. Never run."""

from typing import assert_type

from hotspare import Policy, Pool, Target
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM, ToolSelection
from llama_index.llms.hotspare import Hotspare, target_of


def built(pool: Pool, inner: LLM) -> None:
    """Every way to build one gives the LLM that agents ask for."""
    assert_type(Hotspare(pool), Hotspare)
    assert_type(Hotspare(llms=[inner, Target("openai/gpt-4.1")], policy=Policy(deadline=9)), Hotspare)
    assert_type(Hotspare(config="hotspare.toml", model="batch", temperature=0.5, system_prompt="Be brief."), Hotspare)
    assert_type(target_of(inner, "us", tier=1), Target)
    llm: FunctionCallingLLM = Hotspare(targets=[Target("openai/gpt-4.1")])
    assert_type(llm.metadata, LLMMetadata)


def called(llm: Hotspare, response: ChatResponse, completion: CompletionResponse) -> None:
    """What comes back is LlamaIndex's own."""
    assert_type(llm.pool, Pool)
    assert_type(llm.metadata, LLMMetadata)
    assert_type(llm.get_tool_calls_from_response(response), list[ToolSelection])
    assert_type(response.message, ChatMessage)
    assert_type(completion.text, str)
