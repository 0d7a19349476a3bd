"""Frameworks' own models that end a turn without content: an answer after tool results, where the end is proven."""

from typing import Any

import pytest
from hotspare import AllTargetsFailed, Kind, Policy, StreamInterrupted
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_hotspare import ChatHotspare
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage
from llama_index.llms.hotspare import Hotspare
from llama_index.llms.openai import OpenAI

from tests.support import answers
from tests.support.framework_calls import METHODS, langchain_call, llama_index_call
from tests.support.raw_server import Handler, RawServer, raw_server

pytestmark = pytest.mark.anyio
POLICY = Policy(deadline=5, when_all_down="fail", max_attempts=1)
CALL = {"id": "toolu_1", "name": "get_weather", "args": {}}
QUESTION: list[BaseMessage] = [HumanMessage("How is the weather?")]
AFTER_TOOLS: list[BaseMessage] = [
    *QUESTION, AIMessage("Let me see.", tool_calls=[CALL]), ToolMessage("21", tool_call_id="toolu_1"),
]  # fmt: skip
WORDLESS: dict[str, Handler] = {
    "anthropic": lambda request: answers.anthropic(request, []),
    "openai": lambda request: answers.openai(request, None),
}


def langchain_over(server: RawServer, kind: str) -> ChatHotspare:
    """A pool of one LangChain model at the server."""
    made: dict[str, Any] = {
        "anthropic": lambda: ChatAnthropic(model_name="claude-sonnet-4-5", base_url=server.url, api_key="k"),
        "openai": lambda: ChatOpenAI(model="gpt-4.1", base_url=server.url + "/v1", api_key="k"),
    }
    return ChatHotspare(models=[made[kind]()], policy=POLICY)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", WORDLESS)
async def test_langchains_model_may_end_after_tool_results(kind: str, method: str) -> None:
    """The answer is an empty one, in every method, and does not count against the model; without tool results before it,
    the same bytes are a failure."""
    with raw_server(WORDLESS[kind]) as server:
        llm = langchain_over(server, kind)
        assert await langchain_call(llm, AFTER_TOOLS, method) == ""
        assert await langchain_call(llm, [SystemMessage("Be brief."), *AFTER_TOOLS], method) == ""
        assert llm.pool.health().targets[0].failures == 0
        with pytest.raises(AllTargetsFailed, match=r"empty|without content"):
            await langchain_call(llm, QUESTION, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "handler",
    [
        lambda request: answers.openai(request, None, finish=None),
        lambda request: answers.openai(request, None, finish="tool_calls"),
        lambda request: answers.openai(request, None, finish="malformed_function_call"),
        lambda request: answers.openai(request, None, finish="null"),
    ],
    ids=["no reason", "calls without a call", "malformed call", "null as text"],
)
async def test_an_unproven_end_is_no_answer(handler: Handler, method: str) -> None:
    """After tool results too: an ending without a reason, or with one that promises more, is the provider's failure."""
    with raw_server(handler) as server:
        with pytest.raises(AllTargetsFailed) as caught:
            await langchain_call(langchain_over(server, "openai"), AFTER_TOOLS, method)
        assert [attempt.kind for attempt in caught.value.attempts] == [Kind.SERVER]


@pytest.mark.parametrize("reason", [None, "stop", "STOP", "end_turn", "MALFORMED_FUNCTION_CALL"])
def test_any_class_needs_a_reason(reason: str | None) -> None:
    """A class that hotspare does not know proves the end of its turn by its finish reason."""

    class Own(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "own"

        def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
            info = {} if reason is None else {"finish_reason": reason}
            return ChatResult(generations=[ChatGeneration(message=AIMessage(""), generation_info=info)])

    llm = ChatHotspare(models=[Own()], policy=POLICY)
    if reason in ("stop", "STOP", "end_turn"):
        assert llm.invoke(AFTER_TOOLS).content == ""
    else:
        with pytest.raises(AllTargetsFailed):
            llm.invoke(AFTER_TOOLS)


@pytest.mark.parametrize("method", METHODS)
async def test_llama_indexs_llm_may_end_after_tool_results(method: str) -> None:
    """The same with LlamaIndex's own LLM, and with the role `function` of old histories."""
    call = {"id": "toolu_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    question = [ChatMessage("How is the weather?")]
    results = [
        [
            ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [call]}),
            ChatMessage(role="tool", content="21", additional_kwargs={"tool_call_id": "toolu_1"}),
        ],
        [
            ChatMessage(role="assistant", content="", additional_kwargs={"function_call": call["function"]}),
            ChatMessage(role="function", content="21", additional_kwargs={"name": "get_weather"}),
        ],
    ]
    with raw_server(WORDLESS["openai"]) as server:
        llm = Hotspare(llms=[OpenAI(model="gpt-4.1", api_base=server.url + "/v1", api_key="k")], policy=POLICY)
        for messages in results:
            assert await llama_index_call(llm, [*question, *messages], method) == ""
        with pytest.raises(AllTargetsFailed, match=r"empty|without content"):
            await llama_index_call(llm, question, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "reason",
    ["malformed_function_call", "MALFORMED_FUNCTION_CALL", "function_call_filter: UNEXPECTED_TOOL_CALL", "error"],
)
async def test_leaked_words_are_no_answer(reason: str, method: str) -> None:
    """Text beside a finish reason that says that the answer is broken is not handed out as a whole answer."""
    with raw_server(lambda request: answers.openai(request, "print(get_weather())", finish=reason)) as server:
        llm = OpenAI(model="gpt-4.1", api_base=server.url + "/v1", api_key="k")
        over_llm = Hotspare(
            llms=[llm], policy=Policy(deadline=5, when_all_down="fail", max_attempts=1, on_break="raise")
        )
        for call in (
            lambda: langchain_call(langchain_over(server, "openai"), QUESTION, method),
            lambda: llama_index_call(over_llm, [ChatMessage("hello")], method),
        ):
            with pytest.raises((AllTargetsFailed, StreamInterrupted), match="could not finish the answer"):
                await call()
