"""A conversation that one provider began continues at every other one, and comes back: tools, thinking, ids."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider, after_tools
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_hotspare import ChatHotspare, target_of

from tests.adapters.langchain.pools import WITH_GOOGLE, anthropic, google, openai

PROMPT = "Please call get_weather"


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


def targets(provider: Provider) -> list[Target]:
    """Three hotspare targets whose endpoints validate histories, and two LangChain models. Claude thinks in both
    kinds."""
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    claude = anthropic(provider, "d", thinking=thinking, max_tokens_to_sample=4000)
    return [
        Target("anthropic/claude-sonnet-4-5", name="claude", base_url=provider.base_url("a", "anthropic"), api_key=KEY,
               extra={"thinking": thinking, "max_tokens": 4000}),
        Target("openai/gpt-4.1", name="gpt", base_url=provider.base_url("b"), api_key=KEY),
        Target("gemini/gemini-3-strict", name="gemini", base_url=provider.base_url("c", "gemini"), api_key=KEY),
        target_of(claude, "claude-langchain"),
        target_of(openai(provider, "e"), "gpt-langchain"),
        *([target_of(google(provider, "f", "gemini-3-strict"), "gemini-langchain")] if WITH_GOOGLE else []),
    ]  # fmt: skip


@pytest.fixture
def llm(provider: Provider) -> Iterator[ChatHotspare]:
    """A model whose calls name their target; no other target may answer."""
    provider.configure(None, replies={"call get_weather": {"call": {"get_weather": {"city": "Seoul"}}}})
    with Pool(targets(provider), max_attempts=1, when_all_down="fail") as pool:
        yield ChatHotspare(pool=pool)


def turn(llm: ChatHotspare, history: list[AnyMessage], caller: str, answerer: str) -> None:
    """One round of a tool loop: `caller` calls the tool, `answerer` answers its result."""
    history.append(HumanMessage(PROMPT))
    bound = llm.bind_tools([get_weather])
    called = bound.invoke(history, model=caller)
    assert [(call["name"], call["args"]) for call in called.tool_calls] == [("get_weather", {"city": "Seoul"})]
    history += [called, get_weather.invoke(called.tool_calls[0])]
    reply = bound.invoke(history, model=answerer)
    assert reply.response_metadata["hotspare"]["target"] == answerer
    assert reply.text.endswith(after_tools(PROMPT, ("21 degrees in Seoul",)))
    history.append(reply)


NAMES = ("claude", "gpt", "gemini", "claude-langchain", "gpt-langchain", *(["gemini-langchain"] if WITH_GOOGLE else []))


@pytest.mark.parametrize(("caller", "answerer"), list(itertools.permutations(NAMES, 2)))
def test_a_tool_loop_moves_to_another_target_and_back(caller: str, answerer: str, llm: ChatHotspare) -> None:
    """One target makes the call, another one answers, and the next round goes the other way."""
    history: list[AnyMessage] = []
    turn(llm, history, caller, answerer)
    turn(llm, history, answerer, caller)
    turn(llm, history, caller, caller)


def test_a_conversation_visits_every_target(llm: ChatHotspare) -> None:
    """Claude begins with tools and thinking, every target continues, and Claude ends."""
    history: list[AnyMessage] = []
    for caller, answerer in itertools.pairwise((*NAMES, *NAMES[::-1], "claude")):
        turn(llm, history, caller, answerer)


def test_thinking_is_sent_only_to_the_provider_that_signed_it(llm: ChatHotspare, provider: Provider) -> None:
    """Claude's signed thinking is sent back to it, before its tool call; OpenAI and Gemini get none."""
    history: list[AnyMessage] = []
    turn(llm, history, "claude", "claude")
    turn(llm, history, "gpt", "gemini")
    turn(llm, history, "claude", "claude")
    sent = [m for m in provider.recorded_requests("a")[-1]["body"]["messages"] if m["role"] == "assistant"]
    assert sent[0]["content"][0]["type"] == "thinking"
    for endpoint in "bc":
        for request in provider.recorded_requests(endpoint):
            assert "thinking" not in str(request["body"].get("messages", request["body"].get("contents")))


def test_claude_does_not_think_inside_another_targets_loop(llm: ChatHotspare, provider: Provider) -> None:
    """LangChain's Claude would have to begin the turn with thinking that it never signed; in its own loop it thinks."""
    history: list[AnyMessage] = []
    turn(llm, history, "gpt", "claude-langchain")
    turn(llm, history, "claude-langchain", "claude-langchain")
    assert ["thinking" in request["body"] for request in provider.recorded_requests("d")] == [False, True, True]


FOREIGN_ID = "id with spaces/and:signs" + "x" * 60


@pytest.mark.parametrize("caller", NAMES[:3])
def test_foreign_ids_are_replaced(caller: str, llm: ChatHotspare) -> None:
    """Too long ids with invalid characters, calls without results and results without calls are all accepted."""
    history: list[AnyMessage] = [
        HumanMessage(PROMPT),
        AIMessage(
            "", tool_calls=[{"name": "get_weather", "args": {"city": "Seoul"}, "id": FOREIGN_ID, "type": "tool_call"}]
        ),
        ToolMessage("21 degrees in Seoul", tool_call_id=FOREIGN_ID),
        ToolMessage("no such call", tool_call_id="orphan"),
        AIMessage("", tool_calls=[{"name": "get_weather", "args": {}, "id": "unanswered", "type": "tool_call"}]),
        HumanMessage("go on"),
    ]
    assert llm.bind_tools([get_weather]).invoke(history, model=caller).text


def test_arguments_that_are_not_json_stay_in_the_history(llm: ChatHotspare, provider: Provider) -> None:
    """A model's invalid call and the error that it caused are sent to the next model."""
    history: list[AnyMessage] = [
        HumanMessage(PROMPT),
        AIMessage("", invalid_tool_calls=[{"name": "get_weather", "args": '{"city": "Se', "id": "c1", "error": "?", "type": "invalid_tool_call"}]),
        ToolMessage("no JSON", tool_call_id="c1", status="error"),
    ]  # fmt: skip
    assert "no JSON" in llm.bind_tools([get_weather]).invoke(history, model="claude").text
    result = provider.recorded_requests("a")[-1]["body"]["messages"][-1]["content"][0]
    assert (result["type"], result["is_error"]) == ("tool_result", True)


@pytest.mark.parametrize("make", [openai, anthropic], ids=["openai", "anthropic"])
def test_cache_marks_reach_claude_only(make: Any, provider: Provider) -> None:
    """`cache_control` is removed for other providers, which would answer 400."""
    model: BaseChatModel = make(provider, "a")
    marked = HumanMessage([{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}])
    wire = Target("openai/gpt-4.1", name="gpt", base_url=provider.base_url("b"), api_key=KEY)
    llm = ChatHotspare(models=[model, wire])
    llm.invoke([marked])
    llm.invoke([marked], model="gpt")
    assert ("cache_control" in str(provider.recorded_requests("a")[-1]["body"])) == (make is anthropic)
    assert "cache_control" not in str(provider.recorded_requests("b")[-1]["body"])
    claude = Target("anthropic/claude-sonnet-4-5", base_url=provider.base_url("c", "anthropic"), api_key=KEY)
    ChatHotspare(targets=[claude]).invoke([marked])
    assert provider.recorded_requests("c")[-1]["body"]["messages"][0]["content"][0]["cache_control"] == {
        "type": "ephemeral"
    }


def test_images_of_tool_results_follow_in_a_user_message(provider: Provider) -> None:
    """OpenAI's tool results are text only, in LangChain's model too."""
    pixel = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    call: Any = {"name": "look", "args": {}, "id": "c1", "type": "tool_call"}
    history = [HumanMessage("look"), AIMessage("", tool_calls=[call]), ToolMessage([pixel], tool_call_id="c1")]
    llm = ChatHotspare(models=[openai(provider, "a")])
    llm.invoke(history)
    roles = [message["role"] for message in provider.recorded_requests("a")[-1]["body"]["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]
