"""Anthropic's `/v1/messages` over a pool: blocks of streams, and cache marks."""

import json
from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider

pytestmark = pytest.mark.anyio
MARK = {"cache_control": {"type": "ephemeral"}}
TOOLS: list[Any] = [
    {"name": name, "description": "d", "input_schema": {"type": "object", "properties": {}}}
    for name in ("get_weather", "get_time")
]


async def blocks_of(model: str, words: str, **options: Any) -> list[tuple[str, str]]:
    """The kind and the content of each block of a streamed message."""
    stream: Any = await litellm.anthropic.messages.acreate(
        model=model, messages=[{"role": "user", "content": words}], tools=TOOLS, max_tokens=99, stream=True, **options
    )
    text = "".join([event.decode() if isinstance(event, bytes) else str(event) async for event in stream])
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    found = {e["index"]: [e["content_block"]["type"], ""] for e in events if e["type"] == "content_block_start"}
    for event in events:
        if event["type"] == "content_block_delta":
            delta = event["delta"]
            found[event["index"]][1] += delta.get("text") or delta.get("partial_json") or ""
    return [(kind, content) for kind, content in found.values()]


@pytest.mark.parametrize("target", ["a", "b", "c"])
@pytest.mark.parametrize("words", ["call get_weather", "call get_weather and call get_time"])
async def test_no_empty_block_follows_a_tool_call(words: str, target: str, pool: Pool) -> None:
    """Whatever wire format the target speaks, one tool or two: the blocks are the calls, whole."""
    blocks = await blocks_of(f"hotspare/{target}", words)
    assert [kind for kind, _ in blocks] == ["tool_use"] * words.count("call")
    assert all(isinstance(json.loads(content), dict) for _, content in blocks)


async def test_text_stays_one_block(pool: Pool) -> None:
    """A plain answer is one block of text."""
    ((kind, content),) = await blocks_of("hotspare/default", "hello there")
    assert kind == "text"
    assert content


@pytest.mark.parametrize("through_a_router", [False, True])
@pytest.mark.parametrize("name", ["default", "smart", "claude-sonnet-4-5"])
async def test_cache_marks_survive(name: str, through_a_router: bool, provider: Provider) -> None:
    """On system text, messages and tools, whatever the route is called."""
    target = Target(
        "anthropic/claude-sonnet-4-5",
        base_url=provider.base_url("b", "anthropic"),
        api_key=KEY,
        aliases={"smart"},
    )
    on: Any = litellm.anthropic.messages.acreate
    model = f"hotspare/{name}"
    with Pool([target]) as marked:
        litellm_hotspare.register(marked)
        if through_a_router:
            on = litellm.Router(
                model_list=[{"model_name": "m", "litellm_params": {"model": model}}]
            ).aanthropic_messages
            model = "m"
        await on(
            model=model,
            max_tokens=9,
            system=[{"type": "text", "text": "be brief", **MARK}],
            messages=[{"role": "user", "content": [{"type": "text", "text": "hello there", **MARK}]}],
            tools=[{**TOOLS[0], **MARK}],
        )
    body = provider.recorded_requests("b")[-1]["body"]
    assert json.dumps(body).count("cache_control") == 3


async def test_cache_marks_do_not_reach_other_wires(pool: Pool, provider: Provider) -> None:
    """A target with OpenAI's wire format is sent the same conversation without them."""
    await litellm.anthropic.messages.acreate(
        model="hotspare/a",
        max_tokens=9,
        system=[{"type": "text", "text": "be brief", **MARK}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "hello there", **MARK}]}],
        tools=[{**TOOLS[0], **MARK}],
    )
    assert "cache_control" not in json.dumps(provider.recorded_requests("a")[-1]["body"])
