"""Structured output that was cut, blocked or refused: never half a value, and never the provider's fault."""

from typing import Any

import pytest
from hotspare import AllTargetsFailed, Kind, Policy, Target
from langchain_core.exceptions import OutputParserException
from langchain_hotspare import ChatHotspare
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.support import answers
from tests.support.framework_calls import METHODS, langchain_call
from tests.support.raw_server import Handler, RawServer, raw_server

pytestmark = pytest.mark.anyio
POLICY = Policy(deadline=5, when_all_down="fail", max_attempts=1)
CUT = '{"name": "Seoul", "people": 97'


class City(BaseModel):
    """A city."""

    name: str
    people: int


def over(server: RawServer, kind: str) -> ChatHotspare:
    """A pool of LangChain's OpenAI model, or of hotspare's own target."""
    if kind == "native":
        return ChatHotspare(
            models=[ChatOpenAI(model="gpt-4.1", base_url=server.url + "/v1", api_key="k")], policy=POLICY
        )
    return ChatHotspare(targets=[Target("openai/gpt-4.1", base_url=server.url + "/v1", api_key="k")], policy=POLICY)


def cut_call(request: Any) -> Any:
    """A tool call of which the second half is missing."""
    call = {"id": "c1", "type": "function", "function": {"name": "City", "arguments": CUT}}
    return answers.openai(request, None, finish="length", calls=[call])


ANSWERS: dict[str, tuple[Handler, str]] = {
    "cut": (lambda request: answers.openai(request, CUT, finish="length"), "cut: raise max_tokens"),
    "cut call": (cut_call, "cut: raise max_tokens"),
    "refused": (lambda request: answers.openai(request, None, refusal="I won't"), "refused: I won't"),
    "cut by a filter": (lambda request: answers.openai(request, CUT, finish="content_filter"), "content filter"),
}


CASES = [
    (name, method, kind)
    for name in ANSWERS
    for method in ("json_schema", "json_mode", "function_calling")
    for kind in ("native", "wire")
    if name != "cut call" or method == "function_calling"
    # OpenAI's SDK returns nothing of an answer that its filter cut
    if name != "cut by a filter" or method == "function_calling" or kind == "wire"
]


@pytest.mark.parametrize(("name", "method", "kind"), CASES)
@pytest.mark.parametrize("schema", [City, City.model_json_schema()], ids=["pydantic", "dict"])
def test_it_is_an_error_of_the_parser(name: str, method: Any, kind: str, schema: Any) -> None:
    """`97` is not the number that the model was about to write; with `include_raw` the answer is there beside the error."""
    handler, problem = ANSWERS[name]
    with raw_server(handler) as server:
        llm = over(server, kind)
        with pytest.raises(OutputParserException, match=problem):
            llm.with_structured_output(schema, method=method).invoke("x")
        both = llm.with_structured_output(schema, method=method, include_raw=True).invoke("x")
        assert (both["parsed"], type(both["parsing_error"])) == (None, OutputParserException)
        assert llm.pool.health().targets[0].failures == 0


@pytest.mark.parametrize("method", METHODS)
async def test_a_cut_answer_itself_is_an_answer(method: str) -> None:
    """Its text, in all four methods, although OpenAI's SDK raises for it."""
    with raw_server(ANSWERS["cut"][0]) as server:
        for kind in ("native", "wire"):
            model = over(server, kind).bind(response_format={"type": "json_object"})
            assert await langchain_call(model, "x", method) == CUT


@pytest.mark.parametrize("kind", ["native", "wire"])
def test_a_blocked_answer_is_the_filters(kind: str) -> None:
    """Nothing is left of it: the kind is that of a content filter, from OpenAI's SDK too, and the target is not blamed."""
    with raw_server(lambda request: answers.openai(request, None, finish="content_filter")) as server:
        llm = over(server, kind)
        for model in (llm, llm.with_structured_output(City, method="json_schema")):
            with pytest.raises(AllTargetsFailed) as caught:
                model.invoke("x")
            assert [attempt.kind for attempt in caught.value.attempts] == [Kind.CONTENT_FILTER]
        assert llm.pool.health().targets[0].failures == 0
