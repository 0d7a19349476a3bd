# pyright: basic
"""LiteLLM with a custom provider in the form of its documentation, and with hotspare."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read when LiteLLM is imported

import litellm
import litellm_hotspare
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
from litellm.litellm_core_utils.thread_pool_executor import executor
from litellm.llms.custom_llm import CustomLLM

from benchmarks.core import CHUNKS
from benchmarks.floors.answers import COST, KINDS, MODEL, TEXT, WORD, Calls, new_pool

MESSAGES = [{"role": "user", "content": "hello"}]
USAGE = {"prompt_tokens": 5, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 5, "cost": COST}


class _Floor(CustomLLM):
    """A custom provider that returns a prepared answer."""

    def __init__(self) -> None:
        super().__init__()
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
        self._answer = litellm.ModelResponse(id="c1", model=MODEL, choices=[choice], usage=USAGE)
        self._answer._hidden_params["response_cost"] = COST

    def completion(self, *args: Any, **call: Any) -> Any:
        """The same answer to everything."""
        return self._answer

    async def acompletion(self, *args: Any, **call: Any) -> Any:
        """The same answer to everything."""
        return self._answer

    def streaming(self, *args: Any, **call: Any) -> Iterator[Any]:
        """The same chunks to everything."""
        for place in range(CHUNKS + 1):
            last = place == CHUNKS
            yield {
                "text": "" if last else WORD, "tool_use": None, "is_finished": last, "finish_reason": "stop" if last else "",
                "usage": USAGE if last else None, "index": 0,
            }  # fmt: skip

    async def astreaming(self, *args: Any, **call: Any) -> AsyncIterator[Any]:
        """The same chunks to everything."""
        for chunk in self.streaming():
            yield chunk


def _calls(model: str) -> Calls:
    """LiteLLM's calls of this model."""

    async def stream() -> None:
        chunks: Any = await litellm.acompletion(model, MESSAGES, stream=True)
        async for _ in chunks:
            pass

    def stream_in_thread() -> list[Any]:
        found: Any = litellm.completion(model, MESSAGES, stream=True)
        return list(found)

    whole, chunks = KINDS
    return {
        f"LiteLLM, {whole}, sync": lambda: litellm.completion(model, MESSAGES),
        f"LiteLLM, {whole}, async": lambda: litellm.acompletion(model, MESSAGES),
        f"LiteLLM, {chunks}, sync": stream_in_thread,
        f"LiteLLM, {chunks}, async": stream,
    }


def contenders() -> dict[str, Calls]:
    """The calls of the floor and those of hotspare."""
    litellm.suppress_debug_info = True
    litellm_hotspare.register(new_pool())
    for name in ("default", MODEL):
        priced = {**litellm.model_cost[f"hotspare/{name}"], "litellm_provider": "floor"}
        litellm.register_model({f"floor/{name}": priced})
    litellm.custom_provider_map.append({"provider": "floor", "custom_handler": _Floor()})
    litellm.utils.custom_llm_setup()
    return {"floor": _calls("floor/default"), "hotspare": _calls("hotspare/default")}


async def flush() -> None:
    """Wait for what LiteLLM does in the background for async calls."""
    await GLOBAL_LOGGING_WORKER.flush()


def wait() -> None:
    """The same for sync calls: the tasks before this one have begun."""
    executor.submit(int).result()
