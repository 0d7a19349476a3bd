"""Structured prediction in all its methods, with the tool required and the system prompt kept, through outages."""

from collections.abc import Callable
from typing import Any

import pytest
from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider
from hotspare.drill.schema import sample
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from llama_index.llms.hotspare import Hotspare
from pydantic import BaseModel

Outage = Callable[..., None]


class City(BaseModel):
    """A city with its people and what to see."""

    name: str
    population: int
    sights: list[str]


PROMPT = "Tell me about harbours."


def about() -> PromptTemplate:
    """A new prompt for every call: LlamaIndex's text program sets its parser on the prompt that it gets."""
    return PromptTemplate("Tell me about {topic}.")


def expected(prompt: str = PROMPT) -> City:
    """The object that the embedded provider writes for this prompt."""
    return City(**sample(City.model_json_schema(), f"{prompt}#City#0"))


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_structured_predict(llm: Hotspare, outage: Outage, down: str) -> None:
    """The whole methods return the object, whichever target answers."""
    for endpoint in down:
        outage(endpoint)
    assert llm.structured_predict(City, about(), topic="harbours") == expected()
    assert await llm.astructured_predict(City, about(), topic="harbours") == expected()


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_streaming_structured_predict(llm: Hotspare, outage: Outage, down: str) -> None:
    """The object grows field by field and the last one is whole: the tool is required in streams too."""
    for endpoint in down:
        outage(endpoint)
    grown = list(llm.stream_structured_predict(City, about(), topic="harbours"))
    assert grown[-1] == expected()
    partly = [one for one in grown if one.name and getattr(one, "sights", None) is None]  # type: ignore[union-attr]
    assert partly or down == "ab"  # Gemini's calls come whole
    agrown = [one async for one in await llm.astream_structured_predict(City, about(), topic="harbours")]
    assert agrown[-1] == expected()


def test_the_outage_begins_between_two_predictions(provider: Provider, llm: Hotspare, outage: Outage) -> None:
    """The first prediction is answered by `a`, the others by `b`."""
    outage("a", after=1)
    assert [llm.structured_predict(City, about(), topic="harbours") for _ in range(2)] == [expected()] * 2
    assert list(llm.stream_structured_predict(City, about(), topic="harbours"))[-1] == expected()
    assert provider.stats("b").requests == 2


@pytest.mark.anyio
async def test_as_structured_llm(llm: Hotspare, outage: Outage) -> None:
    """Chat, stream and their async methods; `raw` is the object."""
    structured = llm.as_structured_llm(City)
    outage("a", after=1)
    messages = [ChatMessage(role="user", content=PROMPT)]
    assert structured.chat(messages).raw == expected()
    assert (await structured.achat(messages)).raw == expected()
    assert list(structured.stream_chat(messages))[-1].raw == expected()
    assert [r async for r in await structured.astream_chat(messages)][-1].raw == expected()
    assert structured.complete(PROMPT).raw == expected()


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["predict", "apredict", "stream", "astream"])
async def test_the_system_prompt_is_kept(provider: Provider, pool: Pool, form: str) -> None:
    """All four methods send it exactly once, including the async one in which LlamaIndex drops it; braces are kept."""
    llm = Hotspare(pool=pool, system_prompt="Answer in {Korean}.")
    prompt = ChatPromptTemplate([ChatMessage(role="user", content="Tell me about {topic}.")])
    if form == "predict":
        llm.structured_predict(City, prompt, topic="harbours")
    elif form == "apredict":
        await llm.astructured_predict(City, prompt, topic="harbours")
    elif form == "stream":
        list(llm.stream_structured_predict(City, prompt, topic="harbours"))
    else:
        _ = [one async for one in await llm.astream_structured_predict(City, prompt, topic="harbours")]
    messages = provider.recorded_requests("a")[0]["body"]["messages"]
    assert [m["role"] for m in messages] == ["system", "user"]
    assert messages[0]["content"] == "Answer in {Korean}."
    assert provider.recorded_requests("a")[0]["body"]["tool_choice"] == "required"


def test_a_broken_tool_call_raises(provider: Provider, llm: Hotspare) -> None:
    """Half a tool call is neither continued by another model nor returned as an object."""
    provider.fault("a", "cut", at=3)
    with pytest.raises(Exception, match="broke after its first content"):
        list(llm.stream_structured_predict(City, about(), topic="harbours"))


def test_text_mode_without_tools(provider: Provider) -> None:
    """A pool without function calling uses text and parsing, as LlamaIndex chooses by metadata."""
    targets = [
        Target("openai/gpt-4.1", name=name, base_url=provider.base_url(name), api_key=KEY, missing=frozenset({"tools"}))
        for name in "ab"
    ]
    with Pool(targets) as pool:
        llm = Hotspare(pool=pool)
        assert not llm.metadata.is_function_calling_model
        with pytest.raises(ValueError, match=r"(?i)json"):  # the provider answers in prose
            llm.structured_predict(City, about(), topic="harbours")
        assert "tools" not in provider.recorded_requests("a")[0]["body"]
        assert "Output a valid JSON object" in str(provider.recorded_requests("a")[0]["body"])


def test_function_mode_can_be_forced(provider: Provider, pool: Pool) -> None:
    """`pydantic_program_mode` overrides the choice."""
    llm = Hotspare(pool=pool, pydantic_program_mode=PydanticProgramMode.FUNCTION)
    assert llm.structured_predict(City, about(), topic="harbours") == expected()
    text = Hotspare(pool=pool, pydantic_program_mode=PydanticProgramMode.LLM)
    with pytest.raises(ValueError, match=r"(?i)json"):
        text.structured_predict(City, about(), topic="harbours")


def test_llm_kwargs_reach_the_provider(provider: Provider, llm: Hotspare) -> None:
    """LlamaIndex's `llm_kwargs` are sent."""
    options: dict[str, Any] = {"temperature": 0.25, "model": "a"}
    llm.structured_predict(City, about(), llm_kwargs=options, topic="harbours")
    assert provider.recorded_requests("a")[0]["body"]["temperature"] == 0.25
