"""A conversation that one provider began is gone on with by any other, and comes back: tools, thinking, ids."""

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
    """Three wires that are strict with histories, and two native models. Claude thinks, wire and native."""
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    claude = anthropic(provider, "d", thinking=thinking, max_tokens_to_sample=4000)
    return [
        Target("anthropic/claude-sonnet-4-5", name="claude", base_url=provider.base_url("a", "anthropic"), api_key=KEY,
               extra={"thinking": thinking, "max_tokens": 4000}),
        Target("openai/gpt-4.1", name="gpt", base_url=provider.base_url("b"), api_key=KEY),
        Target("gemini/gemini-3-strict", name="gemini", base_url=provider.base_url("c", "gemini"), api_key=KEY),
        target_of(claude, "claude-native"),
        target_of(openai(provider, "e"), "gpt-native"),
        *([target_of(google(provider, "f", "gemini-3-strict"), "gemini-native")] if WITH_GOOGLE else []),
    ]  # fmt: skip


@pytest.fixture
def llm(provider: Provider) -> Iterator[ChatHotspare]:
    """Whoever is asked is asked by name; nobody else may help out."""
    provider.configure(None, replies={"call get_weather": {"call": {"get_weather": {"city": "Seoul"}}}})
    with Pool(targets(provider), max_attempts=1, when_all_down="fail") as pool:
        yield ChatHotspare(pool=pool)


def turn(llm: ChatHotspare, history: list[AnyMessage], who: str, then: str) -> None:
    """One round of a tool loop: `who` calls the tool, `then` answers with its result."""
    history.append(HumanMessage(PROMPT))
    bound = llm.bind_tools([get_weather])
    called = bound.invoke(history, model=who)
    assert [(call["name"], call["args"]) for call in called.tool_calls] == [("get_weather", {"city": "Seoul"})]
    history += [called, get_weather.invoke(called.tool_calls[0])]
    told = bound.invoke(history, model=then)
    assert told.response_metadata["hotspare"]["target"] == then
    assert told.text.endswith(after_tools(PROMPT, ("21 degrees in Seoul",)))
    history.append(told)


NAMES = ("claude", "gpt", "gemini", "claude-native", "gpt-native", *(["gemini-native"] if WITH_GOOGLE else []))


@pytest.mark.parametrize(("who", "then"), list(itertools.permutations(NAMES, 2)))
def test_a_tool_loop_changes_hands_and_comes_back(who: str, then: str, llm: ChatHotspare) -> None:
    """The call is one's, the answer another's, and the next round goes the other way."""
    history: list[AnyMessage] = []
    turn(llm, history, who, then)
    turn(llm, history, then, who)
    turn(llm, history, who, who)


def test_a_conversation_goes_round_all_of_them(llm: ChatHotspare) -> None:
    """Begun by Claude with tools and thinking, gone on with by everybody, and back."""
    history: list[AnyMessage] = []
    for who, then in itertools.pairwise((*NAMES, *NAMES[::-1], "claude")):
        turn(llm, history, who, then)


def test_thinking_is_sent_to_whoever_signed_it_and_to_nobody_else(llm: ChatHotspare, provider: Provider) -> None:
    """Claude's own signed thinking comes back to it, before its tool call; OpenAI and Gemini get none."""
    history: list[AnyMessage] = []
    turn(llm, history, "claude", "claude")
    turn(llm, history, "gpt", "gemini")
    turn(llm, history, "claude", "claude")
    mine = [m for m in provider.recorded_requests("a")[-1]["body"]["messages"] if m["role"] == "assistant"]
    assert mine[0]["content"][0]["type"] == "thinking"
    for endpoint in "bc":
        for heard in provider.recorded_requests(endpoint):
            assert "thinking" not in str(heard["body"].get("messages", heard["body"].get("contents")))


def test_native_claude_does_not_think_inside_anothers_loop(llm: ChatHotspare, provider: Provider) -> None:
    """A thinking turn would have to begin with thinking that it never signed; in its own loop it thinks."""
    history: list[AnyMessage] = []
    turn(llm, history, "gpt", "claude-native")
    turn(llm, history, "claude-native", "claude-native")
    assert ["thinking" in heard["body"] for heard in provider.recorded_requests("d")] == [False, True, True]


STRANGE = "id with spaces/and:signs" + "x" * 60


@pytest.mark.parametrize("who", NAMES[:3])
def test_ids_of_any_provenance_fit(who: str, llm: ChatHotspare) -> None:
    """Another framework's ids, too long and full of signs; calls without results and results without calls."""
    history: list[AnyMessage] = [
        HumanMessage(PROMPT),
        AIMessage(
            "", tool_calls=[{"name": "get_weather", "args": {"city": "Seoul"}, "id": STRANGE, "type": "tool_call"}]
        ),
        ToolMessage("21 degrees in Seoul", tool_call_id=STRANGE),
        ToolMessage("nobody asked", tool_call_id="orphan"),
        AIMessage("", tool_calls=[{"name": "get_weather", "args": {}, "id": "unanswered", "type": "tool_call"}]),
        HumanMessage("go on"),
    ]
    assert llm.bind_tools([get_weather]).invoke(history, model=who).text


def test_arguments_that_are_no_json_stay_in_the_history(llm: ChatHotspare, provider: Provider) -> None:
    """A model's broken call and the error that came of it are told to the next one."""
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
    """`cache_control` is what lets a fallback to another provider fail with a 400."""
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


def test_results_with_pictures_follow_in_a_user_message(provider: Provider) -> None:
    """OpenAI's tool results are text only, natively too: pictures come behind them."""
    pixel = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    call: Any = {"name": "look", "args": {}, "id": "c1", "type": "tool_call"}
    history = [HumanMessage("look"), AIMessage("", tool_calls=[call]), ToolMessage([pixel], tool_call_id="c1")]
    llm = ChatHotspare(models=[openai(provider, "a")])
    llm.invoke(history)
    roles = [message["role"] for message in provider.recorded_requests("a")[-1]["body"]["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]
