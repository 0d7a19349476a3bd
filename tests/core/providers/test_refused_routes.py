"""A model that Bedrock serves by another API, or under another path, than it was called by: the refusal is learnt, within the attempt."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hotspare import CallError, ChatRequest, Kind, Pool, Target
from hotspare.errors import StatusError
from hotspare.providers.endpoint import Endpoints
from hotspare.providers.presets import preset_of
from hotspare.providers.responses.choice import ResponsesBesideChat

CHAT = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
RESPONSE = {
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "fine"}]}],
}
ROUTE, API = "model `{model}` isn't supported on this route", "The model '{model}' does not support the '{path}' API"
"""Bedrock's two wordings."""


class Bedrock:
    """Serves a model under `path` alone, and refuses it elsewhere in these words. `called`: the paths, in order."""

    def __init__(self, path: str, words: str) -> None:
        self.path, self.words = path, words
        self.called: list[str] = []
        self.together = threading.Barrier(1)
        """How many of the first requests are answered at once."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        """For httpx's MockTransport."""
        body: dict[str, Any] = json.loads(request.content)
        path = request.url.path
        self.called.append(path)
        if len(self.called) <= self.together.parties:
            self.together.wait(5)
        if path == self.path:
            return httpx.Response(200, json=CHAT if path.endswith("/completions") else RESPONSE)
        message = self.words.format(model=body["model"], path=path)
        return httpx.Response(400, json={"error": {"code": "validation_error", "message": message}})

    def pool(self, model: str, **fields: Any) -> Pool:
        """One target of that model."""
        target = Target(f"bedrock/{model}", name="a", region="eu-west-1", api_key="k", **fields)
        transport = httpx.MockTransport(self.answer)
        return Pool(target, transport=transport, max_attempts=1, completion="wait", when_all_down="fail")


@pytest.mark.parametrize(
    ("model", "api", "served", "words", "called"),
    [
        ("acme.new", None, "/openai/v1/chat/completions", ROUTE, ["/v1/chat/completions"]),
        ("xai.old", None, "/v1/chat/completions", ROUTE, ["/openai/v1/chat/completions"]),
        ("acme.new", None, "/v1/responses", API, ["/v1/chat/completions"]),
        ("acme.new", None, "/openai/v1/responses", API, ["/v1/chat/completions", "/v1/responses"]),
        ("acme.new", "responses", "/openai/v1/responses", API, ["/v1/responses"]),
        ("openai.gpt-7", None, "/openai/v1/responses", API, ["/v1/responses"]),
        ("openai.gpt-5.6-terra", None, "/openai/v1/responses", API, []),
    ],
)
def test_a_refusal_is_learnt(model: str, api: Any, served: str, words: str, called: list[str]) -> None:
    """The first call tries these paths in turn and is answered without a counted failure; the next one uses the right path directly."""
    bedrock = Bedrock(served, words)
    with bedrock.pool(model, api=api) as pool:
        for _ in range(2):
            assert pool.chat("q").text == "fine"
        assert pool.health()["a"].failures == 0
    assert bedrock.called == [*called, served, served]


@pytest.mark.parametrize(("words", "ways"), [(ROUTE, 2), (API, 3)])
def test_each_way_is_tried_once(words: str, ways: int) -> None:
    """A model that is served nowhere: the refusal is the caller's, and no path is tried twice for one call."""
    bedrock = Bedrock("", words)
    with bedrock.pool("acme.none") as pool, pytest.raises(CallError) as caught:
        pool.chat("q")
    assert [attempt.kind for attempt in caught.value.attempts] == [Kind.INVALID]
    assert len(bedrock.called) == len(set(bedrock.called)) == ways


def test_what_was_learnt_can_change() -> None:
    """After a refusal at the other path the first one is used again."""
    bedrock = Bedrock("/openai/v1/chat/completions", ROUTE)
    with bedrock.pool("acme.new") as pool:
        assert pool.chat("q").text == "fine"
        bedrock.path = "/v1/chat/completions"
        assert pool.chat("q").text == "fine"
        assert pool.chat("q").text == "fine"
    assert bedrock.called[2:] == ["/openai/v1/chat/completions", "/v1/chat/completions", "/v1/chat/completions"]


@pytest.mark.parametrize(
    ("served", "words"), [("/openai/v1/chat/completions", ROUTE), ("/v1/responses", API)], ids=["path", "api"]
)
def test_calls_at_the_same_time_learn_from_one_refusal(served: str, words: str) -> None:
    """Eight first calls are refused together: none undoes what another one has learnt, and all are answered."""
    bedrock = Bedrock(served, words)
    bedrock.together = threading.Barrier(8)
    with bedrock.pool("acme.new") as pool, ThreadPoolExecutor(8) as threads:
        assert {*threads.map(lambda _: pool.chat("q").text, range(8))} == {"fine"}
    assert bedrock.called.count("/v1/chat/completions") == 8


@pytest.mark.parametrize("tools", [(), ({"name": "f"},)], ids=["plain", "tools"])
def test_a_thread_that_learns_in_between_is_not_undone(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads read one refusal; the second learns the other path while the first is about to."""
    target = Target("bedrock/acme.new", region="eu-west-1", api_key="k")
    endpoints = Endpoints(target, preset_of(target))
    request = ChatRequest(messages=[{"role": "user", "content": "q"}], tools=tools)
    refused = endpoints.of(request)
    body = json.dumps({"error": {"message": ROUTE.format(model="acme.new")}})
    error = StatusError("", status=400, body=body.encode())
    learnt: list[bool] = []

    def learn(self: ResponsesBesideChat, error: StatusError, request: ChatRequest) -> bool:
        if not learnt:
            learnt.append(True)
            learnt.append(endpoints.learn(error, request, refused))
        return False

    monkeypatch.setattr(ResponsesBesideChat, "learn", learn)
    assert endpoints.learn(error, request, refused)
    assert learnt == [True, True]
    assert "/openai/v1/" in endpoints.of(request).url.get_secret_value()
