"""Tools: parallel calls, single calls, required calls, streams, and histories of other integrations."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hotspare import Pool
from hotspare.drill.provider import Provider, after_tools
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.llms.hotspare import Hotspare
from openai.types.chat.chat_completion_message_tool_call import ChatCompletionMessageToolCall, Function

from tests.support.llama_index import ADD, WEATHER, calls_of

Outage = Callable[..., None]


@pytest.mark.parametrize("down", ["", "a", "ab"])
def test_parallel_calls(llm: Hotspare, outage: Outage, down: str) -> None:
    """Two calls as blocks with dict arguments, in OpenAI's shape in `additional_kwargs`, and as selections."""
    for endpoint in down:
        outage(endpoint)
    response = llm.chat_with_tools([ADD, WEATHER], "call add and call weather", allow_parallel_tool_calls=True)
    assert [call.tool_name for call in calls_of(response)] == ["add", "weather"]
    assert all(isinstance(call.tool_kwargs, dict) for call in calls_of(response))
    beside = response.message.additional_kwargs["tool_calls"]
    assert [json.loads(c["function"]["arguments"]) for c in beside] == [c.tool_kwargs for c in calls_of(response)]
    selected = llm.get_tool_calls_from_response(response)
    assert [(one.tool_name, one.tool_kwargs) for one in selected] == [
        (c.tool_name, c.tool_kwargs) for c in calls_of(response)
    ]
    assert len({one.tool_id for one in selected}) == 2
    assert response.message.content is None


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_not_parallel_is_one_call_everywhere(llm: Hotspare, outage: Outage, down: str) -> None:
    """One call is LlamaIndex's default. A provider that cannot be restricted is called too, and its further calls are
    removed."""
    for endpoint in down:
        outage(endpoint)
    history = [ChatMessage(role="user", content="call add twice")]
    whole = [
        llm.chat_with_tools([ADD], chat_history=history),
        await llm.achat_with_tools([ADD], chat_history=history),
        list(llm.stream_chat_with_tools([ADD], chat_history=history))[-1],
        [r async for r in await llm.astream_chat_with_tools([ADD], chat_history=history)][-1],
    ]
    assert [len(calls_of(response)) for response in whole] == [1] * 4
    assert len({json.dumps(calls_of(response)[0].tool_kwargs) for response in whole}) == 1
    assert len(history) == 1


def test_streamed_calls_grow(llm: Hotspare) -> None:
    """Every chunk can be read as the tool call so far; delta stays empty; the last one is whole."""
    pieces = list(llm.stream_chat_with_tools([WEATHER], "call weather", allow_parallel_tool_calls=True))
    assert all(piece.delta == "" for piece in pieces)
    seen = [llm.get_tool_calls_from_response(piece, error_on_no_tool_call=False) for piece in pieces]
    assert [one.tool_kwargs for one in seen[0]] == [{}]
    assert set(seen[-1][0].tool_kwargs) == {"city"}
    assert [llm.get_tool_calls_from_response(piece) for piece in pieces] == seen, "reading changes nothing"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, "auto"),
        ({"tool_required": True}, "required"),
        ({"tool_required": True, "tool_choice": None}, "required"),
        ({"tool_choice": "any"}, "required"),
        ({"tool_choice": "none"}, "none"),
        ({"tool_choice": "add"}, {"type": "function", "function": {"name": "add"}}),
        ({"tool_choice": {"type": "function", "function": {"name": "add"}}}, {"type": "function", "function": {"name": "add"}}),
    ],
)  # fmt: skip
def test_tool_choice(provider: Provider, llm: Hotspare, given: dict[str, Any], sent: Any) -> None:
    """Required, none and a tool by name, in LlamaIndex's or a provider's form; None does not override
    `tool_required`."""
    llm.chat_with_tools([ADD], "hello", **given)
    assert provider.recorded_requests("a")[0]["body"]["tool_choice"] == sent


def test_without_tools_nothing_about_tools_is_sent(provider: Provider, llm: Hotspare) -> None:
    """An agent without tools sends neither tools nor a choice."""
    llm.chat_with_tools([], "hello", tool_choice="auto")
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(provider.recorded_requests("a")[0]["body"])


def test_a_missing_call_is_an_error_where_it_is_required(llm: Hotspare) -> None:
    """With the message of LlamaIndex's own integrations."""
    response = ChatResponse(message=ChatMessage(role="assistant", content="no"))
    with pytest.raises(ValueError, match="Expected at least one tool call"):
        llm.get_tool_calls_from_response(response)
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []


def test_truncated_arguments_are_parsed_so_far(llm: Hotspare) -> None:
    """Blocks of other integrations may hold strings: complete, truncated or invalid."""
    for written, read in (('{"a": 1, "b": 2}', {"a": 1, "b": 2}), ('{"city": "Seo', {"city": "Seo"}), ("nonsense", {})):
        block = ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs=written)
        response = ChatResponse(message=ChatMessage(role="assistant", blocks=[block]))
        assert llm.get_tool_calls_from_response(response)[0].tool_kwargs == read


@pytest.mark.parametrize(
    ("arguments", "read"), [("INVALID JSON", {}), ("null", {}), ("", {}), ('{"test": 123}', {"test": 123})]
)
def test_calls_of_older_integrations_are_read(llm: Hotspare, arguments: str, read: dict[str, Any]) -> None:
    """SDK objects and dicts in `additional_kwargs`, without blocks, as in LlamaIndex's `test_openai_utils.py`."""
    function = Function(name="search", arguments=arguments)
    call = ChatCompletionMessageToolCall(id="0123", type="function", function=function)
    for listed in (call, call.model_dump()):
        message = ChatMessage(role="assistant", content=None, additional_kwargs={"tool_calls": [listed]})
        (selection,) = llm.get_tool_calls_from_response(ChatResponse(message=message))
        assert (selection.tool_id, selection.tool_name, selection.tool_kwargs) == ("0123", "search", read)


@pytest.mark.anyio
async def test_predict_and_call(llm: Hotspare, outage: Outage) -> None:
    """The tool runs with the arguments from the second target."""
    outage("a", after=1)
    for _ in range(2):
        ran = llm.predict_and_call([ADD], "call add")
        assert ran.response == str(sum(ran.sources[0].raw_input["kwargs"].values()))
    ran = await llm.apredict_and_call([ADD, WEATHER], "call add and call weather", allow_parallel_tool_calls=True)
    assert [source.tool_name for source in ran.sources] == ["add", "weather"]


@pytest.mark.parametrize("target", "abc")
def test_a_history_with_calls_goes_to_every_provider(provider: Provider, llm: Hotspare, target: str) -> None:
    """Each target continues the calls of `a`, and no message of the history is changed."""
    question = ChatMessage(role="user", content="call add and call weather")
    called = llm.chat_with_tools([ADD, WEATHER], chat_history=[question], allow_parallel_tool_calls=True)
    results = [
        ChatMessage(role="tool", content=text, additional_kwargs={"tool_call_id": call.tool_call_id})
        for call, text in zip(calls_of(called), ("42", "Sunny"), strict=True)
    ]
    history = [question, called.message, *results]
    before = [message.model_copy(deep=True) for message in history]
    response = llm.chat_with_tools([ADD, WEATHER], chat_history=history, model=target)
    assert response.message.content == after_tools("call add and call weather", ("42", "Sunny"))
    assert response.additional_kwargs["hotspare"]["target"] == target
    assert history == before


@pytest.mark.parametrize("target", "abc")
@pytest.mark.parametrize(
    "shape", ["blocks with text", "string arguments", "openai dicts", "function_call", "function role"]
)
def test_histories_of_other_integrations(llm: Hotspare, target: str, shape: str) -> None:
    """String arguments in blocks, dicts in `additional_kwargs` and old roles are converted."""
    dicts = [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}]
    block = ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs={"a": 1, "b": 2})
    written = block.model_copy(update={"tool_kwargs": '{"a": 1, "b": 2}'})
    called = {
        "blocks with text": ChatMessage(role="assistant", blocks=[TextBlock(text="Let me see."), block]),
        "string arguments": ChatMessage(role="assistant", blocks=[written], additional_kwargs={"tool_calls": dicts}),
        "openai dicts": ChatMessage(role="assistant", content=None, additional_kwargs={"tool_calls": dicts}),
        "function_call": ChatMessage(
            role="assistant", content=None, additional_kwargs={"function_call": {"name": "add", "arguments": "{}"}}
        ),
        "function role": ChatMessage(role=MessageRole.MODEL, blocks=[block]),
    }[shape]
    role = MessageRole.FUNCTION if shape == "function role" else MessageRole.TOOL
    call_id = "add" if shape == "function_call" else "call_1"
    history = [
        ChatMessage(role="user", content="call add"),
        called,
        ChatMessage(role=role, content="3", additional_kwargs={"tool_call_id": call_id}),
    ]
    response = llm.chat(history, model=target)
    assert response.message.content == after_tools("call add", ("3",))


def test_is_function_calling_model_can_be_overridden(provider: Provider, pool: Pool) -> None:
    """The metadata says so, and tools are still sent."""
    llm = Hotspare(pool=pool, is_function_calling_model=False)
    assert isinstance(llm, FunctionCallingLLM)
    assert not llm.metadata.is_function_calling_model
    assert calls_of(llm.chat_with_tools([ADD], "call add"))
