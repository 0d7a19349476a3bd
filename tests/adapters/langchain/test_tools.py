"""`ChatHotspare` with tools and structured output."""

from typing import Any, Literal

import pytest
from hotspare import (
    ChatReply,
    ChatRequest,
    ToolCall,
    Usage,
)
from hotspare.drill.provider import Provider
from hotspare.testing import ScriptedTarget
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_hotspare import ChatHotspare, RequestInvalid
from pydantic import BaseModel

from tests.adapters.langchain.pools import anthropic, hotspare_targets


@tool
def get_weather(city: str) -> str:
    """The weather."""
    return city


class Weather(BaseModel):
    """The weather."""

    city: str


def plain(city: str) -> str:
    """The weather."""
    return city


ANTHROPIC = {"name": "weather", "description": "The weather.", "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    "given",
    [get_weather, Weather, plain, ANTHROPIC, Weather.model_json_schema()],
    ids=["tool", "class", "function", "anthropic", "schema"],
)
@pytest.mark.parametrize("kind", ["hotspare", "langchain"])
def test_tools_of_every_kind(given: Any, kind: Literal["hotspare", "langchain"], provider: Provider) -> None:
    """LangChain tools, classes, functions, Anthropic's dicts and JSON schemas can all be called."""
    llm = (
        ChatHotspare(targets=hotspare_targets(provider)[:1])
        if kind == "hotspare"
        else ChatHotspare(models=[anthropic(provider, "a")])
    )
    assert llm.bind_tools([given], tool_choice="any").invoke("hello").tool_calls  # type: ignore[attr-defined]


CHOICES: list[tuple[Any, Any]] = [
    ("any", "required"), (True, "required"), ("required", "required"), ("auto", "auto"), ("none", "none"), (False, None), (None, None),
    ("plain", {"type": "function", "function": {"name": "plain"}}),
    ({"type": "function", "function": {"name": "plain"}}, {"type": "function", "function": {"name": "plain"}}),
    ({"type": "tool", "name": "plain"}, {"type": "function", "function": {"name": "plain"}}),
    ({"type": "any"}, "required"),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "sent"), CHOICES, ids=str)
def test_every_form_of_tool_choice(choice: Any, sent: Any, llm: ChatHotspare, provider: Provider) -> None:
    """LangChain's, OpenAI's and Anthropic's forms reach both kinds of targets."""
    llm.bind_tools([plain, get_weather], tool_choice=choice).invoke("hello")
    assert provider.recorded_requests("a")[-1]["body"].get("tool_choice") == sent
    other = ChatHotspare(models=[anthropic(provider, "d")]).bind_tools([plain, get_weather], tool_choice=choice)
    other.invoke("hello")
    kinds = {"required": {"type": "any"}, "auto": {"type": "auto"}, "none": {"type": "none"}}
    wanted = {"type": "tool", "name": "plain"} if isinstance(sent, dict) else kinds.get(sent)
    assert provider.recorded_requests("d")[-1]["body"].get("tool_choice") == wanted


def test_mistakes_with_tools_are_named(llm: ChatHotspare, provider: Provider) -> None:
    """An invalid choice, an unknown tool, a provider-specific tool beside hotspare's targets and an unknown method are
    rejected."""
    with pytest.raises(RequestInvalid, match="tool_choice: 7 must be"):
        llm.bind_tools([plain], tool_choice=7)  # type: ignore[arg-type]
    with pytest.raises(RequestInvalid, match="missing"):
        llm.bind_tools([plain], tool_choice="missing").invoke("hello")
    web_search = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(RequestInvalid, match="web_search' is a tool of one provider"):
        llm.bind_tools([web_search])
    with pytest.raises(RequestInvalid, match="method: 'magic' must be"):
        llm.with_structured_output(Weather, method="magic")  # type: ignore[arg-type]
    ChatHotspare(models=[anthropic(provider, "a")]).bind_tools([web_search])


def test_structured_output_with_its_raw_message(llm: ChatHotspare, provider: Provider) -> None:
    """The parsed value and the message are returned together; a parsing error is returned, not raised."""
    reply = llm.with_structured_output(Weather, include_raw=True).invoke("hello")
    assert isinstance(reply["parsed"], Weather)
    assert isinstance(reply["raw"], AIMessage)
    provider.configure(None, replies={"hello": {"json": {"town": "?"}}})
    reply = llm.with_structured_output(Weather, method="json_mode", include_raw=True).invoke("hello in JSON")
    assert reply["parsed"] is None
    assert reply["parsing_error"]


class InvalidArguments(ScriptedTarget):
    """A target whose tool call has arguments that are not JSON."""

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        return ChatReply(tool_calls=(ToolCall("c1", "go", '{"to": "Se'),), usage=Usage(9, 2, cache_write_tokens=4))


def test_a_call_that_is_not_json_is_kept_apart() -> None:
    """It is in `invalid_tool_calls`, as the model wrote it. Tokens written to a cache are counted."""
    reply = ChatHotspare(targets=[InvalidArguments("one").target]).invoke("hello")
    assert not reply.tool_calls
    assert [(call["id"], call["name"], call["args"]) for call in reply.invalid_tool_calls] == [
        ("c1", "go", '{"to": "Se')
    ]
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_token_details"] == {"cache_creation": 4}
