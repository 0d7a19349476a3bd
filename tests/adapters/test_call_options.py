"""The options of a call that say which targets may answer it, in each adapter's own idiom."""

from collections.abc import Callable
from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import Pool
from hotspare.testing import ScriptedTarget, scripted_pool
from langchain_core.messages import HumanMessage
from langchain_hotspare import ChatHotspare
from llama_index.core.llms import ChatMessage
from llama_index.llms.hotspare import Hotspare


def pool() -> Pool:
    """Two targets in two regions; the first one fails once."""
    return scripted_pool(
        ScriptedTarget("us", [ConnectionResetError(), "us"], region="us"), ScriptedTarget("eu", "eu", region="eu"),
        retry_same_target="never",
    )  # fmt: skip


def by_langchain(of: Pool) -> Callable[..., str]:
    return lambda **options: str(ChatHotspare(pool=of).bind(**options).invoke([HumanMessage("q")]).content)


def by_llama_index(of: Pool) -> Callable[..., str]:
    return lambda **options: str(
        Hotspare(pool=of, additional_kwargs=options).chat([ChatMessage(role="user", content="q")]).message.content
    )


def by_litellm(of: Pool) -> Callable[..., str]:
    litellm_hotspare.register(of)
    messages = [{"role": "user", "content": "q"}]
    return lambda **options: litellm.completion("hotspare/default", messages, **options).choices[0].message.content


@pytest.mark.parametrize("adapter", [by_langchain, by_llama_index, by_litellm])
def test_options_of_a_call(adapter: Callable[[Pool], Any]) -> None:
    """A conversation stays where it failed over to; regions and names exclude targets; a judge sends the call on."""
    ask = adapter(pool())
    assert [ask(session="s") for _ in range(2)] == ["eu", "eu"]
    assert ask(session="other") == "us"
    assert ask(regions=["eu"]) == "eu"
    assert ask(avoid=["us"]) == "eu"
    assert ask(accept=lambda reply: reply.text == "eu") == "eu"
