"""Estimates of tokens, against a real vocabulary, and what they are used for."""

import base64
import importlib.util
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Kind, Outcome, SkipReason
from hotspare._cost.texts import text_tokens
from hotspare._cost.tokens import prompt_tokens
from hotspare._cost.unknowns import uncounted
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, answer, fail, scripted_pool

tiktoken = pytest.importorskip("tiktoken")
ROOT = Path(__file__).parents[3]
RECURSIVE = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {
            "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
            "properties": {"tree": {"$ref": "#/$defs/Node"}},
        },
    },
}
TOO_LONG = Outcome(Kind.CONTEXT_LENGTH, "too long", 400)


def passages(kind: str) -> list[str]:
    """Passages of 500 characters: English prose, Python, or Korean (documentation, a constitution, verse, a novel of 1936)."""
    files = {
        "english": sorted(ROOT.glob("docs/*.md")),
        "code": sorted(ROOT.glob("core/src/hotspare/_*/*.py")),
        "korean": [*sorted(ROOT.glob("docs/ko/*.md")), Path(__file__).parent / "texts" / "korean.txt"],
    }[kind]
    texts = [path.read_text(encoding="utf-8") for path in files]
    found = [text[at : at + 500] for text in texts for at in range(0, len(text) - 250, 500)]
    return found[:: 1 + len(found) // 200]


def package(name: str) -> Path:
    """The folder of a package, without importing it."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        pytest.skip(f"{name} is not installed")
    return Path(found.origin).parent


@cache
def o200k() -> Any:
    """OpenAI's vocabulary since GPT-4o, from LlamaIndex's package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(package("llama_index.core") / "_static" / "tiktoken_cache"))
        return tiktoken.get_encoding("o200k_base")


@cache
def tekken() -> Any:
    """Mistral's vocabulary, which no weight was fitted to, from its own package."""
    held = json.loads((package("mistral_common") / "data" / "tekken_240911.json").read_text(encoding="utf-8"))
    size = held["config"]["default_vocab_size"] - held["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(one["token_bytes"]): one["rank"] for one in held["vocab"][:size]}
    return tiktoken.Encoding("tekken", pat_str=held["config"]["pattern"], mergeable_ranks=ranks, special_tokens={})


@pytest.mark.parametrize("kind", ["english", "code", "korean"])
@pytest.mark.parametrize(("vocabulary", "median", "p95"), [(o200k, 0.06, 0.16), (tekken, 0.1, 0.2)])
def test_texts(kind: str, vocabulary: Callable[[], Any], median: float, p95: float) -> None:
    """Estimates of prose, code and Korean, each apart, against the vocabularies of two providers. The passages are this project's own
    pages and modules, which change: hence the room."""
    encoding = vocabulary()
    errors = []
    for text in passages(kind):
        real = len(encoding.encode_ordinary(text))
        errors.append(abs(text_tokens(text) - real) / real)
    errors.sort()
    assert len(errors) > 20
    assert errors[len(errors) // 2] <= median
    assert errors[int(len(errors) * 0.95)] <= p95


def test_what_stands_beside_the_text_counts_too() -> None:
    """Messages, tools and schemas add tokens, by the family of the model."""
    plain = ChatRequest(messages=[{"role": "user", "content": "Hello"}])
    tool = {"type": "function", "function": {"name": "f", "description": "Finds " * 30, "parameters": {}}}
    tools = ChatRequest(messages=plain.messages, tools=[tool])
    assert prompt_tokens(plain, "gpt-4o") < prompt_tokens(tools, "gpt-4o") < prompt_tokens(tools, "claude-sonnet-4-5")


def said(text: str, **media: Any) -> list[dict[str, Any]]:
    """A user's message, with a part of this type beside its text."""
    parts = [{"type": name, name: fields} for name, fields in media.items()]
    return [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]


@pytest.mark.parametrize(
    ("request_", "model", "words"),
    [
        (ChatRequest(messages=said("q", image_url={"url": "https://h/a.png"})), "gpt-4o", "media"),
        (ChatRequest(messages=said("q", file={"file_id": "f"})), "gpt-4o", "media"),
        (ChatRequest(messages=said("q"), extra={"responses": {"tools": [{"type": "web_search"}]}}), "gpt-5", "tools"),
        (ChatRequest(messages=said("q"), extra={"responses": {"previous_response_id": "r"}}), "gpt-5", "keeps"),
        (ChatRequest(messages=said("q"), extra={"responses": {"input": [{"encrypted_content": "x"}]}}), "gpt-5", "encrypted"),
        (ChatRequest(messages=said("q", file={"file_data": "data:text/plain;base64,YQ"})), "gpt-4o", ""),
        (ChatRequest(messages=said("q"), tools=[RECURSIVE]), "gemini-2.5-flash", "recursive"),
        (ChatRequest(messages=said("q"), tools=[RECURSIVE], extra={"openai": {"n": 1}}), "gpt-4o", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_said(request_: ChatRequest, model: str, words: str) -> None:
    """Then the estimate is the least that the prompt may have: nothing is guessed for the rest."""
    found = uncounted(request_, model)
    assert words in found
    assert bool(found) == bool(words)
    assert prompt_tokens(request_, model) < 100


def test_deferred_tools_count_once_they_are_found() -> None:
    """Anthropic keeps them out of the prompt until a search finds them; other providers are sent them as any tool."""
    tools = [
        {"type": "function", "defer_loading": True, "function": {"name": f"f{n}", "description": "Finds " * 30}}
        for n in range(9)
    ]
    request = ChatRequest(messages=said("q"), tools=tools)
    call = {"id": "1", "type": "function", "function": {"name": "f3", "arguments": "{}"}}
    called = ChatRequest(messages=[*said("q"), {"role": "assistant", "tool_calls": [call]}], tools=tools)
    assert prompt_tokens(request, "claude-sonnet-4-5", "anthropic") < 550
    assert 550 < prompt_tokens(called, "claude-sonnet-4-5", "anthropic") < 650
    assert prompt_tokens(request, "claude-sonnet-4-5", "openrouter") > 800


def test_tools_and_files_alone_can_be_too_long() -> None:
    """The check that is made for every call sees them too: neither a text file nor tools make a small window fail."""
    small = ScriptedTarget("small", answer("s"), context_window=1000)
    pool = scripted_pool(small, ScriptedTarget("large", answer("l"), context_window=100_000))
    data = base64.b64encode(b"one two three four " * 500).decode()
    assert pool.chat(said("q", file={"file_data": f"data:text/plain;base64,{data}"})).target == "large"
    tools = [{"type": "function", "function": {"name": "f", "description": "Finds " * 2000, "parameters": {}}}]
    assert pool.chat("q", tools=tools).target == "large"


def test_a_prompt_that_cannot_be_counted_is_too_long_by_what_can() -> None:
    """The reason says that it is a lower bound."""
    small = ScriptedTarget("small", answer("s"), context_window=1000)
    pool = scripted_pool(small, ScriptedTarget("large", answer("l"), context_window=100_000))
    choices = pool.explain(said("one two three four " * 500, image_url={"url": "https://h/a.png"})).choices
    assert "a prompt of at least 1,9" in next(one.reason for one in choices if one.target == "small")


def test_a_prompt_goes_to_a_window_that_holds_it() -> None:
    """A target whose window is too small is not tried; `explain` says why; a short prompt goes there as ever."""
    small = ScriptedTarget("small", [answer("s"), TOO_LONG], context_window=1000)
    pool = scripted_pool(small, ScriptedTarget("large", answer("l"), context_window=100_000))
    long = "one two three four " * 500
    assert pool.chat("Hello").target == "small"
    reply = pool.chat(long)
    assert [one.target for one in reply.attempts] == ["large"]
    skipped = [choice for choice in pool.explain(long).choices if choice.skipped]
    assert [(choice.target, choice.skipped) for choice in skipped] == [("small", SkipReason.TOO_LONG)]
    assert "context window of 1,000" in skipped[0].reason


def test_the_answer_needs_room_too() -> None:
    """Providers refuse a prompt whose window does not hold the longest answer that is asked for."""
    pool = scripted_pool(ScriptedTarget("small", answer("s"), context_window=1000), ScriptedTarget("any", answer("a")))
    assert pool.chat("Hello", max_tokens=900).target == "small"
    assert pool.chat("Hello", max_tokens=1000).target == "any"


def test_estimates_never_refuse_a_call() -> None:
    """Where every window seems too small the provider decides: an estimate may err."""
    pool = scripted_pool(ScriptedTarget("small", fail(TOO_LONG), context_window=1000))
    with pytest.raises(AllTargetsFailed) as caught:
        pool.chat("one two three four " * 500)
    assert [one.kind for one in caught.value.attempts] == [Kind.CONTEXT_LENGTH]


def test_an_unknown_window_excludes_nothing() -> None:
    """A target whose window is not known takes every prompt."""
    pool = scripted_pool(ScriptedTarget("unknown", answer("u")), ScriptedTarget("large", answer("l"), context_window=9))
    assert pool.chat("one two three four " * 500).target == "unknown"
