"""A framework's own model whose code cannot take a request: the next target is tried, and the model's health stays."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Kind, Policy, Scope
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_hotspare import ChatHotspare, RequestRejected, TargetsUnavailable
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage as LlamaMessage
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.llms.hotspare import Hotspare
from pydantic import TypeAdapter

from tests.support import answers
from tests.support.framework_calls import METHODS, langchain_call, llama_index_call
from tests.support.raw_server import raw_server, response

pytestmark = pytest.mark.anyio
POLICY = Policy(deadline=5, when_all_down="fail")
HELLO: list[BaseMessage] = [HumanMessage("hello")]


class Own(BaseChatModel):
    """A class that hotspare does not know. `convert` is its message conversion, `read` what it does with an answer."""

    convert: Callable[[list[BaseMessage]], Any]
    read: Callable[[str], str] = str

    @property
    def _llm_type(self) -> str:
        return "own"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.convert(messages)
        response = "mine"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.read(response)))])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        self.convert(messages)
        response = "mine"
        yield ChatGenerationChunk(message=AIMessageChunk(self.read(response)))


def fails_with(error: type[Exception] | Exception) -> Callable[[Any], Any]:
    """A conversion that raises for the word `hello` only."""

    def convert(messages: Any) -> None:
        if "hello" in str(messages):
            raise error

    return convert


def _missing_key(messages: Any) -> None:
    {}["role"]


def _validation_error(messages: Any) -> None:
    TypeAdapter(int).validate_python("insufficient balance, rate limit, model not found")


def _bad_json(messages: Any) -> None:
    json.loads('{"city": ')


def _lone_surrogate(messages: Any) -> None:
    "\ud800".encode()


CONVERSIONS = {
    "value": fails_with(ValueError("unexpected role: context window, rate limit, invalid api key")),
    "type": fails_with(TypeError),
    "key": _missing_key,
    "not implemented": fails_with(NotImplementedError("images")),
    "assertion": fails_with(AssertionError),
    "import": fails_with(ImportError("needs PIL")),
    "pydantic": _validation_error,
    "bad json in the history": _bad_json,
    "surrogate": _lone_surrogate,
    "its own class": fails_with(type("Unsupported", (Exception,), {})("video")),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
async def test_the_next_target_is_tried(convert: Callable[[Any], Any], method: str) -> None:
    """Whatever the conversion raises and says, again and again: the other member answers, and no breaker counts it."""
    with raw_server(answers.openai) as server:
        other = ChatOpenAI(model="gpt-4.1", base_url=server.url + "/v1", api_key="k")
        llm = ChatHotspare(models=[Own(convert=convert), other], policy=POLICY)
        for _ in range(12):
            assert await langchain_call(llm, HELLO, method) == "fine"
        health = llm.pool.health().targets[0]
        assert (str(health.state), health.failures) == ("closed", 0)
        attempts = llm.invoke(HELLO).response_metadata["hotspare"]["attempts"]
        assert [(one["kind"], one.get("scope")) for one in attempts] == [("invalid", "target"), ("ok", None)]


async def test_other_calls_still_go_to_the_member() -> None:
    """It is the first choice for everything that it can take, also right after it could not."""
    llm = ChatHotspare(models=[Own(convert=fails_with(ValueError)), Own(convert=str)], policy=POLICY)
    names = [llm.invoke(prompt).response_metadata["hotspare"]["target"] for prompt in ["hello", "bye"] * 4]
    assert names == ["own/model#2", "own/model"] * 4


@pytest.mark.parametrize("method", METHODS)
async def test_only_if_no_target_can_take_it_the_call_fails(method: str) -> None:
    """The error names each target with what its class said, and is the caller's own."""
    models = [Own(convert=fails_with(ValueError("no system message"))), Own(convert=fails_with(TypeError("no image")))]
    llm = ChatHotspare(models=models, policy=POLICY)
    with pytest.raises(RequestRejected) as caught:
        await langchain_call(llm, HELLO, method)
    assert [attempt.scope for attempt in caught.value.attempts] == [Scope.TARGET] * 2
    assert "ValueError: no system message" in str(caught.value)
    assert "TypeError: no image" in str(caught.value)


def test_a_dead_target_beside_it_is_an_outage() -> None:
    """What one member cannot take says nothing about the request: with the other down, a retry later may succeed."""
    with raw_server(lambda request: answers.DEAD) as server:
        dead = ChatOpenAI(model="gpt-4.1", base_url=server.url + "/v1", api_key="k")
        with pytest.raises(TargetsUnavailable):
            ChatHotspare(models=[dead, Own(convert=fails_with(ValueError))], policy=POLICY).invoke(HELLO)


@pytest.mark.parametrize("method", METHODS)
async def test_an_answer_that_a_member_cannot_read_is_the_providers_fault(method: str) -> None:
    """The same exceptions after the provider has answered are a malformed answer, which counts."""

    def unreadable(response: str) -> str:
        raise KeyError("choices")

    llm = ChatHotspare(models=[Own(convert=str, read=unreadable)], policy=POLICY)
    with pytest.raises(AllTargetsFailed) as caught:
        await langchain_call(llm, HELLO, method)
    assert {attempt.kind for attempt in caught.value.attempts} == {Kind.SERVER}


@pytest.mark.parametrize("body", [b'{"id": "x", "choi', {"choices": None}, {"id": "x"}, "<html>busy</html>"])
def test_a_malformed_answer_of_a_known_class(body: object) -> None:
    """Cut JSON, no choices, a web page: LangChain's OpenAI class raises Python's own exceptions for each."""
    with raw_server(lambda request: response(200, body)) as server:
        model = ChatOpenAI(model="gpt-4.1", base_url=server.url + "/v1", api_key="k")
        with pytest.raises(AllTargetsFailed) as caught:
            ChatHotspare(models=[model], policy=Policy(max_attempts=1, when_all_down="fail", completion="wait")).invoke(
                HELLO
            )
        assert [attempt.kind for attempt in caught.value.attempts] == [Kind.SERVER]


@pytest.mark.parametrize(
    "messages",
    [
        [SystemMessage("one"), HumanMessage("hi"), AIMessage("hello"), SystemMessage("two"), HumanMessage("again")],
        [ChatMessage(role="critic", content="hm"), HumanMessage("again")],
        [HumanMessage([{"type": "image_url", "image_url": "example.com/cat.png"}])],
    ],
    ids=["system message midway", "unknown role", "bare image string"],
)
async def test_what_claudes_class_cannot_convert(messages: list[BaseMessage]) -> None:
    """ChatAnthropic raises; a class that takes it answers, before or behind it, and Claude's is not blamed."""
    with raw_server(answers.anthropic) as server:
        claude = ChatAnthropic(model_name="claude-sonnet-4-5", base_url=server.url, api_key="k")
        llm = ChatHotspare(models=[claude, Own(convert=str)], policy=POLICY)
        assert llm.invoke(messages).text == "mine"
        assert llm.pool.health().targets[0].failures == 0
        assert server.requests == []


class OwnLLM(CustomLLM):
    """A LlamaIndex class that hotspare does not know, whose conversion raises."""

    error: Any = None

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="own", context_window=1000)

    def _answer(self) -> CompletionResponse:
        if self.error is not None:
            raise self.error
        return CompletionResponse(text="mine", raw={"finish_reason": "stop"})

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return self._answer()

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        answer = self._answer()
        answer.delta = answer.text
        yield answer


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "error", [ValueError("Unsupported block type"), KeyError("tool_call_id"), NotImplementedError()]
)
async def test_llama_indexs_member(error: Exception, method: str) -> None:
    """A LlamaIndex LLM that raises is left for the next one, and its health stays."""
    llm = Hotspare(llms=[OwnLLM(error=error), OwnLLM()], policy=POLICY)
    for _ in range(8):
        assert await llama_index_call(llm, [LlamaMessage("hello")], method) == "mine"
    assert llm.pool.health().targets[0].failures == 0
    with pytest.raises(AllTargetsFailed, match=type(error).__name__):
        await llama_index_call(Hotspare(llms=[OwnLLM(error=error)], policy=POLICY), [LlamaMessage("hello")], method)
