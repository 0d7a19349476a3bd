"""Histories for LangChain's and LlamaIndex's own models: valid calls and results only, under ids that the provider accepts."""

from collections.abc import Sequence
from typing import Any

import pytest
from hotspare import Policy, Target
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, BaseMessage, FunctionMessage, HumanMessage, ToolMessage
from langchain_hotspare import ChatHotspare
from langchain_hotspare.history import with_valid_ids
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage as LlamaMessage
from llama_index.llms.hotspare import Hotspare
from llama_index.llms.openai import OpenAI

from tests.support import answers
from tests.support.raw_server import RawRequest, RawServer, raw_server

POLICY = Policy(deadline=5, when_all_down="fail")
LONG = "call_1__thought__" + "A" * 80
QUESTION = HumanMessage("a")


def called(*ids: str, text: str = "") -> AIMessage:
    """An assistant message with calls of these ids."""
    return AIMessage(text, tool_calls=[{"id": call_id, "name": "f", "args": {}} for call_id in ids])


def result(call_id: str) -> ToolMessage:
    """The result of a call."""
    return ToolMessage("r", tool_call_id=call_id)


def native(server: RawServer) -> ChatHotspare:
    """A pool of LangChain's OpenAI model."""
    return ChatHotspare(models=[ChatOpenAI(model="gpt-4.1", base_url=server.url + "/v1", api_key="k")], policy=POLICY)


def shape(messages: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Roles, with the ids of calls and results."""
    return [
        (
            m["role"],
            [c["id"] for c in m.get("tool_calls") or ()] or ([m["tool_call_id"]] if "tool_call_id" in m else []),
        )
        for m in messages
    ]


CASES: dict[str, tuple[list[BaseMessage], list[str]]] = {
    "a call without a result": ([QUESTION, called("1"), HumanMessage("b")], ["user", "user"]),
    "a call with words": ([QUESTION, called("1", text="hm"), HumanMessage("b")], ["user", "assistant", "user"]),
    "a result without a call": ([QUESTION, AIMessage("b"), result("9"), QUESTION], ["user", "assistant", "user"]),
    "one of two results": ([QUESTION, called("1", "2"), result("2")], ["user", "assistant", "tool"]),
    "a late result": ([QUESTION, called("1"), HumanMessage("b"), result("1")], ["user", "assistant", "tool", "user"]),
    "too long": ([QUESTION, called(LONG), result(LONG)], ["user", "assistant", "tool"]),
    "empty": ([QUESTION, called("", ""), result(""), result("")], ["user", "assistant", "tool", "tool"]),
    "used twice": ([QUESTION, called("1"), result("1"), called("1"), result("1")], ["user", *["assistant", "tool"] * 2]),
    "an empty turn": ([QUESTION, called("1"), result("1"), AIMessage(""), QUESTION], ["user", "assistant", "tool", "user"]),
    "function": (
        [QUESTION, AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": "{}"}}), FunctionMessage("r", name="f")],
        ["user", "assistant", "tool"],
    ),
    "function, cut arguments": (
        [QUESTION, AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": '{"a'}}), FunctionMessage("r", name="f")],
        ["user", "assistant", "tool"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("messages", "roles"), CASES.values(), ids=CASES)
def test_what_a_native_model_sends(messages: list[BaseMessage], roles: list[str]) -> None:
    """Each call has its result right behind it, under one valid id of its own, whichever provider wrote the history."""
    with raw_server(answers.openai) as server:
        assert native(server).invoke(messages).text == "fine"
        sent = shape(server.requests[0].json["messages"])
    assert [role for role, _ in sent] == roles
    made = [call_id for role, ids in sent if role == "assistant" for call_id in ids]
    assert sorted(made) == sorted(call_id for role, ids in sent if role == "tool" for call_id in ids)
    assert len(set(made)) == len(made)
    assert all(0 < len(call_id) <= 40 for call_id in made)


def test_ids_inside_content_blocks() -> None:
    """Claude's blocks, LangChain's standard blocks and OpenAI's keep the id of their call, and go when it goes."""
    for kind, key in (("tool_use", "id"), ("tool_call", "id"), ("function_call", "call_id")):
        blocks: list[Any] = [{"type": kind, key: one, "name": "f", "input": {}} for one in (LONG, "orphan")]
        message = AIMessage([{"type": "text", "text": "hm"}, *blocks], tool_calls=called(LONG, "orphan").tool_calls)
        valid = with_valid_ids([QUESTION, message, result(LONG)], "anthropic")
        rewritten = valid[1]
        assert isinstance(rewritten, AIMessage)
        new_id = rewritten.tool_calls[0]["id"]
        assert [block.get(key) for block in rewritten.content if isinstance(block, dict)] == [None, new_id]
        assert isinstance(valid[2], ToolMessage)
        assert (valid[2].tool_call_id, len(rewritten.tool_calls)) == (new_id, 1)
        assert message.tool_calls[0]["id"] == LONG  # the caller's message is not changed


def test_results_inside_a_user_message() -> None:
    """Anthropic's shape: the result is renamed with its call, one without a call is left out."""
    use = AIMessage([{"type": "tool_use", "id": "bad id", "name": "f", "input": {}}])
    blocks: list[Any] = [{"type": "tool_result", "tool_use_id": one, "content": "r"} for one in ("bad id", "other")]
    with raw_server(answers.anthropic) as server:
        model = ChatAnthropic(model_name="claude-sonnet-4-5", base_url=server.url, api_key="k")
        ChatHotspare(models=[model], policy=POLICY).invoke([QUESTION, use, HumanMessage(blocks)])
        turns = server.requests[0].json["messages"]
    (use_sent,) = turns[1]["content"]
    (result_sent,) = turns[2]["content"]
    assert use_sent["id"] == result_sent["tool_use_id"] != "bad id"


def test_a_valid_history_is_not_copied() -> None:
    """The very messages of the caller, so that nothing that only the class knows is lost."""
    messages = [QUESTION, called("1", "2"), result("1"), result("2"), AIMessage("done")]
    assert all(one is other for one, other in zip(with_valid_ids(messages, "any"), messages, strict=True))


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 in {city}"


def without_ids(request: RawRequest) -> Any:
    """A server that gives its calls the id ""; it refuses a history that has such an id."""
    messages = request.json["messages"]
    if any(message["role"] == "tool" for message in messages):
        assert all(ids != [""] for _, ids in shape(messages))
        return answers.openai(request, "done")
    function = {"name": "get_weather", "arguments": '{"city": "Seoul"}'}
    return answers.openai(
        request, None, finish="tool_calls", calls=[{"id": "", "type": "function", "function": function}]
    )


@pytest.mark.parametrize("kind", ["native", "wire"])
def test_an_agent_over_a_server_without_ids(kind: str) -> None:
    """A whole tool loop, as LangChain's own class would run it."""
    with raw_server(without_ids) as server:
        target = Target("openai-compatible/m", base_url=server.url + "/v1", api_key="k")
        llm = native(server) if kind == "native" else ChatHotspare(targets=[target], policy=POLICY)
        state = create_agent(llm, [get_weather]).invoke({"messages": [("user", "x")]})
        assert state["messages"][-1].text == "done"


@pytest.mark.parametrize("kind", ["native", "wire"])
@pytest.mark.parametrize(
    ("extra", "answer"),
    [
        ({"function_call": {"name": "f", "arguments": "{}"}}, LlamaMessage(role="function", content="r")),
        ({"tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, LlamaMessage(role="tool", content="r")),
        ({"tool_calls": [{"id": LONG, "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, LlamaMessage(role="tool", content="r", additional_kwargs={"tool_call_id": LONG})),
    ],
    ids=["function without a name", "empty id", "too long"],
)  # fmt: skip
def test_llama_index(kind: str, extra: dict[str, Any], answer: LlamaMessage) -> None:
    """Calls and results find each other there too, whatever the integration that wrote them calls them."""
    messages = [LlamaMessage("x"), LlamaMessage(role="assistant", content="", additional_kwargs=extra), answer]
    with raw_server(answers.openai) as server:
        made = OpenAI(model="gpt-4.1", api_base=server.url + "/v1", api_key="k")
        target = Target("openai/gpt-4.1", base_url=server.url + "/v1", api_key="k")
        llm = Hotspare(llms=[made], policy=POLICY) if kind == "native" else Hotspare(targets=[target], policy=POLICY)
        assert llm.chat(messages).message.content == "fine"
        (_, _), (_, calls), (role, results) = shape(server.requests[0].json["messages"])
    assert (role, calls) == ("tool", results)
    assert 0 < len(calls[0]) <= 40
