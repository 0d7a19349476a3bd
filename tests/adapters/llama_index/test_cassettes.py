"""The project's recordings through `Hotspare`: recorded answers arrive in LlamaIndex's shape, after a failover too."""

import asyncio
import ssl
from typing import Any

import pytest
from hotspare import Pool, Target
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.hotspare import Hotspare, target_of
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai.utils import from_openai_message_dicts
from pydantic import BaseModel, ConfigDict

from tests.support.cases import CASES, KEY, PROVIDERS, Case
from tests.support.cassettes import expected, recording, replay
from tests.support.reference_reader import read_recording

TLS = ssl.create_default_context()
"""One for all pools: creating a context takes longer than a replayed call."""
GOOD = sorted(name for name in expected() if "/error-" not in name)
MODES = ["sync", "async"]


def ask(targets: list[Target], case: Case, mode: str) -> ChatResponse:
    """The recorded question through LlamaIndex: its own messages, whole or streamed as the recording is."""
    with Pool(targets, transport="httpx", verify=TLS, retry_same_target="never") as pool:
        return through(Hotspare(pool=pool), case, mode)


def chat_message(message: dict[str, Any]) -> ChatMessage:
    """A recorded message as LlamaIndex reads it. Image parts are built here, because LlamaIndex requires `detail`."""
    if not isinstance(message["content"], list):
        return from_openai_message_dicts([message])[0]
    blocks = [
        TextBlock(text=part["text"]) if part["type"] == "text" else ImageBlock(url=part["image_url"]["url"])
        for part in message["content"]
    ]
    return ChatMessage(role=message["role"], blocks=blocks)


def through(llm: Hotspare, case: Case, mode: str) -> ChatResponse:
    """One question to an LLM, sync or async, whole or streamed as the case is."""
    request = case.request
    messages = [chat_message(dict(message)) for message in request.messages]
    settings = {"response_format": request.response_format, "reasoning_effort": request.reasoning_effort}
    fields: dict[str, Any] = {name: value for name, value in settings.items() if value}
    if request.tools:
        fields["tools"] = list(request.tools)
    if mode == "async":
        return asyncio.run(athrough(llm, messages, case, fields))
    if case.stream:
        return list(llm.stream_chat(messages, **fields))[-1]
    return llm.chat(messages, **fields)


async def athrough(llm: Hotspare, messages: list[ChatMessage], case: Case, fields: dict[str, Any]) -> ChatResponse:
    """`through`, for async code."""
    if case.stream:
        return [response async for response in await llm.astream_chat(messages, **fields)][-1]
    return await llm.achat(messages, **fields)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", GOOD)
def test_every_recorded_answer_arrives(name: str, mode: str) -> None:
    """Text, reasoning, tool calls, tokens, finish reason and model equal those that the test reads from the recording
    itself."""
    provider, _, which = name.partition("/")
    case = PROVIDERS[provider].case(which)
    with replay(name) as targets:
        response = ask(targets, case, mode)
    dialect = targets[0].provider if targets[0].provider in ("anthropic", "gemini") else "openai"
    whole = read_recording(dialect, recording(name)["response"]["body"]["string"], stream=case.stream)
    assert (response.message.content or "") == whole.text
    reasoning = [block.content or "" for block in response.message.blocks if isinstance(block, ThinkingBlock)]
    assert "".join(reasoning) == whole.reasoning
    calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    assert [(call.tool_name, call.tool_kwargs) for call in calls] == [call[1:] for call in whole.calls]
    assert response.raw["finish_reason"] == ("tool_calls" if whole.calls else whole.finish)
    usage = response.additional_kwargs
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == whole.tokens[:2]
    assert response.additional_kwargs["hotspare"]["target"] == targets[0].name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("which", ["plain", "stream", "tools-stream", "structured"])
@pytest.mark.parametrize("failing", ["openai/error-429", "openai/error-503", "gemini/error-500"])
def test_failover_across_two_recordings(failing: str, which: str, mode: str) -> None:
    """One call: the first server answers with an error, the second one's recorded answer is returned."""
    with replay(failing, f"anthropic/{which}") as targets:
        response = ask(targets, CASES[which], mode)
    metadata = response.additional_kwargs["hotspare"]
    assert (metadata["target"], metadata["failovers"], metadata["attempts"][-1]["kind"]) == (targets[1].name, 1, "ok")
    assert metadata["attempts"][0]["status"] == int(failing[-3:])
    whole = read_recording(
        "anthropic", recording(f"anthropic/{which}")["response"]["body"]["string"], stream=CASES[which].stream
    )
    assert (response.message.content or "") == whole.text


@pytest.mark.parametrize("which", ["plain", "stream"])
def test_failover_from_a_llama_index_llm_to_a_hotspare_target(which: str) -> None:
    """LlamaIndex's OpenAI LLM gets the recorded 429, hotspare's own target the recorded answer."""
    with replay("openai/error-429", f"anthropic/{which}", bodies=False) as (first, second):
        llm = OpenAI(model=first.model, api_base=first.base_url, api_key=KEY)
        with Pool([target_of(llm, name="llama_index"), second], transport="httpx", verify=TLS) as pool:
            response = through(Hotspare(pool=pool), CASES[which], "sync")
    assert response.additional_kwargs["hotspare"]["target"] == second.name
    assert "Seoul" in (response.message.content or "")


def test_a_conversation_with_a_tool_across_two_recordings() -> None:
    """OpenAI's recording calls the tool, Anthropic's answers its result, with one history."""

    def get_weather(city: str) -> str:
        """The weather of a city now."""
        return "21 degrees, clear"

    tool = FunctionTool.from_defaults(get_weather)
    question = ChatMessage(role="user", content="What is the weather in Seoul?")
    with replay("openai/tools", bodies=False) as targets, Pool(targets, transport="httpx", verify=TLS) as pool:
        llm = Hotspare(pool=pool)
        called = llm.chat_with_tools([tool], chat_history=[question])
        (call,) = llm.get_tool_calls_from_response(called)
    result = ChatMessage(
        role="tool", content=get_weather(**call.tool_kwargs), additional_kwargs={"tool_call_id": call.tool_id}
    )
    with replay("anthropic/tool-result", bodies=False) as targets, Pool(targets, transport="httpx", verify=TLS) as pool:
        response = Hotspare(pool=pool).chat_with_tools([tool], chat_history=[question, called.message, result])
    assert "21" in (response.message.content or "")


def test_structured_prediction_from_a_recording() -> None:
    """The recorded call's arguments become the object, after the first server's error."""

    class GetWeather(BaseModel):
        """The weather of a city now."""

        model_config = ConfigDict(title="get_weather")
        city: str

    with (
        replay("gemini/error-503", "openai/tools", bodies=False) as targets,
        Pool(targets, transport="httpx", verify=TLS, retry_same_target="never") as pool,
    ):
        prompt = PromptTemplate("What is the weather in {city}?")
        assert Hotspare(pool=pool).structured_predict(GetWeather, prompt, city="Seoul") == GetWeather(city="Seoul")
