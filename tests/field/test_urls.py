"""Base URLs and model ids as users have them: what is sent where, and what is shown of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hotspare import ConfigError, Pool, Target
from hotspare.providers.presets import PRESETS
from hotspare.secret import shown_url

from tests.support.raw_server import raw_server, response

GEMINI = {"candidates": [{"content": {"parts": [{"text": "fine"}]}, "finishReason": "STOP"}]}
OPENAI = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("gemini 2.5", "gemini%202.5"),
        ("a/b", "a%2Fb"),
        ("a?b", "a%3Fb"),
        ("a#b", "a%23b"),
        ("a%2Fb", "a%252Fb"),
        ("../../x", None),
        ("x/..", None),
        ("..", None),
        ("모델", "%EB%AA%A8%EB%8D%B8"),
        ("a\r\nX-Evil: 1", "a%0D%0AX-Evil:%201"),
        ("claude@2024", "claude@2024"),
    ],
)
@pytest.mark.parametrize("transport", ["auto", "httpx"])
def test_a_model_is_one_segment_of_the_path(model: str, segment: str | None, transport: Any) -> None:
    """Gemini's models and Azure's deployments stand in the URL: nothing in them changes it, with any transport."""
    if segment is None:
        with pytest.raises(ConfigError, match=r"must not have '\.' or"):
            Target(f"gemini/{model}")
        return
    for provider, query, answer, path in (
        ("gemini", "", GEMINI, f"/v1beta/models/{segment}:generateContent"),
        ("azure", "?api-version=1", OPENAI, f"/openai/deployments/{segment}/chat/completions?api-version=1"),
    ):
        with raw_server(lambda request, answer=answer: response(200, answer)) as server:
            pool = Pool(Target(f"{provider}/{model}", base_url=server.url + query, api_key="k"), transport=transport)
            assert pool.chat("hi").text == "fine"
            assert asyncio.run(pool.achat("hi")).text == "fine"
            pool.close()
        assert [request.path for request in server.requests] == [path, path]


@pytest.mark.parametrize(
    ("provider", "base_url", "stream", "url"),
    [
        ("gemini", "https://h/v1beta?key=k", False, "https://h/v1beta/models/m:generateContent?key=k"),
        ("gemini", "https://h?key=k", True, "https://h/v1beta/models/m:streamGenerateContent?key=k&alt=sse"),
        ("gemini", "https://h/v1/projects/p/locations/l/", False, "https://h/v1/projects/p/locations/l/publishers/google/models/m:generateContent"),
        ("anthropic", "https://h/v1?key=k", False, "https://h/v1/messages?key=k"),
        ("anthropic", "https://h/v1/messages", False, "https://h/v1/messages"),
        ("anthropic", "https://h/proxy/?a=b", False, "https://h/proxy/v1/messages?a=b"),
        ("openai", "https://h/v1/?key=k", False, "https://h/v1/chat/completions?key=k"),
        ("azure", "https://h/?api-version=1&key=k", False, "https://h/openai/deployments/m/chat/completions?api-version=1&key=k"),
    ],
)  # fmt: skip
def test_a_query_of_the_base_url_is_kept(provider: str, base_url: str, stream: bool, url: str) -> None:
    """It stands behind the path, whichever wire adds to that."""
    assert PRESETS[provider].wire().url(base_url, Target(f"{provider}/m"), stream=stream) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@h:8/v1?key=k#f", "https://h:8/v1"),
        ("https://token@h", "https://h"),
        ("https://u:p@ss@h/v1", "https://h/v1"),
        ("https://h/v1/@me?x=@y", "https://h/v1/@me"),
        ("user:pass@h/v1", "h/v1"),
        ("https://[::1]:8000/v1", "https://[::1]:8000/v1"),
        ("https://[::1]/@me", "https://[::1]/@me"),
        ("https://h/v1", "https://h/v1"),
        ("https://user:pa/ss@h:8/v1?key=k", "https://h:8/v1"),  # not escaped
        ("redis://:pa#ss@h", "redis://h"),
        ("redis://:pa?ss@h/0", "redis://h/0"),
        ("", ""),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    """Neither user, password, query nor fragment."""
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    "url",
    ["http://", "https:///v1", "http://h:port/v1", "http://h:99999/", "http://[::1", "http://a b/v1", "http://h/\nx", "$BASE_URL", "localhost:8000", "ftp://u:pass-4711@h/",
     "u:pass-4711@h/v1?key=key-4711", "http://u:pass-4711@h:x/?key=key-4711"],
)  # fmt: skip
def test_what_is_no_base_url(url: str) -> None:
    """A ConfigError with the field and what to write, without login and query, instead of a failure at the first call."""
    with pytest.raises(ConfigError, match=r"target\.base_url: ") as caught:
        Target("openai/x", base_url=url)
    assert "-4711" not in str(caught.value)


@pytest.mark.parametrize("transport", ["auto", "httpx"])
def test_errors_name_the_host_only(transport: Any) -> None:
    """A refused connection and broken HTTP, in sync and in async code: neither login nor query is in error, event or health."""
    events: list[object] = []
    with raw_server(lambda request: b"SSH-2.0-x\r\n\r\n") as server:
        for base in ("http://127.0.0.1:1", server.url):
            url = base.replace("://", "://user:pass-4711@") + "/v1?key=key-4711"
            target = Target("openai-compatible/m", base_url=url)
            pool = Pool(target, deadline=3, when_all_down="fail", transport=transport, listeners=[events.append])
            for call in (
                lambda: pool.chat("hi"),
                lambda: asyncio.run(pool.achat("hi")),
                lambda: list(pool.stream("hi")),
            ):
                with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
                    call()
                assert "-4711" not in f"{caught.value!r} {caught.value.__cause__!r} {vars(caught.value)}"
            assert "-4711" not in f"{pool!r} {target!r} {pool.health()} {pool.explain()} {events}"
            pool.close()
