"""The project's recordings through `ChatHotspare`: what the servers said arrives in LangChain's words, failover included."""

import asyncio
import ssl
from typing import Any

import pytest
from hotspare import Pool, Target
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_hotspare import ChatHotspare
from langchain_openai import ChatOpenAI

from tests.support.cases import CASES, KEY, PROVIDERS, Case
from tests.support.cassettes import expected, recording, replay
from tests.support.told import Call, told

TLS = ssl.create_default_context()
"""One for all pools: to make one takes longer than a replayed call."""
GOOD = sorted(name for name in expected() if "/error-" not in name)
FACES = ["sync", "async"]


def ask(targets: list[Target], case: Case, face: str) -> AIMessage:
    """The recorded question through LangChain: the messages as its own, the tools bound, streamed if it was a stream."""
    with Pool(targets, transport="httpx", verify=TLS, retry_same_target="never") as pool:
        return through(ChatHotspare(pool=pool), case, face)


def through(llm: ChatHotspare, case: Case, face: str) -> AIMessage:
    """One question to a model, by the face and in the manner that the case wants."""
    request = case.request
    messages: list[BaseMessage] = convert_to_messages([dict(message) for message in request.messages])
    settings = {"response_format": request.response_format, "reasoning_effort": request.reasoning_effort}
    bound: Any = llm.bind(**{name: value for name, value in settings.items() if value})
    if request.tools:
        bound = llm.bind_tools([dict(tool) for tool in request.tools])
    if face == "async":
        return asyncio.run(aask(bound, messages, case))
    if not case.stream:
        answer: AIMessage = bound.invoke(messages)
        return answer
    chunks = list(bound.stream(messages))
    whole: AIMessage = sum(chunks[1:], chunks[0])
    return whole


async def aask(bound: Any, messages: list[BaseMessage], case: Case) -> AIMessage:
    """The same in async code."""
    if not case.stream:
        answer: AIMessage = await bound.ainvoke(messages)
        return answer
    chunks = [chunk async for chunk in bound.astream(messages)]
    whole: AIMessage = sum(chunks[1:], chunks[0])
    return whole


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", GOOD)
def test_every_recorded_answer_arrives(name: str, face: str) -> None:
    """Text, reasoning, tool calls, tokens, reason and model are what a reading of the recording by hand finds."""
    provider, _, which = name.partition("/")
    case = PROVIDERS[provider].case(which)
    # LangChain keeps a call's arguments parsed, not as they were written: only the address of such a history is compared
    with replay(name, bodies="tool-result" not in name) as targets:
        message = ask(targets, case, face)
    dialect = targets[0].provider if targets[0].provider in ("anthropic", "gemini") else "openai"
    whole = told(dialect, recording(name)["response"]["body"]["string"], stream=case.stream)
    assert message.text == whole.text
    assert "".join(b["reasoning"] for b in message.content_blocks if b["type"] == "reasoning") == whole.reasoning
    calls = [Call(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls]
    assert [call[1:] for call in calls] == [call[1:] for call in whole.calls]
    assert message.response_metadata["model_name"] == (whole.model or targets[0].model)
    assert message.response_metadata["finish_reason"] == ("tool_calls" if whole.calls else whole.finish)
    usage = message.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == whole.tokens[:2] if usage else not any(whole.tokens)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("which", ["plain", "stream", "tools-stream", "structured"])
@pytest.mark.parametrize("failing", ["openai/error-429", "openai/error-503", "gemini/error-500"])
def test_failover_across_two_recordings(failing: str, which: str, face: str) -> None:
    """The first server refuses, the second one's recorded answer is LangChain's; all in one call."""
    with replay(failing, f"anthropic/{which}") as targets:
        message = ask(targets, CASES[which], face)
    trail = message.response_metadata["hotspare"]
    assert [attempt["outcome"] for attempt in trail["attempts"]][-1] == "ok"
    assert trail["target"] == targets[1].name
    assert trail["failovers"] == 1
    whole = told("anthropic", recording(f"anthropic/{which}")["response"]["body"]["string"], stream=CASES[which].stream)
    assert message.text == whole.text
    assert [call["args"] for call in message.tool_calls] == [call.arguments for call in whole.calls]


@pytest.mark.parametrize("which", ["plain", "stream"])
def test_failover_from_a_native_member_to_a_wire(which: str) -> None:
    """LangChain's own OpenAI client meets the recorded refusal, hotspare's wire the recorded answer."""
    with replay("openai/error-429", f"anthropic/{which}", bodies=False) as (first, second):
        native = ChatOpenAI(model=first.model, base_url=first.base_url, api_key=KEY)
        llm = ChatHotspare(models=[native, second])
        message = through(llm, CASES[which], "sync")
        llm.pool.close()
    assert message.response_metadata["hotspare"]["target"] == second.name
    assert "Seoul" in message.text
