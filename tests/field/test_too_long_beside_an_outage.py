"""A request that is too long for every target that works fails immediately; an optional field excludes no target."""

from typing import Any

import pytest
from hotspare import AllTargetsFailed, Kind, Outcome, Pool, Scope, Target
from hotspare._engine.commands import Wait
from hotspare._engine.decide import GiveUp
from langchain_hotspare import ChatHotspare, ContextLengthExceeded

from tests.support import answers
from tests.support.engine import Engine, state_of
from tests.support.raw_server import RawRequest, raw_server

TOO_LONG = Outcome(Kind.CONTEXT_LENGTH)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize("window", [None, 1000], ids=["unknown window", "larger window"])
def test_it_is_not_kept_waiting_for_the_dead_target(window: int | None) -> None:
    """The call ends although it has 100 seconds left, and the window of the target that is down might be large enough."""
    engine = Engine([state_of("dead", context_window=window), state_of("b", context_window=100)])
    engine.open("dead", seconds=30.0)
    call = engine.call()
    engine.fail(call, 0.0, TOO_LONG)
    step = engine.step(call, 1.0)
    assert isinstance(step, GiveUp)
    assert "too long" in step.reason


def test_a_limit_of_one_target_says_nothing_of_others() -> None:
    """OpenAI's "Request too large" for an account's tokens per minute: the call waits for the other target."""
    engine = Engine([state_of("dead"), state_of("b")])
    engine.open("dead", seconds=30.0)
    call = engine.call()
    engine.fail(call, 0.0, Outcome(Kind.CONTEXT_LENGTH, scope=Scope.TARGET))
    assert isinstance(engine.step(call, 1.0), Wait)


@pytest.mark.parametrize("dead_first", [True, False])
def test_the_error_says_too_long(dead_first: bool) -> None:
    """In either order, with the default policy, long before the deadline; LangChain gets its own class."""
    with raw_server(lambda request: answers.DEAD) as dead, raw_server(lambda request: answers.TOO_LONG) as small:
        targets = [
            Target("openai/gpt-4.1", name=n, base_url=s.url, api_key="k") for n, s in (("a", dead), ("b", small))
        ]
        with Pool(targets if dead_first else targets[::-1], deadline=60) as pool:
            with pytest.raises(ContextLengthExceeded):
                ChatHotspare(pool=pool).invoke("hello")
            with pytest.raises(AllTargetsFailed) as caught:
                pool.chat("hello")
            kinds = {attempt.kind for attempt in caught.value.attempts}
            assert Kind.CONTEXT_LENGTH in kinds
            assert sum(attempt.seconds for attempt in caught.value.attempts) < 20


@pytest.mark.parametrize("target", ["gemini/gemini-2.5-flash", "ollama/llama3", "deepseek/deepseek-chat", "openai/o3"])
def test_parallel_tool_calls_leaves_no_target_out(target: str) -> None:
    """A target that knows no such field is called without it."""

    def answer(request: RawRequest) -> Any:
        assert "parallel_tool_calls" not in request.json
        return answers.gemini(request) if "gemini" in target else answers.openai(request)

    with raw_server(answer) as server, Pool([Target(target, base_url=server.url, api_key="k")], deadline=5) as pool:
        assert pool.chat("hello", tools=[TOOL], parallel_tool_calls=False).text == "fine"
