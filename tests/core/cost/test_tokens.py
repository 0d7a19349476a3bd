"""Estimates of tokens, against a real vocabulary, and what they are used for."""

import os
from pathlib import Path

import pytest
from hotspare import AllTargetsFailed, Kind, Outcome, SkipReason
from hotspare._cost.tokens import prompt_tokens, text_tokens
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, answer, fail, scripted_pool

ROOT = Path(__file__).parents[3]
TOO_LONG = Outcome(Kind.CONTEXT_LENGTH, "too long", 400)


def passages(kind: str) -> list[str]:
    """Passages of 1,000 characters: English prose, Python, or Korean."""
    files = {
        "english": sorted(ROOT.glob("docs/*.md")),
        "code": sorted(ROOT.glob("core/src/hotspare/_*/*.py")),
        "korean": sorted(ROOT.glob("docs/ko/*.md")),
    }[kind]
    texts = [path.read_text(encoding="utf-8") for path in files]
    return [text[at : at + 1000] for text in texts for at in range(0, len(text) - 500, 1000)]


@pytest.mark.parametrize(("kind", "median", "p95"), [("english", 0.06, 0.2), ("code", 0.08, 0.2), ("korean", 0.1, 0.2)])
def test_texts(kind: str, median: float, p95: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates of prose, code and Korean, each apart, against OpenAI's vocabulary, which LlamaIndex's package holds."""
    tiktoken = pytest.importorskip("tiktoken")
    static = pytest.importorskip("llama_index.core").__file__
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", os.path.join(os.path.dirname(static), "_static", "tiktoken_cache"))
    encoding = tiktoken.get_encoding("o200k_base")
    errors = []
    for text in passages(kind):
        real = len(encoding.encode_ordinary(text))
        errors.append(abs(text_tokens(text) - real) / real)
    errors.sort()
    assert errors
    assert errors[len(errors) // 2] <= median
    assert errors[int(len(errors) * 0.95)] <= p95


def test_what_stands_beside_the_text_counts_too() -> None:
    """Messages, tools and schemas add tokens, by the family of the model; an image counts as such, not by its size."""
    plain = ChatRequest(messages=[{"role": "user", "content": "Hello"}])
    tool = {"type": "function", "function": {"name": "f", "description": "Finds " * 30, "parameters": {}}}
    tools = ChatRequest(messages=plain.messages, tools=[tool])
    assert prompt_tokens(plain, "gpt-4o") < prompt_tokens(tools, "gpt-4o") < prompt_tokens(tools, "claude-sonnet-4-5")
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    assert 500 < prompt_tokens(ChatRequest(messages=[{"role": "user", "content": [image]}])) < 2000


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
