# pyright: basic
"""What the adapters for LiteLLM and LlamaIndex add to a call: CPU time above the framework's own floor. Takes about three minutes.

    python -m benchmarks.floors             # print the table
    python -m benchmarks.floors --write     # and write it into docs/benchmarks.md

The floor is the framework with a custom model in the form of its documentation: whole answers are prepared, chunks are built one by one. The
targets of hotspare's pool answer from memory too. Both give the same text, with its cost, so that LiteLLM calculates none. They take short
turns: each round gives one difference and one ratio.
"""

import argparse
import asyncio
import gc
import os
import platform
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from hotspare import ChatReply, ChatRequest, Pool, Price, Target, Usage
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.llms import LLM
from llama_index.core.llms import CustomLLM as CustomLlamaIndexLLM
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.llms.hotspare import Hotspare

from benchmarks.core import CHUNKS, AtOnce
from benchmarks.page import write
from benchmarks.seam import in_turn

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read when LiteLLM is imported

import litellm
import litellm_hotspare
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
from litellm.litellm_core_utils.thread_pool_executor import executor
from litellm.llms.custom_llm import CustomLLM

MODEL = "m"
WORD = "word "
TEXT = WORD * CHUNKS
MESSAGES = [{"role": "user", "content": "hello"}]
PRICE = Price(2, 8)
COST = (5 * PRICE.input + CHUNKS * PRICE.output) / 1e6
USAGE = {"prompt_tokens": 5, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 5, "cost": COST}
KINDS = ("a call", f"a stream of {CHUNKS} chunks")
CALLS = 4
"""Calls of each contender in a round: few, because the load of the machine changes."""
Calls = dict[str, Callable[[], Any]]
"""A call of each kind, by its row. Those of async rows return coroutines."""


class Backend(AtOnce):
    """Answers from memory, with the name of a model: LiteLLM looks up its price."""

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The same answer to everything."""
        return ChatReply(text=TEXT, model=MODEL, id="c1", usage=Usage(5, CHUNKS))


class LiteLLMFloor(CustomLLM):
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


class LlamaIndexFloor(CustomLlamaIndexLLM):
    """A custom LLM that returns prepared answers."""

    @property
    def metadata(self) -> LLMMetadata:
        """The defaults."""
        return LLMMetadata()

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """The same answer to everything."""
        return ANSWER

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """The same answer to everything."""
        return ANSWER

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """The same chunks to everything."""
        return _responses()

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """The same chunks to everything."""

        async def responses() -> AsyncIterator[ChatResponse]:
            for response in _responses():
                yield response

        return responses()

    def complete(self, *args: Any, **kwargs: Any) -> Any:
        """Not measured."""
        raise NotImplementedError

    stream_complete = complete


ANSWER = ChatResponse(message=ChatMessage(role="assistant", content=TEXT))


def _responses() -> Iterator[ChatResponse]:
    text = ""
    for _ in range(CHUNKS):
        text += WORD
        yield ChatResponse(message=ChatMessage(role="assistant", content=text), delta=WORD)


def litellm_calls(model: str) -> Calls:
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


def llama_index_calls(llm: LLM) -> Calls:
    """LlamaIndex's calls of this LLM."""
    messages = [ChatMessage(role="user", content="hello")]

    async def stream() -> None:
        async for _ in await llm.astream_chat(messages):
            pass

    whole, chunks = KINDS
    return {
        f"LlamaIndex, {whole}, sync": lambda: llm.chat(messages),
        f"LlamaIndex, {whole}, async": lambda: llm.achat(messages),
        f"LlamaIndex, {chunks}, sync": lambda: list(llm.stream_chat(messages)),
        f"LlamaIndex, {chunks}, async": stream,
    }


def contenders() -> dict[str, Calls]:
    """The calls of the floors and those of hotspare."""
    targets = [Target(f"x/{MODEL}", name=name, backend=Backend(), price=PRICE) for name in "ab"]
    pool = Pool(targets, completion="wait")
    litellm.suppress_debug_info = True
    litellm_hotspare.register(pool)
    for name in ("default", MODEL):
        priced = {**litellm.model_cost[f"hotspare/{name}"], "litellm_provider": "floor"}
        litellm.register_model({f"floor/{name}": priced})
    litellm.custom_provider_map.append({"provider": "floor", "custom_handler": LiteLLMFloor()})
    litellm.utils.custom_llm_setup()
    return {
        "floor": litellm_calls("floor/default") | llama_index_calls(LlamaIndexFloor()),
        "hotspare": litellm_calls("hotspare/default") | llama_index_calls(Hotspare(pool=pool)),
    }


async def _repeat(call: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        await call()
    await asyncio.sleep(0)
    await GLOBAL_LOGGING_WORKER.flush()


def milliseconds(runner: asyncio.Runner, row: str, call: Callable[[], Any]) -> float:
    """CPU of one call of this row, with what LiteLLM does for it in the background."""
    start = time.process_time()
    if row.endswith(", async"):
        runner.run(_repeat(call, CALLS))
    else:
        for _ in range(CALLS):
            call()
    executor.submit(int).result()  # the tasks before it have begun
    return (time.process_time() - start) / CALLS * 1e3


def measure(rounds: int) -> dict[str, Mapping[str, list[float]]]:
    """Milliseconds by row and contender, one for each round."""
    called = contenders()
    gc.collect()
    gc.freeze()  # `in_turn` collects before each turn
    found = {row: {name: list[float]() for name in called} for row in called["floor"]}
    with asyncio.Runner() as runner:
        for number in range(rounds + 1):  # the first one warms up
            for row, times in found.items():
                for name, call in in_turn({name: calls[row] for name, calls in called.items()}, number):
                    spent = milliseconds(runner, row, call)
                    if number:
                        times[name].append(spent)
    return dict(found)


def _middle(values: list[float]) -> str:
    lower, median, upper = statistics.quantiles(values, n=4)
    return f"{median:.2f} ({lower:.2f}-{upper:.2f})"


def table(found: Mapping[str, Mapping[str, list[float]]]) -> str:
    """Markdown: the lowest round of each, and medians with the lower and the upper quartile."""
    heads = [
        "ms of CPU",
        "the floor, lowest",
        "with hotspare, lowest",
        "above, lowest",
        "above, median",
        "ratio, median",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row, times in found.items():
        pairs = list(zip(times["floor"], times["hotspare"], strict=True))
        low = min(times["floor"]), min(times["hotspare"])
        lowest = [f"{value:.2f}" for value in (*low, low[1] - low[0])]
        medians = [_middle([ours - floor for floor, ours in pairs]), _middle([ours / floor for floor, ours in pairs])]
        lines.append(f"| {row} | {' | '.join(lowest + medians)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="rounds after the first, which warms up (default 100)")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    options = parser.parse_args()
    machine = f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}"
    text = f"{table(measure(options.rounds))}\n\n{machine}, {options.rounds} rounds."
    print(text)
    if options.write:
        write("floors", text)


if __name__ == "__main__":
    main()
