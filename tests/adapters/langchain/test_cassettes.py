"""The project's recordings through `ChatHotspare`: recorded answers arrive in LangChain's shape, after a failover too."""

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
from tests.support.reference_reader import Call, read_recording

TLS = ssl.create_default_context()
"""One for all pools: creating a context takes longer than a replayed call."""
GOOD = sorted(name for name in expected() if "/error-" not in name)
MODES = ["sync", "async"]


def ask(targets: list[Target], case: Case, mode: str) -> AIMessage:
    """The recorded question through LangChain: its own messages, tools bound, streamed if the recording is a stream."""
    with Pool(targets, transport="httpx", verify=TLS, retry_same_target="never") as pool:
        return through(ChatHotspare(pool=pool), case, mode)


def through(llm: ChatHotspare, case: Case, mode: str) -> AIMessage:
    """One question to a model, sync or async, whole or streamed as the case is."""
    request = case.request
    messages: list[BaseMessage] = convert_to_messages([dict(message) for message in request.messages])
    settings = {"response_format": request.response_format, "reasoning_effort": request.reasoning_effort}
    bound: Any = llm.bind(**{name: value for name, value in settings.items() if value})
    if request.tools:
        bound = llm.bind_tools([dict(tool) for tool in request.tools])
    if mode == "async":
        return asyncio.run(aask(bound, messages, case))
    if not case.stream:
        answer: AIMessage = bound.invoke(messages)
        return answer
    chunks = list(bound.stream(messages))
    whole: AIMessage = sum(chunks[1:], chunks[0])
    return whole


async def aask(bound: Any, messages: list[BaseMessage], case: Case) -> AIMessage:
    """`through`, for async code."""
    if not case.stream:
        answer: AIMessage = await bound.ainvoke(messages)
        return answer
    chunks = [chunk async for chunk in bound.astream(messages)]
    whole: AIMessage = sum(chunks[1:], chunks[0])
    return whole


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", GOOD)
def test_every_recorded_answer_arrives(name: str, mode: str) -> None:
    """Text, reasoning, tool calls, tokens, finish reason and model equal those that the test reads from the recording itself."""
    provider, _, which = name.partition("/")
    case = PROVIDERS[provider].case(which)
    # LangChain parses a tool call's arguments, so the history is not byte-equal: only the URL of such a request is compared.
    with replay(name, bodies="tool-result" not in name) as targets:
        message = ask(targets, case, mode)
    dialect = targets[0].provider if targets[0].provider in ("anthropic", "gemini") else "openai"
    whole = read_recording(dialect, recording(name)["response"]["body"]["string"], stream=case.stream)
    assert message.text == whole.text
    assert "".join(b["reasoning"] for b in message.content_blocks if b["type"] == "reasoning") == whole.reasoning
    calls = [Call(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls]
    assert [call[1:] for call in calls] == [call[1:] for call in whole.calls]
    assert message.response_metadata["model_name"] == (whole.model or targets[0].model)
    assert message.response_metadata["finish_reason"] == ("tool_calls" if whole.calls else whole.finish)
    usage = message.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == whole.tokens[:2] if usage else not any(whole.tokens)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("which", ["plain", "stream", "tools-stream", "structured"])
@pytest.mark.parametrize("failing", ["openai/error-429", "openai/error-503", "gemini/error-500"])
def test_failover_across_two_recordings(failing: str, which: str, mode: str) -> None:
    """One call: the first server answers with an error, the second one's recorded answer is returned."""
    with replay(failing, f"anthropic/{which}") as targets:
        message = ask(targets, CASES[which], mode)
    metadata = message.response_metadata["hotspare"]
    assert [attempt["kind"] for attempt in metadata["attempts"]][-1] == "ok"
    assert metadata["target"] == targets[1].name
    assert metadata["failovers"] == 1
    whole = read_recording(
        "anthropic", recording(f"anthropic/{which}")["response"]["body"]["string"], stream=CASES[which].stream
    )
    assert message.text == whole.text
    assert [call["args"] for call in message.tool_calls] == [call.arguments for call in whole.calls]


@pytest.mark.parametrize("which", ["plain", "stream"])
def test_failover_from_a_langchain_model_to_a_hotspare_target(which: str) -> None:
    """LangChain's OpenAI model gets the recorded 429, hotspare's own target the recorded answer."""
    with replay("openai/error-429", f"anthropic/{which}", bodies=False) as (first, second):
        model = ChatOpenAI(model=first.model, base_url=first.base_url, api_key=KEY)
        llm = ChatHotspare(models=[model, second])
        message = through(llm, CASES[which], "sync")
        llm.pool.close()
    assert message.response_metadata["hotspare"]["target"] == second.name
    assert "Seoul" in message.text
