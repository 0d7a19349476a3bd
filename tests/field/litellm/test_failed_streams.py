"""Async streams that fail before their first content: a Router's fallbacks fire, and every API answers with the status that one
deployment of LiteLLM's own gives."""

from typing import Any

import anyio
import litellm
import pytest
from hotspare import Pool
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider
from litellm.integrations.custom_logger import CustomLogger

from tests.adapters.litellm.calling import METHODS, complete

pytestmark = pytest.mark.anyio
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "too long": ("toolong", {}),
    "refused": ("refuse me", {}),
    "invalid": ("hello", {"kind": "status", "status": 422}),
    "key": ("hello", {"kind": "status", "status": 401}),
    "missing model": ("hello", {"kind": "status", "status": 404}),
    "limit": ("hello", {"kind": "rate_limited", "retry_after": 30}),
    "down": ("hello", {"kind": "status", "status": 503}),
}


def messages(words: str) -> list[dict[str, str]]:
    """One user message."""
    return [{"role": "user", "content": words}]


def router(kind: str) -> litellm.Router:
    """The pool as group `m`, and a group that always answers as its fallback of one kind."""
    spare = {"model_name": "spare", "litellm_params": {"model": "openai/x", "api_key": "k", "mock_response": "spare"}}
    mine = {"model_name": "m", "litellm_params": {"model": "hotspare/default"}}
    options: dict[str, Any] = {kind: [{"m": ["spare"]}]}
    return litellm.Router(model_list=[mine, spare], **options)


@METHODS
@pytest.mark.parametrize("fault", FAULTS)
async def test_fallbacks(method: str, fault: str, pool: Pool, provider: Provider) -> None:
    """Every kind of failure reaches the fallback group, in each of the four methods."""
    words, options = FAULTS[fault]
    if options:
        provider.fault(["a", "b", "c"], **options)
    text, _ = await complete(method, router("fallbacks"), model="m", messages=messages(words))
    assert text == "spare"


@METHODS
@pytest.mark.parametrize(
    ("kind", "words"), [("context_window_fallbacks", "toolong"), ("content_policy_fallbacks", "refuse me")]
)
async def test_fallbacks_of_their_own(method: str, kind: str, words: str, pool: Pool) -> None:
    """Those for prompts that are too long and for rejected content, and only for these."""
    guarded = router(kind)
    assert (await complete(method, guarded, model="m", messages=messages(words)))[0] == "spare"
    other = "refuse me" if words == "toolong" else "toolong"
    with pytest.raises(litellm.BadRequestError):
        await complete(method, guarded, model="m", messages=messages(other))


async def status(api: str, model: str, words: str, stream: bool, **options: Any) -> int | None:
    """The status of the exception that a call of one API raises itself; None if it answers."""
    try:
        if api == "messages":
            await litellm.anthropic.messages.acreate(
                model=model, messages=messages(words), max_tokens=9, stream=stream, **options
            )
        elif api == "responses":
            await litellm.aresponses(model=model, input=words, stream=stream, **options)
        else:
            await litellm.acompletion(model=model, messages=messages(words), stream=stream, **options)
    except Exception as error:
        return getattr(error, "status_code", 0)
    return None


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("api", ["messages", "responses", "chat"])
@pytest.mark.parametrize("fault", ["too long", "key", "missing model", "limit", "down"])
async def test_the_status_is_that_of_a_plain_deployment(
    fault: str, api: str, stream: bool, pool: Pool, provider: Provider
) -> None:
    """With every target failing alike, as `hosted_vllm` of LiteLLM's own at one of them: before anything is streamed.

    `hosted_vllm` has a Responses API of its own, which the provider has not: there its status in chat is expected.
    """
    words, options = FAULTS[fault]
    if options:
        provider.fault(["a", "b", "c"], **options)
    plain = {"api_base": provider.base_url("a"), "api_key": KEY, "max_retries": 0}
    expected = await status("chat" if api == "responses" else api, "hosted_vllm/gpt-4.1", words, stream, **plain)
    assert expected is not None
    assert await status(api, "hotspare/default", words, stream) == expected


class Failures(CustomLogger):
    """Records the failures that LiteLLM reports."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Any] = []

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A failed async call."""
        self.errors.append(kwargs.get("exception"))


async def test_a_failed_start_is_reported_once(pool: Pool) -> None:
    """To LiteLLM's callbacks, with the class that the caller gets."""
    recorder = Failures()
    litellm.callbacks.append(recorder)
    with pytest.raises(litellm.ContextWindowExceededError):
        await litellm.acompletion(model="hotspare/default", messages=messages("toolong"), stream=True)
    with anyio.fail_after(10):
        while not recorder.errors:  # noqa: ASYNC110 - LiteLLM reports from a task of its own
            await anyio.sleep(0.01)
    assert [type(error) for error in recorder.errors] == [litellm.ContextWindowExceededError]


async def test_a_stream_is_read_from_its_first_content_on(pool: Pool, provider: Provider) -> None:
    """Nothing is lost by waiting for it, other providers' streams are left alone, and a closed stream stays closed."""
    text, _ = await complete("astream")
    assert text == answer("hello there")
    plain = await litellm.acompletion(
        model="openai/gpt-4.1",
        api_base=provider.base_url("a"),
        api_key=KEY,
        messages=messages("hello there"),
        stream=True,
    )
    pieces = [chunk.choices[0].delta.content or "" async for chunk in plain if chunk.choices]
    assert "".join(pieces) == answer("hello there")


async def test_a_caller_that_leaves_while_it_waits(pool: Pool, provider: Provider) -> None:
    """Cancelled before the first content: no target is blamed, and no attempt stays open."""
    provider.fault(["a", "b", "c"], "blackhole")
    with anyio.move_on_after(0.3) as scope:
        await litellm.acompletion(model="hotspare/default", messages=messages("hello"), stream=True)
    assert scope.cancelled_caught
    assert pool.health().in_flight == 0
    assert [target.failures for target in pool.health().targets] == [0, 0, 0]
