"""What a framework's own model takes and OpenAI's shape does not have: it reaches such models untouched, and no wire."""

from typing import Any

import pytest
from hotspare import Policy, RequestError, Target
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool
from langchain_hotspare import ChatHotspare, RequestInvalid
from langchain_openai import ChatOpenAI
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    CitableBlock,
    DocumentBlock,
    TextBlock,
    VideoBlock,
)
from llama_index.core.llms import ChatMessage as LlamaMessage
from llama_index.core.llms import ChatResponse, CompletionResponse, CustomLLM, LLMMetadata
from llama_index.llms.hotspare import Hotspare
from pydantic import PrivateAttr

from tests.support import answers
from tests.support.raw_server import RawServer, raw_server

POLICY = Policy(deadline=5, when_all_down="fail")
MARK = {"type": "ephemeral"}
BLOCKS: dict[str, dict[str, Any]] = {
    "text-plain": {"type": "text-plain", "text": "doc", "mime_type": "text/plain"},
    "text-plain by id": {"type": "text-plain", "file_id": "f_1", "mime_type": "text/plain"},
    "media": {"type": "media", "mime_type": "video/mp4", "data": "aGVsbG8="},
    "media by uri": {"type": "media", "mime_type": "video/mp4", "file_uri": "gs://bucket/v.mp4"},
    "video": {"type": "video", "base64": "aGVsbG8=", "mime_type": "video/mp4"},
    "cachePoint": {"cachePoint": {"type": "default"}},
    "guard": {"type": "guard_content", "guard_content": {"text": {"text": "x"}}},
    "search result": {"type": "search_result", "source": "x", "title": "t", "content": []},
    "untyped": {"json": {"a": 1}},
}


class Own(BaseChatModel):
    """A class that hotspare does not know; it keeps what it was given."""

    _given: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "own"

    @property
    def given(self) -> list[BaseMessage]:
        """The messages of the last call."""
        return self._given[-1]

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self._given.append(messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("mine"))])


def own_pool(*others: Target) -> tuple[ChatHotspare, list[list[BaseMessage]]]:
    """A pool of one such model behind these targets, and the list of what it gets."""
    model = Own()
    llm = ChatHotspare(models=[*others, model], policy=POLICY)
    backend: Any = llm.pool.targets[-1].backend
    return llm, backend.model._given


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_block_reaches_a_langchain_model_untouched(block: dict[str, Any]) -> None:
    """As the caller's own message object, of the user and of a tool."""
    llm, given = own_pool()
    message = HumanMessage([{"type": "text", "text": "look"}, block])
    call = AIMessage("", tool_calls=[{"id": "c1", "name": "f", "args": {}}])
    result = ToolMessage([{"type": "text", "text": "seen"}, block], tool_call_id="c1")
    assert llm.invoke([message]).text == "mine"
    assert llm.invoke([HumanMessage("x"), call, result]).text == "mine"
    assert given[0][0] is message
    assert given[1][2] is result


@pytest.mark.parametrize("name", ["text-plain by id", "video"])
def test_a_wire_is_not_sent_what_it_cannot_carry(name: str) -> None:
    """Such a target is left out; a pool of such targets only says what is wrong, before it sends anything."""
    message = HumanMessage([{"type": "text", "text": "look"}, BLOCKS[name]])
    with raw_server(answers.openai) as server:
        for provider in ("openai", "openai-compatible"):
            target = Target(f"{provider}/m", base_url=server.url + "/v1", api_key="k")
            llm, _ = own_pool(target)
            assert llm.invoke([message]).text == "mine"
            with pytest.raises(RequestInvalid, match=r"messages\[0\].content\[1\]"):
                ChatHotspare(targets=[target], policy=POLICY).invoke([message])
        assert server.requests == []


def test_what_a_wire_can_carry_is_converted() -> None:
    """Plain text as text, `media` as Gemini's data, Bedrock's cache mark as Anthropic's."""
    content = [BLOCKS["text-plain"], BLOCKS["cachePoint"], BLOCKS["media"]]
    with raw_server(answers.gemini) as server:
        target = Target("gemini/gemini-2.5-flash", base_url=server.url, api_key="k")
        assert ChatHotspare(targets=[target], policy=POLICY).invoke([HumanMessage(content)]).text == "fine"
        parts = server.requests[0].json["contents"][0]["parts"]
        assert parts == [{"text": "doc"}, {"inlineData": {"mimeType": "video/mp4", "data": "aGVsbG8="}}]
    with raw_server(answers.anthropic) as server:
        target = Target("anthropic/claude-sonnet-4-5", base_url=server.url, api_key="k")
        ChatHotspare(targets=[target], policy=POLICY).invoke([HumanMessage(content[:2])])
        block = server.requests[0].json["messages"][0]["content"][0]
        assert block == {"type": "text", "text": "doc", "cache_control": MARK}


def test_a_role_that_only_the_members_class_knows() -> None:
    """It reaches the member; a pool without one names it."""
    messages = [ChatMessage(role="critic", content="hm"), HumanMessage("again")]
    llm, given = own_pool()
    llm.invoke(messages)
    assert given[0] == messages
    with raw_server(answers.openai) as server:
        target = Target("openai/gpt-4.1", base_url=server.url + "/v1", api_key="k")
        with pytest.raises(RequestInvalid, match="critic"):
            ChatHotspare(targets=[target]).invoke(messages)


# --- cache marks on tools and messages -------------------------------------------------------------------------------


def weather(city: str = "") -> str:
    """The weather."""
    return city


FUNCTION = {"name": "weather", "description": "d", "parameters": {"type": "object", "properties": {}}}
TOOLS = {
    "extras": StructuredTool.from_function(weather, extras={"cache_control": MARK}),
    "openai": {"type": "function", "function": FUNCTION, "cache_control": MARK},
    "openai, inside": {"type": "function", "function": {**FUNCTION, "cache_control": MARK}},
    "anthropic": {"name": "weather", "description": "d", "input_schema": {"type": "object"}, "cache_control": MARK},
    "anthropic, bare": {"name": "weather", "input_schema": {"type": "object", "properties": {}}, "cache_control": MARK},
}


def pools_at(server: RawServer, provider: str) -> list[ChatHotspare]:
    """A pool of hotspare's own target, and one of LangChain's model."""
    if provider == "anthropic":
        target = Target("anthropic/claude-sonnet-4-5", base_url=server.url, api_key="k")
        model: BaseChatModel = ChatAnthropic(model_name="claude-sonnet-4-5", base_url=server.url, api_key="k")
    else:
        target = Target("openai/gpt-4.1", base_url=server.url + "/v1", api_key="k")
        model = ChatOpenAI(model="gpt-4.1", base_url=server.url + "/v1", api_key="k")
    return [ChatHotspare(targets=[target], policy=POLICY), ChatHotspare(models=[model], policy=POLICY)]


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_marks_of_a_tool_reach_anthropic_only(tool: Any) -> None:
    """However the tool is written, through hotspare's own target and through LangChain's class."""
    with raw_server(answers.anthropic) as server:
        for llm in pools_at(server, "anthropic"):
            llm.bind_tools([tool]).invoke("hello")
        sent = [request.json["tools"][0] for request in server.requests]
        assert [(one["name"], one["cache_control"]) for one in sent] == [("weather", MARK)] * 2
    with raw_server(answers.openai) as server:
        for llm in pools_at(server, "openai"):
            llm.bind_tools([tool]).invoke("hello")
        assert all(b"cache_control" not in request.body and b"weather" in request.body for request in server.requests)
        assert len(server.requests) == 2


def test_marks_of_messages_reach_anthropic_only() -> None:
    """Marks of content blocks, of a tool's result too, through both kinds of targets."""
    block = {"type": "text", "text": "x", "cache_control": MARK}
    call = AIMessage("", tool_calls=[{"id": "c1", "name": "f", "args": {}}])
    messages = [HumanMessage([block]), call, ToolMessage([block], tool_call_id="c1")]
    for provider, marks in (("anthropic", 2), ("openai", 0)):
        with raw_server(answers.anthropic if provider == "anthropic" else answers.openai) as server:
            for llm in pools_at(server, provider):
                llm.invoke(messages)
            assert [request.body.count(b"cache_control") for request in server.requests] == [marks] * 2


# --- LlamaIndex --------------------------------------------------------------------------------------------------------


class OwnLLM(CustomLLM):
    """A LlamaIndex class that hotspare does not know; it keeps what it was given."""

    _given: list[Any] = PrivateAttr(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="own", context_window=1000)

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        self._given.append(list(messages))
        return ChatResponse(message=LlamaMessage(role="assistant", content="mine"))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


def test_blocks_reach_a_llama_index_llm_untouched() -> None:
    """Equal to the caller's, but copies: the class may change them. A wire beside it is left out."""
    blocks = [
        TextBlock(text="look"),
        VideoBlock(video=b"aGVsbG8=", video_mimetype="video/mp4"),
        CitableBlock(title="t", source="s", content=[TextBlock(text="cited")]),
        DocumentBlock(data=b"aGVsbG8=", document_mimetype="text/plain", title="doc"),
        CachePoint(cache_control=CacheControl(type="ephemeral")),
    ]
    message = LlamaMessage(role="user", blocks=blocks)
    with raw_server(answers.openai) as server:
        target = Target("openai/gpt-4.1", base_url=server.url + "/v1", api_key="k")
        llm = Hotspare(llms=[target, OwnLLM()], policy=Policy(deadline=5, completion="wait"))
        assert llm.chat([message]).message.content == "mine"
        given = llm.pool.targets[-1].backend._llm._given[0][0]  # type: ignore[union-attr]
        assert given.blocks == blocks
        assert given is not message
        assert server.requests == []
        with pytest.raises(RequestError):
            Hotspare(targets=[target]).chat([message])


def test_llama_indexs_marks_reach_anthropic_only() -> None:
    """A CachePoint block, and `cache_control` in a message's `additional_kwargs`, as LlamaIndex's own class reads it."""
    point = CachePoint(cache_control=CacheControl(type="ephemeral"))
    messages = [
        LlamaMessage(role="system", content="sys", additional_kwargs={"cache_control": MARK}),
        LlamaMessage(role="user", blocks=[TextBlock(text="hello"), point]),
    ]
    for provider, marks in (("anthropic/claude-sonnet-4-5", 2), ("openai/gpt-4.1", 0)):
        with raw_server(answers.anthropic if marks else answers.openai) as server:
            Hotspare(targets=[Target(provider, base_url=server.url, api_key="k")], policy=POLICY).chat(messages)
            assert server.requests[0].body.count(b'"cache_control"') == marks
